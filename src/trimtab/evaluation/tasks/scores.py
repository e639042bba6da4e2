"""What a model scored: one value for each figure of each unit, and means with intervals."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trimtab.errors import InputError
from trimtab.evaluation.tasks.base import Figure
from trimtab.statistics import Interval, bootstrap_mean, share_interval, win_rate
from trimtab.statistics.inputs import label_codes


@dataclass(frozen=True)
class UnitScore:
    """One value: of one figure, for one unit.

    Args:
        unit: the unit's id.
        cluster: its question or template.
        figure: the figure's name.
        value: its value.

    Example:
        >>> from trimtab.evaluation.tasks import UnitScore
        >>> UnitScore("1", "sky", "mc1", 1.0).value
        1.0
    """

    unit: str
    cluster: str
    figure: str
    value: float


@dataclass(frozen=True)
class TaskScores:
    """What a model scores on a task.

    Args:
        task: its name.
        figures: what was measured.
        rows: one value for each figure of each unit, in the units' order; a figure that says nothing about a unit has
            no row there.
        texts: `{unit: continuation}` where the model was asked to write.

    Example:
        >>> from trimtab.evaluation.tasks import Figure, TaskScores, UnitScore
        >>> rows = tuple(UnitScore(str(k), str(k), "mc1", float(k > 1)) for k in range(4))
        >>> scores = TaskScores("truthfulqa", (Figure("mc1", "the best answer is the likeliest", "higher"),), rows, {})
        >>> scores.mean("mc1")
        0.5
    """

    task: str
    figures: tuple[Figure, ...]
    rows: tuple[UnitScore, ...]
    texts: Mapping[str, str]

    def values(self, figure: str) -> tuple[NDArray[np.float64], list[str], list[str]]:
        """Values `[n]` of a figure, with the unit and the cluster of each.

        Raises:
            InputError: the task has no such figure.
        """
        if figure not in (known := [f.name for f in self.figures]):
            raise InputError(
                f"task {self.task} has no figure {figure!r}; it has {', '.join(known)}", code="unknown-choice",
                field="figure",
            )  # fmt: skip
        rows = [row for row in self.rows if row.figure == figure]
        return (np.array([row.value for row in rows]), [row.unit for row in rows], [row.cluster for row in rows])

    def mean(self, figure: str) -> float | None:
        """Mean over the units that have this figure; None where none has."""
        values, _, _ = self.values(figure)
        return float(values.mean()) if len(values) else None

    def interval(self, figure: str, *, seed: int = 0, level: float = 0.95) -> Interval | None:
        """The mean with an interval, by clusters; None with fewer than two of them.

        Shares, of which each unit has the least or the largest value, or a tie halfway, have Wilson's interval
        (`share_interval`, `win_rate`), which has a width though all units agree; other figures the bootstrap's.
        """
        values, _, labels = self.values(figure)
        if len(set(labels)) < 2:
            return None
        clusters, of = label_codes(labels), next(f for f in self.figures if f.name == figure)
        if of.low is not None and of.high is not None:
            middle, half = (of.low + of.high) / 2, (of.high - of.low) / 2
            sides = (values - middle) / half  # 1 for the largest, -1 for the least
            if np.isin(sides, (-1, 0, 1)).all():
                found = win_rate(sides, clusters, level) if 0 in sides else share_interval(sides > 0, clusters, level)
                return Interval(*(of.low + 2 * half * end for end in (found.value, found.low, found.high)))
        return bootstrap_mean(values, clusters, seed=seed, level=level)
