"""Stopping when it is decided: a few looks at one sample of fixed size, and what counts as settled at each.

Haybittle, "Repeated assessment of results in clinical trials of cancer treatment" (British Journal of Radiology 1971);
Peto et al., "Design and analysis of randomized clinical trials requiring prolonged observation of each patient, I"
(British Journal of Cancer 1976): before the last look an answer counts only three standard errors away from the
bound; the last look is taken as if it were the only one. What that costs is measured in docs/results/stopping.md.
Rows must stand in random order, a cluster's rows together or its first before any second one.
"""

from typing import Final

from numpy.typing import ArrayLike as Array
from scipy.special import chdtri

from trimtab.errors import InputError
from trimtab.statistics.inputs import as_vector

INTERIM_LEVEL: Final = 0.9973
"""Level of the intervals that settle a requirement before the last look: three standard errors either way."""

_INTERIM_LOOKS: Final = 2


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
