"""Preference sets in the form of HelpSteer (Wang et al. 2023, 2311.09528): answers rated for five attributes.

`form="pairs"`: of two answers to a prompt, is the one rated higher the likelier, per token? A pair counts for those
attributes in which its ratings differ. `form="generation"`: the prompts alone, each once, for judges to score.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar, Self

import numpy as np

from trimtab.behaviors import Behavior, Example
from trimtab.behaviors.table import Row
from trimtab.errors import InputError
from trimtab.evaluation.tasks.base import Answered, Figure, Task, Unit
from trimtab.evaluation.tasks.continuations import SILENCE, silence
from trimtab.evaluation.tasks.reading import each, option, rows_of, whole
from trimtab.phrases import Phrase
from trimtab.texts import Message, Rendered

ATTRIBUTES = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
_RATINGS = range(6)  # HelpSteer rates 0 to 4; others 1 to 5


@dataclass(frozen=True, kw_only=True)
class RatedPair(Unit):
    """Two answers to a prompt; for generation none.

    Args:
        difference: by attribute, rating of the first answer minus that of the second.

    Example:
        >>> from trimtab.evaluation.tasks import RatedPair
        >>> RatedPair("1", "prompt", (), difference={"helpfulness": 2}).difference["helpfulness"]
        2
    """

    difference: Mapping[str, int]


@dataclass(frozen=True)
class _Rated:
    prompt: str
    answer: str
    ratings: Mapping[str, int]
    source: str


class Preferences(Task[RatedPair]):
    """Rated answers.

    Example:
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from trimtab.evaluation.tasks import Answered, Preferences
        >>> names = "prompt,response,helpfulness,correctness,coherence,complexity,verbosity"
        >>> _ = Path("rated.csv").write_text(names + "\\nTea?,Gladly.,4,4,4,1,1\\nTea?,Why?,1,4,4,1,2\\n")
        >>> task = Preferences.load("rated.csv")
        >>> task.score(task.units[0], Answered(np.array([-4.0, -3.0]), np.array([2, 1])))
        {'helpfulness': 1.0, 'verbosity': 0.0}
    """

    name: ClassVar[str] = "preferences"
    source: ClassVar[str] = "Wang et al. 2023, 2311.09528"

    @classmethod
    def load(cls, source: str, *, form: str = "pairs", taught: str = "helpfulness") -> Self:
        """Read rows with a prompt, a response and the five ratings.

        Args:
            source: file or dataset, such as `hub:nvidia/HelpSteer@::validation`.
            form: `pairs` or `generation`.
            taught: the rating that `behavior` and `primary` are about.

        Raises:
            InputError: a row without a field or rating; no two answers to a prompt that differ in a rating.
        """
        option("form", form, ("pairs", "generation"))
        option("taught", taught, ATTRIBUTES)
        table = rows_of(source)
        by_prompt: dict[str, list[_Rated]] = {}
        for rated in each(table, _rated):
            by_prompt.setdefault(rated.prompt, []).append(rated)
        if form == "generation":
            units = [
                RatedPair(str(k), prompt, (_text(prompt, ""),), rows[0].source, difference={})
                for k, (prompt, rows) in enumerate(by_prompt.items(), 1)
            ]
            return cls(units, "text", max_new_tokens=128, notes=table.notes, taught=taught)
        pairs = [_pair(a, b) for rows in by_prompt.values() for a, b in combinations(rows, 2)]
        units = [RatedPair(str(k), *rest, difference=d) for k, (*rest, d) in enumerate(pairs, 1) if d]  # type: ignore[arg-type]
        if not units:
            raise InputError(
                f"{table.file}: no prompt has two answers whose ratings differ, as pairs need; or give form generation",
                code="unusable-examples",
                field="form",
            )
        return cls(units, notes=table.notes, taught=taught)

    def __init__(self, units: Sequence[RatedPair], *given: Any, taught: str = "helpfulness", **options: Any) -> None:
        super().__init__(units, *given, **options)
        self.taught = taught

    @property
    def figures(self) -> tuple[Figure, ...]:
        """One for each attribute; for generation what needs no judge."""
        return SILENCE if self.asks == "text" else _PAIRS

    @property
    def primary(self) -> str:
        """The rating that is taught; of texts whether any were written."""
        return "empty" if self.asks == "text" else self.taught

    def behavior(self, name: str) -> Behavior:
        """Answers rated higher against those rated lower, of pairs in which the taught rating differs."""
        if self.asks == "text":
            return super().behavior(name)
        examples = []
        for unit in self.units:
            if (difference := unit.difference.get(self.taught)) is not None:
                better, worse = unit.texts if difference > 0 else unit.texts[::-1]
                source, turns = unit.source, better.messages
                examples.append(Example(better.prompt, better.answer, worse.answer, unit.cluster, turns, source))
        if not examples:
            raise InputError(
                f"no pair differs in {self.taught}; choose another rating", code="unusable-examples", field="taught"
            )
        return Behavior(name, examples, f"is rated higher for {self.taught}")

    def score(self, unit: RatedPair, answered: Answered) -> Mapping[str, float]:
        """See `figures`."""
        if answered.text is not None:
            return silence(answered.text)
        first = float(answered.mean[0] - answered.mean[1])
        return {name: float(np.heaviside(first * d, 0.5)) for name, d in unit.difference.items()}


_PAIRS = tuple(
    Figure(
        name, Phrase("of two answers the one rated higher for {name} is the likelier, per token", name=name),
        "neither" if name in ("complexity", "verbosity") else "higher", 0.0, 1.0, 0.5,
    )
    for name in ATTRIBUTES
)  # fmt: skip


def _rated(row: Row) -> _Rated:
    ratings = {name: whole(row, name, _RATINGS) for name in ATTRIBUTES}
    return _Rated(row.answer("prompt"), row.answer("response"), ratings, row.source)


def _pair(a: _Rated, b: _Rated) -> tuple[str, tuple[Rendered, ...], str, dict[str, int]]:
    difference = {name: a.ratings[name] - b.ratings[name] for name in ATTRIBUTES}
    texts = (_text(a.prompt, a.answer), _text(b.prompt, b.answer))
    return (a.prompt, texts, f"{a.source} + {b.source}", {name: d for name, d in difference.items() if d})


def _text(prompt: str, answer: str) -> Rendered:
    """Prompt and answer on lines of their own; in a chat, turns."""
    return Rendered("", f"{prompt}\n\n", answer, messages=(Message("user", prompt),))
