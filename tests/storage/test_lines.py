"""A file of lines that grows: what was appended is there, a line cut off never was, and damage is said to be."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.errors import InputError
from trimtab.storage.lines import Lines

ENTRIES = [{"key": "ä\n", "n": 1}, {"answers": [None, "漢"]}, {"deep": {"er": [1.5, {}]}}]


def written(file: Path) -> Lines:
    lines = Lines(file)
    for entry in ENTRIES:
        lines.append(entry)
    return lines


def test_nothing_is_written_before_the_first_line(tmp_path: Path) -> None:
    assert Lines(tmp_path / "new").entries == []
    assert list(tmp_path.iterdir()) == []


@given(cut=st.integers(0, 200))
def test_cut_anywhere_it_goes_on_to_the_same_file(cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("lines") / "file"
    assert written(file).entries == ENTRIES
    content = file.read_bytes()
    file.write_bytes(content[:cut])
    again = Lines(file)
    assert again.entries == ENTRIES[: content[:cut].count(b"\n")]
    assert again.torn == (not content[:cut].endswith(b"\n") and cut > 0 and cut < len(content))
    for entry in ENTRIES[len(again.entries) :]:
        again.append(entry)
    assert file.read_bytes() == content
    assert Lines(file).entries == ENTRIES


@pytest.mark.parametrize("damage", [b"{\n", b"[]\n", b"\0\0\n", b"\xff\n", b"\n", b'"text"\n'])
def test_a_whole_line_that_is_no_object_is_named_and_kept(damage: bytes, tmp_path: Path) -> None:
    file = tmp_path / "file"
    first = json.dumps(ENTRIES[0]).encode() + b"\n"
    file.write_bytes(first + damage + first)
    with pytest.raises(InputError, match=r"file:2 is damaged"):
        Lines(file)
    assert file.read_bytes() == first + damage + first


def test_a_folder_in_its_place_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        Lines(tmp_path)
