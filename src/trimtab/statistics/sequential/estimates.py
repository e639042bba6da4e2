"""Estimates of metrics from the moments of units, with their standard errors: what a sequence is drawn around.

Means, ratios by the delta method (Deng, Knoblich and Lu 2018), differences of two arms, and differences adjusted by
what is known of a unit from before (CUPED, Deng et al. 2013; the pooled slope of a regression of outcome on covariate).
Units are independent; within a unit requests may depend on each other as they like.
"""

from dataclasses import dataclass

import numpy as np

from trimtab.statistics.sequential.moments import Moments, PairMoments, Real


@dataclass(frozen=True, eq=False)
class Estimate:
    """An estimate and how far it can be trusted.

    Args:
        value: in the metric's units; not a number where there is no unit.
        error: standard error.
        units: that it rests on; of a difference: units of two arms of equal size that would be as precise.
        smallest: units of the smaller arm, or all where there is one.

    Example:
        >>> from trimtab.statistics.sequential import Moments, mean_estimate
        >>> estimate = mean_estimate(Moments(100, 0.5, 99.0))
        >>> float(estimate.value), float(estimate.error)
        (0.5, 0.1)
    """

    value: Real
    error: Real
    units: Real
    smallest: Real


def mean_estimate(units: Moments) -> Estimate:
    """The mean over units.

    Args:
        units: moments of the units' values: of a unit with several requests, of its mean.

    Example:
        >>> from trimtab.statistics.sequential import Moments, mean_estimate
        >>> float(mean_estimate(Moments(4, 1.0, 12.0)).error)  # variance 4, four units
        1.0
    """
    n = np.asarray(units.n)
    value = np.where(n > 0, units.mean, np.nan)
    return Estimate(value, np.sqrt(units.variance / np.maximum(n, 1)), units.n, units.n)


def ratio_estimate(units: PairMoments) -> Estimate:
    """A ratio of sums, such as clicks (y) over answers (x), with its error by the delta method.

    Args:
        units: moments of numerator and denominator of each unit.

    Returns:
        Σy/Σx; not a number, with an error of 0, where the denominators sum to 0.

    Example:
        >>> from trimtab.statistics.sequential import PairMoments, ratio_estimate
        >>> float(ratio_estimate(PairMoments().add(1, 2).add(2, 4).add(3, 4)).value)
        0.6
    """
    y, x = units.y, units.x
    some = np.asarray(x.mean) != 0
    below = np.where(some, x.mean, 1.0)
    ratio = y.mean / below
    left = np.maximum(y.m2 - 2 * ratio * units.cross + ratio**2 * x.m2, 0.0)  # of y − ratio · x, squared and summed
    error = np.sqrt(left / np.maximum(y.n - 1, 1) / np.maximum(y.n, 1)) / np.abs(below)
    return Estimate(np.where(some, ratio, np.nan), np.where(some, error, 0.0), y.n, y.n)


def difference(treatment: Estimate, control: Estimate) -> Estimate:
    """Treatment minus control, of two estimates of different units.

    `units` grows as 1/error², so that the sequence stays valid when the shares of the arms change by stage: the
    difference is then a Brownian motion in that time, whatever the path of the two counts (as long as the shares are
    not chosen by the outcomes, other than by the difference itself: Jennison and Turnbull 2001).

    Example:
        >>> from trimtab.statistics.sequential import Moments, difference, mean_estimate
        >>> arms = [mean_estimate(Moments(50, mean, 49.0)) for mean in (0.7, 0.5)]
        >>> estimate = difference(*arms)
        >>> round(float(estimate.value), 3), float(estimate.error), float(estimate.units)
        (0.2, 0.2, 100.0)
    """
    squares = [arm.error**2 for arm in (treatment, control)]  # of the two errors
    spread = treatment.units * squares[0] + control.units * squares[1]  # of a unit of either arm, summed
    total = squares[0] + squares[1]
    units = np.where(total > 0, 2 * spread / np.where(total > 0, total, 1.0), 0.0)
    smallest = np.minimum(treatment.smallest, control.smallest)
    return Estimate(treatment.value - control.value, np.sqrt(total), units, smallest)


def adjusted_difference(
    treatment: PairMoments, control: PairMoments, without: tuple[Moments, Moments] = (Moments(), Moments())
) -> Estimate:
    """Difference of means without what the units' past explains.

    Treatment minus control of `y − θx` with the pooled slope θ. Chance differences of the past leave the estimate, and
    its error shrinks by √(1 − r²), r the correlation of past and outcome. A unit without a past takes the mean past of
    all others, whichever arm has it. Only the errors made in estimating θ and that mean, times differences that vanish,
    are added, so a sequence drawn around it is valid in the same asymptotic sense.

    Args:
        treatment, control: outcome y and covariate x of each unit with a past. x must be known before the unit's first
            exposure (the same metric of an earlier week).
        without: outcomes of the units without a past, of treatment and of control.

    Example:
        >>> from trimtab.statistics.sequential import PairMoments, adjusted_difference
        >>> control, treatment = PairMoments(), PairMoments()
        >>> for past in (1.0, 2.0, 3.0):
        ...     control, treatment = control.add(past, past), treatment.add(past + 1.5, past + 1)
        >>> float(adjusted_difference(treatment, control).value)  # of the 1.5 the past explains 1
        0.5
    """
    usual = treatment.x.merge(control.x).mean
    arms = [
        arm.merge(PairMoments(others, Moments(others.n, usual)))
        for arm, others in zip((treatment, control), without, strict=True)
    ]
    below = np.asarray(arms[0].x.m2 + arms[1].x.m2)
    slope = np.where(below > 0, (arms[0].cross + arms[1].cross) / np.where(below > 0, below, 1.0), 0.0)

    def left(arm: PairMoments) -> Estimate:
        m2 = arm.y.m2 - 2 * slope * arm.cross + slope**2 * arm.x.m2
        return mean_estimate(Moments(arm.y.n, arm.y.mean - slope * arm.x.mean, m2))

    return difference(left(arms[0]), left(arms[1]))
