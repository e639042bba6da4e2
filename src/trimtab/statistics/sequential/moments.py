"""What sequences keep of units: counts, means and sums of squares, brought up to date in a few operations.

Welford's update (1962), Chan, Golub and LeVeque's merge (1983). A unit with several requests counts once, by its mean
or by a pair of sums; when it comes back, `replace` puts its new value in the place of the old one. All fields may be
arrays of the same shape, such as all steps of a simulated path.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from trimtab.errors import InputError
from trimtab.statistics.inputs import Floats

Real = float | Floats
"""A number, or an array of them: one for each step of a path."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Count, mean and squared deviations of units.

    Args:
        n: units.
        mean: of their values.
        m2: sum of the squared deviations from the mean.

    Example:
        >>> from trimtab.statistics.sequential import Moments
        >>> m = Moments().add(1.0).add(3.0)
        >>> m.n, m.mean, float(m.variance), m.replace(3.0, 5.0).mean
        (2.0, 2.0, 2.0, 3.0)
    """

    n: Real = 0.0
    mean: Real = 0.0
    m2: Real = 0.0

    @property
    def variance(self) -> Real:
        """Variance of a unit's value, with n − 1; 0 below two units."""
        return np.maximum(self.m2, 0.0) / np.maximum(self.n - 1, 1)

    def add(self, value: float) -> "Moments":
        """With one more unit.

        Raises:
            InputError: the value is NaN or infinite.
        """
        _finite(value)
        mean = self.mean + (value - self.mean) / (self.n + 1)
        return Moments(self.n + 1, mean, self.m2 + (value - self.mean) * (value - mean))

    def replace(self, old: float, new: float) -> "Moments":
        """With another value for a unit that is counted already.

        Raises:
            InputError: nothing is counted yet, or a value is NaN or infinite.
        """
        _finite(old, new)
        if not np.all(np.asarray(self.n) >= 1):
            raise InputError("no unit to replace: add one first", code="missing-value", field="old")
        mean = self.mean + (new - old) / self.n
        return Moments(self.n, mean, self.m2 + (new - old) * ((new - mean) + (old - self.mean)))

    def merge(self, other: "Moments") -> "Moments":
        """Of both groups of units."""
        n = np.maximum(self.n + other.n, 1)
        apart = other.mean - self.mean
        m2 = self.m2 + other.m2 + apart**2 * self.n * other.n / n
        return Moments(self.n + other.n, self.mean + apart * other.n / n, m2)

    @classmethod
    def path(cls, values: Floats, counted: Floats | None = None) -> Self:
        """Moments after each of the values, for simulations.

        Args:
            values: `[..., T]`.
            counted: 1 for values that count and 0 for others (units of another arm), `[..., T]`; default all.
        """
        origin, one = _centred(values, counted)
        n, total, squares = (np.cumsum(x, axis=-1) for x in (one, origin * one, origin**2 * one))
        mean = total / np.maximum(n, 1)
        return cls(n, mean + _origin(values), np.maximum(squares - n * mean**2, 0.0))


@dataclass(frozen=True, eq=False)
class PairMoments:
    """Moments of two values of each unit, and their products: for ratios and for adjustment by the past.

    Args:
        y: of the outcome (or numerator).
        x: of the covariate (or denominator).
        cross: sum of the products of both deviations.

    Example:
        >>> from trimtab.statistics.sequential import PairMoments
        >>> p = PairMoments().add(1.0, 2.0).add(3.0, 6.0)
        >>> p.y.mean, p.x.mean, p.cross
        (2.0, 4.0, 4.0)
    """

    y: Moments = Moments()
    x: Moments = Moments()
    cross: Real = 0.0

    def add(self, y: float, x: float) -> "PairMoments":
        """With one more unit."""
        more = self.x.add(x)
        return PairMoments(self.y.add(y), more, self.cross + (y - self.y.mean) * (x - more.mean))

    def replace(self, old: tuple[float, float], new: tuple[float, float]) -> "PairMoments":
        """With another pair `(y, x)` for a unit that is counted already."""
        y, x = (m.replace(a, b) for m, a, b in zip((self.y, self.x), old, new, strict=True))
        before = (old[0] - self.y.mean) * (old[1] - self.x.mean)
        after = (new[0] - self.y.mean) * (new[1] - self.x.mean)
        shift = y.n * (y.mean - self.y.mean) * (x.mean - self.x.mean)
        return PairMoments(y, x, self.cross + after - before - shift)

    def merge(self, other: "PairMoments") -> "PairMoments":
        """Of both groups of units."""
        n = np.maximum(self.y.n + other.y.n, 1)
        apart = (other.y.mean - self.y.mean) * (other.x.mean - self.x.mean) * self.y.n * other.y.n / n
        return PairMoments(self.y.merge(other.y), self.x.merge(other.x), self.cross + other.cross + apart)

    @classmethod
    def path(cls, y: Floats, x: Floats, counted: Floats | None = None) -> Self:
        """Moments after each of the pairs, for simulations; all `[..., T]`, see `Moments.path`."""
        first, second = Moments.path(y, counted), Moments.path(x, counted)
        (dy, one), (dx, _) = _centred(y, counted), _centred(x, counted)
        products = np.cumsum(dy * dx * one, axis=-1)
        return cls(first, second, products - first.n * (first.mean - _origin(y)) * (second.mean - _origin(x)))


def _origin(values: Floats) -> Floats:
    """The first value of each path `[..., 1]`: sums of squares lose no digits to a far mean."""
    return np.asarray(values, dtype=np.float64)[..., :1]


def _centred(values: Floats, counted: Floats | None) -> tuple[Floats, Floats]:
    """Values without their origin, and which count."""
    moved = np.asarray(values, dtype=np.float64) - _origin(values)
    if not np.isfinite(moved).all():
        raise InputError("values: NaN or infinity; drop or recompute them", code="not-finite", field="values")
    return moved, np.ones_like(moved) if counted is None else np.asarray(counted, dtype=np.float64)


def _finite(*values: float) -> None:
    if not all(np.isfinite(v) for v in values):
        raise InputError(f"{values}: not finite; drop or recompute the unit", code="not-finite", field="value")
