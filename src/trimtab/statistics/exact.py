"""Sums without rounding: what is added and later taken away leaves nothing behind, in whatever order it came.

A sum is kept as floats that do not overlap (Shewchuk 1997, "Adaptive precision floating-point arithmetic and fast
robust geometric predicates"), products as two floats without error (Dekker 1971, Veltkamp's splitting).
"""

from collections.abc import Iterable
from math import fsum
from typing import Final

import numpy as np

from trimtab.statistics.inputs import Floats

Parts = tuple[float, ...]
"""Floats whose sum is meant, the largest first: the first is the sum correctly rounded."""
_SPLITTER: Final = 134_217_729.0  # 2^27 + 1


def summed(parts: Parts, values: Iterable[float]) -> Parts:
    """A sum and more values, without rounding.

    Args:
        parts: of the sum so far; `()` is 0.
        values: finite.

    Example:
        >>> from trimtab.statistics.exact import summed
        >>> summed(summed((), [0.1, 1e20]), [-1e20])
        (0.1,)
    """
    rest: list[float] = [*parts, *values]
    found: list[float] = []
    if len(rest) == 1:
        return (rest[0],) if rest[0] else ()
    while (one := fsum(rest)) != 0.0:
        found.append(one)
        rest.append(-one)
    return tuple(found)


def products(a: Floats, b: Floats) -> Floats:
    """Products as values to be summed: each rounded, and what rounding left, `[2 n]`; of sizes from 1e-140 to 1e140.

    Example:
        >>> import numpy as np
        >>> from trimtab.statistics.exact import products, summed
        >>> third = np.array([1 / 3])
        >>> summed((), products(third, third))[0] == 1 / 9
        False
    """
    product = a * b
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
    left = a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)
    return np.concatenate([product, left])


def _halves(x: Floats) -> tuple[Floats, Floats]:
    moved = _SPLITTER * x
    high = moved - (moved - x)
    return high, x - high
