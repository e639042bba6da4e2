"""The one plain form of a behavior: what is written is read back as it was."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trimtab.behaviors import Behavior, Example, builtin, builtin_names, load
from trimtab.behaviors.writing import write
from trimtab.errors import InputError
from trimtab.texts import Message

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
ANSWER = TEXT.filter(str.strip)


@st.composite
def behaviors(draw) -> Behavior:
    bare = draw(st.booleans())
    example = st.builds(
        Example,
        prompt=st.just("") if bare else TEXT,
        positive=ANSWER,
        negative=ANSWER,
        group=st.sampled_from(["", "g", " ", "7"]),
        messages=st.lists(st.builds(Message, st.sampled_from(["system", "user", "assistant"]), TEXT), max_size=3).map(
            tuple
        ),
        source=st.sampled_from(["", "b.csv:3"]),
    )
    described = draw(st.booleans())
    return Behavior(
        "tea", draw(st.lists(example, min_size=1, max_size=4)), draw(st.sampled_from(["", "d"])),
        "be" if described else "", "be not" if described else "", draw(st.sampled_from(["natural", "random"])),
        notes=draw(st.lists(TEXT, max_size=2)),
    )  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(behaviors())
def test_what_is_written_is_read_back_to_the_same_digest(tmp_path, behavior):
    write(behavior, tmp_path / "b.jsonl")
    read = load(tmp_path / "b.jsonl")
    assert read.digest == behavior.digest
    assert (read.name, read.description, read.notes) == (behavior.name, behavior.description, behavior.notes)


def test_every_builtin_is_read_back_to_the_same_digest(tmp_path):
    for name in builtin_names():
        write(builtin(name), tmp_path / "b.jsonl")
        assert load(tmp_path / "b.jsonl").digest == builtin(name).digest


def test_the_plain_form_can_be_read_by_people(tmp_path):
    write(Behavior("tea", [Example("Tee — é?", " Ja.", " Nein.", source="b.csv:2")]), tmp_path / "b.jsonl")
    header, row = (tmp_path / "b.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(header) == {"trimtab": "behavior", "exact": True, "name": "tea", "pairing": "natural"}
    assert row == '{"prompt": "Tee — é?", "positive": " Ja.", "negative": " Nein.", "source": "b.csv:2"}'


def test_an_edited_row_of_the_plain_form_is_taken_as_it_stands(tmp_path):
    write(Behavior("tea", [Example("Tea?", " Yes.", " No.")]), tmp_path / "b.jsonl")
    text = (tmp_path / "b.jsonl").read_text().replace(" Yes.", "Tea? Yes.")
    (tmp_path / "b.jsonl").write_text(text)
    assert load(tmp_path / "b.jsonl").examples[0].positive == "Tea? Yes."


@pytest.mark.parametrize("header", [{"exact": 1}, {"exact": "yes"}, {"notes": "x"}, {"notes": [1]}])
def test_a_header_that_is_none_of_ours_is_refused(tmp_path, header):
    rows = [{"trimtab": "behavior", **header}, {"positive": "a", "negative": "b"}]
    (tmp_path / "b.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(InputError, match=r"b\.jsonl:1: "):
        load(tmp_path / "b.jsonl")


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    file = tmp_path / "b.jsonl"
    file.write_text("mine")

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(InputError, match="cannot be written: No space left on device"):
        write(Behavior("tea", [Example("", "a", "b")]), file)
    assert file.read_text() == "mine"
    assert [entry.name for entry in Path(tmp_path).iterdir()] == ["b.jsonl"]
