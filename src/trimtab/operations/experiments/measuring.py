"""From the units of both arms to a difference with its interval and its evidence, at any look.

Means and ratios: asymptotic confidence sequences, once either arm holds some units of other values than most have.
Before that an arm may have no spread at all, be it flawless or broken. Where the server measures the outcome, within
bounds that are not too wide for the margin, bets on the first request of each unit speak until then; the two share the
alpha in halves. Means of metrics with `past_days` are compared without what the units' past explains. Quantiles have
sequences of their own.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import inf, log
from typing import Final

import numpy as np

from trimtab.operations.experiments.bets import NARROW, Bets
from trimtab.operations.experiments.quantiles import quantile_measured
from trimtab.operations.experiments.series import DIFFERING as DIFFERING
from trimtab.operations.experiments.series import ArmUnits, Series, is_ratio
from trimtab.operations.experiments.wanted import Measured, Wanted
from trimtab.operations.metrics.metric import Metric
from trimtab.operations.outcomes.values import Floats, Position
from trimtab.statistics import Interval
from trimtab.statistics.sequential import (
    AsymptoticSequence,
    Estimate,
    adjusted_difference,
    difference,
    mean_estimate,
    ratio_estimate,
)

START: Final = 30  # units of the smaller arm before which an asymptotic sequence says nothing
Means = tuple[float | None, float | None]


class Measure:
    """A metric of a release, measured at every look.

    Args:
        series: of the metric.
        wanted: see `Wanted`.
    """

    def __init__(self, series: Series, wanted: Wanted) -> None:
        self.series, self.wanted = series, wanted
        self._bets, self._alpha = bets_on(wanted)

    def read(self, until: Position | None = None) -> None:
        """Read what is new, up to a position; by default all.

        Raises:
            TrimtabError: the store cannot be read.
        """
        self.series.read(until)

    @property
    def now(self) -> Measured:
        """As far as it was read; the same whenever and in how many steps it was read."""
        metric, arms = self.wanted.metric, (self.series.arm(False), self.series.arm(True))
        if metric.kind == "quantile":
            return quantile_measured(arms, self.wanted)
        estimates = estimate(arms[0], metric), estimate(arms[1], metric)
        differs = all(arm.differs for arm in arms)
        means = _value(estimates[0]), _value(estimates[1])
        if self._bets is not None and not differs:
            return betted(self._bets, (arms[0].firsts, arms[1].firsts), means)
        found = difference(estimates[1], estimates[0])
        plain, removed = float(found.error), None
        if metric.past_days is not None:
            control, treatment = arms
            found = adjusted_difference(treatment.pairs, control.pairs, (treatment.without, control.without))
            removed = 1 - (float(found.error) / plain) ** 2 if plain > 0 else 0.0
        measured = asymptotic(found, self.wanted, self._alpha, means, differs=differs, shared=self._bets is not None)
        return replace(measured, removed=removed)


def bets_on(wanted: Wanted) -> tuple[Bets | None, float]:
    """Bets on a metric, where it can be bet on, and the alpha that is left for an asymptotic sequence.

    Bets are on means that the server measures within bounds that are not too wide for the margin; then the two share
    the alpha in halves.
    """
    metric = wanted.metric
    wide = inf if metric.bounds is None else metric.bounds[1] - metric.bounds[0]
    if metric.is_final and metric.kind == "mean" and wide <= NARROW * wanted.margin:
        return Bets(wanted, wanted.alpha / 2), wanted.alpha / 2
    return None, wanted.alpha


def betted(bets: Bets, firsts: tuple[Sequence[float], Sequence[float]], means: Means) -> Measured:
    """What bets say, of the first requests of control's and treatment's units."""
    bets.take(firsts)
    harm, better = (one - log(2) for one in bets.evidence)
    return Measured(*means, bets.interval, harm, better, "betting", bets.smallest)


def asymptotic(found: Estimate, wanted: Wanted, alpha: float, means: Means, *, differs: bool, shared: bool) -> Measured:
    """What an asymptotic sequence says.

    Args:
        found: treatment minus control.
        wanted: see `Wanted`.
        alpha: of either end.
        means: of control and treatment.
        differs: whether enough units of both arms have another value than most.
        shared: whether bets have the other half of the alpha.
    """
    if not differs:
        unknown = Interval(float(found.value), -inf, inf)
        return Measured(*means, unknown, 0.0, 0.0, "asymptotic", int(found.smallest), differs=False)
    of = {side: AsymptoticSequence(wanted.decide_by, alpha, side, START) for side in (wanted.harm, wanted.good)}
    if wanted.two_sided:
        interval = AsymptoticSequence(wanted.decide_by, 2 * alpha, "both", START).interval(found)
    else:
        ends = of["lower"].interval(found).low, of["upper"].interval(found).high
        interval = Interval(float(found.value), *ends)
    half = log(2) if shared else 0.0
    harm = float(of[wanted.harm].log_e_value(found, wanted.beyond)) - half
    better = float(of[wanted.good].log_e_value(found, 0.0)) - half
    return Measured(*means, interval, harm, better, "asymptotic", int(found.smallest))


def estimate(arm: ArmUnits, metric: Metric) -> Estimate:
    """A mean or ratio of an arm."""
    return ratio_estimate(arm.pairs) if is_ratio(metric) else mean_estimate(arm.pairs.y.merge(arm.without))


def differing(values: Floats) -> int:
    """How many values are others than the most frequent one; what differs by rounding alone is the same."""
    if not len(values):
        return 0
    return len(values) - int(np.unique(np.round(values, 9), return_counts=True)[1].max())


def _value(found: Estimate) -> float | None:
    return float(found.value) if np.isfinite(found.value) else None
