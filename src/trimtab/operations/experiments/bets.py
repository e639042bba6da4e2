"""Betting on the first request of each unit: exact from the first one on, also where an arm is flawless so far."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Final

from trimtab.operations.experiments.wanted import UNKNOWN, Wanted
from trimtab.statistics import Interval
from trimtab.statistics.sequential import BettingDifference
from trimtab.statistics.sequential.betting import ArmName

CELLS: Final = 1000  # into which the bounds are cut; ends are rounded outward to them
NARROW: Final = 100  # margins that the bounds may be apart: below 1/100 of them a margin would vanish in the rounding
_ARMS: Final[tuple[ArmName, ArmName]] = ("control", "treatment")


class Bets:
    """The bets of one metric, which go on from look to look.

    An outcome counts once and for good, so only those are taken that the server measured. Evidence is a product over
    the arms: the order matters within an arm alone, where it is that of the requests.

    Args:
        wanted: see `Wanted`; its metric has bounds.
        alpha: of either end.
    """

    def __init__(self, wanted: Wanted, alpha: float) -> None:
        assert wanted.metric.bounds is not None
        low, high = wanted.metric.bounds
        self._wanted = wanted
        self._taken = [0, 0]
        self._of = {
            side: BettingDifference(low, high, alpha=alpha, side=side, cells=CELLS)
            for side in (wanted.harm, wanted.good)
        }

    def take(self, firsts: tuple[Sequence[float], Sequence[float]]) -> None:
        """Bet on the units that are new: the values of control's and treatment's first requests, in their order."""
        for i, values in enumerate(firsts):
            for value in values[self._taken[i] :]:
                for bet in self._of.values():
                    bet.add(_ARMS[i], value)
            self._taken[i] = len(values)

    @property
    def smallest(self) -> int:
        """Units of the smaller arm."""
        return min(self._taken)

    @property
    def interval(self) -> Interval:
        """Of treatment minus control, of this look alone: it does not depend on when others were."""
        if not self.smallest:
            return UNKNOWN
        lower, upper = (deepcopy(self._of[side]).interval() for side in ("lower", "upper"))
        return Interval(lower.value, lower.low, upper.high)

    @property
    def evidence(self) -> tuple[float, float]:
        """Log evidence of harm beyond the margin, and of an improvement."""
        if not self.smallest:
            return 0.0, 0.0
        harm, good = self._of[self._wanted.harm], self._of[self._wanted.good]
        return harm.log_e_value(self._wanted.beyond), good.log_e_value(0.0)
