from typing import Any

import numpy as np
import pytest

from trimtab.errors import InputError
from trimtab.evaluation.tasks import Preferences, run

ATTRIBUTES = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")


def rated(prompt: str, response: str, *ratings: int) -> dict[str, Any]:
    return {"prompt": prompt, "response": response, **dict(zip(ATTRIBUTES, ratings, strict=True))}


ROWS = [
    rated("Name a colour.", "Red is one.", 4, 4, 4, 1, 1),
    rated("Name a colour.", "Seven.", 0, 0, 4, 1, 0),
    rated("Name a colour.", "Red, or blue, or the deep green of pines.", 3, 4, 4, 2, 4),
    rated("Say hello.", "Hello!", 4, 4, 4, 0, 0),
]


def test_of_two_answers_the_one_rated_higher_should_be_the_likelier(tiny, plain, write) -> None:
    scores = run(Preferences.load(write("x.jsonl", ROWS)), tiny)
    mean = {r["response"]: total / n for r in ROWS[:3]
            for total, n in plain(tiny, f"{r['prompt']}\n\n", [r["response"]])}  # fmt: skip
    for name in ATTRIBUTES:
        expected = [
            float((mean[a["response"]] > mean[b["response"]]) == (a[name] > b[name]))
            for a, b in ((ROWS[0], ROWS[1]), (ROWS[0], ROWS[2]), (ROWS[1], ROWS[2]))
            if a[name] != b[name]
        ]
        assert scores.values(name)[0].tolist() == expected, name
    assert scores.mean("coherence") is None  # all alike
    assert {row.cluster for row in scores.rows} == {"Name a colour."}


def test_prompts_are_asked_once_for_generation(tiny, write) -> None:
    task = Preferences.load(write("x.jsonl", ROWS), form="generation")
    assert [u.cluster for u in task.units] == ["Name a colour.", "Say hello."]
    assert task.units[0].texts[0].messages[0].content == "Name a colour."
    assert run(task, tiny).mean("empty") is not None


def test_ratings_that_only_describe_have_no_better_way(write) -> None:
    task = Preferences.load(write("x.jsonl", ROWS))
    assert {f.name for f in task.figures if f.better == "neither"} == {"complexity", "verbosity"}
    assert all(f.chance == 0.5 for f in task.figures)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{**ROWS[0], "verbosity": 9}], "x.jsonl:1: the field 'verbosity' is 9; it must be one of 0, 1, 2, 3, 4, 5"),
        ([{**ROWS[0], "verbosity": "²"}], "x.jsonl:1: the field 'verbosity' is '²'; it must be one of"),
        ([{**ROWS[0], "verbosity": "--5"}], "x.jsonl:1: the field 'verbosity' is '--5'"),
        ([{**ROWS[0], "verbosity": "9" * 5000}], "x.jsonl:1: the field 'verbosity' is '999"),
        ([ROWS[0], {**ROWS[1], "response": ""}], "x.jsonl:2: the answer in 'response' is empty"),
        ([ROWS[0], ROWS[3]], "no prompt has two answers whose ratings differ"),
        (
            [{"prompt": "a", "response": "b"}],
            "x.jsonl:1: the field 'helpfulness' is missing; found 'prompt', 'response'",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(rows, says, write) -> None:
    with pytest.raises(InputError, match=says):
        Preferences.load(write("x.jsonl", rows))


def test_a_tie_counts_half(write) -> None:
    task = Preferences.load(write("x.jsonl", ROWS[:2]))
    answered = type("Answered", (), {"text": None, "mean": np.array([-1.0, -1.0])})()
    assert task.score(task.units[0], answered)["helpfulness"] == 0.5


def test_ratings_as_pandas_writes_them_are_read(write) -> None:
    same = [{**row, "verbosity": f"{row['verbosity']}.0"} for row in ROWS]
    found, expected = (
        Preferences.load(write(name, rows)).units for name, rows in (("a.jsonl", same), ("b.jsonl", ROWS))
    )
    assert [unit.difference for unit in found] == [unit.difference for unit in expected]
