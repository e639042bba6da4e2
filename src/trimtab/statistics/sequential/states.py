"""What a confidence sequence says of a change: better, worse, no harm shown, or inconclusive."""

from typing import Literal

from trimtab.errors import InputError
from trimtab.statistics.intervals import Interval

State = Literal["better", "worse", "no harm shown", "inconclusive"]


def state_of(interval: Interval, *, effect: float = 0.0, margin: float = 0.0, more_is_better: bool = True) -> State:
    """The state of a metric, from the interval of treatment minus control.

    With the difference counted so that more is better:

    * *better*: the interval lies above 0, and reaches the effect that matters. There is an improvement, and one that
      matters is not ruled out.
    * *worse*: the interval lies below −margin. There is harm beyond what is tolerated.
    * *no harm shown*: the interval lies above −margin, and it is not better. Harm beyond the margin is ruled out; an
      improvement is not shown, or is too small to matter.
    * *inconclusive*: anything else; also an empty interval, which says that the difference has changed meanwhile.

    With a sequence of two ends at level 1 − α looked at whenever one likes, the chance of ever saying *better* of what
    is not better than control is about α/2 at most, so is that of *worse* where harm is within the margin, and that of
    *no harm shown* (or *better*) where it is beyond.

    Args:
        interval: of the difference, in the metric's units; ends may be infinite.
        effect: the least difference that matters, from 0.
        margin: of harm that is tolerated, from 0; with 0 *worse* means any harm.
        more_is_better: False for metrics such as latency or errors.

    Raises:
        InputError: a negative effect or margin.

    Example:
        >>> from trimtab.statistics import Interval
        >>> from trimtab.statistics.sequential import state_of
        >>> [state_of(Interval((a + b) / 2, a, b), effect=0.03, margin=0.01) for a, b in
        ...  ((0.01, 0.05), (-0.06, -0.02), (-0.005, 0.02), (-0.02, 0.04))]
        ['better', 'worse', 'no harm shown', 'inconclusive']
    """
    if not (effect >= 0 and margin >= 0):
        raise InputError(
            f"effect {effect}, margin {margin}: give both as sizes, from 0", code="out-of-range", field="margin"
        )
    low, high = (interval.low, interval.high) if more_is_better else (-interval.high, -interval.low)
    if not low <= high:
        return "inconclusive"
    if low > 0 and high >= effect:
        return "better"
    if high < -margin:
        return "worse"
    return "no harm shown" if low > -margin else "inconclusive"
