"""Rivals and references of a steering: asking instead, a shift toward one label, random directions, other vectors."""

from collections.abc import Sequence

import numpy as np
import torch

from trimtab.behaviors import Example, normalise
from trimtab.errors import InputError
from trimtab.reliability import Interval, bootstrap_two_sample, odd_even
from trimtab.reliability.contrast import Contrast
from trimtab.reliability.direction import heterogeneity, permutation_test, random_directions
from trimtab.reports.consequences import AnswerBias, Asking, Direction, Generality, Reference
from trimtab.reports.figures import Estimate
from trimtab.steering import Steering
from trimtab.workflows.ledger import Arrays
from trimtab.workflows.measure import SIDES, Floats
from trimtab.workflows.stages import Stages
from trimtab.workflows.summary import Geometry, Steered, estimate

RANDOM_DIRECTIONS, RANDOM_ROWS = 20, 40
REFITS, REFIT_ROWS = 6, 100


def asking(stages: Stages, steering: Steering, steered: Steered, label: str) -> Asking:
    """The positive instruction on the same evaluation examples, without and with steering."""
    instruction = stages.behavior.instruction("positive")
    examples = stages.splits.eval.examples

    def compute() -> Arrays:
        variants = [(), stages.steers((steering, 1.0))]
        found = stages.instrument.propensities(examples, variants, instruction + "\n\n")
        return {f"{side}{i}": getattr(p, side) for i, p in enumerate(found) for side in SIDES}

    kept = stages.step("asking", f"asking {label}", compute, 3.0 * stages.score_cost(examples))
    asked, both = ([kept[f"{side}{i}"] for side in SIDES] for i in (0, 1))
    base, plus = ([p.positive, p.negative] for p in (steered.base, steered.plus))

    def change(before: Sequence[Floats], after: Sequence[Floats]) -> Estimate:
        contrast = steered.contrast_of(after[0] - before[0], after[1] - before[1])
        return estimate(contrast.mean(), contrast.n_units)

    return Asking(
        instruction=instruction, effect=change(base, asked), beats=change(asked, plus), adds=change(asked, both)
    )


def answer_bias(stages: Stages, effect: Contrast) -> AnswerBias:
    """The part of a choice's effect that is a shift toward one label."""
    missing = Estimate(reason="the answers are free text, without a label to shift to")
    if stages.behavior.answer_kind != "choice":
        return AnswerBias(shift=missing, adjusted=missing)
    label, first = _first_label(stages.splits.eval.examples)
    units = np.array(effect.units)
    sides = [(effect.rows[rows], units[rows]) for rows in (first, ~first)]
    try:
        # matching answers that are the label gain by a shift toward it, the others lose
        bias = bootstrap_two_sample(sides[0][0], sides[1][0], sides[0][1], sides[1][1], seed=effect.seed)
        mean = bootstrap_two_sample(sides[0][0], -sides[1][0], sides[0][1], sides[1][1], seed=effect.seed)
    except InputError as error:
        none = Estimate(reason=f"both labels must be the matching one in some examples: {error}")
        return AnswerBias(label=label, shift=none, adjusted=none)
    n = len(effect.rows)
    return AnswerBias(label=label, shift=estimate(_half(bias), n), adjusted=estimate(_half(mean), n))


def _half(i: Interval) -> Interval:
    return Interval(i.value / 2, i.low / 2, i.high / 2)


def _first_label(examples: Sequence[Example]) -> tuple[str, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """A label, and where it is the matching answer: `Yes` or `True`, else the lower of an example's two labels."""
    pairs = [(normalise(e.positive), normalise(e.negative)) for e in examples]
    for word in ("yes", "true"):
        if any(word in pair for pair in pairs):
            return word.title(), np.array([p == word for p, _ in pairs])
    return "the earlier label", np.array([p < q for p, q in pairs])


def reference(stages: Stages, steering: Steering, label: str) -> Reference:
    """Odd parts of the effect of random directions at the site, as long as the vector."""
    examples = stages.splits.eval.examples[:RANDOM_ROWS]
    if len(steering.edits) != 1:
        return Reference(reason="the steering has several sites")
    site = next(iter(steering.edits))
    directions = random_directions(steering.vector(site).double().cpu().numpy(), RANDOM_DIRECTIONS, stages.seed)

    def compute() -> Arrays:
        random = [Steering.from_vector(site, torch.from_numpy(v).float()) for v in directions]
        variants = [stages.steers((s, sign)) for s in random for sign in (1.0, -1.0)]
        found = stages.instrument.propensities(examples, [(), *variants])
        return {side: np.stack([getattr(p, side) for p in found]) for side in SIDES}

    cost = stages.score_cost(examples) * (0.5 + 2 * RANDOM_DIRECTIONS * 0.9)
    kept = stages.step("random directions", f"random directions {label}", compute, cost)
    contrast_of = stages.contrast_of(stages.splits.eval).first(len(examples))
    odds = []
    for k in range(RANDOM_DIRECTIONS):
        sides = (odd_even(kept[side][0], kept[side][1 + 2 * k], kept[side][2 + 2 * k])[0] for side in SIDES)
        odds.append(float(contrast_of(*sides).rows.mean()))
    return Reference(odd=tuple(odds), percentile_95=float(np.quantile(np.abs(odds), 0.95)), n=len(examples))


def direction(geometry: Geometry, seed: int) -> Direction:
    """Permutation tests on the training activations of the chosen prompt type."""
    pairing = "random" if geometry.arbitrary else "natural"
    given = (geometry.positive, geometry.negative, np.array(geometry.units))
    try:
        p_value = permutation_test(*given, pairing=pairing, seed=seed)  # type: ignore[arg-type]
        halves = heterogeneity(*given, pairing=pairing, seed=seed)  # type: ignore[arg-type]
    except InputError as error:
        return Direction(reason=f"not with so few examples: {error}")
    return Direction(
        p_value=p_value, halves_cosine=halves.cosine, halves_expected=halves.expected, halves_p_value=halves.p_value
    )


def generality(stages: Stages, steering: Steering, geometry: Geometry, steered: Steered, label: str) -> Generality:
    """The interval of the mean effect for a vector trained anew, by leaving out groups of training units in turn.

    Variances of evaluation (this vector's interval) and of training (delete-a-group jackknife, Shao and Tu 1995) add.
    """
    examples = stages.splits.eval.examples[:REFIT_ROWS]
    names = sorted(set(geometry.units))
    groups = np.random.default_rng(stages.seed).permutation(len(names)) % REFITS
    group_of = dict(zip(names, groups.tolist(), strict=True))
    member = np.array([group_of[u] for u in geometry.units])
    if len(names) < 2 * REFITS or len(steering.edits) != 1:
        return Generality(effect=Estimate(reason="too few training units to leave some out"))
    site = next(iter(steering.edits))

    def compute() -> Arrays:
        refits = [stages.steering(geometry.without(member == k), site) for k in range(REFITS)]
        found = stages.instrument.propensities(examples, [(), *(stages.steers((s, 1.0)) for s in refits)])
        return {side: np.stack([getattr(p, side) for p in found]) for side in SIDES}

    cost = stages.score_cost(examples) * (0.5 + REFITS * 0.9)
    kept = stages.step("other vectors", f"refits {label}", compute, cost)
    means = [_mean_change(kept, 1 + k) for k in range(REFITS)]
    training = (REFITS - 1) / REFITS * float(((np.array(means) - np.mean(means)) ** 2).sum())
    own = steered.effect.mean()
    low, high = (float(np.sqrt((own.value - end) ** 2 + 1.96**2 * training)) for end in (own.low, own.high))
    return Generality(
        effect=estimate(Interval(own.value, own.value - low, own.value + high), steered.effect.n_units),
        n_refits=REFITS,
    )


def _mean_change(kept: Arrays, k: int) -> float:
    plus, minus = (kept[side][k] - kept[side][0] for side in SIDES)
    return float(plus.mean() - minus.mean())
