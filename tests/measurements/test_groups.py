"""Groups by what prompts are about: what the one vector does in each, against plain loops."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests import mixtures

import trimtab as tt
from trimtab.behaviors import Behavior, Example, PromptType
from trimtab.behaviors.splits import Part, Splits
from trimtab.experiment.effort import QUICK
from trimtab.experiment.experiment import Experiment
from trimtab.experiment.instrument import Instrument
from trimtab.experiment.progress import Silent
from trimtab.measurements.activations import training, vector_of
from trimtab.measurements.coherence import direction
from trimtab.measurements.effects import Steered, steered
from trimtab.measurements.geometry import Geometry
from trimtab.measurements.groups import group_steps, with_groups
from trimtab.measurements.prompts import prompt_activations
from trimtab.models.capture import capture
from trimtab.models.conditions import prompt_alone
from trimtab.results.consequences import Grouping
from trimtab.statistics.groups import grouped
from trimtab.storage.steps import Ledger

SITE = tt.Site(1)


@pytest.fixture(scope="module")
def model(tied_folder: Path) -> tt.Model:
    return tt.load(tied_folder, dtype="float32")


def experiment(model: tt.Model, behavior: Behavior) -> Experiment:
    """Trained on the first half of a behavior, evaluated on the second."""
    examples, half = behavior.examples, len(behavior.examples) // 2
    parts = [Part(tuple(some), tuple(e.prompt for e in some)) for some in (examples[:half], examples[half:])]
    splits = Splits(Part(), parts[0], Part(), parts[1], Part())
    return Experiment(Instrument(model, behavior, False, "mean"), splits, (), 1.0, "all", 0, Ledger(None, ""), Silent())


def measured(on: Experiment) -> tuple[Grouping, Geometry, Steered]:
    geometry = training(on, PromptType("prefilled"), [SITE])[SITE]
    (own,) = steered(on, [vector_of(on, geometry, SITE)])
    tests = direction(geometry, 0, on.splits.train.examples)
    return with_groups(tests, on, geometry, own, "eval", SITE).grouping, geometry, own


def test_two_behaviors_in_one_file_are_told_apart_and_the_one_vector_is_seen_to_fail(model: tt.Model) -> None:
    found, _, own = measured(experiment(model, mixtures.behavior(72, 24)))
    words, numbers = found.groups
    assert found.p_value is not None
    assert found.p_value < 0.05
    assert {prompt[0].isdigit() for prompt in words.prompts} == {False}
    assert {prompt[0].isdigit() for prompt in numbers.prompts} == {True}
    assert len({*words.prompts, *numbers.prompts}) == 6
    assert words.cosine > 0.9
    assert numbers.cosine < -0.9
    assert own.effect.below_zero().value < 0.5
    assert words.anti_steerable.high is not None
    assert words.anti_steerable.high < 0.25
    assert numbers.anti_steerable.low is not None
    assert numbers.anti_steerable.low > 0.75
    assert numbers.effect.high is not None
    assert numbers.effect.high < 0


def test_one_behavior_has_one_direction_in_every_group(model: tt.Model) -> None:
    found, _, _ = measured(experiment(model, mixtures.behavior(48, 48, opposed=False)))
    assert len(found.groups) > 1
    for group in found.groups:
        assert group.cosine > 0.5
        assert group.anti_steerable.value is not None
        assert group.anti_steerable.value < 0.25


def test_effects_within_groups_are_those_of_a_loop(model: tt.Model) -> None:
    on = experiment(model, mixtures.behavior(48, 48))
    found, geometry, own = measured(on)
    k = len(found.groups)
    read = (prompt_activations(on, part, [SITE])["positive"][SITE] for part in ("train", "eval"))
    train, fresh = (h / np.linalg.norm(h, axis=1, keepdims=True) for h in read)
    label = grouped(train, k, seed=0).label
    centres = [train[label == j].mean(axis=0) for j in range(k)]
    nearest = np.array([min(range(k), key=lambda j: float(np.linalg.norm(row - centres[j]))) for row in fresh])
    for j, group in enumerate(found.groups):
        rows = own.effect.rows[nearest == j]
        assert group.effect.value == pytest.approx(rows.mean())
        assert group.anti_steerable.value == pytest.approx((rows < 0).mean())
        assert group.effect.low is not None
        assert group.share == pytest.approx((label == j).mean())
        own_vector = geometry.differences[label == j].mean(axis=0)
        cosine = own_vector @ geometry.vector / np.linalg.norm(own_vector) / np.linalg.norm(geometry.vector)
        assert group.cosine == pytest.approx(cosine)


def test_each_different_prompt_is_read_once_and_as_a_condition_reads_it(model: tt.Model) -> None:
    on = experiment(model, mixtures.behavior(4, 4))
    doubled = replace(
        on, splits=replace(on.splits, eval=Part(on.splits.eval.examples * 2, on.splits.eval.clusters * 2))
    )
    read = prompt_activations(doubled, "eval", [SITE])
    plus, minus = doubled.instrument.bare(doubled.splits.eval.examples)
    for side, rows in (("positive", plus), ("negative", minus)):
        alone = capture(model, [prompt_alone(row) for row in rows], [SITE], "mean").activations[SITE]
        np.testing.assert_allclose(read[side][SITE], alone.numpy(), rtol=1e-4, atol=1e-5)


def test_what_makes_no_groups_says_why(model: tt.Model) -> None:
    few = measured(experiment(model, mixtures.behavior(6, 6)))[0]
    assert few.reason == "the prompts make no two groups of at least 8 independent examples"
    bare = Behavior("mood", [Example("", f"{p} yes indeed", f"{p} no never") for _, p in mixtures.sorts(24, 24)])
    on = experiment(model, bare)
    assert measured(on)[0].reason == "the examples have no prompts that could tell groups apart"
    assert group_steps(on, SITE) == []
    quick = replace(experiment(model, mixtures.behavior(24, 24)), effort=QUICK)
    assert measured(quick)[0].reason == QUICK.reason
    assert group_steps(quick, SITE) == []
