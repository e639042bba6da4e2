"""A trial: what it costs, what prunes it, what gates and the recommendation come to."""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.workflows.test_tune import SIZES

import trimtab as tt
from trimtab.behaviors import Probe
from trimtab.errors import NotFiniteError
from trimtab.experiment.task_parts import Sizes, deal
from trimtab.models import Model
from trimtab.steering.edits import Gated
from trimtab.storage.steps import Ledger
from trimtab.workflows.evaluate import TaskSpec
from trimtab.workflows.tune.candidates import with_gates
from trimtab.workflows.tune.front import chosen, mean_gain
from trimtab.workflows.tune.yardstick import MOST, Limits, Yardstick, examples_of

TASKS = ["behavior:sentiment?label=sentiment", "behavior:formality?label=formality"]
YARDSTICK = import_module("trimtab.workflows.tune.yardstick")


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Model:
    return tt.load(tiny_folder, dtype="float32")


@pytest.fixture
def yardstick(model: Model, tmp_path: Path) -> Yardstick:
    dev = {TaskSpec.parse(t).label: deal(TaskSpec.parse(t).load(), 0, Sizes(**SIZES)).dev for t in TASKS}
    figures = {label: task.primary for label, task in dev.items()}
    examples = examples_of(model, dev, False)
    limits = Limits(damage=0.1, capability_loss=0.05, loss=0.0)
    return Yardstick(model, dev, figures, examples, True, limits, "all", False, Ledger(tmp_path, "mine"), 20, 4)


def test_a_broken_trial_costs_few_texts_and_no_task(yardstick: Yardstick, monkeypatch) -> None:
    monkeypatch.setattr(YARDSTICK, "run", lambda *_, **__: pytest.fail("scored"))
    vector = 1e4 * torch.randn(yardstick.model.d_model, generator=torch.Generator().manual_seed(0))
    outcome = yardstick.measure(tt.Steering.from_vector(1, vector), {"vector": 1.0})
    assert (outcome.state, outcome.n_texts, outcome.excess) == ("damage", 1, MOST)


def test_figures_that_are_not_finite_end_the_trial_and_not_the_search(yardstick: Yardstick, monkeypatch) -> None:
    def broken(*_: Any) -> Any:
        raise NotFiniteError("a divergence is NaN or infinite")

    monkeypatch.setattr(YARDSTICK, "damages", broken)
    outcome = yardstick.measure(tt.Steering.from_vector(1, torch.ones(yardstick.model.d_model)), {"vector": 1.0})
    assert (outcome.state, outcome.why, outcome.excess) == ("broken", "a divergence is NaN or infinite", MOST)


def test_capability_is_a_constraint_where_the_model_has_some(yardstick: Yardstick, monkeypatch) -> None:
    """A model that is right on the probe unless it is steered."""
    n = len(yardstick.probe.examples)
    assert n == len(Probe.builtin("capability").examples) / 20
    lost = n // 5

    def margins(model: Any, probe: Any, treatments: Any = None, unsteered: Any = None) -> Any:
        values = np.ones((1, n))
        if treatments is not None:
            values[0, :lost] = -1
        return values

    monkeypatch.setattr(YARDSTICK, "margins", margins)
    steering = tt.Steering.from_vector(1, 1e-6 * torch.ones(yardstick.model.d_model))
    outcome = yardstick.measure(steering, {"vector": 1.0})
    assert (outcome.state, outcome.gains) == ("capability", {})
    assert outcome.capability_loss == pytest.approx(lost / n)
    assert outcome.excess == pytest.approx(lost / n / 0.05 - 1)
    assert yardstick.measure(steering, {"vector": 1.0}, prune=False).state == "complete"


def test_gates_open_by_the_log_odds_that_are_added(model: Model) -> None:
    g = torch.Generator().manual_seed(0)
    vectors, weights = (torch.randn(2, model.d_model, generator=g) for _ in range(2))
    steering = tt.Steering({1: Gated(vectors, weights, torch.tensor([0.5, -0.5]))}, {"a": 1.0, "b": 1.0})
    h = torch.randn(3, model.d_model, generator=g)
    both: list[Any] = [s.edits[tt.Site(1)] for s in (steering, with_gates(steering, {"a": 2.0, "b": 0.0}))]
    before, after = (edit.gates(h) for edit in both)
    assert torch.allclose(after[:, 0].logit() - before[:, 0].logit(), torch.tensor(2.0), atol=1e-3)
    assert torch.equal(after[:, 1], before[:, 1])
    found = tt.tune(
        model, TASKS, steering=steering, gates=(-2.0, 0.0, 2.0), trials=5, sampler="sobol", max_damage=5.0, **SIZES
    ).record
    assert {shift for t in found.trials[1:] for shift in t.gates.values()} == {-2.0, 0.0, 2.0}
    assert any("made elsewhere" in note for note in found.notes)


# --- the choice ---


def test_the_choice_is_the_largest_mean_gain_that_loses_little_and_names_those_like_it() -> None:
    clusters = {"a": {str(k): str(k) for k in range(6)}, "b": {str(k): str(k) for k in range(6)}}

    def gains(a: float, b: float, noise: float = 0.0) -> dict[str, dict[str, float]]:
        wobble = [noise * (-1) ** k for k in range(6)]
        return {"a": {str(k): a + wobble[k] for k in range(6)}, "b": {str(k): b - wobble[k] for k in range(6)}}

    trials = [gains(0, 0), gains(0.6, -0.2), gains(0.2, 0.1), gains(0.1, 0.18, 0.4), gains(0.05, 0.2)]
    nothing = [0.0] * 5
    choice = chosen([1, 2, 3, 4], trials, nothing, clusters, 0.0)
    assert (choice.index, choice.losing, choice.alike) == (2, 1, (3,))
    assert chosen([1, 2, 3, 4], trials, nothing, clusters, 0.25).index == 1
    assert chosen([0, 1], trials, nothing, clusters, 0.1).index == 0
    assert chosen([2, 3], [*trials[:3], gains(0.1, 0.2)], [0.0, 0.0, 0.2, 0.1], clusters, 0.0).index == 3
    assert mean_gain(trials[1], clusters).interval.value == pytest.approx(0.2)
