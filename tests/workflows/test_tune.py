"""Searches on a tiny random model: bounds are kept, figures are those of plain runs, killing changes nothing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.conftest import Run

import trimtab as tt
from trimtab.errors import InputError
from trimtab.evaluation.tasks import Treatment, gain, run
from trimtab.experiment.task_parts import Sizes, deal
from trimtab.measurements.damage import DamageTexts, damages
from trimtab.models import Model
from trimtab.results.tuning import Tuning
from trimtab.steering.edits import Additive
from trimtab.workflows.evaluate import TaskSpec
from trimtab.workflows.tune import Tuned
from trimtab.workflows.tune.yardstick import Yardstick, examples_of

SIZES: dict[str, Any] = {"train": 10, "dev": 6, "test": 8}
N = 10
SETTINGS: dict[str, Any] = {
    "methods": ["mean-difference"], "site": [0, 1], "sampler": "sobol", "max_damage": 0.1, "max_loss": 0.5,
    "damage_texts": 4, **SIZES,
}  # fmt: skip


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Model:
    return tt.load(tiny_folder, dtype="float32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tuned") / "out"


@pytest.fixture(scope="module")
def found(model: Model, tasks: list[str], folder: Path) -> Tuned:
    return tt.tune(model, tasks, trials=N, folder=folder, **SETTINGS)


def without_times(record: Tuning) -> dict[str, Any]:
    data = record.model_dump(exclude={"seconds", "command"})
    for trial in data["trials"]:
        del trial["seconds"]
    return data


# --- what is measured ---


def test_gains_and_damage_of_a_trial_are_those_of_plain_runs(found: Tuned, model: Model, tasks, folder) -> None:
    trial = found.record.front[0]
    assert trial.steering is not None
    steering = tt.Steering.load(folder / trial.steering)
    treatment = Treatment(steering, dict(trial.strengths))
    examples: dict[str, Any] = {}
    for text in tasks:
        spec = TaskSpec.parse(text)
        dev = deal(spec.load(), 0, Sizes(**SIZES)).dev
        own = gain(run(dev, model), run(dev, model, treatment), spec.figure or dev.primary)
        assert trial.gains[spec.label].value == pytest.approx(own.standardised, abs=1e-6)
        examples |= examples_of(model, {spec.label: dev}, False)
    (damage,) = damages(model, DamageTexts.of(examples, SETTINGS["damage_texts"], dev=True), [treatment])
    assert trial.damage == pytest.approx(damage.worst, abs=1e-6)
    assert trial.where == damage.where
    assert trial.gain.value == pytest.approx(np.mean([g.value for g in trial.gains.values()]))


def test_no_trial_that_misses_a_bound_is_scored_or_on_the_front(found: Tuned) -> None:
    trials = found.record.trials
    assert [t.number for t in trials] == list(range(N + 1))
    pruned = [t for t in trials if t.state != "complete"]
    assert 0 < len(pruned) == found.record.pruned["damage"] < N
    assert all((t.damage or 0) > 0.1 and not t.gains and not t.front and "nats per token" in t.why for t in pruned)
    assert all(t.damage is not None and t.damage <= 0.1 and t.gains for t in trials if t.state == "complete")


def test_the_unsteered_model_is_there_for_free_and_the_second_is_the_steering_as_it_came(found: Tuned) -> None:
    off, as_it_came = found.record.trials[:2]
    assert off.gain.value == off.damage == 0
    assert set(off.strengths.values()) == {0.0}
    assert dict(as_it_came.strengths) == dict(found.record.attributes) == {"sentiment": 1.0, "formality": 1.0}


def test_the_recommended_trial_gains_most_and_is_measured_on_other_units(found: Tuned, model, tasks, folder) -> None:
    record = found.record
    best = next(t for t in record.front if t.number == record.recommended)
    assert best.gain.value == max(t.gain.value or 0.0 for t in record.front)
    assert record.measured is not None
    assert (record.measured.number, record.measured.looks) == (record.recommended, 1)
    steering = tt.Steering.load(folder / "steering")
    for text in tasks:
        spec = TaskSpec.parse(text)
        test = deal(spec.load(), 0, Sizes(**SIZES)).test
        own = gain(run(test, model), run(test, model, Treatment(steering, "recommended")), test.primary)
        assert record.measured.gains[spec.label].value == pytest.approx(own.standardised, abs=1e-6)
    assert f"trial {record.recommended}".capitalize() in record.why


def test_every_trial_of_the_front_is_a_preset_of_a_steering_with_its_tensors(found: Tuned, folder: Path) -> None:
    for trial in found.record.front:
        if trial.number:
            steering = tt.Steering.load(folder / str(trial.steering))
            assert steering.presets[str(trial.preset)] == pytest.approx(dict(trial.strengths))
            assert trial.candidate == f"mean-difference at {next(iter(steering.edits))}"
    assert found.steering is not None
    assert found.steering.id == tt.Steering.load(folder / "steering").id
    assert found.steering.attributes == {"sentiment": 1.0, "formality": 1.0}


# --- budgets, interruptions, seeds ---


def test_a_larger_budget_goes_on_and_its_front_is_never_worse(found: Tuned, model, tasks, folder, tmp_path) -> None:
    """The small budget afresh, then raised to that of the other search."""
    small = tt.tune(model, tasks, trials=5, folder=tmp_path / "out", **SETTINGS)
    curve = found.record.hypervolume
    assert small.record.hypervolume == curve[:6]
    assert list(curve) == sorted(curve)
    large = tt.tune(model, tasks, trials=N, folder=tmp_path / "out", **SETTINGS)
    assert large.record.measured is not None
    looked = {small.record.recommended, large.record.recommended} - {None}
    assert large.record.measured.looks == len(looked)
    ours, theirs = without_times(large.record), without_times(found.record)
    for record in (ours, theirs):
        record["measured"]["looks"] = 1
        record["notes"] = [note for note in record["notes"] if "one look" not in note]
    assert ours == theirs


def test_a_finished_search_measures_nothing_again(found: Tuned, model, tasks, folder, monkeypatch) -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("measured again")

    monkeypatch.setattr(Yardstick, "measure", never)
    again = tt.tune(model, tasks, trials=N, folder=folder, **SETTINGS)
    assert without_times(again.record) == without_times(found.record)


@pytest.mark.slow
def test_killed_at_any_moment_the_same_command_goes_on_with_the_same_result(tiny_folder, tasks, tmp_path) -> None:
    def command(out: Path) -> list[str]:
        options = [
            "--method",
            "mean-difference",
            "--site",
            "1",
            "--sampler",
            "tpe",
            "--trials",
            "13",
            "--max-damage",
            "1",
        ]
        sizes = ["--train", "10", "--dev", "6", "--test", "8", "--model", str(tiny_folder), "--dtype", "float32"]
        words = [part for task in tasks for part in ("--task", task)]
        return [sys.executable, "-c", "from trimtab.cli import main; main()", "tune", *words, *options, *sizes, "--out",
                str(out)]  # fmt: skip

    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = subprocess.Popen(command(killed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if sum('"excess"' in f.read_text() for f in killed.glob("trials/*/*.json") if f.is_file()) > 3:
            break
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (killed / "tuning.json").exists()
    for out in (killed, whole):
        subprocess.run(command(out), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert without_times(Tuning.load(killed)) == without_times(Tuning.load(whole))
    assert tt.Steering.load(killed / "steering").id == tt.Steering.load(whole / "steering").id


# --- what makes no sense ---


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"methods": []}, "give either methods to fit, or finished steerings"),
        ({"trials": 0}, "trials 0: give a whole number, at least 1"),
        ({"sampler": "grid"}, "it can be tpe, gp, sobol, random"),
        ({"max_damage": 0.0}, "max_damage 0.0 must be above 0"),
        ({"max_factor": -1.0}, "max_factor -1.0 must be above 0"),
        ({"gates": (0.0, 0.0)}, "each once"),
        ({"gates": (0.0, 1.0)}, "has no gates to search"),
        ({"site": ["auto", 1]}, "must be the only one"),
        ({"methods": ["instruction"]}, "leave out the sites"),
        ({"methods": ["cast"]}, "meet a condition"),
    ],
)
def test_what_makes_no_sense_is_refused(model: Model, tasks: list[str], changed: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        tt.tune(model, tasks, trials=changed.pop("trials", 2), **{**SETTINGS, **changed})


def test_steerings_that_cannot_be_searched_are_refused(model: Model, tasks: list[str]) -> None:
    ones = torch.ones(1, model.d_model)
    off = tt.Steering({1: Additive(ones)}, {"kind": 0.0})
    with pytest.raises(InputError, match="default strength 0"):
        tt.tune(model, tasks, steering=off, **SIZES)
    others = [tt.Steering({1: Additive(ones)}, {name: 1.0}) for name in ("kind", "warm")]
    with pytest.raises(InputError, match="the same attributes; found kind and warm"):
        tt.tune(model, tasks, steering=others, **SIZES)
    with pytest.raises(InputError, match="a finished steering has its own"):
        tt.tune(model, tasks, steering=others[0], site=1, **SIZES)


def test_without_optuna_the_message_says_what_to_install(model: Model, tasks: list[str], monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"pip install 'trimtab\[tune\]'"):
        tt.tune(model, tasks, trials=2, **SETTINGS)


# --- the command line ---


def test_the_command_says_what_is_recommended_and_how_to_use_it(run: Run, found, tiny_folder, tasks, folder) -> None:
    """The folder of the search above: all of it is kept."""
    words = [part for task in tasks for part in ("--task", task)]
    options = ["--method", "mean-difference", "--site", "0", "--site", "1", "--sampler", "sobol", "--trials", N,
               "--train", "10", "--dev", "6", "--test", "8", "--max-loss", "0.5", "--damage-texts", "4",
               "--model", tiny_folder, "--dtype", "float32", "--out", folder]  # fmt: skip
    status, said, _ = run("tune", *words, *options)
    assert status == 0
    flat = " ".join(said.split())
    assert f"recommended: trial {found.record.recommended}" in flat
    assert "On units that chose nothing it gains" in flat
    assert "--strength recommended" in flat
    page = (folder / "tuning.html").read_text()
    assert f"Recommended: trial {found.record.recommended}" in page
    status, said, _ = run("tune", *words, *options, "--json")
    assert without_times(Tuning.model_validate_json(said))["trials"] == without_times(found.record)["trials"]


def test_the_command_names_the_flag_of_what_makes_no_sense(run: Run, tiny_folder, tasks, tmp_path) -> None:
    out = ["--model", tiny_folder, "--dtype", "float32", "--out", tmp_path / "out"]
    assert run("tune", *out)[0] == 2
    status, _, said = run("tune", "--task", tasks[0], "--method", "mean-difference", "--max-damage", "0", *out)
    assert status == 2
    assert "(--max-damage)" in " ".join(said.split())
