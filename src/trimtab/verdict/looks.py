"""Stopping when it is decided: the evaluation examples in looks, and what else is measured only as far as it matters.

Before the last look a requirement counts as settled only far away from its bound (a share by three standard errors, a
mean by five: `statistics.sequential.looks`); the last look decides as a thorough check does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from trimtab.decimals import bracketed
from trimtab.experiment.experiment import Experiment, Split
from trimtab.measurements.capability import CapabilityMargins, capability
from trimtab.measurements.divergence import NEUTRAL_ROWS, Drift, NeutralDrift
from trimtab.measurements.effects import Steered, base_record, steered
from trimtab.phrases import Phrase
from trimtab.results.consequences import Capability, RandomDirectionBaseline
from trimtab.results.report import Base
from trimtab.statistics import bootstrap_mean
from trimtab.statistics.sequential import (
    INTERIM_LEVEL,
    INTERIM_MEAN_LEVEL,
    look_ends,
    reported_level,
    scale_limit,
    skewed_mean_limit,
)
from trimtab.steering import Steering
from trimtab.verdict.decision import Requirement, Thresholds
from trimtab.verdict.requirements import ENOUGH_CLUSTERS, capability_requirement, requirements, unable

N_REQUIREMENTS = 9  # that a verdict can rest on, generated text by a classifier and by a judge included
MOSTLY_SINGLE = 0.9  # clusters over rows, below which the first rows, one of each cluster, are unlike all of them
MIN_PAIRS = 90  # of the capability probe, below which all of them are measured at once
NEUTRAL_LOOKS = ((0, 2), (1, 3))  # quarters of the neutral texts; divergences are skewed, and 15 tell too little
CAPABILITY_LOOKS = ((0,), (1,), (2,))  # thirds of the capability probe
_NORMAL_95 = 1.96

Settled = Literal["success", "failure"]


@dataclass(frozen=True, eq=False)
class Looked:
    """The evaluation examples, as far as they were needed.

    Args:
        on: the experiment with these examples alone.
        steered: what the steering does to them.
        ends: examples after each look that was taken.
        settled: what was certain at the last of these, before all examples were measured.
        available: examples of the whole part.
    """

    on: Experiment
    steered: Steered
    ends: tuple[int, ...]
    settled: Settled | None
    available: int


def in_looks(on: Experiment, steering: Steering, thresholds: Thresholds, part: Split = "eval") -> Looked:
    """Measure a steering's effects look by look, until they are settled or all examples are measured.

    Where many rows share a cluster there is one look: the first rows of a part hold one of each cluster, and would
    weigh large clusters less than all rows do.

    Args:
        on: the behavior's experiment, at the strength in question.
        steering: what is measured.
        thresholds: bounds of the verdict.
        part: whose examples.
    """
    available = len(on.part(part))
    part_of = on.part(part)
    single = len(set(part_of.clusters)) >= MOSTLY_SINGLE * available
    planned = look_ends(available) if single else (available,)
    for look, end in enumerate(planned, 1):
        some = replace(on.first(part, end), level=reported_level(look, len(planned)))
        (own,) = steered(some, [steering], part)
        _say(on, own, end, available)
        outcome = settled(own, thresholds, on, steering) if end < available else None
        if outcome or end == available:
            return Looked(some, own, planned[:look], outcome, available)
    raise AssertionError("the last look is the whole part")


def in_full(whole: Experiment, looked: Looked, steering: Steering, part: Split = "eval") -> Looked:
    """The last look, after an earlier one, where more than the effects needs all examples."""
    (own,) = steered(whole, [steering], part)
    _say(whole, own, looked.available, looked.available)
    return Looked(whole, own, (*looked.ends, looked.available), None, looked.available)


def _say(on: Experiment, own: Steered, seen: int, available: int) -> None:
    effect = own.effect
    on.progress.say(
        f"effect {bracketed(effect.mean(), plus=True, unit=on.instrument.unit)}, "
        f"{bracketed(effect.below_zero(), '.0%')} pushed the wrong way, after {seen} of {available} evaluation examples"
    )


def settled(own: Steered, thresholds: Thresholds, on: Experiment, steering: Steering) -> Settled | None:
    """What the effects of the examples so far leave no doubt of, if anything.

    A failure: one of the requirements on effects fails at the level of looks before the last, as Holm's method asks of
    the first. A success: all of them hold at that level, desired answers become likelier, and there are enough
    independent examples to say so without a reservation.
    """
    needs = requirements(own, thresholds, on.instrument.unit, undrawn(steering), {})
    if any(r.fails_at(1 - (1 - _interim(r)) / len(needs)) for r in needs):
        base = base_record(own.base, own.contrast_of)
        return None if unable(base, on.behavior.answer_kind) else "failure"
    gains = own.effect.side("positive", INTERIM_MEAN_LEVEL).low > 0 or thresholds.allow_desired_loss
    if gains and own.effect.n_clusters >= ENOUGH_CLUSTERS and all(r.holds_at(_interim(r)) for r in needs):
        return "success"
    return None


def _interim(r: Requirement) -> float:
    return INTERIM_LEVEL if r.unit == "share" else INTERIM_MEAN_LEVEL


def neutral_in_looks(on: Experiment, steering: Steering, part: Split, max_kl: float) -> Drift:
    """Drift of neutral texts, as many as tell on which side of the bound it lies."""
    quarters = sum(map(len, NEUTRAL_LOOKS))
    seen: list[Drift] = []
    for k, look in enumerate(NEUTRAL_LOOKS, 1):
        steps = [NeutralDrift(steering, (on.strength,), NEUTRAL_ROWS, part, (q, quarters)) for q in look]
        seen += [step.drifts(on)[0] for step in steps]
        drift = replace(Drift.together(seen), level=reported_level(k, len(NEUTRAL_LOOKS)))
        interval = bootstrap_mean(drift.kl, seed=on.seed, level=INTERIM_LEVEL)
        if max(interval.high, skewed_mean_limit(drift.kl, INTERIM_LEVEL)) < max_kl or interval.low > max_kl:
            break
    return drift


def neutral_steps(on: Experiment, steering: Steering) -> list[NeutralDrift]:
    """Of `neutral_in_looks` on the evaluation's texts, with all looks."""
    quarters = [k for look in NEUTRAL_LOOKS for k in look]
    return [NeutralDrift(steering, (on.strength,), NEUTRAL_ROWS, "eval", (k, len(quarters))) for k in quarters]


def capability_steps(on: Experiment, steering: Steering) -> list[CapabilityMargins]:
    """Of `capability_in_looks`, with all looks."""
    thirds = [k for look in CAPABILITY_LOOKS for k in look]
    return [CapabilityMargins(steering, on.strength, (k, len(thirds))) for k in thirds]


def capability_in_looks(on: Experiment, steering: Steering, thresholds: Thresholds) -> tuple[Capability, ...]:
    """Right answers on the capability probe, on as many pairs as tell on which side of the bound the loss lies."""
    thirds = sum(map(len, CAPABILITY_LOOKS))
    some: tuple[int, ...] = ()
    taken = 0
    if len(CapabilityMargins(steering, on.strength).probe(on).examples) < MIN_PAIRS:
        return capability(on, steering)
    for look in CAPABILITY_LOOKS:
        some, taken = some + look, taken + 1
        found = capability(on, steering, (some, thirds), INTERIM_LEVEL)
        loss = capability_requirement(found[-1], thresholds)
        if loss is not None and loss.holds is not None:
            break
    return capability(on, steering, (some, thirds), reported_level(taken, len(CAPABILITY_LOOKS)))


def undrawn(steering: Steering, reason: Phrase | None = None) -> RandomDirectionBaseline:
    """Random directions of which none was tried: the steering's own figure only has to lie above 0."""
    return RandomDirectionBaseline(figure="odd part" if steering.is_odd else "effect", reason=reason)


def enough_directions(own: Steered, figure: Literal["odd part", "effect"]) -> Callable[[Sequence[float]], bool]:
    """Whether some random directions already tell that the steering does more than 95 % of all of them.

    Their mean effects scatter about 0 like a normal variable, as directions of many dimensions do whatever the model:
    settled is it where the steering's own figure lies above 1.96 σ for the largest σ that those tried allow.
    """
    low = (own.odd if figure == "odd part" else own.effect).mean(INTERIM_MEAN_LEVEL).low

    def enough(means: Sequence[float]) -> bool:
        return low > _NORMAL_95 * scale_limit(np.asarray(means), INTERIM_LEVEL)

    return enough


def foregone(needs: Sequence[Requirement], base: Base, on: Experiment, level: float = 0.95) -> bool:
    """Whether the requirements measured so far make a no-go, whatever the others come to.

    Each is held to the level that Holm's method asks of the first failure among all that a verdict can rest on.
    """
    each = 1 - (1 - level) / N_REQUIREMENTS
    return any(r.fails_at(each) for r in needs) and unable(base, on.behavior.answer_kind) is None
