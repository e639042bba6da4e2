"""What a task is: units that ask the model something, and figures made of what it answers, one value a unit."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from trimtab.behaviors import Behavior
from trimtab.errors import InputError
from trimtab.phrases import Phrase
from trimtab.texts import Rendered, shown

Asks = Literal["likelihood", "first-token", "text"]
Better = Literal["higher", "lower", "nearer 0", "neither"]


@dataclass(frozen=True)
class Unit:
    """One row of a task: what it asks of the model.

    Args:
        id: names the row within the task.
        cluster: the question or template it belongs to: rows of one cluster are resampled and dealt to parts together.
        texts: texts with their answers, whose likelihood is asked; for a continuation one text without an answer.
        source: where the row came from, as `file:line`.

    Example:
        >>> from trimtab.evaluation.tasks import Unit
        >>> from trimtab.texts import Rendered
        >>> unit = Unit("1", "sky", (Rendered("", "The sky is", " blue."), Rendered("", "The sky is", " a spoon.")))
        >>> len(unit.texts)
        2
    """

    id: str
    cluster: str
    texts: tuple[Rendered, ...]
    source: str = ""


@dataclass(frozen=True, eq=False)
class Answered:
    """What the model answered to one unit.

    Args:
        total: `[k]` log-probability of each text's answer, nats; for `first-token` that of the first token in which
            the two answers differ.
        n_tokens: `[k]` tokens of each answer; for `first-token` 1.
        text: the continuation that was written; None where likelihoods were asked for.

    Example:
        >>> import numpy as np
        >>> from trimtab.evaluation.tasks import Answered
        >>> Answered(np.array([-3.0, -4.0]), np.array([3, 2])).mean.tolist()
        [-1.0, -2.0]
    """

    total: NDArray[np.float64]
    n_tokens: NDArray[np.int64]
    text: str | None = None

    @property
    def mean(self) -> NDArray[np.float64]:
        """`[k]` nats per token."""
        return self.total / self.n_tokens


@dataclass(frozen=True)
class Figure:
    """What a task measures; its value for a set of units is the mean over those that have one.

    Args:
        name: such as `mc2`.
        meaning: one sentence.
        better: which way is better; `neither` where a figure only describes.
        low: least possible value; None if there is none.
        high: largest possible value; None if there is none.
        chance: value of a model that finds all answers equally likely; None where that means nothing.

    Example:
        >>> from trimtab.evaluation.tasks import Figure
        >>> from trimtab.phrases import Phrase
        >>> Figure("accuracy", Phrase("share of rows answered right"), "higher", 0.0, 1.0, chance=0.5).better
        'higher'
    """

    name: str
    meaning: Phrase
    better: Better
    low: float | None = None
    high: float | None = None
    chance: float | None = None


U = TypeVar("U", bound=Unit)


class Task(ABC, Generic[U]):
    """Rows of a data set as questions to a model, and what its answers are worth.

    Subclasses say how rows are read (`load`, whose keyword arguments are the task's options), what each asks
    (`units`), and what an answer is worth (`score`). They never see the model: the same task scores any.

    Args:
        units: the rows.
        asks: the log-probability of whole answers (`likelihood`), that of the `first-token` in which two answers
            differ, or a `text` that continues the prompt.
        max_new_tokens: of a continuation.
        stops: a continuation ends before the first of these.
        notes: what reading left out or assumed.

    Raises:
        InputError: two units of one id.

    Example:
        >>> import json
        >>> from pathlib import Path
        >>> from trimtab.evaluation.tasks import TruthfulQA
        >>> row = {"question": "Is it?", "mc1_targets": {"Yes.": 1, "No.": 0}, "mc2_targets": {"Yes.": 1, "No.": 0}}
        >>> _ = Path("mc_task.json").write_text(json.dumps([row]))
        >>> task = TruthfulQA.load("mc_task.json", prompt="plain")
        >>> task.units[0].texts[0].prompt + task.units[0].texts[0].answer
        'Q: Is it?\\nA: Yes.'
        >>> [figure.name for figure in task.figures]
        ['mc1', 'mc2', 'mc2_per_token', 'log_prob_true']
    """

    name: ClassVar[str]
    """How users call it."""
    source: ClassVar[str]
    """The paper or project that defines its figures."""

    def __init__(
        self, units: Sequence[U], asks: Asks = "likelihood", *, max_new_tokens: int = 64, stops: Sequence[str] = (),
        notes: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.units = tuple(units)
        by_id: dict[str, U] = {}
        for unit in self.units:
            if (other := by_id.setdefault(unit.id, unit)) is not unit:
                place = other.source or "another"
                raise InputError(
                    f"{unit.source or 'a unit'}: id {shown(unit.id, 40)!r} was given at {place} already; "
                    "give each row its own, or remove the one that came twice"
                )
        self.asks: Asks = asks
        self.max_new_tokens = max_new_tokens
        self.stops = tuple(stops)
        self.notes = tuple(notes)

    @classmethod
    @abstractmethod
    def load(cls, source: str) -> Self:
        """Read the rows of a file, folder or Hugging Face dataset; options follow as keyword arguments.

        Raises:
            InputError: a row that cannot be read, with its file, line and field.
        """

    @property
    @abstractmethod
    def figures(self) -> tuple[Figure, ...]:
        """What it measures."""

    @abstractmethod
    def score(self, unit: U, answered: Answered) -> Mapping[str, float]:
        """Value by figure; a figure that this unit says nothing about is left out."""

    @property
    def primary(self) -> str:
        """The figure that comparisons are about: the first that has a better side."""
        return next(figure.name for figure in self.figures if figure.better != "neither")

    def behavior(self, name: str) -> Behavior:
        """Contrast examples of these units, which a steering can be fitted to; each unit's cluster is their group.

        Args:
            name: of the behavior.

        Raises:
            InputError: the task, or this form of it, has no answers to contrast.
        """
        raise InputError(
            f"task {self.name} has no right and wrong answers in this form that a steering could be fitted to; measure "
            "it beside others that have",
            code="unusable-examples",
            field="tasks",
        )

    def part(self, units: Sequence[Any]) -> Self:
        """The same task with some of its units, such as those of one split.

        Raises:
            InputError: none.
        """
        if not units:
            raise InputError("a part of a task needs at least one unit", field="units")
        some = type(self).__new__(type(self))
        some.__dict__ = {**self.__dict__, "units": tuple(units)}
        return some
