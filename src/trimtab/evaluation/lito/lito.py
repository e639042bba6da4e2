"""Learning to choose between the answers at several strengths of a steering, and choosing."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trimtab.errors import InputError
from trimtab.evaluation.lito.responses import Responses, responses
from trimtab.evaluation.lito.selector import Selector, SelectorTraining
from trimtab.evaluation.tasks import Answered, Figure, Task, TaskScores, Treatment, Unit, answers, scores_of
from trimtab.interventions import Scope
from trimtab.models import Model
from trimtab.steering import Steering

INTENSITIES = (1 / 3, 2 / 3, 1.0, 4 / 3, 5 / 3)
"""Multiples of the default strengths; the paper has 5, 10, 15, 20 and 25 σ, and 15 is the usual one of `iti`."""
REFUSAL = " I have no comment."
LEAST = 0.5  # probability above which a response counts as accurate


@dataclass(frozen=True, eq=False)
class Choice:
    """What was taken of the answers to a unit.

    Args:
        answered: the answer.
        intensity: of the answer that was taken; None if none was found accurate.
        probabilities: `[k]` of each response being accurate.
        confidences: `[k]` geometric means of the responses' token probabilities.

    Example:
        >>> import numpy as np
        >>> from trimtab.evaluation.lito import Choice
        >>> from trimtab.evaluation.tasks import Answered
        >>> answered = Answered(np.empty(0), np.empty(0, dtype=int), " I have no comment.")
        >>> Choice(answered, None, np.array([0.2, 0.4]), np.array([0.9, 0.8])).intensity is None
        True
    """

    answered: Answered
    intensity: float | None
    probabilities: NDArray[np.float64]
    confidences: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Lito:
    """A steering at several intensities, and a selector that takes one of the answers, or none (2405.00301).

    Of the responses that the selector finds accurate the one is taken that the model is most confident of. If there is
    none, a written answer is replaced by a refusal; where likelihoods are asked for, which cannot be refused, the
    unsteered model answers. Assumed besides: a response to given answers is the likeliest of them; hidden states are
    the last block's output, before the final norm; the selector's rate, epochs and balance are for hundreds of units,
    where the paper has thousands.

    Args:
        steering: at intensity 1 with its default strengths; `iti` in the paper.
        intensities: `[k]` increasing multiples of the default strengths.
        selector: what it learned.
        figure: of the task, that said which responses are accurate.
        scope: which tokens are edited.
        chat_template: put each prompt into a user turn.
        refusal: written where no response is accurate.

    Raises:
        InputError: fewer than two intensities, or not increasing from 0 or more.

    Example:
        >>> import trimtab as tt
        >>> from trimtab.evaluation.lito import Lito
        >>> from trimtab.evaluation.tasks import BehaviorTask
        >>> model, task = tt.load("smollm2"), BehaviorTask.load("sentiment")
        >>> steering = tt.Steering.from_vector(14, model.hf.lm_head.weight[5])
        >>> lito = Lito.learn(task.part(task.units[:12]), model, steering, intensities=(0.5, 1.0))
        >>> (choice,) = lito.choose(task, task.units[12:13], model)
        >>> choice.probabilities.shape
        (2,)
    """

    steering: Steering
    intensities: tuple[float, ...]
    selector: Selector
    figure: str
    scope: Scope = "all"
    chat_template: bool = False
    refusal: str = REFUSAL

    def __post_init__(self) -> None:
        object.__setattr__(self, "intensities", _increasing(self.intensities))

    @staticmethod
    def learn(
        task: Task[Any],
        model: Model,
        steering: Steering,
        *,
        intensities: Sequence[float] = INTENSITIES,
        figure: str | None = None,
        scope: Scope = "all",
        chat_template: bool = False,
        seed: int = 0,
        training: SelectorTraining | None = None,
    ) -> "Lito":
        """Learn which responses are accurate, from those to a task's units.

        Args:
            task: with the units to learn from alone (`task.part`), other ones than those that are measured.
            model: the model.
            steering: what is tried at every intensity.
            intensities: increasing multiples of the steering's default strengths.
            figure: says which responses are accurate: those whose value lies beyond the middle of its range, on the
                better side. None for the task's primary figure, or the first with a range where that has none.
            scope: which tokens are edited.
            chat_template: put each prompt into a user turn.
            seed: of the selector's training.
            training: how the selector is trained.

        Raises:
            InputError: bad intensities, a figure without a range or better side, too few units, responses of which all
                or none are accurate, a text that does not fit the model.
        """
        of, steps = _figure(task, figure), _increasing(intensities)
        found = [responses(task, task.units, model, _treatment(steering, i, scope, chat_template)) for i in steps]
        accurate = [[_accurate(task, of, u, a) for u, a in zip(task.units, r.answered, strict=True)] for r in found]
        known = [n for n in range(len(task.units)) if all(own[n] is not None for own in accurate)]
        if not known:
            raise InputError(f"no unit of task {task.name} has the figure {of.name}", code="unusable-examples")
        labels = np.array([[bool(own[n]) for own in accurate] for n in known])  # [n, k]
        clusters = [task.units[n].cluster for n in known]
        selector = Selector.train(_hidden(found)[known], labels, clusters, seed, training)
        return Lito(steering, steps, selector, of.name, scope, chat_template)

    def choose(self, task: Task[Any], units: Sequence[Unit], model: Model) -> list[Choice]:
        """The answers at every intensity, and which of them is taken, unit by unit.

        Raises:
            InputError: as `trimtab.evaluation.tasks.answers`; a model of another width than the selector's.
        """
        found = [
            responses(task, units, model, _treatment(self.steering, i, self.scope, self.chat_template))
            for i in self.intensities
        ]
        p, confidence = self.selector.probabilities(_hidden(found)), np.stack([r.confidence for r in found], axis=1)
        which = [taken(*rows) for rows in zip(p, confidence, strict=True)]
        fallback = iter(self._without([u for u, k in zip(units, which, strict=True) if k is None], task, model))
        return [
            Choice(next(fallback), None, p[n], confidence[n])
            if k is None
            else Choice(found[k].answered[n], self.intensities[k], p[n], confidence[n])
            for n, k in enumerate(which)
        ]

    def answers(self, task: Task[Any], units: Sequence[Unit], model: Model) -> list[Answered]:
        """What was taken, in the units' order; see `choose`."""
        return [choice.answered for choice in self.choose(task, units, model)]

    def run(self, task: Task[Any], model: Model) -> TaskScores:
        """Scores of what was taken, on all units of a task; see `choose`."""
        return scores_of(task, self.answers(task, task.units, model))

    def save(self, folder: str | Path) -> Path:
        """Write a new folder: the steering's artifact in `steering/`, the selector, and `lito.json` with their digests.

        Raises:
            InputError: something is there already, or it cannot be written.
        """
        from trimtab.evaluation.lito.stored import save

        return save(self, Path(folder))

    @staticmethod
    def load(folder: str | Path) -> "Lito":
        """Read what `save` wrote, with every digest verified.

        Raises:
            InputError: not such a folder, or a file that was changed.
        """
        from trimtab.evaluation.lito.stored import load

        return load(Path(folder))

    @property
    def id(self) -> str:
        """SHA-256 of everything that determines what it chooses.

        Raises:
            InputError: the steering has no stored form.
        """
        from trimtab.evaluation.lito.stored import identity

        return identity(self)

    def _without(self, units: Sequence[Unit], task: Task[Any], model: Model) -> list[Answered]:
        """Answers to units for which no response is accurate."""
        if task.asks == "text":
            return [Answered(np.empty(0), np.empty(0, dtype=np.int64), self.refusal) for _ in units]
        return answers(task, units, model, Treatment(chat_template=self.chat_template)) if units else []


def taken(probabilities: NDArray[np.float64], confidences: NDArray[np.float64]) -> int | None:
    """Index of the most confident response among those that are likely accurate, the first of equals; None if none."""
    accurate = probabilities > LEAST
    return int(np.argmax(np.where(accurate, confidences, -1.0))) if accurate.any() else None


def _treatment(steering: Steering, intensity: float, scope: Scope, chat_template: bool) -> Treatment:
    return Treatment(steering, steering.scaled(intensity), scope, chat_template)


def _hidden(found: Sequence[Responses]) -> Tensor:
    """`[n, k, d_model]`."""
    return torch.stack([r.hidden for r in found], dim=1)


def _increasing(intensities: Sequence[float]) -> tuple[float, ...]:
    steps = tuple(float(i) for i in intensities)
    rising = all(a < b for a, b in pairwise(steps))
    if len(steps) < 2 or not rising or steps[0] < 0 or not isfinite(steps[-1]):
        raise InputError(
            f"intensities {list(intensities)}: give at least two numbers of 0 or more, each above the one before",
            code="out-of-range",
            field="intensities",
        )
    return steps


def _figure(task: Task[Any], name: str | None) -> Figure:
    """The figure that says what is accurate."""
    by_name = {figure.name: figure for figure in task.figures}
    ranged = [f for f in task.figures if None not in (f.low, f.high) and f.better in ("higher", "lower")]
    if name is None:
        name = task.primary if by_name[task.primary] in ranged else next((f.name for f in ranged), "")
    if name not in by_name or by_name[name] not in ranged:
        have = ", ".join(f.name for f in ranged) or "none"
        raise InputError(
            f"task {task.name}: figure {name or 'of none'!r} cannot say which answers are accurate; it takes one with "
            f"a range and a better side, of which the task has {have}",
            code="unknown-choice",
            field="figure",
        )
    return by_name[name]


def _accurate(task: Task[Any], of: Figure, unit: Unit, answered: Answered) -> bool | None:
    """None where the figure says nothing about the unit."""
    value = task.score(unit, answered).get(of.name)
    if value is None or of.low is None or of.high is None:
        return None
    middle = (of.low + of.high) / 2
    return value > middle if of.better == "higher" else value < middle
