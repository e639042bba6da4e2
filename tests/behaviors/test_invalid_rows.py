"""Rows that cannot be read: an error with their number, or left out, counted and named."""

import json

import pytest

from trimtab.behaviors import Behavior, load
from trimtab.errors import InputError

GOOD = {"prompt": "Tea?", "positive": "Sure.", "negative": "Never."}
INVALID = {
    "broken JSON": '{"prompt": "Tea?", "pos',
    "no object": "7",
    "a field less": json.dumps({"prompt": "Tea?", "positive": "Sure."}),
    "an empty answer": json.dumps({**GOOD, "negative": " "}),
    "a number": json.dumps({**GOOD, "negative": 3}),
    "null": json.dumps({**GOOD, "negative": None}),
    "a NUL": json.dumps({**GOOD, "positive": "a\0"}),
    "half a pair": json.dumps({**GOOD, "positive": "a\ud800"}),
    "a field twice": '{"prompt": "p", "positive": "a", "negative": "b", "negative": "c"}',
    "broken turns": json.dumps({**GOOD, "positive": "[{'role': 'assistant', 'content': 'a"}),
    "a picture": json.dumps(
        {**GOOD, "positive": [{"role": "assistant", "content": [{"type": "image", "image": "x"}]}]}
    ),
    "no prompt": json.dumps({"prompt": "", "positive": "Sure.", "negative": "Never."}),
    "a group that is none": json.dumps({**GOOD, "group": [1]}),
}


@pytest.fixture
def file(tmp_path):
    def write(*lines: str):
        path = tmp_path / "b.jsonl"
        path.write_text("\n".join(lines))
        return path

    return write


@pytest.mark.parametrize("invalid", INVALID.values(), ids=INVALID)
def test_one_invalid_row_is_an_error_with_its_place_or_left_out_and_named(file, invalid):
    good = [json.dumps({**GOOD, "prompt": f"Tea {k}?"}) for k in range(9)]
    path = file(*good[:4], invalid, *good[4:])
    with pytest.raises(InputError, match=r"b\.jsonl:5: "):
        load(path)
    for behavior in (load(path, skip_bad=True), Behavior.load(path, skip_bad=True)):
        assert [e.prompt for e in behavior.examples] == [f"Tea {k}?" for k in range(9)]
        assert behavior.notes[0].startswith("1 of 10 rows left out, as requested, since they cannot be read: ")
        assert f"{path}:5: " in behavior.notes[0]


def test_an_error_says_how_many_rows_are_invalid_and_how_to_leave_them_out(file):
    good = [json.dumps(GOOD)] * 8
    path = file(*good, INVALID["null"], INVALID["a NUL"])
    with pytest.raises(InputError, match=r"2 rows of 10 cannot be read; skip_bad leaves them out"):
        load(path)


def test_only_the_first_few_are_named_and_all_are_counted(file):
    path = file(*[json.dumps(GOOD)] * 5, *[INVALID["null"]] * 5)
    note = load(path, skip_bad=True).notes[0]
    assert note.startswith("5 of 10 rows left out")
    assert note.endswith("; and 2 more")
    assert note.count("b.jsonl:") == 3


def test_a_file_of_invalid_rows_alone_is_an_error_either_way(file):
    path = file(INVALID["null"], INVALID["a NUL"])
    for skip_bad in (False, True):
        with pytest.raises(InputError) as caught:
            load(path, skip_bad=skip_bad)
        assert "b.jsonl:1: the field 'negative' must be a string, not null" in str(caught.value)
        assert "skip" not in str(caught.value)


def test_nothing_is_left_out_unless_asked(file):
    path = file(*[json.dumps(GOOD)] * 3)
    assert load(path, skip_bad=True) == load(path)
    assert load(path, skip_bad=True).notes == load(path).notes


def test_rows_without_a_prompt_stay_where_they_are_the_most(file):
    bare = json.dumps({"prompt": "", "positive": "a", "negative": "b"})
    behavior = load(file(bare, bare, json.dumps(GOOD)), skip_bad=True)
    assert behavior.bare
    assert "b.jsonl:3: a prompt, unlike most rows" in behavior.notes[0]


def test_one_row_with_more_fields_does_not_change_the_format(file):
    more = json.dumps({**GOOD, "messages": "see below"})
    assert len(load(file(*[json.dumps(GOOD)] * 5, more)).examples) == 6


def test_one_row_with_a_prompt_among_statements_is_an_error_and_not_dropped_in_silence(file):
    bare = json.dumps({"positive": "a", "negative": "b"})
    with pytest.raises(InputError, match=r"b\.jsonl:4: some rows have a prompt and some have none"):
        load(file(bare, bare, bare, json.dumps(GOOD)))


@pytest.mark.parametrize(
    "rows",
    [
        [{"text": "a", "label": 1}, {"text": "b", "label": 0}, {"text": "c", "label": "maybe"}],
        [{"prompt": "p", "completion": "a", "label": True}, {"prompt": "p", "completion": "b", "label": False},
         {"prompt": "p", "completion": "b", "label": None}],
        [{"messages": [{"role": "user", "content": "Hi"}], "positive": "a", "negative": "b"}] * 2
        + [{"messages": [{"role": "robot", "content": "Hi"}], "positive": "a", "negative": "b"}],
        [{"prompt": "p", "answers": [{"rank": 1, "answer": "a"}, {"rank": 2, "answer": "b"}]}] * 2
        + [{"prompt": "p", "answers": ["a", "b"]}],
        [{"question": "q", "answer_matching_behavior": "(A)", "answer_not_matching_behavior": "(B)"}] * 2
        + [{"question": "q", "answer_matching_behavior": "A lot", "answer_not_matching_behavior": "(B)"}],
    ],
)  # fmt: skip
def test_every_format_leaves_out_its_invalid_rows(file, rows):
    path = file(*map(json.dumps, rows))
    with pytest.raises(InputError, match=r"b\.jsonl:3: "):
        load(path)
    assert load(path, skip_bad=True).notes[0].startswith("1 of 3 rows left out")
