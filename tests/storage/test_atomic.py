"""Scratch folders: gone afterwards, also after an exception; leftovers of the dead are swept, the living's stay."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trimtab.storage.atomic import fault, scratch, whole


def test_it_is_gone_afterwards_also_after_an_exception(tmp_path: Path) -> None:
    with scratch(tmp_path, "study") as work:
        (work / "file").write_text("x")
        assert work.parent == tmp_path
    with pytest.raises(ValueError, match="odd"), scratch(tmp_path, "study"):
        raise ValueError("odd")
    assert list(tmp_path.iterdir()) == []


def test_a_file_takes_its_place_when_it_is_whole_and_leaves_the_older_one_otherwise(tmp_path: Path) -> None:
    file = tmp_path / "new" / "vectors"
    with whole(file) as work:
        work.write_text("first")
        assert not file.exists()
    with pytest.raises(TypeError), whole(file) as work:
        work.write_text(2)  # type: ignore[arg-type]
    assert file.read_text() == "first"
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("name", ["study", "st[u]dy", "st**udy"])
def test_leftovers_of_dead_processes_are_swept_and_others_left_alone(name: str, tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from trimtab.storage.atomic import scratch\n"
        "with scratch(Path(sys.argv[1]), sys.argv[2]) as work: (work / 'half').write_text('x'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path), name], check=False)
    (left,) = tmp_path.iterdir()
    others = [tmp_path / f".{name}-{os.getppid()}-x", tmp_path / ".report-999999999-x", tmp_path / "thesis"]
    for other in others:
        other.mkdir()
    with scratch(tmp_path, name):
        assert not left.exists()
    assert sorted(tmp_path.iterdir()) == sorted(others)


@pytest.mark.parametrize("name", [".", "..", "file", "file/below", "x" * 201, "a\0b"])
def test_what_could_not_be_written_is_known_before_and_nothing_is_left(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    told = fault(tmp_path / name if name not in (".", "..") else Path(name))
    assert bool(told) == (name != "file"), told
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["new", "new/deep/er", "x" * 200, "ä 漢 🙂"])
def test_what_can_be_written_has_no_fault(name: str, tmp_path: Path) -> None:
    assert fault(tmp_path / name) == ""
    (tmp_path / name).mkdir(parents=True)
