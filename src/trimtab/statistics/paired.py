"""Differences between two figures measured on the same clusters: before and after, old and new.

Sources: Newcombe 1998 (differences of paired shares, method 10), Zou and Donner 2008 (square and add).
"""

from math import sqrt

import numpy as np
from numpy.typing import ArrayLike as Array

from trimtab.errors import InputError
from trimtab.statistics.inputs import as_vector, cluster_codes
from trimtab.statistics.intervals import Interval, wilson


def paired_change(before: Array, after: Array, level: float = 0.95) -> Interval:
    """Share right after minus share right before, with Newcombe's interval for paired data (1998, method 10).

    Wilson's intervals of both shares, put together by their correlation; it keeps its level where few items change.

    Args:
        before, after: whether each item is right, [n], independent items.
        level: of confidence.

    Example:
        >>> from trimtab.statistics import paired_change
        >>> change = paired_change(before=[1, 1, 1, 0], after=[1, 1, 0, 0])
        >>> change.value, change.low < 0 < change.high
        (-0.25, True)
    """
    a, b = as_vector(before, "before"), as_vector(after, "after")
    if len(a) != len(b):
        raise InputError(f"{len(a)} items before and {len(b)} after; give the same items")
    if not (np.isin(a, (0.0, 1.0)).all() and np.isin(b, (0.0, 1.0)).all()):
        raise InputError("items must be right (1) or wrong (0)")
    first, second = (wilson(float(x.sum()), len(x), level) for x in (a, b))
    i = square_and_add(first, second, correlation(a, b))
    return Interval(i.value, max(-1.0, i.low), min(1.0, i.high))


def correlation(before: Array, after: Array, clusters: Array | None = None) -> float:
    """Newcombe's φ of two shares over the same rows, with his continuity correction; 0 where one is constant.

    Args:
        before, after: flags, [n].
        clusters: question or template of each row; the sums of `flag − share` over these are correlated.

    Example:
        >>> from trimtab.statistics import correlation
        >>> correlation([1, 1, 0, 0], [1, 1, 0, 0])  # with the continuity correction
        0.5
    """
    a, b = as_vector(before, "before"), as_vector(after, "after")
    code = cluster_codes(clusters, len(a), 1)
    first, second = (np.bincount(code, weights=x - x.mean()) for x in (a, b))  # [U] each
    scale, product = sqrt(float(first @ first) * float(second @ second)), float(first @ second)
    corrected = max(product - 0.5, 0.0) if product > 0 else product
    return max(corrected / scale, -1.0) if scale > 0 else 0.0


def square_and_add(old: Interval, new: Interval, correlated: float = 0.0) -> Interval:
    """Interval of new − old from an interval of either.

    With symmetric intervals of half widths h and no correlation: the difference ± √(h² + h′²).

    Args:
        old, new: estimates whose ends are of the same level.
        correlated: correlation of the two estimates; 0 for independent ones.

    Example:
        >>> from trimtab.statistics import square_and_add, Interval
        >>> square_and_add(Interval(1, 0.7, 1.3), Interval(2, 1.6, 2.4))  # 0.5² = 0.3² + 0.4²
        Interval(value=1, low=0.5, high=1.5)
    """
    value = new.value - old.value
    below, above = max(new.value - new.low, 0.0), max(new.high - new.value, 0.0)
    old_below, old_above = max(old.value - old.low, 0.0), max(old.high - old.value, 0.0)
    down = below**2 + old_above**2 - 2 * correlated * below * old_above
    up = above**2 + old_below**2 - 2 * correlated * above * old_below
    return Interval(value, value - sqrt(max(down, 0.0)), value + sqrt(max(up, 0.0)))
