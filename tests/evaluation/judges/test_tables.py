"""Pairs, answers, rubrics and people's labels from files, hostile ones refused with line and reason."""

import json
from pathlib import Path

import pytest

from trimtab.errors import InputError
from trimtab.evaluation import HELPSTEER, Criterion, Rubric, read_judged, read_scores, read_verdicts

MANNERS = Rubric("manners", (Criterion("politeness", "How polite is it?"),), "The politer one.")


def written(folder: Path, content: str | bytes, name: str = "file.csv") -> Path:
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def test_pairs_of_every_format_are_the_same(tmp_path: Path) -> None:
    csv = 'prompt,first,second,label\n"Name, please","A\nB",C,second\nTwo,D,E,\n'
    rows = [
        {"prompt": "Name, please", "first": "A\nB", "second": "C", "label": "second"},
        {"prompt": "Two", "first": "D", "second": "E", "label": None},
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    found = [
        read_judged(written(tmp_path, csv)),
        read_judged(written(tmp_path, lines, "file.jsonl")),
        read_judged(written(tmp_path, json.dumps(rows), "file.json")),
    ]
    assert found[0] == found[1] == found[2]
    assert [(p.id, p.prompt, p.first, p.second, p.cluster) for p in found[0].pairs] == [
        ("1", "Name, please", "A\nB", "C", "Name, please"), ("2", "Two", "D", "E", "Two"),
    ]  # fmt: skip
    assert [(one.id, one.verdict) for one in found[0].labels] == [("1", 1)]


def test_llmbar_is_read_as_it_is(tmp_path: Path) -> None:
    rows = [{"input": f"Do {i}", "output_1": "yes", "output_2": "no", "label": 1 + i % 2} for i in range(4)]
    found = read_judged(written(tmp_path, json.dumps(rows), "natural.json"))
    assert [pair.first for pair in found.pairs] == ["yes"] * 4
    assert [one.verdict for one in found.labels] == [-1, 1, -1, 1]


def test_answers_have_ids_and_clusters_of_their_own(tmp_path: Path) -> None:
    found = read_judged(written(tmp_path, "id,prompt,answer,cluster\n7,Hello,Hi,greetings\nx,,Hi,\n"))
    assert [(a.id, a.prompt, a.text, a.cluster) for a in found.answers] == [
        ("7", "Hello", "Hi", "greetings"), ("x", "", "Hi", "x"),
    ]  # fmt: skip


def test_columns_and_labels_as_spreadsheets_and_pandas_write_them_are_read(tmp_path: Path) -> None:
    content = "\ufeffID;Prompt; First;SECOND;Label\n7;こんにちは;はい;いいえ;1.0\n8;Two;a;b;2.0\n9;Two;a;b;\n"
    found = read_judged(written(tmp_path, content))
    assert [(p.id, p.prompt, p.first, p.second) for p in found.pairs][:1] == [("7", "こんにちは", "はい", "いいえ")]
    assert [(one.id, one.verdict) for one in found.labels] == [("7", -1), ("8", 1)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("prompt,text\na,b\n", r"file\.csv:2: neither the columns first and second nor answer"),
        ("prompt,first\na,b\n", r"file\.csv:2: the column 'second' is missing"),
        ("question,first,second\na,b,c\n", r"file\.csv:2: the column 'prompt' is missing; found 'question'"),
        ("question,answer\na,b\n", r"file\.csv:2: the column 'prompt' is missing"),
        ("id,prompt,first,second\n1,a,b,c\n1,d,e,f\n", r"file\.csv:3: the id '1' was given at .*file\.csv:2"),
        ("prompt,first,second,label\na,b,c,left\n", r"file\.csv:2: label 'left'; give first, second or tie"),
        ("id,prompt,answer\n,a,b\n", r"file\.csv:2: the field 'id' is empty"),
        ("prompt,answer\n", "no rows"),
        ('prompt,answer\n"a,b\n', r"file\.csv:2: .*never closed"),
        ("prompt,answer\na,b,c\n", r"file\.csv:2: .*3 cells"),
        (b"prompt,answer\na,b\x00\n", "NUL byte"),
        (b"\x80\x04\x95", "pickle"),
        (b"prompt,answer\n\xff,b\n", r"file\.csv:2: not UTF-8"),
        ("", "empty"),
    ],
)
def test_files_that_cannot_be_judged_are_refused_with_their_line(
    content: str | bytes, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        read_judged(written(tmp_path, content))


def test_people_judge_pairs_in_a_file(tmp_path: Path) -> None:
    file = written(tmp_path, "id,rater,verdict\n1,ada,First\n2,ada,tie\n1,bob,2\n")
    assert [(v.id, v.rater, v.verdict) for v in read_verdicts(file, ["1", "2"])] == [
        ("1", "ada", -1), ("2", "ada", 0), ("1", "bob", 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,verdict\n1,first\n", r":2: the column 'rater' is missing"),
        ("id,rater,verdict,mood\n1,a,first,x\n", r":2: no column 'mood' is known"),
        ("id,rater,verdict\n9,a,first\n", r":2: no row has the id '9'"),
        ("id,rater,verdict\n1,a,first\n1,a,second\n", r":3: 'a' has judged '1' already"),
        ("id,rater,verdict\n1,a,maybe\n", r":2: verdict 'maybe'"),
        ("id,rater,verdict\n1,,first\n", r":2: the field 'rater' is empty"),
        ("id,rater,verdict\n1,a\x1b[2J,first\n", r":2: the field 'rater' is empty or has control"),
        ("id,rater,verdict\n1,a,=1+1\n", r":2: verdict '=1\+1'"),
    ],
)
def test_verdicts_that_cannot_be_read_are_refused_with_their_line(content: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read_verdicts(written(tmp_path, content), ["1"])


def test_people_score_answers_by_the_rubrics_criteria(tmp_path: Path) -> None:
    header = ",".join(["id", "rater", *HELPSTEER.names])
    found = read_scores(written(tmp_path, f"{header}\n1,ada,4,3,2,1,0\n"), ["1"], HELPSTEER)
    assert dict(found[0].scores) == dict(zip(HELPSTEER.names, [4.0, 3.0, 2.0, 1.0, 0.0], strict=True))
    for wrong in ("5", "-1", "2.5", "", "four", "nan", "1e0"):
        with pytest.raises(InputError, match=":2: "):
            read_scores(written(tmp_path, f"id,rater,politeness\n1,ada,{wrong}\n"), ["1"], MANNERS)


def test_a_file_that_is_not_there_is_said_so() -> None:
    with pytest.raises(InputError, match="no such file"):
        read_judged("nowhere.csv")
    with pytest.raises(InputError, match="no such file"):
        Rubric.load("nowhere.toml")


def test_a_folder_in_place_of_a_file_is_called_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a folder, not a file"):
        read_judged(tmp_path)


# --- rubrics ---

TOML = """
name = "manners"
comparison = "The politer one."
[[criteria]]
name = "politeness"
question = "How polite is it?"
"""


def test_a_rubric_of_ones_own_is_read_and_every_word_counts(tmp_path: Path) -> None:
    found = Rubric.load(written(tmp_path, TOML, "manners.toml"))
    assert found == MANNERS
    assert Rubric.load(written(tmp_path, "\ufeff" + TOML, "notepad.toml")) == MANNERS
    assert len({MANNERS.digest, HELPSTEER.digest, Rubric("manners", MANNERS.criteria, "Another.").digest}) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a = 1\nname = x\n", "not TOML.*line 2"),
        (b"\xff", "not TOML"),
        (TOML.replace("comparison", "compare"), "no field 'compare' is known"),
        (TOML.replace('"The politer one."', "3"), "'comparison' is missing or not a text"),
        (TOML.replace("question", "query"), "criterion 1: no field 'query'"),
        (TOML + 'levels = ["rude", "polite"]\n', "2 levels"),
        (TOML + "levels = [0, 1, 2, 3, 4]\n", "levels: give texts"),
        (TOML.replace('"politeness"', '"id"'), "no criterion can be called 'id'"),
        (TOML.replace('"politeness"', '"a/b"'), "which a folder's name cannot contain"),
        (TOML.replace('"The politer one."', '" "'), "printable text"),
        ('name = "a"\ncomparison = "b"\ncriteria = []\n', "give 1 to 20"),
        ('name = "a"\ncomparison = "b"\ncriteria = [1]\n', "criterion 1: not a table"),
        (TOML + TOML.split("\n", 3)[3], "different names"),
    ],
)
def test_rubrics_that_cannot_be_used_are_refused(content: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        Rubric.load(written(tmp_path, content, "rubric.toml"))
