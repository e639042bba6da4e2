"""Rivals and references of a steering: asking instead, a shift toward one label, random directions, other vectors."""

from collections.abc import Sequence

import numpy as np

from trimtab.behaviors import Example, normalise
from trimtab.errors import InputError
from trimtab.experiment.instrument import Propensity
from trimtab.experiment.stages import Stages
from trimtab.experiment.summary import Geometry, Steered, estimate
from trimtab.results.consequences import AnswerBias, Asking, Direction, Generality, Reference
from trimtab.results.figures import Estimate
from trimtab.results.report import LabelNoise
from trimtab.statistics import Interval, bootstrap_two_sample
from trimtab.statistics.contrast import Contrast
from trimtab.statistics.direction import heterogeneity, permutation_test
from trimtab.statistics.label_noise import exchanged
from trimtab.steering import Steering

RANDOM_DIRECTIONS, RANDOM_ROWS = 20, 40
REFITS, REFIT_ROWS = 6, 100
_APART, _NOISE, _NAMED = 1.2, 0.03, 5  # least μ/σ and share of exchanged labels; examples named
_ALL = 0.5  # a share that reaches so far is no noise in the labels but no direction
_SHOWN_LETTERS = 70  # of an example that is named


def asking(stages: Stages, steering: Steering, steered: Steered, label: str) -> Asking:
    """The positive instruction on the same evaluation examples, without and with steering."""
    instruction = stages.behavior.instruction("positive")
    fits = stages.instrument.fitting(stages.splits.eval.examples, f"{instruction}\n\n")
    if not all(fits):
        told = f"{len(fits) - sum(fits)} of {len(fits)} evaluation examples do not fit into the model's context"
        none = Estimate(reason=f"{told} behind the instruction")
        return Asking(instruction=instruction, effect=none, beats=none, adds=none)
    variants = {"base": (None, 0.0), label: (steering, 1.0)}
    asked, both = stages.sweep("eval", variants, context=f"{instruction}\n\n").values()

    def change(before: Propensity, after: Propensity) -> Estimate:
        contrast = steered.contrast_of.change(before, after)
        return estimate(contrast.mean(), contrast.n_units)

    return Asking(
        instruction=instruction,
        effect=change(steered.base, asked),
        beats=change(asked, steered.plus),
        adds=change(asked, both),
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
    """What the same steering along random directions does: odd parts of effects, or effects where −λ is no opposite."""
    try:
        random = [steering.randomised(RANDOM_DIRECTIONS * stages.seed + k) for k in range(RANDOM_DIRECTIONS)]
    except InputError as error:
        return Reference(reason=str(error))
    signs = "+-" if steering.odd else "+"
    variants = {f"{label} random {k} {sign}": (s, float(f"{sign}1")) for k, s in enumerate(random) for sign in signs}
    base, *found = stages.sweep("eval", {"base": (None, 0.0), **variants}, RANDOM_ROWS).values()
    contrast_of = stages.contrast_of(stages.splits.eval).first(len(base.m))
    if steering.odd:
        pairs = zip(found[::2], found[1::2], strict=True)
        parts = [Steered(base, plus, minus, contrast_of).odd for plus, minus in pairs]
    else:
        parts = [contrast_of.change(base, after) for after in found]
    means = [float(part.rows.mean()) for part in parts]
    return Reference(
        figure="odd part" if steering.odd else "effect",
        odd=tuple(means),
        percentile_95=float(np.quantile(np.abs(means), 0.95)),
        n=len(base.m),
    )


def direction(geometry: Geometry, seed: int, examples: Sequence[Example] = ()) -> Direction:
    """Permutation tests on the training activations of the chosen prompt type.

    Args:
        geometry: the activations.
        seed: of the permutations.
        examples: the training examples, parallel to the rows; without them no halves are shown.
    """
    pairing = "random" if geometry.arbitrary else "natural"
    given = (geometry.positive, geometry.negative, np.array(geometry.units))
    try:
        p_value = permutation_test(*given, pairing=pairing, seed=seed)  # type: ignore[arg-type]
        halves = heterogeneity(*given, pairing=pairing, seed=seed)  # type: ignore[arg-type]
    except InputError as error:
        return Direction(reason=f"not with so few examples: {error}")
    return Direction(
        p_value=p_value, halves_cosine=halves.cosine, halves_expected=halves.expected, halves_p_value=halves.p_value,
        halves=_shown(halves.ends, examples) if len(examples) == len(geometry.units) else None,
    )  # fmt: skip


def _shown(
    ends: tuple[tuple[int, ...], tuple[int, ...]], examples: Sequence[Example]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The examples at the far ends of two halves, in short."""
    low, high = (tuple(_short(f"{examples[i].prompt}{examples[i].positive}") for i in some) for some in ends)
    return low, high


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_LETTERS else line[: _SHOWN_LETTERS - 1] + "…"


def label_noise(stages: Stages, geometry: Geometry) -> LabelNoise:
    """How many training labels look exchanged, by where each example lies on the direction of the others."""
    projections = geometry.left_out_projections()
    try:
        found = exchanged(projections, stages.seed)
    except InputError as error:
        return LabelNoise(reason=str(error), share=Estimate(reason=str(error)))
    if found.separation < _APART:
        why = "the two sides lie too close together for exchanged labels to be told from hard examples"
        return LabelNoise(reason=why, share=Estimate(reason=why))
    if found.share.high >= _ALL:
        why = "the examples lie along the direction of the others and against it alike, as where there is none"
        return LabelNoise(reason=why, share=Estimate(reason=why))
    seen = found.p_value < 0.01 and found.share.low >= _NOISE
    part = stages.splits.train
    source = {unit: e.source for unit, e in zip(part.units, part.examples, strict=True) if e.source}
    units = [*geometry.units, *geometry.units] if geometry.arbitrary else geometry.units
    clear = [source[units[i]] for i in found.clear if units[i] in source][:_NAMED] if seen else []
    share = found.share if seen else Interval(0.0, 0.0, found.share.high)
    return LabelNoise(share=estimate(share, len(projections)), p_value=found.p_value, examples=tuple(clear))


def generality(stages: Stages, steering: Steering, geometry: Geometry, steered: Steered, label: str) -> Generality:
    """The interval of the mean effect for a vector trained anew, by leaving out groups of training units in turn.

    Variances of evaluation (this vector's interval) and of training (delete-a-group jackknife, Shao and Tu 1995) add.
    """
    names = sorted(set(geometry.units))
    groups = np.random.default_rng(stages.seed).permutation(len(names)) % REFITS
    group_of = dict(zip(names, groups.tolist(), strict=True))
    member = np.array([group_of[u] for u in geometry.units])
    if len(names) < 2 * REFITS or len(steering.edits) != 1:
        return Generality(effect=Estimate(reason="too few training units to leave some out"))
    site = next(iter(steering.edits))

    refits = {f"{label} refit {k}": (stages.steering(geometry.without(member == k), site), 1.0) for k in range(REFITS)}
    base, *found = stages.sweep("eval", {"base": (None, 0.0), **refits}, REFIT_ROWS).values()
    contrast_of = stages.contrast_of(stages.splits.eval).first(len(base.m))
    means = [contrast_of.change(base, p).rows.mean() for p in found]
    training = (REFITS - 1) / REFITS * float(((np.array(means) - np.mean(means)) ** 2).sum())
    own = steered.effect.mean()
    low, high = (float(np.sqrt((own.value - end) ** 2 + 1.96**2 * training)) for end in (own.low, own.high))
    return Generality(
        effect=estimate(Interval(own.value, own.value - low, own.value + high), steered.effect.n_units),
        n_refits=REFITS,
    )
