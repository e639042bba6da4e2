"""What is asked of a metric at every look, and what it is found to be."""

from dataclasses import dataclass
from math import inf
from typing import Final, Literal

from trimtab.operations.metrics.metric import Metric
from trimtab.statistics import Interval
from trimtab.statistics.sequential import Side

Method = Literal["asymptotic", "betting", "quantile"]
UNKNOWN: Final = Interval(float("nan"), -inf, inf)


@dataclass(frozen=True)
class Wanted:
    """What is asked of a metric; the same at all looks.

    Args:
        metric: as the release froze it.
        margin: of harm that is tolerated.
        alpha: of either end of its interval.
        of: metrics that are watched for harm together.
        decide_by: units at which the interval is to be narrowest.
        two_sided: whether one sequence gives both ends, or one for either claim.
    """

    metric: Metric
    margin: float
    alpha: float
    of: int
    decide_by: int
    two_sided: bool

    @property
    def harm(self) -> Side:
        """The end of an interval that shows harm: the lower one where less is better."""
        return "lower" if self.metric.direction == "lower" else "upper"

    @property
    def good(self) -> Side:
        """The end that shows an improvement, or that there is no harm."""
        return "upper" if self.harm == "lower" else "lower"

    @property
    def beyond(self) -> float:
        """The largest difference, treatment minus control, that is no harm."""
        return self.margin if self.harm == "lower" else -self.margin


@dataclass(frozen=True)
class Measured:
    """A metric at a look.

    Args:
        control, treatment: of either arm; None without a unit.
        interval: of treatment minus control; its ends may be infinite, its value not a number.
        log_e_harm: evidence of harm beyond the margin.
        log_e_better: evidence of an improvement.
        method: by which: see `measuring`.
        smallest: units that count of the smaller arm.
        differs: whether enough of either arm's units have another value than most.
        removed: share of the difference's variance that the units' past explains, and which is gone; None where it was
            not adjusted.
    """

    control: float | None
    treatment: float | None
    interval: Interval
    log_e_harm: float
    log_e_better: float
    method: Method
    smallest: int
    differs: bool = True
    removed: float | None = None
