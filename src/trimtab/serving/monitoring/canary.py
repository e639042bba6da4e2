"""Canary: the rows of a check, scored again on the live engine, row by row against what the check saw.

Rows, model and steering are the same each time, so a look repeats a computation and draws nothing: an unchanged server
gives one answer, however often it is asked, and looking costs no confidence. What is uncertain is how the rows stand
for others like them; that is what the intervals are about, and it is paid for once for each steering that is looked at:
the k-th gets α/(k(k + 1)) of the chance α of any false "worse".
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

import numpy as np

from trimtab.interventions import AnswerScore
from trimtab.serving.monitoring.checked import Checked
from trimtab.statistics import Interval, correlation, square_and_add
from trimtab.statistics.contrast import Contrast, Flags
from trimtab.statistics.inputs import Floats

CanaryVerdict = Literal["as checked", "worse than checked", "inconclusive"]
_NAMED: Final = 20  # rows that are named


@dataclass(frozen=True)
class CanaryRun:
    """A look.

    Args:
        verdict: see `compared`.
        reason: why, in words.
        effect: mean over the rows now; the unit is the check's.
        anti_steerable: share of rows pushed the wrong way now, of those that the steering acts on.
        change: of the mean effect since the check, on the same rows.
        anti_change: of the share.
        margin, anti_margin: how much worse either may become: from the check's figure to the worse end of its interval.
        base_change: mean absolute change of the plain model's propensities; rounding alone if it is the same model.
        known_risk: rows that the check saw pushed the wrong way beyond rounding.
        still: how many of them are now.
        new_risk: where the rows stand that are pushed the wrong way now and were not then; the first 20.
        n: rows.
        acts: share of them that the steering acts on now; None where it leaves none alone.
        acts_then: the same in the check.
        projections: by attribute, by site, κ of one answer of each question: a reference for live ones.
    """

    verdict: CanaryVerdict
    reason: str
    effect: Interval
    anti_steerable: Interval
    change: Interval
    anti_change: Interval
    margin: float
    anti_margin: float
    base_change: float
    known_risk: int
    still: int
    new_risk: tuple[str, ...]
    n: int
    acts: Interval | None = None
    acts_then: Interval | None = None
    projections: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)

    @property
    def record(self) -> dict[str, Any]:
        """As plain values, without the projections."""
        return {name: value for name, value in asdict(self).items() if name != "projections"}


def level_of(k: int, alpha: float) -> float:
    """Confidence level of the k-th steering that is looked at, from 1 on."""
    return 1 - alpha / (k * (k + 1))


def compared(checked: Checked, scores: Sequence[AnswerScore], level: float = 0.95) -> CanaryRun:
    """What a look comes to.

    *Worse than checked*: the change since the check lies beyond the margin with its whole interval, of the mean effect
    or of the anti-steerable share. *As checked*: both lie within, or no row moved by more than rounding.
    *Inconclusive*: anything else, and wherever the plain model scores the rows otherwise than then by more than the
    margin.

    Args:
        checked: the check.
        scores: of `checked.texts`.
        level: of each interval of a change.
    """
    gains = np.array([score.gain for score in scores])
    base = np.array([score.base / score.n_tokens for score in scores])
    positive, negative = gains[0::2], gains[1::2]
    live, before = checked.contrast(positive, negative, _acting(scores)), checked.before
    moved = checked.contrast(positive - checked.positive, negative - checked.negative)
    same = bool(np.abs(moved.rows).max() <= checked.largest_noise)
    change, anti_change = _changes(before, live, moved, level, same)
    margin = checked.effect.value - checked.effect.low
    anti_margin = checked.anti_steerable.high - checked.anti_steerable.value
    base_change = float(np.abs(base[0::2] - base[1::2] - checked.base).mean())
    told = base_change, margin, same, change, anti_change, anti_margin
    verdict, reason = _verdict(checked.unit, *told)
    now, then = (c.rows < -checked.noise for c in (live, before))
    paired = checked.pairing == "natural"
    return CanaryRun(
        verdict, reason, live.mean(), live.below_zero(), change, anti_change, margin, anti_margin, base_change,
        known_risk=int(then.sum()) if paired else 0,
        still=int((then & now).sum()) if paired else 0,
        new_risk=_sources(checked, now & ~then)[:_NAMED] if paired else (),
        n=len(live.rows),
        acts=live.acts(),
        acts_then=before.acts(),
        projections=_reference(checked, scores),
    )  # fmt: skip


def _acting(scores: Sequence[AnswerScore]) -> tuple[Flags, Flags] | None:
    """Where the steering acts now, of either answer; None where it leaves none alone."""
    acts = np.array([score.acts for score in scores])
    return None if acts.all() else (acts[0::2], acts[1::2])


def _changes(before: Contrast, live: Contrast, moved: Contrast, level: float, same: bool) -> tuple[Interval, Interval]:
    """Of the mean effect and of the anti-steerable share, with intervals over the clusters."""
    old, new = before.below_zero(level), live.below_zero(level)
    if same:
        mean, share = float(moved.rows.mean()), new.value - old.value
        return Interval(mean, mean, mean), Interval(share, share, share)
    correlated = 0.0
    if live.pairing == "natural":
        both = before.acted_on[0] & live.acted_on[0]  # rows in both shares
        if both.any():
            labels = np.array(live.clusters)[both]
            correlated = correlation(before.rows[both] < 0, live.rows[both] < 0, labels)
    return moved.mean(level), square_and_add(old, new, correlated)


def _verdict(
    unit: str, base_change: float, margin: float, same: bool, change: Interval, anti: Interval, anti_margin: float
) -> tuple[CanaryVerdict, str]:
    moved = f"the mean effect changed by {_plus(change)} {unit} (margin {margin:.3g})"
    if base_change > margin:
        return "inconclusive", (
            f"the plain model scores these rows otherwise than in the check (by {base_change:.3g} {unit} on average): "
            "its weights, dtype or chat template are others, or the rows were turns of a chat, which checks of earlier "
            "versions did not keep"
        )
    if same:
        return "as checked", "no row moved by more than rounding"
    if change.high < -margin:
        return "worse than checked", moved
    share = f"of the rows acted on, the share pushed the wrong way changed by {_plus(anti)} (margin {anti_margin:.3g})"
    if anti.low > anti_margin:
        return "worse than checked", share
    if change.low > -margin and anti.high < anti_margin:
        return "as checked", f"{moved}; {share}"
    return "inconclusive", f"{moved}; {share}"


def _plus(i: Interval) -> str:
    return f"{i.value:+.3g} [{i.low:+.3g}, {i.high:+.3g}]"


def _sources(checked: Checked, rows: Floats | np.ndarray[Any, Any]) -> tuple[str, ...]:
    examples = [checked.examples[i] for i in np.flatnonzero(rows)]
    return tuple(example.source or example.prompt[:60] or example.positive[:60] for example in examples)


def _reference(checked: Checked, scores: Sequence[AnswerScore]) -> dict[str, dict[str, list[float]]]:
    """One value for each cluster, of the positive and the negative answer in turn."""
    found: dict[str, dict[str, list[float]]] = {}
    first = dict(reversed([(cluster, i) for i, cluster in enumerate(checked.clusters)]))
    for k, i in enumerate(sorted(first.values())):
        for attribute, by_site in scores[2 * i + k % 2].projections.items():
            for site, value in by_site.items():
                found.setdefault(attribute, {}).setdefault(site, []).append(value)
    return found
