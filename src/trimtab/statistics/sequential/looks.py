"""Stopping when it is decided: a few looks at one sample of fixed size, and what counts as settled at each.

Haybittle, "Repeated assessment of results in clinical trials of cancer treatment" (British Journal of Radiology 1971);
Peto et al., "Design and analysis of randomized clinical trials requiring prolonged observation of each patient, I"
(British Journal of Cancer 1976): before the last look an answer counts only three standard errors away from the
bound; the last look is taken as if it were the only one. What that costs is measured in docs/results/stopping.md.
Rows must stand in random order, a cluster's rows together or its first before any second one.
"""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike as Array
from scipy.special import chdtri

from trimtab.errors import InputError
from trimtab.statistics.inputs import as_vector
from trimtab.statistics.intervals import student_quantile

INTERIM_LEVEL: Final = 0.9973
"""Level of the intervals that settle a requirement before the last look: three standard errors either way."""

INTERIM_MEAN_LEVEL: Final = 0.9999994
"""The same for means, five standard errors: of few rows of a skewed population three are crossed too often."""

_INTERIM_LOOKS: Final = 2
_REPORTED, _REPORTED_EARLY = 0.95, 0.97


def look_ends(n: int, size: int = 64) -> tuple[int, ...]:
    """Rows seen at each look: `size`, twice that, and all.

    A last look comes with at least half of `size` further rows; with fewer it takes the place of the one before, as
    hardly anything would be saved by stopping there.

    Args:
        n: rows in all, at least 1.
        size: rows of the first look, at least 1.

    Returns:
        Rising; the last is `n`.

    Raises:
        InputError: a number below 1.

    Example:
        >>> from trimtab.statistics.sequential import look_ends
        >>> look_ends(200), look_ends(146), look_ends(70)
        ((64, 128, 200), (64, 146), (70,))
    """
    for name, value in (("n", n), ("size", size)):
        if value < 1:
            raise InputError(f"{name} is {value}; give at least 1 row", code="out-of-range", field=name)
    interim = (size * (look + 1) for look in range(_INTERIM_LOOKS))
    return (*(end for end in interim if n - end >= max(size // 2, 1)), n)


def reported_level(look: int, n_looks: int) -> float:
    """Level at which to report intervals of the rows seen, so that they hold the truth as often as 95 % promises.

    Who stops early does so where the rows seen lie off to one side more often than not; 97 % after an interim look
    makes up for that (docs/results/stopping.md). After the last look it is 95 %.

    Args:
        look: at which it stopped, from 1.
        n_looks: planned looks.

    Raises:
        InputError: a look that is not among those planned.

    Example:
        >>> from trimtab.statistics.sequential import look_ends, reported_level
        >>> looks = len(look_ends(146))
        >>> [reported_level(look, looks) for look in (1, 2)]
        [0.97, 0.95]
    """
    if not 1 <= look <= n_looks:
        raise InputError(f"look {look} of {n_looks}; give one from 1 to the last", code="out-of-range", field="look")
    return _REPORTED if look == n_looks else _REPORTED_EARLY


def scale_limit(values: Array, level: float) -> float:
    """Upper limit of σ from normal values whose mean is known to be 0: √(Σ x² / χ²), χ² at 1 − level with k degrees.

    Such as of the mean effects of random directions, which have no sign: few of them give a high limit, and an effect
    above 1.96 times that limit is beyond what 95 % of further directions reach either way.

    Args:
        values: `[k]`, at least one.
        level: chance that the limit lies above σ, between 0 and 1; one-sided.

    Raises:
        InputError: no value, values that are not finite, or a level that is no chance.

    Example:
        >>> from trimtab.statistics.sequential import scale_limit
        >>> directions = [0.02, -0.01, 0.03, -0.02]
        >>> round(scale_limit(directions, 0.95), 3), round(scale_limit(directions * 5, 0.95), 3)
        (0.05, 0.029)
    """
    x = as_vector(values, "values")
    if not 0 < level < 1:
        raise InputError(
            f"level is {level}; give a number between 0 and 1, such as 0.95", code="out-of-range", field="level"
        )
    return float((x @ x / chdtri(len(x), level)) ** 0.5)  # chdtri takes the upper tail


def skewed_mean_limit(values: Array, level: float) -> float:
    """Upper limit of the mean of positive values with a long right tail, such as divergences of documents.

    Olsson, "Confidence intervals for the mean of a log-normal distribution" (Journal of Statistics Education 2005),
    modified Cox: exp(m + v/2 + t √(v/n + v²/(2 (n − 1)))), m and v the mean and the variance of the logarithms, t
    Student's for n − 1. A few values seldom hold one from far out in the tail, and then an interval that goes by their
    own spread ends too low; this one knows that the tail is there. Before the last look both must lie below the bound.

    Args:
        values: `[n]`, at least two.
        level: of a two-sided interval whose upper end this is.

    Returns:
        The limit; infinite where a value is not above 0, as there is no logarithm to go by.

    Raises:
        InputError: fewer than two values, values that are not finite, or a level that is no chance.

    Example:
        >>> from trimtab.statistics import bootstrap_mean
        >>> from trimtab.statistics.sequential import INTERIM_LEVEL, skewed_mean_limit
        >>> kl = [0.01, 0.01, 0.02, 0.02, 0.03, 0.03, 0.04, 0.06, 0.08, 0.12]  # nats per token
        >>> plain, tail = bootstrap_mean(kl, seed=0, level=INTERIM_LEVEL).high, skewed_mean_limit(kl, INTERIM_LEVEL)
        >>> round(plain, 2), round(tail, 2)
        (0.09, 0.15)
    """
    x = as_vector(values, "values", 2)
    t = student_quantile(level, len(x) - 1)
    if not (x > 0).all():
        return float("inf")
    logs = np.log(x)
    mean, v = logs.mean(), logs.var(ddof=1)
    return float(np.exp(mean + v / 2 + t * np.sqrt(v / len(x) + v**2 / (2 * (len(x) - 1)))))
