"""`trimtab evaluate` as people call it."""

import json
from pathlib import Path

import pytest
from tests.conftest import Run

import trimtab as tt
from trimtab.results.evaluation import Evaluation

SMALL = [
    "--seeds",
    "1",
    "--damage",
    "0.05",
    "--trials",
    "1",
    "--site",
    "1",
    "--train",
    "8",
    "--dev",
    "4",
    "--test",
    "6",
]


@pytest.fixture
def asked(tiny_folder: Path, tmp_path: Path) -> list[str]:
    """A small comparison on the tiny model."""
    examples = tt.Behavior.builtin("sentiment").examples[:40]
    rows = [json.dumps({"prompt": e.prompt, "positive": e.positive, "negative": e.negative}) for e in examples]
    (tmp_path / "kind.jsonl").write_text("\n".join(rows))
    task = f"behavior:{tmp_path / 'kind.jsonl'}"
    options = ["--task", task, "--method", "mean-difference", "--model", str(tiny_folder), "--dtype", "float32"]
    return ["evaluate", *options, *SMALL, "--out", str(tmp_path / "out")]


def test_it_writes_protocol_page_table_and_steering_and_says_what_to_do_next(run: Run, asked, tmp_path):
    status, said, _ = run(*asked)
    assert status == 0
    out = tmp_path / "out"
    names = {p.name for p in out.iterdir()}
    assert names == {"protocol.json", "report.html", "units.parquet", "evaluation.json", "cells", "steerings"}
    assert "What to do next" in " ".join(said.split())
    assert "random direction" in said
    page = (out / "report.html").read_text()
    assert "What to do next" in page
    assert "http://" not in page.split("<script>")[0]
    assert json.loads((out / "evaluation.json").read_text())["command"].startswith("trimtab")


def test_json_is_one_document_that_is_the_record(run: Run, asked):
    status, said, _ = run(*asked, "--json")
    assert status == 0
    assert Evaluation.model_validate_json(said).whole("mean-difference", 0.05) is not None


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--contrast", "a"], "write FIRST,SECOND"),
        (["--contrast", "mean-difference,nothing"], "--contrast"),
        (["--task", "bbq"], "--task"),
        (["--method", "nothing"], "--method"),
        (["--method", "mat-steer?gate=ajar"], "gate"),
        (["--open-lockbox"], "run the same command without it first"),
        (["--damage", "-1"], "--damage"),
    ],
)
def test_what_makes_no_sense_ends_with_code_2_and_names_the_flag(run: Run, asked, more, said):
    status, _, error = run(*asked, *more)
    assert status == 2
    assert said in " ".join(error.split())
    assert "Traceback" not in error


def test_without_a_task_or_method_it_says_what_is_missing(run: Run):
    status, _, error = run("evaluate", "--task", "behavior:sentiment")
    assert status == 2
    assert "at least one --task and one --method" in error


def test_the_tasks_are_listed_with_their_options(run: Run):
    status, said, _ = run("evaluate", "--list", "--json")
    assert status == 0
    assert json.loads(said)["bbq"]["options"] == {"unknown": "row", "taught": "both"}
