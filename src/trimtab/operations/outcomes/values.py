"""Values of a metric as arrays, and their sums by unit and arm."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Position:
    """How far a reader has read: the numbers of the last exposure and of the last outcome.

    Example:
        >>> from trimtab.operations import Position
        >>> Position()
        Position(exposures=0, outcomes=0)
    """

    exposures: int = 0
    outcomes: int = 0


@dataclass(frozen=True)
class Values:
    """What was added to a metric since a position, request by request.

    Args:
        unit: `[n]` of each value, hashed.
        treated: `[n]` whether its arm is treatment.
        value: `[n]` within the metric's bounds.
        sign: `[n]` 1 for a value that came, -1 for one that counts no more, since a later one takes its place.
        position: from which to read on.
        left_out: how many were not counted, by reason; also how many were cut to the bounds (`beyond the bounds`).
        exposure: `[n]` number of each value's exposure.

    Example:
        >>> import numpy as np
        >>> from trimtab.operations import Position, Values
        >>> Values(np.array(["a"]), np.array([True]), np.array([0.5]), np.array([1]), Position(1, 0)).sums().total
        array([0.5])
    """

    unit: NDArray[np.str_]
    treated: NDArray[np.bool_]
    value: Floats
    sign: NDArray[np.int64]
    position: Position
    left_out: Mapping[str, int] = field(default_factory=dict)
    exposure: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def sums(self) -> "UnitSums":
        """By unit and arm."""
        n = self.sign.astype(np.float64)
        columns = np.stack([n, n * self.value, n * self.value**2])
        unit, treated, (count, total, squares) = grouped(self.unit, self.treated, columns)
        return UnitSums(unit, treated, count.round().astype(np.int64), total, squares, count, self.position,
                        self.left_out)  # fmt: skip


@dataclass(frozen=True)
class UnitSums:
    """What was added to the sums of a metric since a position, by unit and arm; add it to what was read before.

    A number may be below 0, where a later value took the place of an earlier one. A unit has two rows where it had both
    arms, as only a release that draws an arm by request allows.

    Args:
        unit: `[m]` hashed, sorted.
        treated: `[m]` whether the arm is treatment.
        n: `[m]` requests with a value; of a ratio those of the numerator.
        total: `[m]` sum of the values; of a ratio the numerator's.
        squares: `[m]` sum of the squared values; of a ratio the numerator's.
        denominator: `[m]` sum by which `total` is divided: of a mean `n`, of a ratio the denominator's.
        position: from which to read on.
        left_out: see `Values`.

    Example:
        >>> import numpy as np
        >>> from trimtab.operations import Position, UnitSums
        >>> one = np.array([2.0])
        >>> sums = UnitSums(np.array(["a"]), np.array([True]), np.array([2]), one, one, one, Position(2, 0))
        >>> (sums + sums).total
        array([4.])
    """

    unit: NDArray[np.str_]
    treated: NDArray[np.bool_]
    n: NDArray[np.int64]
    total: Floats
    squares: Floats
    denominator: Floats
    position: Position
    left_out: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, later: "UnitSums") -> "UnitSums":
        unit, treated = np.concatenate([self.unit, later.unit]), np.concatenate([self.treated, later.treated])
        columns = np.concatenate([self._columns, later._columns], axis=1)
        unit, treated, (n, total, squares, denominator) = grouped(unit, treated, columns)
        count = n.round().astype(np.int64)
        return UnitSums(unit, treated, count, total, squares, denominator, later.position,
                        added(self.left_out, later.left_out))  # fmt: skip

    @property
    def _columns(self) -> Floats:
        return np.stack([self.n.astype(np.float64), self.total, self.squares, self.denominator])


def grouped(
    unit: NDArray[np.str_], treated: NDArray[np.bool_], columns: Floats
) -> tuple[NDArray[np.str_], NDArray[np.bool_], Floats]:
    """Sums of columns by unit and arm, sorted by both; rows that come to nothing are left out.

    Args:
        unit: `[n]`.
        treated: `[n]`.
        columns: `[c, n]`, of which the first counts.

    Returns:
        `[m]` units, `[m]` arms, `[c, m]` sums.
    """
    names, code = np.unique(unit, return_inverse=True)
    code = 2 * code.reshape(-1) + treated
    n_rows = 2 * len(names)
    sums = np.array([np.bincount(code, weights=column, minlength=n_rows) for column in columns], dtype=np.float64)
    there = np.flatnonzero(np.bincount(code, minlength=n_rows) > 0)
    there = there[np.any(sums[:, there] != 0, axis=0)]
    arms: NDArray[np.bool_] = there % 2 == 1
    kept: Floats = sums[:, there]
    return names[there // 2], arms, kept


def added(first: Mapping[str, int], second: Mapping[str, int]) -> dict[str, int]:
    """Counts of both."""
    return {name: first.get(name, 0) + second.get(name, 0) for name in sorted(first.keys() | second.keys())}
