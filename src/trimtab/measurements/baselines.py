"""Baselines of a steering: prompting instead, a shift toward one label, random directions, vectors trained anew."""

from collections.abc import Callable, Sequence

import numpy as np

from trimtab.behaviors import Example, normalise
from trimtab.errors import InputError
from trimtab.experiment.experiment import Experiment, Split, Variant
from trimtab.experiment.instrument import Propensity
from trimtab.measurements.activations import vector_of
from trimtab.measurements.effects import PLAIN, Propensities, Steered, both_signs, sweep, sweep_steps
from trimtab.measurements.geometry import Geometry
from trimtab.phrases import Phrase
from trimtab.results.consequences import AnswerBias, PromptingBaseline, RandomDirectionBaseline, TrainingVariability
from trimtab.results.figures import Estimate, estimate
from trimtab.statistics import Interval, bootstrap_two_sample
from trimtab.statistics.contrast import Contrast
from trimtab.steering import Steering

RANDOM_DIRECTIONS = 20
REFITS = 6
RANDOM_AT_ONCE = 4  # directions, where it ends when the decision is certain


def _instruction(on: Experiment) -> str:
    return f"{on.behavior.instruction('positive')}\n\n"


def prompting_steps(on: Experiment, steering: Steering) -> list[Propensities]:
    """Of `prompting_baseline`."""
    return sweep_steps(on, "eval", [PLAIN, (steering, on.strength)], on.effort.prompting, _instruction(on))


def prompting_baseline(on: Experiment, steering: Steering, steered: Steered) -> PromptingBaseline:
    """The positive instruction on the same evaluation examples (the first of them), without and with steering."""
    instruction, rows = on.behavior.instruction("positive"), on.effort.prompting
    if rows == 0:
        none = Estimate(reason=on.effort.reason)
        return PromptingBaseline(instruction=instruction, effect=none, beats=none, adds=none)
    fits = on.instrument.fitting(on.splits.eval.examples[:rows], _instruction(on))
    if not all(fits):
        too_long = Phrase(
            "{lost} of {n} evaluation examples do not fit into the model's context behind the instruction",
            lost=len(fits) - sum(fits),
            n=len(fits),
        )
        none = Estimate(reason=too_long)
        return PromptingBaseline(instruction=instruction, effect=none, beats=none, adds=none)
    prompted, both = sweep(on, "eval", [PLAIN, (steering, on.strength)], rows, _instruction(on))
    contrast_of = steered.contrast_of.first(len(prompted.m))
    base, plus = (p[: len(prompted.m)] for p in (steered.base, steered.plus))

    def change(before: Propensity, after: Propensity) -> Estimate:
        contrast = contrast_of.change(before, after)
        return estimate(contrast.mean(), contrast.n_clusters)

    return PromptingBaseline(
        instruction=instruction,
        effect=change(base, prompted),
        beats=change(prompted, plus),
        adds=change(prompted, both),
    )


def answer_bias(on: Experiment, effect: Contrast) -> AnswerBias:
    """The part of a choice's effect that is a shift toward one label."""
    missing = Estimate(reason=Phrase("the answers are free text, without a label to shift to"))
    if on.behavior.answer_kind != "choice":
        return AnswerBias(shift=missing, adjusted=missing)
    label, first = _first_label(on.splits.eval.examples)
    clusters = np.array(effect.clusters)
    sides = [(effect.rows[rows], clusters[rows]) for rows in (first, ~first)]
    try:
        # matching answers that are the label gain by a shift toward it, the others lose
        one, other = sides[0][0], sides[1][0]
        of, at = (sides[0][1], sides[1][1]), effect.level
        bias = bootstrap_two_sample(one, other, *of, seed=effect.seed, level=at)
        mean = bootstrap_two_sample(one, -other, *of, seed=effect.seed, level=at)
    except InputError as error:
        none = Estimate(
            reason=Phrase("both labels must be the matching one in some examples: {error}", error=error.message)
        )
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


def _random(on: Experiment, steering: Steering, some: Sequence[int]) -> list[Variant]:
    """No steering, and the same one along some of the random directions, both ways where −λ is the opposite.

    Raises:
        InputError: the steering has no directions that could be random ones.
    """
    drawn = [steering.randomised(RANDOM_DIRECTIONS * on.seed + k) for k in some]
    return both_signs(drawn, on.strength) if steering.is_odd else [PLAIN, *((s, on.strength) for s in drawn)]


def random_steps(on: Experiment, steering: Steering) -> list[Propensities]:
    """Of `random_directions`; none where no directions can be drawn."""
    n = RANDOM_AT_ONCE if on.effort.stops else RANDOM_DIRECTIONS
    try:
        return sweep_steps(on, "eval", _random(on, steering, range(n)), on.effort.random)
    except InputError:
        return []


def random_directions(
    on: Experiment, steering: Steering, part: Split = "eval", enough: Callable[[Sequence[float]], bool] | None = None
) -> RandomDirectionBaseline:
    """What the same steering along random directions does: odd parts of effects, or effects where −λ is no opposite.

    Args:
        on: the behavior's experiment, at the strength in question.
        steering: what is held against them.
        part: the examples they are tried on.
        enough: whether the means of some directions already tell; then no more are tried.
    """
    means: list[float] = []
    size = RANDOM_DIRECTIONS if enough is None else RANDOM_AT_ONCE
    n = 0
    for start in range(0, RANDOM_DIRECTIONS, size):
        try:
            variants = _random(on, steering, range(start, start + size))
        except InputError as error:
            return RandomDirectionBaseline(reason=error.message)
        base, *propensities = sweep(on, part, variants, on.effort.random)
        contrast_of, n = on.contrast_of(on.part(part)).first(len(base.m)), len(base.m)
        if steering.is_odd:
            pairs = zip(propensities[::2], propensities[1::2], strict=True)
            parts = [Steered(base, plus, minus, contrast_of).odd for plus, minus in pairs]
        else:
            parts = [contrast_of.change(base, after) for after in propensities]
        means += [float(part.rows.mean()) for part in parts]
        if enough is not None and enough(means):
            break
    return RandomDirectionBaseline(
        figure="odd part" if steering.is_odd else "effect",
        odd=tuple(means),
        percentile_95=float(np.quantile(np.abs(means), 0.95)),
        n=n,
    )


def _refits(on: Experiment, steering: Steering, geometry: Geometry) -> list[Variant]:
    """No steering, and vectors trained with each group of training clusters left out; nothing with too few clusters."""
    names = sorted(set(geometry.clusters))
    if len(names) < 2 * REFITS or len(steering.edits) != 1:
        return []
    groups = np.random.default_rng(on.seed).permutation(len(names)) % REFITS
    group_of = dict(zip(names, groups.tolist(), strict=True))
    member = np.array([group_of[u] for u in geometry.clusters])
    (site,) = steering.edits
    vectors = [vector_of(on, geometry.without(member == k), site) for k in range(REFITS)]
    return [PLAIN, *((vector, on.strength) for vector in vectors)]


def refit_steps(on: Experiment, steering: Steering) -> list[Propensities]:
    """Of `training_variability`, as if the vectors trained anew were the steering itself: they cost the same."""
    if len(steering.edits) != 1:
        return []
    return sweep_steps(on, "eval", [PLAIN, *[(steering, on.strength)] * REFITS], on.effort.refits)


def training_variability(
    on: Experiment, steering: Steering, geometry: Geometry, steered: Steered
) -> TrainingVariability:
    """The interval of the mean effect for a vector trained anew, by leaving out groups of training clusters in turn.

    Variances of evaluation (this vector's interval) and of training (delete-a-group jackknife, Shao and Tu 1995) add.
    """
    if not on.effort.refits:
        return TrainingVariability(effect=Estimate(reason=on.effort.reason))
    refits = _refits(on, steering, geometry)
    if not refits:
        return TrainingVariability(effect=Estimate(reason=Phrase("too few training clusters to leave some out")))
    base, *propensities = sweep(on, "eval", refits, on.effort.refits)
    contrast_of = on.contrast_of(on.splits.eval).first(len(base.m))
    means = [contrast_of.change(base, p).rows.mean() for p in propensities]
    training = (REFITS - 1) / REFITS * float(((np.array(means) - np.mean(means)) ** 2).sum())
    own = steered.effect.mean()
    low, high = (float(np.sqrt((own.value - end) ** 2 + 1.96**2 * training)) for end in (own.low, own.high))
    return TrainingVariability(
        effect=estimate(Interval(own.value, own.value - low, own.value + high), steered.effect.n_clusters),
        n_refits=REFITS,
    )
