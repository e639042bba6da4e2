"""What a verdict requires of the figures, each requirement with its interval."""

from collections.abc import Mapping
from functools import partial

from trimtab.behaviors import AnswerKind
from trimtab.decimals import bracketed
from trimtab.experiment.effort import DECIDED
from trimtab.experiment.instrument import Floats
from trimtab.measurements.divergence import Drift
from trimtab.measurements.effects import Steered
from trimtab.phrases import Phrase
from trimtab.results.consequences import Capability, Generated, RandomDirectionBaseline
from trimtab.results.report import Base, Bound
from trimtab.statistics import Interval, bootstrap_mean
from trimtab.verdict.decision import Requirement, Thresholds

# With fewer independent evaluation examples a success is a caution.
ENOUGH_CLUSTERS = 50
EFFECT, ODD = Phrase("mean steering effect"), Phrase("effect in the vector's direction (odd part)")
ANTI = Phrase("share of anti-steerable examples")
DESIRED = Phrase("desired answers become likelier (Δ+)")
# How the names of requirements on generated text begin.
GENERATED = Phrase("generated text")
NATS, SHARE = Phrase("nats/token"), Phrase("share")


def requirements(
    steered: Steered,
    thresholds: Thresholds,
    unit: Phrase,
    random_directions: RandomDirectionBaseline,
    drifts: Mapping[Phrase, Drift],
) -> list[Requirement]:
    """What the verdict requires of the chosen prompt type.

    Args:
        steered: propensities of the evaluation examples.
        thresholds: bounds.
        unit: of effects.
        random_directions: what random directions reach.
        drifts: by name of the texts.
    """
    effect, random = steered.effect, random_directions.percentile_95 or 0.0
    beyond, name = (steered.odd, ODD) if random_directions.figure == "odd part" else (effect, EFFECT)
    seed, n = effect.seed, effect.n_clusters
    beside = name if random_directions.reason == DECIDED else Phrase("{name}, against random directions", name=name)
    needs = [
        Requirement(EFFECT, effect.mean(), thresholds.min_effect, "above", n, unit, effect.mean, level=effect.level),
        Requirement(beside, beyond.mean(), random, "above", n, unit, beyond.mean, level=effect.level),
        Requirement(
            ANTI,
            effect.below_zero(), thresholds.max_anti_steerable, "below", effect.n_acting, SHARE, effect.below_zero,
            level=effect.level,
        ),
    ]  # fmt: skip
    if not thresholds.allow_desired_loss:
        desired = partial(effect.side, "positive")
        needs.append(Requirement(DESIRED, desired(), 0.0, "above", n, unit, desired, True, effect.level))
    for name, drift in drifts.items():
        at = partial(_mean_of, drift.kl, seed)
        n, title = len(drift.kl), Phrase("divergence on {name} (KL)", name=name)
        limit = thresholds.max_kl
        needs.append(Requirement(title, at(drift.level), limit, "below", n, NATS, at, level=drift.level))
    return needs


def _mean_of(values: Floats, seed: int, level: float) -> Interval:
    return bootstrap_mean(values, seed=seed, level=level)


def capability_requirement(all_kinds: Capability, thresholds: Thresholds) -> Requirement | None:
    """The requirement that the capability probe loses little; None where the unsteered model cannot do it anytests."""
    change = all_kinds.change.interval
    if change is None:
        return None
    loss = Interval(-change.value, -change.high, -change.low)
    limit = thresholds.max_capability_loss
    return Requirement(Phrase("loss on the capability probe"), loss, limit, "below", all_kinds.n, SHARE)


def generated_requirements(g: Generated) -> list[Requirement]:
    """The requirements that generated text moves toward the behavior, one for each scorer that can judge it.

    Few texts by a scorer that is not sure leave much open, which by itself does not keep a success from counting.
    """
    needs = []
    by_judge = Phrase("{generated}, preferred by {judge}", generated=GENERATED, judge=g.judge)
    for name, figure, threshold, unit, level in (
        (Phrase("{generated}, by a classifier", generated=GENERATED), g.shift, 0.0, Phrase("log-odds"), g.level),
        (by_judge, g.win_rate, 0.5, SHARE, 0.95),
    ):
        if figure.interval is not None:
            needs.append(
                Requirement(
                    name, figure.interval, threshold, "above", figure.n or 0, unit, may_stay_open=True, level=level
                )
            )
    return needs


def bound(r: Requirement) -> Bound:
    """A requirement as a record."""
    i = r.interval
    return Bound(
        name=r.name, value=i.value, low=i.low, high=i.high, threshold=r.threshold, direction=r.direction,
        holds=r.holds, n=r.n, unit=r.unit,
    )  # fmt: skip


def unable(base: Base, kind: AnswerKind) -> Phrase | None:
    """Why a missing effect says nothing: the plain model answers questions as if by chance."""
    if kind == "text" or not base.accuracy_low <= 0.5 <= base.accuracy_high:
        return None
    accuracy = Interval(base.accuracy, base.accuracy_low, base.accuracy_high)
    return Phrase(
        "the unsteered model gives the matching answer in {accuracy} of the examples, no more often "
        "than by chance: it may be unable to read this form of the question; a larger model, or the "
        "behavior as free text (--view statements), would settle it",
        accuracy=bracketed(accuracy, ".0%"),
    )
