"""Steps know their key and their cost: nothing is computed twice, and a forecast is what is done."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import trimtab as tt
from trimtab.behaviors import Behavior, builtin
from trimtab.experiment.effort import EffortName
from trimtab.experiment.experiment import Experiment
from trimtab.experiment.preparation import ready
from trimtab.experiment.progress import Silent
from trimtab.experiment.steps import identity
from trimtab.interventions import Site
from trimtab.measurements.divergence import NeutralDrift
from trimtab.measurements.effects import PLAIN, Propensities
from trimtab.steering import Steering
from trimtab.storage.steps import Arrays, Ledger
from trimtab.verdict.evidence import Omitted, assess

SIZES = {"train": 12, "evaluation": 16}


@pytest.fixture(scope="module")
def tiny(tiny_folder: Path) -> tt.Model:
    return tt.load(tiny_folder, dtype="float32")


def vector(seed: int = 0) -> Steering:
    return Steering.from_vector(1, torch.randn(32, generator=torch.Generator().manual_seed(seed)))


class Counting(Silent):
    """Adds up what was announced and what was done."""

    def __init__(self) -> None:
        self.announced = self.done = self.steps = 0
        self.unit = ""

    def begin(self, amount: int, seconds: float, unit: str = "tokens to compute") -> None:
        self.announced += amount
        self.unit = unit

    def advance(self, stage: str, amount: int) -> None:
        self.done += amount
        self.steps += 1


def test_a_key_tells_every_field_and_nothing_else() -> None:
    one = NeutralDrift(vector(), (1.0, 2.0), 3)
    assert one.key == NeutralDrift(vector(), (1.0, 2.0), 3).key
    others = (
        NeutralDrift(vector(1), (1.0, 2.0), 3),
        NeutralDrift(vector(), (1.0, 2.5), 3),
        NeutralDrift(vector(), (1.0, 2.0), 4),
        NeutralDrift(vector(), (1.0, 2.0), 3, "dev"),
    )
    assert len({one.key, *(step.key for step in others)}) == 5
    assert Propensities("eval", 0, 2, (PLAIN,)).key != Propensities("eval", 0, 2, (PLAIN,), "Be kind.").key
    assert identity({Site(3): 1.0}) == [["3", 1.0]]
    with pytest.raises(TypeError, match="no identity"):
        identity(object())


def test_edits_of_ones_own_have_an_identity_while_the_ledger_lives(tiny: tt.Model) -> None:
    def own(size: float) -> Steering:
        return Steering({Site(1): lambda h, strength: h + size * strength[..., None]}, {"own": 1.0})

    on, _ = ready(
        tiny, builtin("sentiment"), ["prefilled"], **SIZES, seed=0, ledger=Ledger(None, ""), progress=Silent()
    )  # fmt: skip
    drifts = []
    for size in (0.1, 0.2, 0.3, 0.4):  # each may be freed, and the next one lie at its address
        step = NeutralDrift(own(size), (1.0,), 2)
        drifts.append(float(step.drifts(on)[0].kl.mean()))
    assert drifts == sorted(drifts)
    assert len(set(drifts)) == 4


@pytest.mark.parametrize("name", ["sentiment", "null"])
def test_a_forecast_is_the_sum_of_the_steps_that_are_done(name: str, tiny: tt.Model) -> None:
    progress = Counting()
    options = {"site": 1, "strength": 1.0, "prompt_types": "prefilled", **SIZES}
    tt.check(tiny, builtin(name), progress=progress, effort="thorough", **options)  # type: ignore[arg-type]
    assert abs(progress.announced - progress.done) <= progress.steps  # each is rounded


def test_with_everything_to_be_chosen_a_forecast_is_near(tiny: tt.Model) -> None:
    progress = Counting()
    tt.check(tiny, builtin("sentiment"), progress=progress, effort="thorough", **SIZES)  # type: ignore[arg-type]
    assert progress.announced == pytest.approx(progress.done, rel=0.15)


def test_a_finished_steering_is_forecast_too(tiny: tt.Model) -> None:
    progress = Counting()
    tt.check(tiny, builtin("sentiment"), steering=vector(), progress=progress, effort="thorough", **SIZES)  # type: ignore[arg-type]
    assert abs(progress.announced - progress.done) <= progress.steps


@pytest.mark.parametrize("effort", ["default", "quick"])
def test_a_check_that_may_stop_early_announces_at_least_what_it_does(effort: EffortName, tiny: tt.Model) -> None:
    progress = Counting()
    options = {"site": 1, "strength": 1.0, "prompt_types": "prefilled", **SIZES}
    tt.check(tiny, builtin("sentiment"), progress=progress, effort=effort, **options)  # type: ignore[arg-type]
    assert progress.done <= progress.announced + progress.steps
    assert progress.unit.endswith("fewer if it is certain early")


def test_nothing_is_computed_twice_without_a_folder(tiny: tt.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[str] = []
    real = Ledger.step

    def counted(self: Ledger, name: str, compute: Callable[[], Arrays]) -> Arrays:
        def noted() -> Arrays:
            computed.append(name)
            return compute()

        return real(self, name, noted)

    monkeypatch.setattr(Ledger, "step", counted)
    tt.check(tiny, builtin("sentiment"), site=1, strength=1.0, prompt_types="prefilled", **SIZES)  # type: ignore[arg-type]
    assert computed
    assert len(computed) == len(set(computed))


def test_two_models_never_share_a_kept_step(tiny: tt.Model, tiny_folder: Path) -> None:
    ledger = Ledger(None, "")

    def on_model(model: tt.Model) -> Experiment:
        return ready(model, builtin("sentiment"), ["prefilled"], **SIZES, seed=0, ledger=ledger, progress=Silent())[0]

    changed, rounded = tt.load(tiny_folder, dtype="float32"), tt.load(tiny_folder, dtype="bfloat16")
    with torch.no_grad():
        changed.hf.get_output_embeddings().weight.mul_(2)
    step = NeutralDrift(vector(), (1.0,), 3)
    drifts = [step.drifts(on_model(model))[0] for model in (tiny, changed, rounded)]
    assert len(ledger.kept) == 3
    for model, shared in zip((tiny, changed, rounded), drifts, strict=True):
        alone = replace(on_model(model), ledger=Ledger(None, ""))
        assert np.array_equal(shared.kl, step.drifts(alone)[0].kl)
    assert len({float(drift.kl.mean()) for drift in drifts}) == 3
    step.drifts(on_model(tt.load(tiny_folder, dtype="float32")))  # the same weights again
    assert len(ledger.kept) == 3


def test_a_step_that_is_forgotten_is_computed_again(tiny: tt.Model) -> None:
    on, _ = ready(
        tiny, builtin("sentiment"), ["prefilled"], **SIZES, seed=0, ledger=Ledger(None, ""), progress=Silent()
    )  # fmt: skip
    step = NeutralDrift(vector(), (1.0,), 3)
    first = on.run(step)
    assert on.run(step) is first
    on.forget(step)
    assert on.run(step) is not first


def test_an_experiment_says_what_its_parts_are(tiny: tt.Model) -> None:
    on, _ = ready(
        tiny, builtin("sentiment"), ["prefilled"], **SIZES, seed=0, ledger=Ledger(None, ""), progress=Silent()
    )  # fmt: skip
    assert isinstance(on, Experiment)
    assert isinstance(on.behavior, Behavior)
    assert on.part("dev") is on.splits.dev


def test_evidence_is_of_the_part_that_is_asked_for(tiny: tt.Model) -> None:
    on, _ = ready(
        tiny, builtin("sentiment"), ["prefilled"], **SIZES, seed=0, ledger=Ledger(None, ""), progress=Silent()
    )  # fmt: skip
    omit: frozenset[Omitted] = frozenset({"random directions", "divergence", "capability", "wording"})
    evidence = assess(on, vector(), "dev", omit=omit)
    assert evidence.curve is not None
    assert evidence.noise is not None
    n = len(on.splits.dev)
    assert n != len(on.splits.eval)
    assert len(evidence.steered.base.m) == n
    assert {len(p.m) for p in evidence.curve.values()} == {n}
    assert evidence.noise.n == n


def test_numbers_of_numpy_are_numbers_and_a_site_may_be_left_open_by_name(tiny: tt.Model) -> None:
    options = {"prompt_types": "prefilled", "train": np.int64(12), "evaluation": np.int32(16), "seed": np.int64(0)}
    report = tt.check(tiny, builtin("sentiment"), site="auto", strength=np.float32(1), **options)  # type: ignore[arg-type]
    assert (report.seed, report.verdict.strength, report.site_chosen) == (0, 1.0, "dev")
    with pytest.raises(tt.InputError, match="seed"):
        tt.fit(tiny, [builtin("sentiment")], seed={1}, **SIZES)  # type: ignore[arg-type]
