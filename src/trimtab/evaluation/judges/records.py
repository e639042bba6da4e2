"""What is judged, and judgements: the same records whoever judges, a chat model, a person or a formula."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from trimtab.errors import InputError
from trimtab.texts import checked_text, shown


@dataclass(frozen=True)
class Pair:
    """Two answers to one prompt.

    Args:
        id: by which judgements name it.
        prompt: that both answer; may be empty.
        first, second: the answers, such as the unsteered and the steered model's.
        cluster: what it shares with other pairs, such as a question or a template; default: the prompt.

    Raises:
        InputError: no id, or texts that no tokenizer accepts.

    Example:
        >>> from trimtab.evaluation import Pair
        >>> Pair("1", "Name a colour.", "Blue.", "I do not know.").cluster
        'Name a colour.'
    """

    id: str
    prompt: str
    first: str
    second: str
    cluster: str = ""

    def __post_init__(self) -> None:
        _check_texts(self, ("id", "prompt", "first", "second", "cluster"))
        object.__setattr__(self, "cluster", self.cluster or self.prompt or self.id)


@dataclass(frozen=True)
class Answer:
    """An answer to a prompt.

    Args:
        id: by which judgements name it.
        prompt: that is answered; may be empty.
        text: the answer.
        cluster: see `Pair`.

    Raises:
        InputError: no id, or texts that no tokenizer accepts.

    Example:
        >>> from trimtab.evaluation import Answer
        >>> Answer("1", "Name a colour.", "Blue.").id
        '1'
    """

    id: str
    prompt: str
    text: str
    cluster: str = ""

    def __post_init__(self) -> None:
        _check_texts(self, ("id", "prompt", "text", "cluster"))
        object.__setattr__(self, "cluster", self.cluster or self.prompt or self.id)


@dataclass(frozen=True)
class PairVerdict:
    """What somebody finds of a pair.

    Args:
        id: of the pair.
        rater: who judges: model and server, a person, a scorer.
        verdicts: 1 the second answer is better, −1 the first, 0 neither; one for each repeat. Empty where missing.
        disagreed: repeats in which the two orders had different verdicts, which makes a tie.
        shown_first: of the questions asked, how often the answer shown first was preferred, ties half, from 0 to 1;
            None where nobody was asked.
        missing: why there is no verdict: `unclear`, `failed`, `budget`; None where there is one.

    Example:
        >>> from trimtab.evaluation import PairVerdict
        >>> PairVerdict("1", "ada", (1,)).verdict
        1
    """

    id: str
    rater: str
    verdicts: tuple[int, ...] = ()
    disagreed: int = 0
    shown_first: float | None = None
    missing: str | None = None

    @property
    def verdict(self) -> int | None:
        """The side that most repeats are for: 1, −1, or 0 for neither; None where it is missing."""
        return int(np.sign(sum(self.verdicts))) if self.verdicts else None


@dataclass(frozen=True)
class RatedAnswer:
    """What somebody scores an answer.

    Args:
        id: of the answer.
        rater: who judges.
        scores: by criterion; the mean over repeats. A criterion may be absent where it cannot be had for this answer.
        missing: why there are no scores; None where there are.

    Example:
        >>> from trimtab.evaluation import RatedAnswer
        >>> RatedAnswer("1", "ada", {"helpfulness": 4.0, "coherence": 3.0}).mean
        3.5
    """

    id: str
    rater: str
    scores: Mapping[str, float] = field(default_factory=dict)
    missing: str | None = None

    @property
    def mean(self) -> float | None:
        """Over the criteria; None where there are none."""
        return float(np.mean(list(self.scores.values()))) if self.scores else None


T = TypeVar("T", Pair, Answer)


def distinct(items: Sequence[T]) -> list[T]:
    """The items, when no two have one id.

    Raises:
        InputError: names the id.
    """
    seen: set[str] = set()
    for item in items:
        if item.id in seen:
            raise InputError(
                f"two rows have the id {shown(item.id, 40)!r}; give each its own", code="repeated-name", field="id"
            )
        seen.add(item.id)
    return list(items)


def verdicts_by_scores(
    first: Sequence[RatedAnswer], second: Sequence[RatedAnswer], criterion: str | None = None
) -> tuple[PairVerdict, ...]:
    """Which of two scored answers wins: the one with the higher score.

    Args:
        first: scores of the first answer of every pair.
        second: of the second, in the same order and by the same rater.
        criterion: that decides; None for the mean of all.

    Returns:
        A verdict for every pair under the id of `first`; missing where either has no such score.

    Raises:
        InputError: not as many of both.

    Example:
        >>> from trimtab.evaluation import RatedAnswer, verdicts_by_scores
        >>> scored = [RatedAnswer("1", "ada", {"helpfulness": score}) for score in (2.0, 3.0)]
        >>> verdicts_by_scores(scored[:1], scored[1:])[0].verdict
        1
    """
    if len(first) != len(second):
        raise InputError(f"{len(first)} scores of first and {len(second)} of second answers; give one of each a pair")
    found = []
    for a, b in zip(first, second, strict=True):
        values = [one.mean if criterion is None else one.scores.get(criterion) for one in (a, b)]
        if values[0] is None or values[1] is None:
            found.append(PairVerdict(a.id, a.rater, missing=a.missing or b.missing or "no score"))
        else:
            found.append(PairVerdict(a.id, a.rater, (int(np.sign(values[1] - values[0])),)))
    return tuple(found)


def _check_texts(item: Pair | Answer, names: Sequence[str]) -> None:
    for name in names:
        checked_text(getattr(item, name), f"row {shown(str(item.id), 40)!r}", name)
    if not item.id.strip():
        raise InputError("a row has no id; give each its own", code="missing-value", field="id")
