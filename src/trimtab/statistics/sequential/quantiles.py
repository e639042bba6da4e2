"""Quantiles at every look, such as the median or the 99th percentile of a latency: no moments, no bounds assumed.

Howard and Ramdas, "Sequential estimation of quantiles with applications to A/B testing and best-arm identification"
(Bernoulli 2022): how many values lie at or below the true quantile is a sum of coin tosses, and a mixture over beta
distributions bounds it at all times. Assumed: independent values of one distribution, with ties or without.
"""

from bisect import insort

import numpy as np
from scipy.special import betainc, betaln

from trimtab.errors import InputError
from trimtab.statistics.inputs import Floats, Ints
from trimtab.statistics.intervals import Interval
from trimtab.statistics.sequential.asymptotic import check_alpha, mixture_rate


def quantile_ranks(n: int | Ints, q: float, target: float, alpha: float = 0.05) -> tuple[Ints, Ints]:
    """Ranks of the values that are the ends of the interval: with these a database finds them by itself.

    Args:
        n: values so far; one number or several.
        q: which quantile, between 0 and 1.
        target: number of values at which the interval shall be narrowest.
        alpha: chance that the truth is ever left out, half of it on either side.

    Returns:
        Ranks from 1 of the lower and the upper end; rank 0 is minus infinity, rank n + 1 infinity.

    Raises:
        InputError: a number out of range.

    Example:
        >>> from trimtab.statistics.sequential import quantile_ranks
        >>> low, high = quantile_ranks(1000, q=0.5, target=1000)
        >>> int(low), int(high)
        (453, 548)
    """
    if not 0 < q < 1:
        raise InputError(f"q is {q}; give a quantile between 0 and 1, such as 0.5", code="out-of-range", field="q")
    sizes = np.asarray(n, dtype=np.int64)
    if np.any(sizes < 0):
        raise InputError("n must not be negative", code="out-of-range", field="n")
    strength = max(1 / mixture_rate(check_alpha(alpha), target) - 1, 1.0)  # so many tosses is the mixture worth
    low = _fewest(sizes, q, strength, alpha / 2)
    return low, sizes + 1 - _fewest(sizes, 1 - q, strength, alpha / 2)


def _fewest(n: Ints, p: float, strength: float, alpha: float) -> Ints:
    """The smallest count of n that leaves a chance of p or more possible, by bisection."""
    low, high = np.zeros_like(n), np.ceil(n * p).astype(np.int64)
    while np.any(low < high):
        middle = (low + high) // 2
        out = _log_evidence(middle, n, p, strength) >= -np.log(alpha)
        low, high = np.where(out, middle + 1, low), np.where(out, high, middle)
    return np.asarray(np.minimum(low, high), dtype=np.int64)


def _log_evidence(k: Ints, n: Ints, p: float, strength: float) -> Floats:
    """Log likelihood ratio of k successes: chances below p, beta(strength · p, strength · (1 − p)), over p itself."""
    a, b = strength * p, strength * (1 - p)
    with np.errstate(divide="ignore"):  # where chances below p are hopeless
        mixed = (
            betaln(a + k, b + n - k) + np.log(betainc(a + k, b + n - k, p)) - betaln(a, b) - np.log(betainc(a, b, p))
        )
    return np.asarray(mixed - k * np.log(p) - (n - k) * np.log1p(-p))


class QuantileStream:
    """A quantile of the values so far. All values are kept, in order.

    Args:
        q, target, alpha: see `quantile_ranks`.

    Example:
        >>> from trimtab.statistics.sequential import QuantileStream
        >>> latency = QuantileStream(0.5, target=200)
        >>> for k in range(200):
        ...     latency.add(k % 100)
        >>> latency.interval()
        Interval(value=49.0, low=39.0, high=60.0)
    """

    def __init__(self, q: float, target: float, alpha: float = 0.05) -> None:
        quantile_ranks(0, q, target, alpha)
        self.q, self.target, self.alpha = q, target, alpha
        self._values: list[float] = []

    def add(self, value: float) -> None:
        """One more value."""
        if not np.isfinite(value):
            raise InputError(f"value {value}: not finite", code="not-finite", field="value")
        insort(self._values, float(value))

    def interval(self) -> Interval:
        """The quantile so far and its ends; infinite while too little is known.

        Raises:
            InputError: no value yet.
        """
        n = len(self._values)
        if not n:
            raise InputError("no value yet; add one first", code="missing-value", field="value")
        low, high = (int(rank) for rank in quantile_ranks(n, self.q, self.target, self.alpha))
        value = self._values[max(int(np.ceil(n * self.q)), 1) - 1]
        return Interval(
            value, self._values[low - 1] if low else -np.inf, self._values[high - 1] if high <= n else np.inf
        )


def quantile_difference(treatment: Interval, control: Interval) -> Interval:
    """Difference of a quantile of two arms from an interval of either: lower end minus upper end, and the reverse.

    Give either arm half of the alpha; then the difference is left out with at most that alpha, whatever the arms.

    Example:
        >>> from trimtab.statistics import Interval
        >>> from trimtab.statistics.sequential import quantile_difference
        >>> quantile_difference(Interval(12.0, 11.0, 14.0), Interval(10.0, 9.0, 10.5))
        Interval(value=2.0, low=0.5, high=5.0)
    """
    return Interval(treatment.value - control.value, treatment.low - control.high, treatment.high - control.low)
