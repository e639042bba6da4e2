"""Every file kind and record format, and every error with its place and fix."""

import gzip
import json
import shutil
import sys
from pathlib import Path

import pytest

from trimtab.behaviors import Behavior, builtin, builtin_names, load, readers
from trimtab.errors import InputError
from trimtab.texts import Message

PROMPTS = [
    {"prompt": "Tea or coffee?", "positive": "Tea.", "negative": "Coffee."},
    {"prompt": "Up or down?", "positive": "Up.", "negative": "Down."},
]
MWE = {"question": "Say?", "answer_matching_behavior": " Yes", "answer_not_matching_behavior": " No"}


def write(path: Path, content: object) -> str:
    """JSONL for a list of rows, otherwise the text or bytes as they are."""
    if isinstance(content, list):
        content = "\n".join(json.dumps(row) for row in content)
    path.write_bytes(content if isinstance(content, bytes) else str(content).encode())
    return str(path)


def answers(behavior: Behavior) -> list[tuple[str, str, str]]:
    return [(e.prompt, e.positive, e.negative) for e in behavior.examples]


def refusal(path: str | Path, **options: str) -> str:
    with pytest.raises(InputError) as caught:
        load(path, **options)
    return str(caught.value)


# --- kinds of files ---


@pytest.mark.parametrize("name", ["b.jsonl", "b.json", "b.txt"])
@pytest.mark.parametrize(
    "dump", [lambda r: "\n".join(map(json.dumps, r)), json.dumps, lambda r: json.dumps(r, indent=2)]
)
def test_json_and_jsonl_are_told_by_content_not_by_name(tmp_path, name, dump):
    behavior = load(write(tmp_path / name, dump(PROMPTS)))
    assert answers(behavior) == [("Tea or coffee?", " Tea.", " Coffee."), ("Up or down?", " Up.", " Down.")]
    assert (behavior.name, behavior.pairing) == ("b", "natural")


def test_csv_tsv_parquet_and_gzip_give_the_same_behavior_as_jsonl(tmp_path):
    import polars as pl

    frame = pl.DataFrame(PROMPTS)
    frame.write_csv(tmp_path / "b.csv")
    frame.write_csv(tmp_path / "b.tsv", separator="\t")
    frame.write_parquet(tmp_path / "b.parquet")
    write(tmp_path / "b.jsonl", PROMPTS)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress((tmp_path / "b.jsonl").read_bytes()))
    digests = {load(file).digest for file in tmp_path.iterdir()}
    assert len(list(tmp_path.iterdir())) == 5
    assert len(digests) == 1


def test_csv_rows_know_their_lines_past_quoted_line_breaks_and_blank_lines(tmp_path):
    path = write(tmp_path / "b.csv", 'positive,negative\n"a\nb",c\n\nd,e\nf,\n')
    message = refusal(path)
    assert message.startswith(f"{path}:6: the answer in 'negative' is empty")


def test_csv_cells_stay_text_even_if_they_look_like_numbers(tmp_path):
    assert answers(load(write(tmp_path / "b.csv", "positive,negative\n007,1.50\n"))) == [("", "007", "1.50")]


@pytest.mark.parametrize("name", ["b.csv", "b.jsonl"])
def test_lines_that_end_as_on_the_old_mac_are_read_and_counted(tmp_path, name):
    lines = (
        ["positive,negative", "a,b", "c,"] if name == "b.csv" else ['{"positive": "a", "negative": "b"}'] * 2 + ["{"]
    )
    path = write(tmp_path / name, "\r".join(lines))
    assert refusal(path).startswith(f"{path}:3: ")
    assert answers(load(write(tmp_path / name, "\r".join(lines[:2]))))[0] == ("", "a", "b")


def test_a_table_with_mixed_line_ends_in_its_names_is_refused(tmp_path):
    path = write(tmp_path / "b.csv", "positive,negative\ra,b\nc,d\n")
    assert refusal(path).startswith(f"{path}:1: mixed line endings, so the column names cannot be read")


def test_byte_order_marks_and_blank_lines_are_accepted(tmp_path):
    content = b"\xef\xbb\xbf\n" + b"\n\n".join(json.dumps(row).encode() for row in PROMPTS) + b"\n\n"
    behavior = load(write(tmp_path / "b.jsonl", content))
    assert [e.source.rsplit(":", 1)[1] for e in behavior.examples] == ["2", "4"]


def test_array_rows_know_the_line_they_begin_on(tmp_path):
    behavior = load(write(tmp_path / "b.json", json.dumps(PROMPTS, indent=1)))
    assert [e.source.rsplit(":", 1)[1] for e in behavior.examples] == ["2", "7"]


def test_unusual_line_separators_inside_a_text_do_not_break_a_row(tmp_path):
    row = json.dumps({"positive": "a\u2028b", "negative": "c\x85d"}, ensure_ascii=False)
    assert answers(load(write(tmp_path / "b.jsonl", row + "\n" + row))) == [("", "a\u2028b", "c\x85d")] * 2


# --- refusals ---


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "the file is empty"),
        (" \n\n", "the file is empty"),
        ("[]", "no rows"),
        ('{"trimtab": "behavior", "name": "x"}\n', "no rows"),
        ('{"positive": "a", "negative": "b"}\n{"positive": "a", "neg', ":2: broken JSON, column"),
        ('{"positive": "a", "neg\n{"positive": "a", "negative": "b"}', ":1: broken JSON, column"),
        ('[\n{"positive": "a",\n "negative" "b"}]', ":3: broken JSON, column 13"),
        ("[" * 100_000, ":1: JSON that cannot be read"),
        ('"text"', ":1: expected an array or an object, found str"),
        ('{"positive": "a", "negative": "b"}\n7', ":2: a row must be an object with fields"),
        ('{"positive": "a", "negative": "b"}\n["a", "b", "c"]', ":2: a row must be an object"),
        ('{"positive": "a", "negative": "b"}\n{"positive": "a", "other": "b"}',
         ":2: the field 'negative' is missing; found 'positive', 'other'"),
        ('{"positive": "a", "negative": "b"}\n{"positive": "a", "negative": 3}',
         ":2: the field 'negative' must be a string, not int"),
        ('{"positive": "a", "negative": null}', ":1: the field 'negative' must be a string, not null"),
        ('{"positive": "a", "negative": " \\n"}', ":1: the answer in 'negative' is empty"),
        ('{"positive": "a\\u0000", "negative": "b"}', ":1: the field 'positive' contains a NUL byte"),
        ('{"positive": "a\\ud800", "negative": "b"}', ":1: the field 'positive' contains half of a surrogate"),
        ('{"positive": "a", "negative": "b"}\n\n{"prompt": "p", "positive": "a", "negative": "b"}',
         ":1: the field 'prompt' is missing"),
        ('{"prompt": "p", "positive": "a", "negative": "b"}\n{"prompt": "", "positive": "a", "negative": "b"}',
         ":2: some rows have a prompt and some have none"),
        ('{"prompt": "p", "good": "a"}', "the nearest format, prompts, also needs 'positive', 'negative'"),
        ('{"good": "a", "bad": "b"}', "found 'good', 'bad'; the formats are"),
        ('{"positive": "a", "negative": "b", "group": 1.5}', ":1: the field 'group' must be a string, not float"),
    ],
)  # fmt: skip
def test_a_broken_file_is_refused_with_place_and_reason(tmp_path, content, said):
    path = write(tmp_path / "b.jsonl", content)
    message = refusal(path)
    assert message.startswith(path)
    assert said in message


def test_bytes_that_are_not_utf8_are_named_with_offset_and_line(tmp_path):
    path = write(tmp_path / "b.jsonl", b'\xef\xbb\xbf{"positive": "a",\n "negative": "caf\xe9"}')
    assert refusal(path).startswith(f"{path}:2: not UTF-8: byte 0xe9 at offset 38")


def test_a_nul_byte_in_a_table_is_refused(tmp_path):
    assert ":2: a NUL byte" in refusal(write(tmp_path / "b.csv", "positive,negative\na\0,b\n"))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("b.jsonl.gz", b"\x1f\x8bnothing", "broken gzip file"),
        ("b.parquet", b"PAR1nothingPAR1", "broken Parquet file"),
        ("b.csv", "positive,negative\na,b,c\n", "cannot be read as a table"),
        ("b.csv", "positive,positive\na,b\n", ":1: two columns have the same name"),
        ("b.csv", "positive,negative\n", "no rows"),
    ],
)
def test_broken_containers_are_refused(tmp_path, name, content, said):
    assert said in refusal(write(tmp_path / name, content))


def test_a_missing_file_is_named(tmp_path):
    assert refusal(tmp_path / "none.jsonl").startswith(f"{tmp_path}/none.jsonl: no such file")
    assert "no such file" in refusal("data/none.jsonl")


def test_a_folder_is_answered_with_the_files_in_it(tmp_path):
    write(tmp_path / "one.jsonl", PROMPTS)
    write(tmp_path / "readme.md", "x")
    message = refusal(tmp_path)
    assert "is a folder; give one of its files: one.jsonl" in message
    assert "readme" not in message


def test_unknown_names_list_the_builtins_and_suggest_the_nearest(monkeypatch, tmp_path):
    write(tmp_path / "sentiment.jsonl", PROMPTS)
    write(tmp_path / "honesty.jsonl", PROMPTS)
    monkeypatch.setattr(readers, "_builtin_folder", lambda: tmp_path)
    for attempt in (load, builtin):
        with pytest.raises(
            InputError, match=r"did you mean 'sentiment'\? the built-in behaviors are honesty, sentiment"
        ):
            attempt("sentimnt")


@pytest.mark.parametrize(
    ("options", "said"), [({"format": "xml"}, "prompts, pairs, lists"), ({"view": "x"}, "choice or statements")]
)
def test_unknown_formats_and_views_list_the_possible_ones(tmp_path, options, said):
    assert said in refusal(write(tmp_path / "b.jsonl", PROMPTS), **options)


def test_a_view_of_a_format_without_views_is_refused(tmp_path):
    assert "for the formats mwe and caa only" in refusal(write(tmp_path / "b.jsonl", PROMPTS), view="choice")


def test_a_forced_format_says_which_field_it_lacks(tmp_path):
    assert ":1: the field 'question' is missing" in refusal(write(tmp_path / "b.jsonl", PROMPTS), format="mwe")


# --- built-ins ---


def test_builtins_load_by_name_and_a_file_of_that_name_wins(monkeypatch, tmp_path):
    write(tmp_path / "tea.jsonl", [{"trimtab": "behavior", "name": "of-tea", "description": "d"}, *PROMPTS])
    monkeypatch.setattr(readers, "_builtin_folder", lambda: tmp_path)
    assert builtin_names() == ["tea"]
    assert (builtin("tea").name, load("tea").description) == ("of-tea", "d")
    assert builtin("tea").examples[0].source == "builtin:tea:2"
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "tea", [PROMPTS[0]])
    assert len(load("tea").examples) == 1


def test_every_shipped_builtin_loads_under_its_name():
    for name in builtin_names():
        assert builtin(name).name == name


def test_behavior_load_is_the_same_as_load(tmp_path):
    path = write(tmp_path / "b.jsonl", PROMPTS)
    assert Behavior.load(path) == load(path)


# --- prompts, pairs, header ---


def test_two_element_arrays_are_pairs_of_bare_statements(tmp_path):
    for content in ('[["a", "b"], ["c", "d"]]', '["a", "b"]\n["c", "d"]'):
        behavior = load(write(tmp_path / "b.json", content))
        assert answers(behavior) == [("", "a", "b"), ("", "c", "d")]
        assert (behavior.bare, behavior.pairing) == (True, "natural")


def test_group_becomes_the_examples_group_and_other_fields_are_ignored(tmp_path):
    rows = [{**row, "group": group, "confidence": 0.5} for row, group in zip(PROMPTS, ("g", 7), strict=True)]
    assert [e.group for e in load(write(tmp_path / "b.jsonl", rows)).examples] == ["g", "7"]


@pytest.mark.parametrize(
    ("prompt", "answer", "expected"),
    [
        ("The sea is", "blue", " blue"),
        ("The sea is", " blue", " blue"),
        ("The sea is ", "blue", "blue"),
        ("The sea is\n", "blue", "blue"),
        ("The sea", ", of course", ", of course"),
        ("She said “", "no", "no"),
        ('She said "', "no", "no"),
        ('She said "no"', "and left", " and left"),
        ("She said", '"no"', ' "no"'),
        ("Pick (", "A", "A"),
        ("Pick", "(A)", " (A)"),
        ("海は", "青い", "青い"),
        ("The sea is", "Ａ", "Ａ"),
        ("Answer:", "42", " 42"),
    ],
)
def test_one_space_joins_prompt_and_answer_where_a_writer_would_put_one(tmp_path, prompt, answer, expected):
    row = {"prompt": prompt, "positive": answer, "negative": " other"}
    behavior = load(write(tmp_path / "b.jsonl", [row]))
    assert behavior.examples[0].positive == expected
    note = "one space put between prompt and answer in 1 of 1 rows"
    assert behavior.notes == ((note,) if answer != expected else ())


def test_a_header_row_names_and_describes_the_behavior(tmp_path):
    header = {
        "trimtab": "behavior", "name": "tea", "description": "d", "positive_instruction": "p",
        "negative_instruction": "n", "pairing": "random",
    }  # fmt: skip
    for content in ([header, *PROMPTS], json.dumps({**header, "examples": PROMPTS})):
        b = load(write(tmp_path / "b.jsonl", content))
        assert (b.name, b.description, b.pairing, len(b.examples)) == ("tea", "d", "random", 2)
        assert (b.instruction("positive"), b.instruction("negative")) == ("p", "n")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"discription": "x"}, "unknown field 'discription' in the header; did you mean 'description'?"),
        ({"name": 3}, "the field 'name' must be a string, not int"),
        ({"name": "../x"}, "the header's 'name', '../x', contains '/'"),
        ({"name": ""}, "the header's 'name', '', is empty"),
        ({"name": "a\x1b[2J"}, "contains '\\x1b', which a folder's name cannot contain"),
        ({"name": "\ud800"}, "the field 'name' contains half of a surrogate pair"),
        ({"description": "a\0"}, "the field 'description' contains a NUL byte"),
        ({"positive_instruction": "\udfff", "negative_instruction": "n"}, "half of a surrogate pair"),
        ({"pairing": "odd"}, "it can be 'natural' or 'random'"),
        ({"positive_instruction": "p"}, "only one of the two instructions"),
        ({"positive_instruction": "p", "negative_instruction": "p"}, "give two that differ"),
        ({"trimtab": "steering"}, "this is a trimtab 'steering'"),
    ],
)
def test_a_wrong_header_is_refused_with_its_line(tmp_path, header, said):
    path = write(tmp_path / "b.jsonl", [{"trimtab": "behavior", **header}, *PROMPTS])
    message = refusal(path)
    assert message.startswith(f"{path}:1: ")
    assert said in message


# --- lists ---


@pytest.mark.parametrize(
    "labels", [(1, 0), (True, False), ("positive", "negative"), ("pos", "NEG"), (1, -1), ("1", "-1"), (1.0, 0.0)]
)
@pytest.mark.parametrize("field", ["text", "statement", "sentence"])
def test_labelled_texts_are_matched_in_order_and_their_pairing_is_random(tmp_path, labels, field):
    yes, no = labels
    rows = [{field: t, "label": label} for t, label in (("a", yes), ("b", yes), ("x", no), ("y", no))]
    path = write(tmp_path / "b.jsonl", rows)
    behavior = load(path)
    assert answers(behavior) == [("", "a", "x"), ("", "b", "y")]
    assert behavior.pairing == "random"
    assert behavior.examples[0].source == f"{path}:1 + {path}:3"


def test_texts_of_a_shorter_list_are_used_again_and_a_note_says_so(tmp_path):
    lists = {"positive": ["a", "b"], "negative": ["v", "w", "x", "y", "z"], "name": "n"}
    behavior = load(write(tmp_path / "b.json", json.dumps(lists)))
    assert answers(behavior) == [("", "a", "v"), ("", "b", "w"), ("", "a", "x"), ("", "b", "y"), ("", "a", "z")]
    assert behavior.name == "n"
    (note,) = behavior.notes
    assert note.startswith("2 positive and 5 negative texts: each positive one stands in up to 3 rows")


def test_more_than_four_texts_to_one_are_counted_as_unused(tmp_path):
    path = write(tmp_path / "b.json", json.dumps({"positive": list("abcdefghi"), "negative": ["x", "y"]}))
    behavior = load(path)
    assert answers(behavior) == [("", p, n) for p, n in zip("abcdefgh", "xyxyxyxy", strict=True)]
    assert behavior.notes[1].startswith("1 of 9 positive texts unused")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"text": "a", "label": 1}, {"text": "b", "label": 1}], "no negative texts"),
        ([{"text": "a", "label": 1}, {"text": "b", "label": 2}], ":2: the label 2 is unknown"),
        (
            [{"text": "a", "label": 1}, {"text": "b", "label": 0}, {"text": "c", "label": -1}],
            ":3: the labels 1, 0 and -1",
        ),
        ([{"text": "a", "label": 1}, {"text": "b"}], ":2: the field 'label' is missing"),
        ([{"text": "a", "label": 1}, {"label": 0}], ":2: the field 'text' is missing"),
        ([{"prompt": "p", "text": "a", "label": 1}], ":1: labelled rows with a 'prompt' cannot be paired"),
    ],
)
def test_lists_that_cannot_be_matched_are_refused(tmp_path, rows, said):
    assert said in refusal(write(tmp_path / "b.jsonl", rows))


def test_lists_declared_natural_must_be_equally_long(tmp_path):
    content = {"positive": ["a", "b"], "negative": ["x", "y"], "pairing": "natural"}
    assert load(write(tmp_path / "b.json", json.dumps(content))).pairing == "natural"
    content["negative"] = ["x"]
    assert "the two classes differ in size" in refusal(write(tmp_path / "b.json", json.dumps(content)))


# --- chats ---


def test_a_single_user_turn_is_its_own_prompt_and_keeps_its_turns(tmp_path):
    row = {"messages": [{"role": "user", "content": "Hi?"}], "positive": "Hello.", "negative": "Go."}
    example = load(write(tmp_path / "b.jsonl", [row])).examples[0]
    assert (example.prompt, example.positive) == ("Hi?", " Hello.")
    assert example.messages == (Message("user", "Hi?"),)


def test_several_turns_are_flattened_with_their_names(tmp_path):
    turns = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Yes?"), ("user", "Tea?")]
    row = {"messages": [{"role": r, "content": c} for r, c in turns], "positive": "Ok", "negative": "No way"}
    example = load(write(tmp_path / "b.jsonl", [row])).examples[0]
    assert example.prompt == "Be brief.\n\nUser: Hi\n\nAssistant: Yes?\n\nUser: Tea?\n\nAssistant:"
    assert example.positive == " Ok"


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([], "'messages' must be a list of turns"),
        ([{"role": "user"}], "messages[0] must be an object with role and content"),
        ([{"role": "robot", "content": "x"}], "messages[0] has the role 'robot'; it can be system, user, assistant"),
        ([{"role": "user", "content": ["x"]}], "'messages[0].content' must be a string, not list"),
        ([{"role": "assistant", "content": "x"}], "the last turn of 'messages' must be the user's"),
    ],
)
def test_turns_that_are_none_are_refused(tmp_path, messages, said):
    message = refusal(write(tmp_path / "b.jsonl", [{"messages": messages, "positive": "a", "negative": "b"}]))
    assert ":1: " in message
    assert said in message


USER = {"role": "user", "content": "Tea?"}


def reply(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Tea?", "chosen": "Yes please", "rejected": "No thanks"},
        {"prompt": [USER], "chosen": "Yes please", "rejected": "No thanks"},
        {"prompt": [USER], "chosen": reply("Yes please"), "rejected": reply("No thanks")},
        {"chosen": [USER, *reply("Yes please")], "rejected": [USER, *reply("No thanks")]},
        {"prompt": "Tea?", "chosen": [USER, *reply("Yes please")], "rejected": [USER, *reply("No thanks")]},
    ],
)
def test_preferences_are_read_in_every_shape(tmp_path, row):
    behavior = load(write(tmp_path / "b.jsonl", [row]))
    assert answers(behavior) == [("Tea?", " Yes please", " No thanks")]
    with_turns = any(isinstance(value, list) for value in row.values())
    assert behavior.examples[0].messages == ((Message("user", "Tea?"),) if with_turns else ())


def test_transcripts_are_cut_at_the_last_answer_and_unlike_prompts_are_dropped_and_counted(tmp_path):
    start = "\n\nHuman: Hi\n\nAssistant: Yes?\n\nHuman: "
    rows = [
        {"chosen": f"{start}Tea?\n\nAssistant: Sure.", "rejected": f"{start}Tea?\n\nAssistant: Never."},
        {"chosen": f"{start}Tea?\n\nAssistant: Sure.", "rejected": f"{start}Milk?\n\nAssistant: Never."},
        {"chosen": f"{start}Tea?\n\nAssistant:", "rejected": f"{start}Tea?\n\nAssistant: Never."},
    ]
    behavior = load(write(tmp_path / "b.jsonl", rows))
    assert answers(behavior) == [("Human: Hi\n\nAssistant: Yes?\n\nHuman: Tea?\n\nAssistant:", " Sure.", " Never.")]
    assert [(m.role, m.content) for m in behavior.examples[0].messages] == [
        ("user", "Hi"), ("assistant", "Yes?"), ("user", "Tea?"),
    ]  # fmt: skip
    assert behavior.notes == (
        "1 of 3 rows left out: the prompts of their two answers differ",
        "1 of 3 rows left out: a transcript ends without an answer",
    )
    assert "no row is left; 1 of 1 rows left out" in refusal(write(tmp_path / "b.jsonl", [rows[1]]))


def test_preferences_without_any_prompt_are_refused(tmp_path):
    assert ":1: the field 'prompt' is missing" in refusal(
        write(tmp_path / "b.jsonl", [{"chosen": "a", "rejected": "b"}])
    )


# --- model-written evaluations and CAA ---


def test_yes_no_questions_get_the_choices_of_the_raw_form(tmp_path):
    behavior = load(write(tmp_path / "b.jsonl", [MWE]))
    assert answers(behavior) == [("Question: Say?\n\nChoices:\n - Yes\n - No\n\nAnswer:", " Yes", " No")]
    assert behavior.answer_kind == "choice"


def test_caa_labels_get_the_leading_space_of_the_raw_form(tmp_path):
    row = {
        "question": "Do?\n\nChoices:\n(A) x\n(B) y",
        "answer_matching_behavior": "(B)",
        "answer_not_matching_behavior": "(A)",
    }
    for options in ({}, {"format": "caa"}, {"format": "mwe"}):
        behavior = load(write(tmp_path / "b.json", json.dumps([row])), **options)
        assert answers(behavior) == [("Question: Do?\n\nChoices:\n(A) x\n(B) y\n\nAnswer:", " (B)", " (A)")]


def test_caa_refuses_answers_that_are_no_labels(tmp_path):
    assert "not a label such as (A); use the format mwe" in refusal(write(tmp_path / "b.jsonl", [MWE]), format="caa")


def test_the_statements_view_takes_what_one_agrees_with_as_positive(tmp_path):
    no = {**MWE, "answer_matching_behavior": " No", "answer_not_matching_behavior": " Yes"}
    path = write(tmp_path / "b.jsonl", [{**no, "statement": "x"}, {**MWE, "statement": "a"}, {**MWE, "statement": "b"}])
    behavior = load(path, view="statements")
    assert (answers(behavior), behavior.pairing) == ([("", "a", "x"), ("", "b", "x")], "random")
    assert behavior.notes[0].startswith("1 negative and 2 positive texts")
    assert "--view statements" in load(path).notes[0]


def test_garbled_rows_of_published_choices_are_left_out_and_noted(tmp_path):
    path = write(tmp_path / "b.jsonl", [MWE, {**MWE, "question": "RO\0\0"}])
    behavior = load(path)
    assert len(behavior.examples) == 1
    assert behavior.notes == (f"1 of 2 rows left out: NUL bytes in the text, first at {path}:2",)
    assert "every row contains NUL bytes" in refusal(write(tmp_path / "b.jsonl", [{**MWE, "question": "\0"}]))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (MWE, "needs the field 'statement'"),
        ({**MWE, "statement": "s", "answer_matching_behavior": " (A)"}, "needs 'Yes' or 'No'"),
    ],
)
def test_the_statements_view_refuses_rows_without_a_statement_or_side(tmp_path, row, said):
    message = refusal(write(tmp_path / "b.jsonl", [row]), view="statements")
    assert ":1: " in message
    assert said in message
    assert "use the view 'choice'" in message


# --- Hugging Face datasets, offline ---


@pytest.fixture
def hub_folder(tmp_path, monkeypatch) -> Path:
    pytest.importorskip("datasets")
    import datasets.config

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "tea"
    folder.mkdir()
    write(folder / "train.jsonl", PROMPTS)
    write(folder / "test.jsonl", PROMPTS[:1])
    monkeypatch.chdir(tmp_path)
    return folder


def test_a_local_dataset_folder_is_read_through_datasets(hub_folder):
    behavior = load("hub:./tea")
    assert answers(behavior)[0] == ("Tea or coffee?", " Tea.", " Coffee.")
    assert (behavior.name, behavior.examples[1].source) == ("tea", "hub:./tea:train[1]")
    assert behavior.notes[0] == "read from the dataset ./tea, local folder, split train"


def test_a_split_can_be_chosen_and_an_unknown_one_lists_those_there_are(hub_folder):
    assert len(load("hub:./tea@::test").examples) == 1
    message = refusal("hub:./tea@::dev")
    assert "train" in message
    assert "test" in message


def test_a_dataset_that_cannot_be_loaded_is_an_input_error(hub_folder):
    assert "hub:./nothing: cannot load the dataset" in refusal("hub:./nothing")
    assert "expected ORG/NAME" in refusal("hub:a/b@1:2:3:4")


def test_an_id_goes_to_the_hub_and_a_file_name_does_not(monkeypatch):
    asked = []

    def read(address: str) -> None:
        asked.append(address)
        raise InputError("asked")

    monkeypatch.setattr(readers, "read_dataset", read)
    assert refusal("some-org/set.v2@main:cfg:test") == "asked"
    assert "no such file" in refusal("some-org/set.jsonl")
    assert asked == ["some-org/set.v2@main:cfg:test"]


def test_without_the_package_the_hub_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert "pip install 'trimtab[hub]'" in refusal("hub:org/name")


# --- published data ---


@pytest.mark.data
def test_all_persona_sets_load_in_both_views(data_dir):
    full = 0
    for file in sorted((data_dir / "mwe/persona").glob("*.jsonl")):
        choice, statements = load(file), load(file, view="statements")
        assert (choice.answer_kind, choice.pairing, choice.bare) == ("choice", "natural", False)
        assert (statements.pairing, statements.bare) == ("random", True)
        assert len(choice.examples) == 2 * len(statements.examples)
        assert choice.examples[0].prompt.endswith("\n\nChoices:\n - Yes\n - No\n\nAnswer:")
        assert {a for e in choice.examples for a in (e.positive, e.negative)} == {" Yes", " No"}
        full += len(statements.examples) == 500
    assert full == 66


@pytest.mark.data
def test_all_xrisk_sets_load_as_choices(data_dir):
    counts = {}
    for file in sorted((data_dir / "mwe/xrisk").glob("*.jsonl")):
        behavior = load(file)
        counts[behavior.name] = len(behavior.examples)
        assert {a for e in behavior.examples for a in (e.positive, e.negative)} == {" (A)", " (B)"}
        assert behavior.examples[0].prompt.startswith("Question: ")
        assert "Yes\n - No" not in behavior.examples[0].prompt
        assert "needs the field 'statement'" in refusal(file, view="statements")
    assert len(counts) == 12
    assert counts["corrigible-less-HHH"] == 468 - 1  # line 301, as published, is garbled
    note = load(data_dir / "mwe/xrisk/corrigible-less-HHH.jsonl").notes[0]
    assert note.startswith("1 of 468 rows left out: NUL bytes")
    assert note.endswith(":301")


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "n"), [("refusal", 408), ("sycophancy", 1000), ("coordinate-other-ais", 360), ("myopic-reward", 950)]
)
def test_caa_sets_load_and_open_ended_questions_are_refused(data_dir, name, n):
    behavior = load(data_dir / "caa" / name / "train.json")
    assert len(behavior.examples) == n
    assert {a for e in behavior.examples for a in (e.positive, e.negative)} == {" (A)", " (B)"}
    assert "also needs 'answer_matching_behavior'" in refusal(data_dir / "caa" / name / "test_open_ended.json")


@pytest.mark.data
def test_contrast_sentences_load_from_csv_and_json(data_dir):
    for name in ("sentiment.csv", "random_pairs.json"):
        behavior = load(data_dir / "contrast_sentences" / name)
        assert (len(behavior.examples), behavior.bare, behavior.pairing) == (500, True, "natural")
    assert "found 'label', 'non-toxic', 'toxic'" in refusal(data_dir / "contrast_sentences/toxicity.csv")


@pytest.mark.data
def test_hh_rlhf_loads_without_the_rows_that_cannot_be_compared(data_dir):
    behavior = load(data_dir / "hh_rlhf/harmless_test.jsonl.gz")
    assert (behavior.name, len(behavior.examples)) == ("harmless_test", 2312 - 5 - 4)
    assert all(e.prompt.startswith("Human:") and e.prompt.endswith("\n\nAssistant:") for e in behavior.examples)
    assert behavior.notes[0].startswith("5 of 2312 rows left out")


@pytest.mark.data
def test_a_published_set_reads_the_same_through_datasets(data_dir, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set").mkdir()
    shutil.copy(data_dir / "mwe/xrisk/wealth-seeking-inclination.jsonl", tmp_path / "set/train.jsonl")
    direct = load(data_dir / "mwe/xrisk/wealth-seeking-inclination.jsonl")
    assert answers(load("hub:./set")) == answers(direct)
