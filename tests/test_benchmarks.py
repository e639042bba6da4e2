"""Each benchmark begins: its imports are there and its arguments are read; what it measures takes hours, elsewhere."""

import importlib
import json
import math
import runpy
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import trimtab as tt
from trimtab.measurements.divergence import whole_texts
from trimtab.measurements.risk import Outcomes
from trimtab.models import steer
from trimtab.models.divergence import divergences
from trimtab.statistics.contrast import Contrast

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


@pytest.mark.parametrize("pairing", ["natural", "random"])
def test_strengths_that_shrink_with_the_risk_are_what_a_loop_over_examples_makes_of_them(pairing: Any) -> None:
    beyond: Any = importlib.import_module("beyond")
    rng, n = np.random.default_rng(0), 60
    up, down, half_up, half_down = rng.normal(0.1, 1.0, (4, n))
    effect = Contrast(up, down, tuple(map(str, range(n))), pairing)
    test = Outcomes(effect, {}, {})
    half = replace(effect, positive=half_up, negative=half_down)
    risk = rng.normal(size=n if pairing == "natural" else 2 * n)
    learned = rng.normal(size=100)
    found = beyond.shrunk(test, half, risk, learned)
    safe, middle = sorted(learned)[33], sorted(learned)[66]  # a third of the way, and two
    strength = [1.0 if r < safe else 0.5 if r < middle else 0.0 for r in risk.tolist()]
    least = sorted(risk.tolist())[: math.ceil(sum(strength) - 1e-9)]
    of = {"thirds": strength, "half": [0.5] * len(risk), "alone": [float(r in least) for r in risk.tolist()]}
    for way, own in of.items():
        plus, minus = (own, own) if pairing == "natural" else (own[:n], own[n:])
        at = {1.0: (up, down), 0.5: (half_up, half_down), 0.0: (np.zeros(n), np.zeros(n))}
        changes = [
            (at[plus[i]][0][i] - at[minus[j]][1][j], plus[i] > 0 and minus[j] > 0)
            for i in range(n)
            for j in ([i] if pairing == "natural" else range(n))
        ]
        every, acted = [d for d, _ in changes], [d for d, acts in changes if acts]
        row = found[way]
        assert row["strength"] == pytest.approx(np.mean(own))
        assert row["acts"] == pytest.approx(np.mean(np.array(own) > 0))
        assert row["effect"] == pytest.approx(np.mean(every))
        assert row["wrong"] == pytest.approx(np.mean([d < 0 for d in acted]))
        assert row["wrong_of_all"] == pytest.approx(np.mean([d < 0 for d in every]))
        assert row["harm"] == pytest.approx(np.mean([max(-d, 0.0) for d in every]))
    assert found["alone"]["strength"] == pytest.approx(found["thirds"]["strength"], abs=1 / len(risk))


def test_the_divergence_of_two_models_is_that_of_one_model_under_the_same_edit(tiny_folder: Path) -> None:
    """What adapters are measured by, on a steering, of which the library says it in its own way."""
    adapters: Any = importlib.import_module("adapters")
    model, twin = (tt.load(tiny_folder, dtype="float32") for _ in range(2))
    steering = tt.Steering.from_vector(1, torch.randn(model.d_model, generator=torch.Generator().manual_seed(0)))
    rows = whole_texts(model, [e.prompt + e.positive for e in tt.Behavior.builtin("sentiment").examples[:6]])
    found = adapters.Treated(twin, steering=steering, strength=0.5).divergence(model, rows)
    (wanted,) = divergences(model, rows, [(steer(steering, [0.5]),)])
    assert found.kl.tolist() == pytest.approx(wanted.kl.tolist(), rel=1e-4)
    assert min(found.kl) > 1e-4
    assert adapters.Treated(twin).divergence(model, rows).kl.tolist() == [0.0] * 6


@pytest.mark.parametrize("loss", ["sft", "dpo"])
def test_an_adapter_is_trained_loaded_and_scaled(loss: str, tiny_folder: Path, tmp_path: Path) -> None:
    adapters: Any = importlib.import_module("adapters")
    pytest.importorskip("peft")
    sizes = adapters.Sizes(train=12, evaluation=16, steps=6, documents=6)
    behavior = tt.Behavior.builtin("sentiment")
    rivals = adapters.Rivals(str(tiny_folder), replace(behavior, examples=behavior.examples[:40]), sizes, tmp_path)
    tuned, on = adapters.Treated(rivals._adapted(loss), adapted=True), rivals.on
    up, down = on.instrument.bare(on.splits.train.examples)
    with torch.no_grad():
        reference = adapters.log_probs(rivals.model.hf, up)[0] - adapters.log_probs(rivals.model.hf, down)[0]
        of_loss = {"sft": adapters.sft_loss, "dpo": adapters.dpo_loss}[loss]
        before, after = (float(of_loss(m.hf, up, down, reference)) for m in (rivals.model, tuned.model))
    assert after < before
    assert loss == "sft" or before == pytest.approx(math.log(2))
    examples = on.splits.train.examples
    scored = rivals.model.score([e.prompt for e in examples], [e.positive for e in examples]).total
    with torch.no_grad():
        assert adapters.log_probs(rivals.model.hf, up)[0].tolist() == pytest.approx(scored.tolist(), rel=1e-4)
    assert tuned.at(0.0).effect(on, "dev").rows.tolist() == pytest.approx([0.0] * len(on.splits.dev), abs=1e-5)
    assert np.abs(tuned.at(1.0).effect(on, "dev").rows).max() > 1e-5


@pytest.mark.slow
def test_what_steering_adds_to_adapters_is_told_seed_by_seed(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("peft")
    stacking: Any = importlib.import_module("stacking")
    tasks = [f"behavior:{name}?label={name}" for name in ("sentiment", "formality")]
    sizes = ["--steps", "4", "--train", "16", "--dev", "6", "--test", "8", "--trials", "1", "--damage-texts", "2"]
    place = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "page.md"), "--dtype", "float32"]
    monkeypatch.setattr(sys, "argv", ["stacking.py", "--model", str(tiny_folder), "--tasks", *tasks, *sizes, *place])
    stacking.main()
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    names = [row[0] for row in rows]
    assert names[2:8] == ["unsteered", "mat-steer", "sft", "sft, mat-steer", "dpo", "dpo, mat-steer"]
    assert [row[5] for row in rows[2:8]] == ["2"] * 6
    for loss in ("sft", "dpo"):
        cells = [json.loads(file.read_text()) for file in (tmp_path / "work" / f"{loss}-2" / "cells").iterdir()]
        assert {cell["contender"] for cell in cells} == {"unsteered", "mat-steer"}
    assert len(list((tmp_path / "work").glob("adapter-*-*/adapter_config.json"))) == 4
    monkeypatch.setattr(stacking, "measure", lambda *_: pytest.fail("measured again"))
    monkeypatch.setattr(stacking, "trained", lambda *_: pytest.fail("trained again"))
    stacking.main()
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == page


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
def test_adapters_are_measured_in_every_way_and_written_down(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, page, script = tmp_path / "rows.jsonl", tmp_path / "adapters.md", str(BENCHMARKS / "adapters.py")
    options = ["--model", str(tiny_folder), "--sets", "sentiment", "--train", "12", "--eval", "16", "--steps", "3"]
    options += ["--documents", "6", "--doses", "1", "0.5", "--json", str(rows), "--out", str(page)]
    for _ in range(2):  # the second time all rows are there
        monkeypatch.setattr(sys, "argv", [script, *options])
        runpy.run_path(script, run_name="__main__")
        kept = [json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()]
        assert [row["settings"]["way"] for row in kept] == [
            "vector", "instruction", "sft", "dpo", "sft and vector", "dpo and vector",
        ]  # fmt: skip
    for row in kept:
        assert row["n"] == 16
        assert row["dose"] in (1.0, 0.5)
        assert row["kl"]["value"] > 0
        assert f"| {row['settings']['way']} |" in page.read_text(encoding="utf-8")


@pytest.mark.slow
def test_few_examples_are_measured_and_written_down(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
