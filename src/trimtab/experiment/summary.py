"""From measured arrays to the records of a report."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from trimtab.errors import InputError
from trimtab.experiment.instrument import SIDES, Floats, Propensity
from trimtab.models import Model
from trimtab.results.consequences import Curve, CurvePoint
from trimtab.results.figures import Estimate
from trimtab.results.report import (
    AntiSteerable,
    Base,
    Effect,
    ModelRecord,
    Slope,
    SteeringRecord,
)
from trimtab.statistics import (
    Interval,
    SeparabilityInterval,
    agreement_interval,
    directional_agreement,
    odd_even,
    projection,
    rematched_agreement,
    separability,
    separability_interval,
    steerability,
    steering_effect,
)
from trimtab.statistics.contrast import Contrast
from trimtab.steering import Steering


def estimate(interval: Interval, n: int) -> Estimate:
    """An interval as a record."""
    return Estimate(value=interval.value, low=interval.low, high=interval.high, n=n)


def model_record(model: Model) -> ModelRecord:
    """Which model."""
    return ModelRecord(
        id=model.id, revision=model.revision, digest=model.digest, architecture=type(model.hf).__name__,
        n_blocks=model.n_blocks, d_model=model.d_model,
    )  # fmt: skip


def steering_record(steering: Steering, data_digest: str) -> SteeringRecord:
    """A steering that came finished, and whether it was trained on the data of this digest."""
    try:
        identity = steering.id
    except InputError:  # edits of one's own class have no stored form
        identity = None
    data = steering.origin.data
    return SteeringRecord(
        id=identity, method=steering.method, attributes=dict(steering.attributes),
        edits={str(site): kinds for site, kinds in steering.kinds.items()},
        trained_on_this=data_digest in data.values() if data else None,
    )  # fmt: skip


def attempted(measure: Callable[[], Interval], n: int) -> Estimate:
    """An interval as a record; not measured, with the reason, where the examples are too few for it."""
    try:
        return estimate(measure(), n)
    except InputError as error:
        return Estimate(reason=f"not with so few examples: {error}")


@dataclass(frozen=True, eq=False)
class Geometry:
    """Activations of the training examples under one prompt type at the site.

    Args:
        positive: `[n, d_model]` of the positive contexts.
        negative: `[n, d_model]` of the negative ones.
        units: unit of each row.
        arbitrary: True where row i of one side does not belong to row i of the other.
        n_massive: massive activations left out: tokens of means, or examples of whom one token was read.
    """

    positive: Floats
    negative: Floats
    units: tuple[str, ...]
    arbitrary: bool
    n_massive: int

    def without_massive(self, massive: NDArray[np.generic] | None) -> "Geometry":
        """Without the rows one of whose two tokens is a massive activation, if most rows are left.

        Where most are, that is how the model represents such tokens, and leaving them out would leave nothing.
        """
        if massive is None or not massive.any() or 2 * massive.sum() >= len(massive):
            return self
        return replace(self.without(massive.astype(bool)), n_massive=int(massive.sum()))

    def without(self, rows: NDArray[np.bool_]) -> "Geometry":
        """The same without some rows."""
        left = ~rows
        units = tuple(np.array(self.units)[left].tolist())
        return replace(self, positive=self.positive[left], negative=self.negative[left], units=units)

    @property
    def differences(self) -> Floats:
        """`[n, d_model]`."""
        return self.positive - self.negative

    @property
    def vector(self) -> Floats:
        """`[d_model]` mean difference."""
        return np.asarray(self.differences.mean(axis=0))

    def left_out_projections(self) -> Floats:
        """Where each example lies on the unit direction of all units but its own.

        `[n]` projections of differences; of arbitrary pairs `[2n]` of positive texts from the middle, and of negative
        ones with their sign turned.
        """
        _, code = np.unique(self.units, return_inverse=True)
        sums = np.zeros((int(code.max()) + 1, self.differences.shape[1]))
        np.add.at(sums, code, self.differences)
        others = (sums.sum(axis=0) - sums)[code]
        others /= np.maximum(np.linalg.norm(others, axis=1, keepdims=True), 1e-30)
        if not self.arbitrary:
            return np.asarray(np.einsum("nd,nd->n", self.differences, others))
        middle = (self.positive.mean(axis=0) + self.negative.mean(axis=0)) / 2
        sides = (self.positive - middle, middle - self.negative)
        return np.concatenate([np.einsum("nd,nd->n", side, others) for side in sides])

    def agreement(self, seed: int, level: float = 0.95) -> Interval:
        """Leave-one-out directional agreement; over 50 re-matchings where the matching is arbitrary."""
        fixed = agreement_interval(self.differences, np.array(self.units), level)
        if not self.arbitrary:
            return fixed
        mean, _ = rematched_agreement(self.positive, self.negative, seed)
        shift = mean - fixed.value
        return Interval(mean, fixed.low + shift, fixed.high + shift)

    def summary(self, seed: int, level: float) -> dict[str, object]:
        """The part of a prompt type's record that needs no steering."""
        n = len(set(self.units))
        labels = np.array(self.units)
        sides = (np.char.add("+", labels), np.char.add("-", labels)) if self.arbitrary else (labels, None)
        centre = self.positive.mean(axis=0), self.negative.mean(axis=0)

        @cache  # one fit gives both figures
        def held_out() -> SeparabilityInterval:
            return separability_interval(self.positive, self.negative, *sides, seed=seed, level=level)

        return {
            "directional_agreement": directional_agreement(self.differences),
            "directional_agreement_loo": attempted(lambda: self.agreement(seed, level), n),
            "separability": separability(projection(self.positive, *centre), projection(self.negative, *centre)),
            "separability_held_out": attempted(lambda: held_out().separability, n),
            "auroc_held_out": attempted(lambda: held_out().auroc, n),
            "n_massive": self.n_massive,
        }


@dataclass(frozen=True, eq=False)
class Steered:
    """Propensities of the evaluation examples at strength 0, +λ and -λ."""

    base: Propensity
    plus: Propensity
    minus: Propensity
    contrast_of: "ContrastMaker"

    @property
    def effect(self) -> Contrast:
        """Δ(x) at +λ."""
        return self.contrast_of.change(self.base, self.plus)

    @property
    def odd(self) -> Contrast:
        """Its odd part: direction."""
        return self._part(0)

    @property
    def even(self) -> Contrast:
        """Its even part: damage, or a shift toward one answer."""
        return self._part(1)

    def _part(self, which: int) -> Contrast:
        sides = (odd_even(*(getattr(p, side) for p in (self.base, self.plus, self.minus)))[which] for side in SIDES)
        return self.contrast_of(*sides)

    def summary(self, noise: float, level: float) -> dict[str, object]:
        """The part of a prompt type's record that steering gave."""
        effect = self.effect
        mean, anti, odd, even = (
            effect.mean(level),
            effect.below_zero(level),
            self.odd.mean(level),
            self.even.mean(level),
        )
        return {
            "n": len(effect.rows),
            "level": level,
            "effect": Effect(
                mean=mean.value, low=mean.low, high=mean.high, sd=effect.sd, n=effect.n_units,
                odd=odd.value, odd_low=odd.low, odd_high=odd.high,
                even=even.value, even_low=even.low, even_high=even.high,
                positive=estimate(effect.side("positive", level), effect.n_units),
                negative=estimate(effect.side("negative", level), effect.n_units),
                positive_fell=estimate(effect.side_below_zero("positive", level), effect.n_units),
            ),
            "anti_steerable": AntiSteerable(
                share=anti.value, low=anti.low, high=anti.high,
                undecided=effect.shares(noise).undecided, n=effect.n_units,
            ),
            "effects": tuple(effect.rows.tolist()),
        }  # fmt: skip


@dataclass(frozen=True)
class ContrastMaker:
    """Contrasts over the same examples."""

    units: tuple[str, ...]
    arbitrary: bool
    seed: int

    def __call__(self, positive: Floats, negative: Floats) -> Contrast:
        return Contrast(positive, negative, self.units, "random" if self.arbitrary else "natural", self.seed)

    def change(self, before: Propensity, after: Propensity) -> Contrast:
        """Δ from one measurement to another."""
        return self(*(steering_effect(getattr(before, side), getattr(after, side)) for side in SIDES))

    def first(self, n: int) -> "ContrastMaker":
        """The same over the first n examples."""
        return ContrastMaker(self.units[:n], self.arbitrary, self.seed)


def base_record(base: Propensity, contrast_of: ContrastMaker) -> Base:
    """The unsteered model; its accuracy is the share of examples (of all pairs, if unpaired) with m > 0."""
    contrast = contrast_of(base.positive, base.negative)
    wrong = contrast.below_zero()
    return Base(
        propensity={"mean": float(contrast.rows.mean()), "sd": contrast.sd},
        accuracy=1 - wrong.value, accuracy_low=1 - wrong.high, accuracy_high=1 - wrong.low, n=contrast.n_units,
    )  # fmt: skip


def curve_record(
    at: Mapping[float, Propensity], contrast_of: ContrastMaker, point: Callable[[float, Contrast], CurvePoint]
) -> tuple[Curve, Slope]:
    """The strength curve and the steerability (mean slope per unit of strength) behind it.

    Args:
        at: propensities by strength.
        contrast_of: contrasts over their examples.
        point: adds dose and damage to the effect at a strength; nothing has changed at 0.
    """
    strengths = sorted(at)
    points = [point(s, contrast_of.change(at[0.0], at[s])) for s in strengths]
    slope, lines = slope_record(at, contrast_of)
    return Curve(points=tuple(points), spearman=lines.spearman, r_squared=lines.r_squared, n=slope.n or 0), slope


@dataclass(frozen=True)
class Linearity:
    """How steadily effects grow with strength: means over examples; None where nothing moved."""

    spearman: float | None
    r_squared: float | None


def slope_record(at: Mapping[float, Propensity], contrast_of: ContrastMaker) -> tuple[Slope, Linearity]:
    """The steerability (mean slope per unit of strength), and how linear it is.

    Args:
        at: propensities by strength.
        contrast_of: contrasts over their examples.
    """
    strengths = sorted(at)
    by_side = [np.stack([getattr(at[s], side) for s in strengths], axis=1) for side in SIDES]
    slopes = contrast_of(*(steerability(strengths, m).slope for m in by_side))
    # rows of arbitrary pairs say nothing: then each text counts, a negative one with its sign turned
    rows = np.concatenate([by_side[0], -by_side[1]]) if contrast_of.arbitrary else by_side[0] - by_side[1]
    lines, mean = steerability(strengths, rows), slopes.mean()
    slope = Slope(mean=mean.value, low=mean.low, high=mean.high, n=slopes.n_units)
    return slope, Linearity(_mean(lines.spearman), _mean(lines.r_squared))


def _mean(values: Floats) -> float | None:
    """Mean of what was measured; None where nothing was."""
    measured = values[np.isfinite(values)]
    return float(measured.mean()) if len(measured) else None


def cosine_types(vectors: Mapping[str, Floats]) -> tuple[Sequence[str], Floats]:
    """Names and vectors, stacked, in the order of the seven types."""
    return [str(t) for t in vectors], np.stack(list(vectors.values()))
