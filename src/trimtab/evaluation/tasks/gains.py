"""What a steering gains on a task: unit by unit against another way to run the same units, on a common scale."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trimtab.errors import InputError
from trimtab.evaluation.tasks.base import Figure
from trimtab.evaluation.tasks.scores import TaskScores


@dataclass(frozen=True, eq=False)
class Gain:
    """Differences of the same units, larger is better.

    Args:
        values: `[n]` in units of the figure.
        units: `[n]` ids.
        clusters: `[n]` question or template of each.
        scale: what a value is divided by to be compared with those of other tasks: the figure's range, or where it has
            none the standard deviation of the other run's values; 1 where these are all alike.

    Example:
        >>> import numpy as np
        >>> from trimtab.evaluation.tasks import Gain
        >>> Gain(np.array([0.5, -0.1]), ("1", "2"), ("1", "2"), scale=2.0).standardised
        0.1
    """

    values: NDArray[np.float64]
    units: tuple[str, ...]
    clusters: tuple[str, ...]
    scale: float

    @property
    def standardised(self) -> float:
        """The mean on the common scale."""
        return float(self.values.mean() / self.scale)


def figure_of(scores: TaskScores, name: str) -> Figure:
    """A figure by its name.

    Raises:
        InputError: the task has none of this name, or one without a better side.

    Example:
        >>> from trimtab.evaluation.tasks import Figure, TaskScores, figure_of
        >>> figures = (Figure("mc1", "the best answer is the likeliest", "higher", 0.0, 1.0),)
        >>> figure_of(TaskScores("truthfulqa", figures, (), {}), "mc1").better
        'higher'
    """
    scores.values(name)
    figure = next(f for f in scores.figures if f.name == name)
    if figure.better == "neither":
        better = [f.name for f in scores.figures if f.better != "neither"]
        raise InputError(
            f"figure {name} of task {scores.task} has no better side; compare by {', '.join(better)}",
            code="unknown-choice",
            field="figure",
        )
    return figure


def gain(base: TaskScores, scores: TaskScores, name: str, signs: tuple[float, float] | None = None) -> Gain:
    """How much better the same units are than in another run; units that lack the figure in either are left out.

    Args:
        base: the other run, such as the unsteered model's.
        scores: the run in question.
        name: of the figure. One that is better nearer 0 counts by the distance of its mean from 0: the units' values
            take the sign that their run's mean has, so that ten for and ten against are as good as none.

        signs: which side of 0 the two runs lie on, where more is known of them than these units tell, such as other
            seeds; None takes the signs of their means here.

    Raises:
        InputError: no such figure, one without a better side, or no unit that has it in both runs.

    Example:
        >>> from trimtab.evaluation.tasks import Figure, TaskScores, UnitScore, gain
        >>> figures = (Figure("mc1", "the best answer is the likeliest", "higher", 0.0, 1.0),)
        >>> runs = [TaskScores("truthfulqa", figures, (UnitScore("1", "1", "mc1", v),), {}) for v in (0.0, 1.0)]
        >>> gain(*runs, "mc1").values.tolist()
        [1.0]
    """
    figure = figure_of(scores, name)
    before, after = (_by_unit(run, name) for run in (base, scores))
    both = [unit for unit in before if unit in after]
    if not both:
        raise InputError(f"no unit of task {scores.task} has the figure {name} in both runs", field="figure")
    rows = [np.array([run[unit][0] for unit in both]) for run in (before, after)]
    sides = signs or [float(np.sign(values.mean())) for values in rows]
    old, new = (_goodness(figure, values, side) for values, side in zip(rows, sides, strict=True))
    spread = float(old.std())
    bounded = figure.low is not None and figure.high is not None
    scale = figure.high - figure.low if bounded else spread if spread > 0 else 1.0  # type: ignore[operator]
    return Gain(new - old, tuple(both), tuple(before[unit][1] for unit in both), scale)


def _by_unit(scores: TaskScores, name: str) -> dict[str, tuple[float, str]]:
    values, units, clusters = scores.values(name)
    return dict(zip(units, zip(values.tolist(), clusters, strict=True), strict=True))


def _goodness(figure: Figure, values: NDArray[np.float64], side: float) -> NDArray[np.float64]:
    sign = {"higher": 1.0, "lower": -1.0, "nearer 0": -side}[figure.better]
    return sign * values
