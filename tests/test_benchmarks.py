"""Each benchmark begins: its imports are there and its arguments are read; what it measures takes hours, elsewhere."""

import json
import runpy
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
FILES = sorted(BENCHMARKS.rglob("*.py"))
SCRIPTS = [file for file in FILES if file.parent == BENCHMARKS and "__main__" in file.read_text(encoding="utf-8")]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Their folder comes first on the path, as when they are run; what they import by short names is forgotten."""
    monkeypatch.syspath_prepend(str(BENCHMARKS / "contenders"))
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda file: file.stem)
def test_a_script_reads_its_arguments(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [str(file), "--help"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(file), run_name="__main__")
    assert not stopped.value.code
    assert "usage" in capsys.readouterr().out.lower()


@pytest.mark.parametrize("file", [f for f in FILES if f not in SCRIPTS], ids=lambda file: file.stem)
def test_what_scripts_and_contenders_import_is_there(file: Path) -> None:
    """Libraries to compare with are in environments of their own; all else must be here."""
    try:
        runpy.run_path(str(file), run_name="looked at")
    except ModuleNotFoundError as missing:
        if str(missing.name).partition(".")[0] not in ("steering_vectors", "repeng", "nnsight", "pyvene"):
            raise


@pytest.mark.slow
def test_a_small_soak_of_the_server_holds(
    chat_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script, rows = BENCHMARKS / "serving_soak.py", tmp_path / "rows.jsonl"
    options = ["--model", str(chat_folder), "--requests", "60", "--threads", "1", "--json", str(rows)]
    monkeypatch.setattr(sys, "argv", [str(script), *options])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(script), run_name="__main__")
    assert not stopped.value.code, capsys.readouterr().out
    kept = [json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()]
    assert {row["request"] for row in kept if "outcome" in row} == set(range(60))
    assert kept[-1]["result"]["stop"]["answers"] == {"finished": 16}


@pytest.mark.slow
def test_speed_of_the_server_is_measured_and_written_down(
    chat_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, page = tmp_path / "rows.jsonl", tmp_path / "serving.md"
    options = ["--model", str(chat_folder), "--rounds", "2", "--tokens", "4", "--threads", "1", "--dtype", "float32"]
    for script, arguments in (
        ("serving.py", [*options, "--json", str(rows)]),
        ("serving_table.py", ["--rows", str(rows), "--out", str(page)]),
    ):
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        runpy.run_path(str(BENCHMARKS / script), run_name="__main__")
    for word in ("all steered, gated, over unsteered", "over transformers serve, 16 clients", "own share of a request"):
        assert word in page.read_text(encoding="utf-8")


@pytest.mark.slow
def test_what_releases_cost_is_measured_and_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, page = tmp_path / "rows.jsonl", tmp_path / "operations.md"
    options = ["--rounds", "2", "--rate", "20", "--seconds", "1", "--exposures", "2000", "--entries", "200"]
    monkeypatch.setattr(sys, "argv", ["operations.py", *options, "--json", str(rows), "--out", str(page)])
    runpy.run_path(str(BENCHMARKS / "operations.py"), run_name="__main__")
    for word in (
        "added by SQLite, median", "added by SQLite, p99", "status with 2,000", "audit of 200 entries",
        "first look at 4 metrics of 2,000", "next look, 10 exposures later", "course of a metric over 2,000",
    ):  # fmt: skip
        assert word in page.read_text(encoding="utf-8")


@pytest.mark.slow
def test_adaptive_releases_are_simulated_and_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, page = tmp_path / "rows.jsonl", tmp_path / "adaptive.md"
    monkeypatch.setattr(sys, "argv", ["adaptive.py", "--releases", "2", "--json", str(rows), "--out", str(page)])
    runpy.run_path(str(BENCHMARKS / "adaptive.py"), run_name="__main__")
    for word in ("test, then commit", "at the margin", "doubly-robust", "plain mean, ordinary interval"):
        assert word in page.read_text(encoding="utf-8")


@pytest.mark.slow
def test_launches_are_simulated_and_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, page = tmp_path / "rows.jsonl", tmp_path / "live.md"
    options = ["--launches", "4", "--streams", "2", "--length", "3000", "--json", str(rows), "--out", str(page)]
    monkeypatch.setattr(sys, "argv", ["launches.py", *options])
    runpy.run_path(str(BENCHMARKS / "launches.py"), run_name="__main__")
    for word in ("trimtab, two ends: says better or worse", "one look of a fixed size", "SD times 1.5", "judge moves"):
        assert word in page.read_text(encoding="utf-8")


@pytest.mark.slow
def test_stopping_when_it_is_decided_is_simulated_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.jsonl"
    for script, arguments in (
        ("stopping.py", ["--json", str(rows), "--times", "0.005"]),
        ("stopping_table.py", ["--rows", str(rows)]),
    ):
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        runpy.run_path(str(BENCHMARKS / script), run_name="__main__")
    page = capsys.readouterr().out
    for word in ("all hold by far", "5 % far down", "two samples, clustered", "heavy (t, 5 df)", "30, 60, tail"):
        assert word in page


@pytest.mark.slow
def test_few_examples_are_measured_and_written_down(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import trimtab as tt
    from trimtab.measurements import known_directions

    model = tt.load(tiny_folder, dtype="float32")
    monkeypatch.setattr(tt, "load", lambda name: model)
    monkeypatch.setattr(known_directions, "ROWS", 8)
    few = import_module("few")
    row = few.Few(tmp_path, tmp_path).few("formality", 1, 1.0, draws=1, rows=16)
    made = {f"{arm} {n} 0" for arm in few.ARMS for n in few.PAIRS}
    assert set(row["cosine"]) == made
    in_front = set(row["effect"]) - made
    assert f"{few.SHOTS} 8 0" in in_front
    assert f"{few.SHOTS} 40 0" not in in_front, "they are longer than its context"
    assert all(-1 <= cosine <= 1 for cosine in row["cosine"].values())
    assert row["cosine"]["plain 40 0"] > 0.9, "half of all pairs"
    page = few.page([{**row, "settings": {"name": "formality"}, "seconds": 1.0}], 1.0, draws=2)
    for word in ("| 40 | both |", "solved examples", "Does the forecast come true?"):
        assert word in page
