"""What steerings do to propensities: sweeps over examples, effects with their parts, curves over strengths."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from trimtab.experiment.contrasts import ContrastMaker
from trimtab.experiment.experiment import Experiment, Split, Variant
from trimtab.experiment.finite import those_finite
from trimtab.experiment.instrument import SIDES, Floats, Propensity
from trimtab.experiment.steps import Step
from trimtab.measurements.acting import acting
from trimtab.phrases import Phrase
from trimtab.results.consequences import Curve, CurvePoint
from trimtab.results.figures import Estimate, estimate
from trimtab.results.report import Acting, AntiSteerable, Base, Effect, Slope
from trimtab.statistics import odd_even, steerability
from trimtab.statistics.contrast import Contrast
from trimtab.steering import Steering
from trimtab.storage.steps import Arrays

CURVE = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5)  # in units of the checked strength (Tan et al. 2407.12404)
CHUNK = 64  # examples whose scores are kept as one step
_SCORES = tuple(f.name for f in fields(Propensity))
PLAIN: Variant = (None, 0.0)


@dataclass(frozen=True)
class Propensities(Step):
    """Propensities of some examples of a part under several variants, which share what lies below their edits.

    Args:
        part: whose examples.
        first, last: the first of them, and the one after the last.
        variants: steerings, each at its strength.
        context: text in front of every example, such as an instruction.
    """

    part: Split
    first: int
    last: int
    variants: tuple[Variant, ...]
    context: str = ""

    @property
    def title(self) -> str:
        return f"{'evaluation' if self.part == 'eval' else self.part} examples"

    def cost(self, on: Experiment) -> float:
        return on.score_cost(on.part(self.part).examples[self.first : self.last]) * on.passes(self.variants)

    def compute(self, on: Experiment) -> Arrays:
        some = on.part(self.part).examples[self.first : self.last]
        propensities = on.instrument.propensities(some, [on.treatment(v) for v in self.variants], self.context)
        return {k: np.stack([getattr(p, k) for p in propensities]) for k in _SCORES}


def sweep_steps(
    on: Experiment, part: Split, variants: Sequence[Variant], rows: int | None = None, context: str = "", first: int = 0
) -> list[Propensities]:
    """Of `sweep`: chunks that are kept one by one."""
    n = len(on.part(part).examples[:rows])
    ends = [(start, min(n, start + CHUNK)) for start in range(first, n, CHUNK)]
    return [Propensities(part, start, end, tuple(variants), context) for start, end in ends]


def sweep(
    on: Experiment, part: Split, variants: Sequence[Variant], rows: int | None = None, context: str = "", first: int = 0
) -> list[Propensity]:
    """Propensities of a part's examples under every variant.

    Args:
        on: the behavior's experiment.
        part: whose examples; replication is for studies of the verdict; a check does not use it.
        variants: steerings, each at its strength.
        rows: only the first so many examples; None for all.
        context: text in front of every example.
        first: the first of these examples.
    """
    chunks = [on.run(step) for step in sweep_steps(on, part, variants, rows, context, first)]
    whole = {k: np.concatenate([c[k] for c in chunks], axis=1).astype(np.float64) for k in _SCORES}
    return [Propensity(**{k: whole[k][i] for k in _SCORES}) for i in range(len(variants))]


def effects_on_dev(on: Experiment, variants: Sequence[Variant], rows: int | None = None) -> list[Contrast]:
    """Δ of the dev examples under each variant; for choices only, never for the verdict."""
    base, *propensities = sweep(on, "dev", [PLAIN, *variants], rows)
    contrast_of = on.contrast_of(on.splits.dev).first(len(base.m))
    return [contrast_of(p.positive - base.positive, p.negative - base.negative) for p in propensities]


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
        """The part of a prompt type's record that comes from steering."""
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
                mean=mean.value, low=mean.low, high=mean.high, sd=effect.sd, n=effect.n_clusters,
                odd=odd.value, odd_low=odd.low, odd_high=odd.high,
                even=even.value, even_low=even.low, even_high=even.high,
                positive=estimate(effect.side("positive", level), effect.n_clusters),
                negative=estimate(effect.side("negative", level), effect.n_clusters),
                positive_fell=estimate(effect.side_below_zero("positive", level), effect.n_acting),
            ),
            "anti_steerable": AntiSteerable(
                share=anti.value, low=anti.low, high=anti.high,
                undecided=effect.shares(noise).undecided, n=effect.n_acting,
            ),
            "acting": _acting(effect, level),
            "effects": tuple(effect.rows.tolist()),
        }  # fmt: skip


def _acting(effect: Contrast, level: float) -> Acting | None:
    """How many examples the steering acts on, and what it does to these; None where it acts on all."""
    share, mean = effect.acts(level), effect.mean_acting(level)
    if share is None:
        return None
    few = Estimate(reason=Phrase("it acts on too few independent examples"))
    apart = Estimate(reason=Phrase("of two texts that are no pair one may be left alone"))
    natural, n, (up, down) = effect.pairing == "natural", effect.n_clusters, effect.acted_on
    return Acting(
        share=estimate(share, n),
        effect=few if mean is None else estimate(mean, effect.n_acting),
        rows=int(up.sum()) if natural else int(up.sum() + down.sum()),
        wrong_of_all=estimate(replace(effect, acting=None).below_zero(level), n) if natural else apart,
    )


def both_signs(steerings: Sequence[Steering], strength: float) -> list[Variant]:
    """No steering, and each at +λ and −λ."""
    return [PLAIN, *((s, sign * strength) for s in steerings for sign in (1.0, -1.0))]


def steered(
    on: Experiment, steerings: Sequence[Steering], part: Split = "eval", rows: int | None = None
) -> list[Steered]:
    """Propensities of a part's examples (of the first so many) at strength 0, +λ and −λ of each steering."""
    if not steerings:
        return []
    base, *propensities = sweep(on, part, both_signs(steerings, on.strength), rows)
    contrast_of = on.contrast_of(on.part(part)).first(len(base.m))
    return [
        Steered(base, plus, minus, replace(contrast_of, acting=acting(on, steering, part, len(base.m))))
        for steering, plus, minus in zip(steerings, propensities[::2], propensities[1::2], strict=True)
    ]


def curve_factors(steering: Steering) -> tuple[float, ...]:
    """Strengths of the curve: below 0 only where that does the opposite (methods with gates saturate there)."""
    return CURVE if steering.is_odd else tuple(factor for factor in CURVE if factor >= 0)


def curve_steps(on: Experiment, steering: Steering) -> list[Propensities]:
    """Of `curve`."""
    missing = [f for f in curve_factors(steering) if f not in (-1.0, 0.0, 1.0)]
    n = min(on.effort.curve, len(on.splits.eval))
    if not n:
        return []
    return sweep_steps(on, "eval", [(steering, f * on.strength) for f in missing], n)


def curve(
    on: Experiment, steering: Steering, known: Steered, part: Split = "eval"
) -> tuple[dict[float, Propensity], dict[float, Phrase]]:
    """Propensities of a part's first examples over strengths; what is known of them is not measured again.

    With an effort that measures no curve it is what is known, of all examples.

    Returns:
        by strength, and for strengths that give no finite figures the reason.
    """
    n, factors = min(on.effort.curve or len(known.base.m), len(on.part(part))), curve_factors(steering)
    of_known = {-1.0: known.minus, 0.0: known.base, 1.0: known.plus}
    at = {factor: p[slice(n)] for factor, p in of_known.items() if factor in factors}

    def swept(some: Sequence[float]) -> Mapping[float, Propensity]:
        return dict(zip(some, sweep(on, part, [(steering, f * on.strength) for f in some], n), strict=True))

    missing = [f for f in factors if f not in at]
    others, lost = those_finite(missing, swept) if on.effort.curve and missing else ({}, {})
    at |= others
    return {f * on.strength: at[f] for f in sorted(at)}, {f * on.strength: why for f, why in lost.items()}


def base_record(base: Propensity, contrast_of: ContrastMaker) -> Base:
    """The unsteered model; its accuracy is the share of examples (of all pairs, if unpaired) with m > 0."""
    contrast = contrast_of(base.positive, base.negative)
    wrong = contrast.below_zero()
    return Base(
        propensity={"mean": float(contrast.rows.mean()), "sd": contrast.sd},
        accuracy=1 - wrong.value, accuracy_low=1 - wrong.high, accuracy_high=1 - wrong.low, n=contrast.n_clusters,
    )  # fmt: skip


@dataclass(frozen=True)
class Linearity:
    """How steadily effects grow with strength: means over examples; None where nothing changed."""

    spearman: float | None
    r_squared: float | None


def curve_record(
    at: Mapping[float, Propensity], contrast_of: ContrastMaker, point: Callable[[float, Contrast], CurvePoint],
    linearity: Linearity,
) -> Curve:  # fmt: skip
    """The strength curve.

    Args:
        at: propensities by strength.
        contrast_of: contrasts over their examples.
        point: adds dose and damage to the effect at a strength; nothing has changed at 0.
        linearity: how steadily effects grow.
    """
    points = [point(s, contrast_of.change(at[0.0], at[s])) for s in sorted(at)]
    n = contrast_of.change(at[0.0], at[0.0]).n_clusters
    return Curve(points=tuple(points), spearman=linearity.spearman, r_squared=linearity.r_squared, n=n)


def slope_record(at: Mapping[float, Propensity], contrast_of: ContrastMaker) -> tuple[Slope, Linearity]:
    """The steerability (mean slope per unit of strength), and how linear it is.

    Args:
        at: propensities by strength.
        contrast_of: contrasts over their examples.
    """
    strengths = sorted(at)
    by_side = [np.stack([getattr(at[s], side) for s in strengths], axis=1) for side in SIDES]
    slopes = contrast_of(*(steerability(strengths, m).slope for m in by_side))
    # rows of arbitrary pairs mean nothing: then each text counts, a negative one with its sign turned
    rows = np.concatenate([by_side[0], -by_side[1]]) if contrast_of.arbitrary else by_side[0] - by_side[1]
    lines, mean = steerability(strengths, rows), slopes.mean()
    slope = Slope(mean=mean.value, low=mean.low, high=mean.high, n=slopes.n_clusters)
    return slope, Linearity(_mean(lines.spearman), _mean(lines.r_squared))


def _mean(values: Floats) -> float | None:
    """Mean of what was measured; None where nothing was."""
    measured = values[np.isfinite(values)]
    return float(measured.mean()) if len(measured) else None
