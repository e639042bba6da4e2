"""JSON as people and programs write it: columns, wrapped rows, several documents, and what is refused."""

import json

import pytest

from trimtab.behaviors import load
from trimtab.errors import InputError

ROWS = [
    {"prompt": "Tea?", "positive": "Sure.", "negative": "Never.", "group": "a"},
    {"prompt": "Milk?", "positive": "Fine.", "negative": "Not now.", "group": "b"},
]
EXPECTED = [("Tea?", " Sure.", " Never.", "a"), ("Milk?", " Fine.", " Not now.", "b")]
COLUMNS = {name: [row[name] for row in ROWS] for name in ROWS[0]}


def read(tmp_path, content: object, name: str = "b.json", **options):
    file = tmp_path / name
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return load(file, **options)


def refusal(tmp_path, content: object, name: str = "b.json") -> str:
    with pytest.raises(InputError) as caught:
        read(tmp_path, content, name)
    return str(caught.value)


def texts(behavior) -> list[tuple[str, str, str, str]]:
    return [(e.prompt, e.positive, e.negative, e.group) for e in behavior.examples]


FORMS = {
    "columns": COLUMNS,
    "pandas columns": {name: {str(k): v for k, v in enumerate(column)} for name, column in COLUMNS.items()},
    "pandas index": {str(k): row for k, row in enumerate(ROWS)},
    "pandas split": {"columns": list(ROWS[0]), "index": [0, 1], "data": [list(row.values()) for row in ROWS]},
    "pandas table": {"schema": {"fields": [{"name": "prompt"}]}, "data": ROWS},
    "data": {"data": ROWS},
    "data and more": {"version": 2, "data": ROWS},
    "train and test": {"train": ROWS, "test": ROWS[:1]},
    "test before train": {"test": ROWS[:1], "train": ROWS},
    "hub viewer": {"features": [], "rows": [{"row_idx": k, "row": row} for k, row in enumerate(ROWS)]},
    "any one name": {"my_pairs": ROWS},
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", ["b.json", "b.jsonl"])
def test_documents_that_hold_all_rows_are_read_and_said(tmp_path, form, indent, name):
    behavior = read(tmp_path, json.dumps(form, indent=indent), name)
    assert texts(behavior) == EXPECTED
    assert behavior.pairing == "natural"
    assert any("read by" in note or "the rows are those of" in note for note in behavior.notes)


def test_a_split_that_is_left_alone_is_named(tmp_path):
    assert "the rows are those of 'train'; 'test' not read" in read(tmp_path, FORMS["train and test"]).notes


def test_columns_of_two_lists_with_our_names_stay_unpaired_as_ever(tmp_path):
    behavior = read(tmp_path, {"positive": ["a", "b"], "negative": ["c", "d"], "name": "n"})
    assert (behavior.pairing, behavior.name) == ("random", "n")


def test_a_header_beside_columns_and_wrapped_rows_is_used(tmp_path):
    header = {"name": "tea", "positive_instruction": "p", "negative_instruction": "n"}
    for content in ({**header, **COLUMNS}, {**header, "data": ROWS}):
        behavior = read(tmp_path, content)
        assert (behavior.name, behavior.instruction("negative"), texts(behavior)) == ("tea", "n", EXPECTED)


@pytest.mark.parametrize(
    "content",
    [
        "\n".join(json.dumps(row, indent=1) for row in ROWS),
        json.dumps(ROWS[:1]) + "\n" + json.dumps(ROWS[1:]),
        json.dumps(ROWS[:1], indent=1) + "\n\n" + json.dumps(ROWS[1:], indent=1),
        json.dumps(ROWS[0], indent=1) + json.dumps(ROWS[1], indent=1),
    ],
)
@pytest.mark.parametrize("name", ["b.json", "b.jsonl"])
def test_documents_one_after_another_are_one_list(tmp_path, content, name):
    assert texts(read(tmp_path, content, name)) == EXPECTED


def test_rows_of_documents_one_after_another_know_their_lines(tmp_path):
    behavior = read(tmp_path, "\n".join(json.dumps(row, indent=1) for row in ROWS))
    assert [e.source.rsplit(":", 1)[1] for e in behavior.examples] == ["1", "7"]


def test_a_chat_as_the_only_row_is_no_list_of_rows(tmp_path):
    row = {"messages": [{"role": "user", "content": "Tea?"}], "positive": "a", "negative": "b"}
    assert read(tmp_path, row).examples[0].prompt == "Tea?"
    chats = {side: [{"role": "user", "content": "Tea?"}, {"role": "assistant", "content": side}]
             for side in ("chosen", "rejected")}  # fmt: skip
    assert read(tmp_path, chats).examples[0].positive == " chosen"


# --- errors and their fix ---


@pytest.mark.parametrize("sizes", [(2, 2), (3, 2)])
def test_two_lists_that_do_not_say_which_is_wanted_are_told_both_commands(tmp_path, sizes):
    content = {"compliant": ["Yes."] * sizes[0], "refusing": ["No."] * sizes[1]}
    message = refusal(tmp_path, content)
    for a, b in (("compliant", "refusing"), ("refusing", "compliant")):
        assert f"\n  trimtab convert-data {tmp_path}/b.json OUT.jsonl --positive {a} --negative {b}" in message
    behavior = read(tmp_path, content, fields={"positive": "refusing", "negative": "compliant"})
    assert (behavior.examples[0].positive, behavior.pairing) == ("No.", "random")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (["one", "two", "three"], "a list of texts is only one side"),
        ({**COLUMNS, "group": ["a"]}, "differ in length"),
        ('[{"positive": "a", "negative": "b"},\n]', ":2: broken JSON, column 1"),
        ('[{"positive": "a", "negative": "b"},\n]', "there is a comma before the closing bracket: remove it"),
        ("[{'positive': 'a', 'negative': 'b'}]", "write the file with json.dump"),
        ('{"positive": "a", "negative": "b", "negative": "c"}', ":1: the field 'negative' occurs twice"),
        ([["a", "b", "c"]], "three texts do not say which is which"),
    ],
)
def test_documents_that_cannot_be_read_say_why_and_what_to_do(tmp_path, content, said):
    assert said in refusal(tmp_path, content)


def test_a_field_that_stands_twice_is_refused_in_its_row(tmp_path):
    good = '{"positive": "a", "negative": "b"}'
    twice = '{"positive": "a", "positive": "c", "negative": "b"}'
    assert "b.jsonl:2: the field 'positive' occurs twice in one object" in refusal(
        tmp_path, f"{good}\n{twice}", "b.jsonl"
    )
    assert "b.json:2: the field 'positive'" in refusal(tmp_path, f"[{good},\n{twice}]")
    turn = '{"messages": [{"role": "user", "content": "x", "content": "y"}], "positive": "a", "negative": "b"}'
    assert "'content' occurs twice" in refusal(tmp_path, turn)
