"""The change of a share of right answers, measured on the same items before and after."""

from math import sqrt

import numpy as np
from numpy.typing import ArrayLike as Array

from trimtab.errors import InputError
from trimtab.reliability.geometry import as_vector
from trimtab.reliability.intervals import Interval, wilson


def paired_change(before: Array, after: Array, level: float = 0.95) -> Interval:
    """Share right after minus share right before, with Newcombe's interval for paired data (1998, method 10).

    Wilson's intervals of both shares, put together by their correlation; it keeps its level where few items change.

    Args:
        before, after: whether each item is right, [n], independent items.
        level: of confidence.
    """
    a, b = as_vector(before, "before"), as_vector(after, "after")
    if len(a) != len(b):
        raise InputError(f"{len(a)} items before and {len(b)} after; give the same items")
    if not (np.isin(a, (0.0, 1.0)).all() and np.isin(b, (0.0, 1.0)).all()):
        raise InputError("items must be right (1) or wrong (0)")
    n = len(a)
    both, neither = float((a * b).sum()), float(((1 - a) * (1 - b)).sum())
    lost, gained = float((a * (1 - b)).sum()), float(((1 - a) * b).sum())
    of_a, of_b = wilson(both + lost, n, level), wilson(both + gained, n, level)
    agree = both * neither - lost * gained
    margins = (both + lost) * (gained + neither) * (both + gained) * (lost + neither)
    phi = (max(agree - n / 2, 0.0) if agree > 0 else agree) / sqrt(margins) if margins else 0.0
    down, up = (
        sqrt(x**2 - 2 * phi * x * y + y**2)
        for x, y in ((of_b.value - of_b.low, of_a.high - of_a.value), (of_b.high - of_b.value, of_a.value - of_a.low))
    )
    value = (gained - lost) / n
    return Interval(value, max(-1.0, value - down), min(1.0, value + up))
