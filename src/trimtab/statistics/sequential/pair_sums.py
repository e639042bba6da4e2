"""Moments of units that come, change and go, kept as sums without rounding: nothing is known of a single unit."""

from fractions import Fraction

import numpy as np

from trimtab.statistics.exact import Parts, products, summed
from trimtab.statistics.inputs import Floats
from trimtab.statistics.sequential.moments import Moments, PairMoments


class PairSums:
    """Sums of two values of each unit, of their squares and of their product.

    The same units give the same moments to the last bit, in whatever order they came and however often they changed.

    Example:
        >>> import numpy as np
        >>> from trimtab.statistics.sequential import PairSums
        >>> sums = PairSums()
        >>> sums.add(np.array([0.25, 0.75]), np.array([1.0, 2.0]))
        >>> sums.add(np.array([0.7]), np.array([5.0]))
        >>> sums.remove(np.array([0.7]), np.array([5.0]))
        >>> sums.moments.y.mean, sums.moments.cross
        (0.5, 0.25)
    """

    def __init__(self) -> None:
        self.n = 0
        self._sums: dict[str, Parts] = dict.fromkeys(("y", "x", "yy", "xx", "xy"), ())

    def add(self, y: Floats, x: Floats) -> None:
        """More units.

        Args:
            y, x: of each, `[n]`, finite.
        """
        self._take(y, x, 1)

    def remove(self, y: Floats, x: Floats) -> None:
        """Units that were added, as they were then.

        Args:
            y, x: of each, `[n]`.
        """
        self._take(y, x, -1)

    @property
    def moments(self) -> PairMoments:
        """Of the units that are there."""
        if not self.n:
            return PairMoments()
        y, x, yy, xx, xy = (sum(map(Fraction, parts), Fraction()) for parts in self._sums.values())
        n = float(self.n)
        return PairMoments(
            Moments(n, float(y / self.n), float(yy - y * y / self.n)),
            Moments(n, float(x / self.n), float(xx - x * x / self.n)),
            float(xy - x * y / self.n),
        )

    def _take(self, y: Floats, x: Floats, sign: int) -> None:
        self.n += sign * len(y)
        if not len(y):
            return
        for name, values in (
            ("y", y), ("x", x), ("yy", products(y, y)), ("xx", products(x, x)), ("xy", products(y, x)),
        ):  # fmt: skip
            self._sums[name] = summed(self._sums[name], (sign * np.asarray(values)).tolist())
