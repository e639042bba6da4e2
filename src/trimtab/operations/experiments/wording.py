"""What a metric's figures mean, in one sentence for whoever has to decide."""

from trimtab.operations.experiments.measuring import START
from trimtab.operations.experiments.wanted import Measured
from trimtab.statistics.sequential import State


def meaning(state: State, measured: Measured, *, effect: float, margin: float, harm: bool, of: int) -> str:
    """The sentence.

    Args:
        state: of the metric.
        measured: its figures.
        effect: that matters.
        margin: of harm that is tolerated.
        harm: whether harm is shown among all metrics together.
        of: how many metrics there are.
    """
    beyond = f"harm of more than {margin:g}" if margin else "harm"
    if state == "better":
        large = f", and may be as large as the {effect:g} that matters" if effect else ""
        return f"Better by {_size(measured)}: an improvement is shown{large}."
    if state == "worse" and harm:
        return f"Worse by {_size(measured)}: {beyond} is shown, which is not tolerated."
    if state == "worse":
        return f"Worse by {_size(measured)} taken by itself; among {of} metrics that may still be chance. Watch it."
    if state == "no harm shown":
        small = f", or is smaller than the {effect:g} that matters" if effect else ""
        return f"{beyond[0].upper()}{beyond[1:]} is ruled out; an improvement is not shown{small}."
    return _open(measured, beyond)


def _open(measured: Measured, beyond: str) -> str:
    if measured.interval.low > measured.interval.high:
        return "The difference has changed on the way: what was ruled out before is seen now. Look at it day by day."
    if measured.smallest < START and measured.method == "asymptotic":
        return f"Too early: {measured.smallest} units of the smaller arm have a value, and {START} are needed."
    if not measured.differs:
        return "Too early: nearly all units of an arm have the same value, and so few exceptions prove nothing."
    return f"Open: {beyond} is neither shown nor ruled out. More units are needed."


def _size(measured: Measured) -> str:
    return f"{abs(measured.interval.value):.3g}"
