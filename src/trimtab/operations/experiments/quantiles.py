"""A quantile of both arms, of one value a unit: that of its first request, or the mean of its requests."""

from math import inf, log
from typing import Final

import numpy as np

from trimtab.operations.experiments.series import ArmUnits
from trimtab.operations.experiments.wanted import UNKNOWN, Measured, Wanted
from trimtab.operations.metrics.metric import Metric
from trimtab.operations.outcomes.values import Floats
from trimtab.statistics import Interval
from trimtab.statistics.sequential import quantile_difference, quantile_ranks

_NONE: Final = -50.0  # log evidence that stands for none


def quantile_measured(arms: tuple[ArmUnits, ArmUnits], wanted: Wanted) -> Measured:
    """A quantile as it stands.

    Intervals of quantiles have no e-value of their own. Evidence is all or none: it shows what it is evidence of, among
    all metrics that are watched, where the interval at this metric's part of the alpha does.

    Args:
        arms: control and treatment.
        wanted: see `Wanted`.
    """
    metric = wanted.metric
    values = [_of_units(arm, metric) for arm in arms]
    smallest = min(map(len, values))
    control, treatment = (_at(one, metric) for one in values)
    if not smallest:
        return Measured(control, treatment, UNKNOWN, 0.0, 0.0, "quantile", 0)
    part = wanted.alpha / wanted.of
    strict = _apart(values, wanted, part)
    up = wanted.harm == "lower"
    harm = strict.low > wanted.beyond if up else strict.high < wanted.beyond
    good = strict.high < 0 if up else strict.low > 0
    harmful, better = (-log(part) if shown else _NONE for shown in (harm, good))
    return Measured(control, treatment, _apart(values, wanted, wanted.alpha), harmful, better, "quantile", smallest)


def _of_units(arm: ArmUnits, metric: Metric) -> Floats:
    """In their order."""
    return np.sort(np.array(arm.firsts)) if metric.per == "request" and len(arm.firsts) else arm.ordered


def _apart(values: list[Floats], wanted: Wanted, alpha: float) -> Interval:
    """Treatment minus control; `alpha` is that of either end, of which either arm has half."""
    control, treatment = (_interval(one, wanted, alpha) for one in values)
    return quantile_difference(treatment, control)


def _interval(values: Floats, wanted: Wanted, alpha: float) -> Interval:
    n, q = len(values), wanted.metric.q
    assert q is not None
    low, high = (int(rank) for rank in quantile_ranks(n, q, wanted.decide_by / 2, alpha))
    ends = float(values[low - 1]) if low else -inf, float(values[high - 1]) if high <= n else inf
    return Interval(float(values[_rank(n, q)]), *ends)


def _at(values: Floats, metric: Metric) -> float | None:
    assert metric.q is not None
    return float(values[_rank(len(values), metric.q)]) if len(values) else None


def _rank(n: int, q: float) -> int:
    return max(int(np.ceil(n * q)), 1) - 1
