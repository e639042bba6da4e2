"""Betting on bounded outcomes: intervals and evidence that hold at every number of outcomes, not only at large ones.

Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting" (JRSS B 2024): for every candidate
mean m a gambler bets that outcomes are above m, another that they are below; the bets are their predictable plug-in,
cut at half of what could ruin the gambler. Where the truth is m neither grows tenfold in more than one of ten streams
(Ville), so a candidate is left out once a gambler has 1/α (2/α each, for two ends). Assumed: outcomes within stated
bounds, whose mean given the past is the same at all times. An outcome counts once and cannot be taken back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import log, log1p, sqrt
from typing import Literal

import numpy as np

from trimtab.errors import InputError
from trimtab.statistics.inputs import Floats
from trimtab.statistics.intervals import Interval
from trimtab.statistics.sequential.asymptotic import Side, check_alpha, check_side

_RUIN = 0.5  # share of the capital that one outcome may cost
_AGAINST = 0.1  # share of an arm's capital that bets against the difference

ArmName = Literal["treatment", "control"]


@dataclass
class _Bet:
    """The size of the next bet, on outcomes in [0, 1]: √(2 log(1/α) / (σ̂² t log(1 + t))), their predictable
    plug-in."""

    log_goal: float
    n: int = 0
    total: float = 0.5  # one outcome of 1/2 and a variance of 1/4 are there from the beginning
    squares: float = 0.25

    def next(self, value: float) -> float:
        """The bet that was made before this outcome."""
        t = self.n + 1
        size = sqrt(2 * self.log_goal / (self.squares * log1p(t)))  # σ̂² t = squares
        self.n, self.total = t, self.total + value
        self.squares += (value - self.total / (t + 1)) ** 2
        return size


class _Capital:
    """Logarithms of the capital of both gamblers, at candidate means 0, 1/cells, …, 1.

    Evidence for "more" falls with the candidate and evidence for "less" rises, so that the capital at a mean between
    two candidates is at least the smaller of theirs: rounding to the safe side never claims too much.
    """

    def __init__(self, log_goal: float, cells: int) -> None:
        self.bet = _Bet(log_goal)
        self.means = np.linspace(0.0, 1.0, cells + 1)
        with np.errstate(divide="ignore"):
            self._most_up, self._most_down = _RUIN / self.means, _RUIN / (1 - self.means)
        self.more, self.less = np.zeros(cells + 1), np.zeros(cells + 1)

    def add(self, value: float) -> None:
        size, gain = self.bet.next(value), value - self.means
        self.more += np.log1p(np.minimum(size, self._most_up) * gain)
        self.less += np.log1p(-np.minimum(size, self._most_down) * gain)

    def cells(self, above: bool) -> Floats:
        """Capital against a mean anywhere in each cell, most of it betting that the mean is above (else below)."""
        more, less = self.more[1:], self.less[:-1]
        most, rest = log1p(-_AGAINST), log(_AGAINST)
        return np.asarray(np.logaddexp(more + (most if above else rest), less + (rest if above else most)))

    @property
    def mean(self) -> float:
        return (self.bet.total - 0.5) / self.bet.n if self.bet.n else float("nan")


class _Bounded:
    """Bounds of the outcomes, what is wanted, and how sure."""

    def __init__(self, low: float, high: float, alpha: float, side: Side, cells: int) -> None:
        if not (np.isfinite(low) and np.isfinite(high) and low < high):
            raise InputError(f"bounds {low} and {high}: give two numbers, the lower one first", field="low")
        if cells < 10:
            raise InputError(f"cells is {cells}; give at least 10 candidate means", field="cells")
        check_side(side)
        self.low, self.high, self.alpha, self.side, self.cells = low, high, check_alpha(alpha), side, cells
        self._goal = log((2 if side == "both" else 1) / alpha)

    def _scaled(self, value: float, name: str = "value") -> float:
        if not self.low <= value <= self.high:
            raise InputError(
                f"{name} {value} lies outside of {self.low} to {self.high}; give the bounds that outcomes keep",
                code="out-of-range",
                field=name,
            )
        return (value - self.low) / (self.high - self.low)

    def _joined(self, more: float, less: float) -> float:
        """Evidence of the wanted sides."""
        if self.side == "both":
            return float(np.logaddexp(more, less)) - log(2)
        return more if self.side == "lower" else less


class BettingMean(_Bounded):
    """The mean of a stream of bounded outcomes.

    Args:
        low, high: bounds of an outcome.
        alpha: chance that the truth is ever left out.
        side: which ends are wanted, and of evidence against which values: see `AsymptoticSequence`.
        cells: parts of the range; the ends are rounded outward to them. An outcome costs as many operations.

    Raises:
        InputError: bounds in the wrong order; later an outcome beyond them.

    Example:
        >>> from trimtab.statistics.sequential import BettingMean
        >>> liked = BettingMean()
        >>> for answer in [1, 1, 1, 0] * 50:
        ...     liked.add(answer)
        >>> liked.interval()
        Interval(value=0.75, low=0.651, high=0.854)
        >>> liked.log_e_value(0.5) > 8  # against "half like it": 3,000 to 1 and more
        True
    """

    def __init__(
        self, low: float = 0.0, high: float = 1.0, *, alpha: float = 0.05, side: Side = "both", cells: int = 1000
    ) -> None:
        super().__init__(low, high, alpha, side, cells)
        self._capital = _Capital(self._goal, cells)
        self._ends = [0, cells]  # cells; what was left out once stays out

    def add(self, value: float) -> None:
        """One more outcome."""
        self._capital.add(self._scaled(value))
        if self.side != "upper":
            out = int(np.searchsorted(-self._capital.more, -self._goal, side="right"))  # candidates left out: 0 … out−1
            self._ends[0] = max(self._ends[0], out - 1)
        if self.side != "lower":
            stays = int(np.searchsorted(self._capital.less, self._goal, side="left"))
            self._ends[1] = min(self._ends[1], stays)

    def interval(self) -> Interval:
        """Mean so far (not a number without an outcome), and the ends: the bounds before anything is known."""
        scale = (self.high - self.low) / self.cells
        ends = (self.low + scale * end for end in self._ends)
        return Interval(self.low + (self.high - self.low) * self._capital.mean, *ends)

    def log_e_value(self, null: float) -> float:
        """Logarithm of the evidence against a mean of `null` (side "lower": of at most, "upper": of at least)."""
        m = self._scaled(null, "null") * self.cells
        above, below = int(np.ceil(m - 1e-9)), int(np.floor(m + 1e-9))
        return self._joined(float(self._capital.more[above]), float(self._capital.less[below]))


class BettingDifference(_Bounded):
    """The difference of the means of two arms of bounded outcomes, treatment minus control.

    Outcomes come in any order, and the shares of the arms may change at any time, also by what was seen. A difference
    is left out once no pair of means with it, or one further out, is left: the capital against a pair is the product of
    the capitals against its two means, which is a bet itself; most of it bets on the difference, a tenth of each arm's
    the other way, so that pairs far from what was seen in both arms are left out as well.

    Args:
        low, high, alpha, side, cells: see `BettingMean`; a look costs some ten times as many operations as an outcome.

    Example:
        >>> from trimtab.statistics.sequential import BettingDifference
        >>> helped = BettingDifference()
        >>> for _ in range(100):
        ...     for arm, outcomes in (("treatment", [1, 1, 1, 0]), ("control", [1, 0, 0, 1])):
        ...         for outcome in outcomes:
        ...             helped.add(arm, outcome)
        >>> interval = helped.interval()
        >>> interval.value, interval.low > 0.1, interval.high < 0.45
        (0.25, True, True)
    """

    def __init__(
        self, low: float = 0.0, high: float = 1.0, *, alpha: float = 0.05, side: Side = "both", cells: int = 500
    ) -> None:
        super().__init__(low, high, alpha, side, cells)
        half = self._goal / 2  # which either stream has to bring in
        self._arms = {"treatment": _Capital(half, cells), "control": _Capital(half, cells)}
        self._ends = [-cells, cells]

    def add(self, arm: ArmName, value: float) -> None:
        """One more outcome of an arm.

        Raises:
            InputError: an unknown arm, or an outcome beyond the bounds.
        """
        if arm not in self._arms:
            raise InputError(f"arm {arm!r}: give treatment or control", code="unknown-choice", field="arm")
        self._arms[arm].add(self._scaled(value))

    def interval(self) -> Interval:
        """Difference so far, and the ends: of all looks together, so they never grow apart again."""
        if self.side != "upper":
            more = self._more()
            self._ends[0] = _last(self._ends[0], self.cells, lambda d: more.at_most(d) >= self._goal)
        if self.side != "lower":
            less = self._less()
            self._ends[1] = -_last(-self._ends[1], self.cells, lambda d: less.at_most(d) >= self._goal)
        scale = (self.high - self.low) / self.cells
        value = (self._arms["treatment"].mean - self._arms["control"].mean) * (self.high - self.low)
        return Interval(value, scale * self._ends[0], scale * self._ends[1])

    def log_e_value(self, null: float = 0.0) -> float:
        """Logarithm of the evidence against a difference of `null` (side "lower": of at most, "upper": of at least)."""
        if not abs(null) <= self.high - self.low:
            raise InputError(f"null {null}: no difference of these outcomes", code="out-of-range", field="null")
        d = null / (self.high - self.low) * self.cells
        up, down = int(np.ceil(d - 1e-9)), int(np.floor(d + 1e-9))
        return self._joined(self._more().at_most(up), self._less().at_most(-down))

    def _more(self) -> "_Pairs":
        return _Pairs(self._arms["treatment"].cells(above=True), self._arms["control"].cells(above=False))

    def _less(self) -> "_Pairs":
        return _Pairs(self._arms["control"].cells(above=True), self._arms["treatment"].cells(above=False))


class _Pairs:
    """Evidence against all pairs of means, by the cells that the two lie in."""

    def __init__(self, first: Floats, second: Floats) -> None:
        self._least, self._second = np.minimum.accumulate(first), second  # of all first means up to each cell

    def at_most(self, d: int) -> float:
        """The least evidence against any pair whose first mean lies at most d cells above the second."""
        cells = len(self._second)
        if d <= -cells:
            return float(self._least[0] + self._second[-1])
        start = max(0, -d)
        reach = np.minimum(np.arange(start, cells) + d, cells - 1)
        return float((self._least[reach] + self._second[start:]).min())


def _last(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """The last number from `low` to `high` where it holds, as it does for all below; `low` where it nowhere does."""
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low


def log_e_path(values: Floats, null: float, *, alpha: float = 0.05, side: Side = "both") -> Floats:
    """Logarithm of the evidence after each outcome: `BettingMean.log_e_value` at all looks at once, for simulations.

    Args:
        values: outcomes in [0, 1], `[..., T]`.
        null: mean between 0 and 1 that is tested.
        alpha, side: see `BettingMean`; they set the size of the bets.

    Returns:
        `[..., T]`.

    Example:
        >>> import numpy as np
        >>> from trimtab.statistics.sequential import log_e_path
        >>> np.round(log_e_path(np.array([1.0, 1.0, 0.0]), 0.5, side="lower"), 2)
        array([0.41, 0.81, 0.12])
    """
    x = np.asarray(values, dtype=np.float64)
    if not (0 < null < 1 and np.all((x >= 0) & (x <= 1))):
        raise InputError("values must lie in 0 to 1 and null between them; scale them first", code="out-of-range")
    check_side(side)
    t = np.arange(1, x.shape[-1] + 1)
    means = (0.5 + np.cumsum(x, axis=-1)) / (t + 1)
    squares = 0.25 + np.cumsum((x - means) ** 2, axis=-1)
    before = np.concatenate([np.full((*x.shape[:-1], 1), 0.25), squares[..., :-1]], axis=-1)
    size = np.sqrt(2 * log((2 if side == "both" else 1) / check_alpha(alpha)) / (before * np.log1p(t)))
    more = np.cumsum(np.log1p(np.minimum(size, _RUIN / null) * (x - null)), axis=-1)
    less = np.cumsum(np.log1p(-np.minimum(size, _RUIN / (1 - null)) * (x - null)), axis=-1)
    return np.asarray(np.logaddexp(more, less) - log(2)) if side == "both" else more if side == "lower" else less
