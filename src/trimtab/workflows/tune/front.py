"""The best trade-offs among trials, what they are worth together, and the one that is recommended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trimtab.statistics import CrossedMean, crossed_mean

REFERENCE: Final = -0.1  # gain on each task that the hypervolume is measured from: a tenth of the scale lost everywhere
Gains = Mapping[str, Mapping[str, float]]
"""By task and unit, on the common scale of `trimtab.evaluation.tasks.Gain`."""
Clusters = Mapping[str, Mapping[str, str]]
"""By task and unit, the question or template."""


def means(gains: Gains) -> tuple[float, ...]:
    """Mean over the units of each task."""
    return tuple(float(np.mean(list(own.values()))) for own in gains.values())


def front_of(values: NDArray[np.float64]) -> list[int]:
    """Rows that no other row reaches on every task and passes on one; of equal rows the first.

    Args:
        values: `[n, tasks]` gains.

    Example:
        >>> import numpy as np
        >>> from trimtab.workflows.tune.front import front_of
        >>> front_of(np.array([[0.0, 0.0], [0.2, 0.1], [0.1, 0.3], [0.1, 0.1]]))
        [1, 2]
    """
    import moocore

    return np.flatnonzero(moocore.is_nondominated(values, maximise=True)).tolist()


def hypervolume(values: NDArray[np.float64]) -> float:
    """Volume of the gains that the rows reach on every task at once, from `REFERENCE` on each.

    Args:
        values: `[n, tasks]` gains.

    Example:
        >>> import numpy as np
        >>> from trimtab.workflows.tune.front import hypervolume
        >>> round(hypervolume(np.array([[0.1, 0.2]])), 3)
        0.06
    """
    import moocore

    return float(moocore.hypervolume(values, ref=np.full(values.shape[1], REFERENCE), maximise=True))


@dataclass(frozen=True)
class Choice:
    """The recommended trial.

    Args:
        index: among those given.
        losing: trials of the front that lose too much on a task.
        alike: other trials of the front whose mean gain cannot be told from its own.
    """

    index: int
    losing: int
    alike: tuple[int, ...]


def chosen(
    front: Sequence[int], gains: Sequence[Gains], damage: Sequence[float], clusters: Clusters, max_loss: float
) -> Choice:
    """Of the front, the trial that gains most on average and loses little on any task; of equals, the least damage.

    Args:
        front: indices of trials. The unsteered model is among all trials: either it is on the front, or a trial that
            loses nowhere passes it.
        gains: of all trials.
        damage: of all trials, nats per token.
        clusters: of the units.
        max_loss: on a task.
    """
    harmless = [i for i in front if min(means(gains[i])) >= -max_loss]
    best = min(harmless, key=lambda i: (-float(np.mean(means(gains[i]))), damage[i]))
    alike = tuple(i for i in harmless if i != best and _alike(gains[best], gains[i], clusters))
    return Choice(best, len(front) - len(harmless), alike)


def mean_gain(gains: Gains, clusters: Clusters) -> CrossedMean:
    """The mean of the tasks' means, with an interval by clusters."""
    rows = [
        (value, f"{task} {clusters[task][unit]}", task) for task, own in gains.items() for unit, value in own.items()
    ]
    values, of, tasks = (list(column) for column in zip(*rows, strict=True))
    return crossed_mean(values, [0] * len(rows), of, tasks)


def _alike(one: Gains, other: Gains, clusters: Clusters) -> bool:
    """Whether the interval of the difference of their mean gains, unit by unit, reaches 0."""
    both = {task: {u: x - other[task][u] for u, x in own.items() if u in other[task]} for task, own in one.items()}
    if not all(both.values()):
        return False
    found = mean_gain(both, clusters).interval
    return found.low <= 0 <= found.high
