"""What a judge is asked about answers: criteria with their levels, and what makes one of two answers better.

The built-in criteria are those of HelpSteer (Wang et al. 2023, 2311.09528), each from 0 to 4, in our own words.
"""

import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from trimtab.behaviors.opening import located, read_file
from trimtab.errors import InputError
from trimtab.storage.keys import name_of
from trimtab.texts import name_fault, shown

SCORES: Final = (0, 1, 2, 3, 4)
_MAX_CRITERIA: Final = 20
_MAX_WORDS: Final = 4000  # characters of one text of a rubric
_RESERVED: Final = frozenset({"reasons", "better", "id", "rater", "missing", "prompt", "answer", "cluster"})


@dataclass(frozen=True)
class Criterion:
    """One thing that answers are scored by, from 0 to 4.

    Args:
        name: of the score, such as `helpfulness`.
        question: that the score answers.
        levels: what 0, 1, 2, 3 and 4 mean; or none.

    Raises:
        InputError: a name that cannot be a column's, no question, or another number of levels.

    Example:
        >>> from trimtab.evaluation import Criterion
        >>> Criterion("politeness", "How polite is the answer?").name
        'politeness'
    """

    name: str
    question: str
    levels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if why := name_fault(self.name):
            raise InputError(f"a criterion's name {shown(self.name, 40)!r} {why}; give a word", field="rubric")
        if self.name.casefold() in _RESERVED:
            raise InputError(f"no criterion can be called {self.name!r}: a column has this name; take another word")
        if len(self.levels) not in (0, len(SCORES)):
            raise InputError(
                f"criterion {self.name!r}: {len(self.levels)} levels; say what 0, 1, 2, 3 and 4 mean, or nothing",
                field="rubric",
            )
        for text in (self.question, *self.levels):
            _check_words(text, f"criterion {self.name!r}")


@dataclass(frozen=True)
class Rubric:
    """What answers are judged by.

    Args:
        name: for the record.
        criteria: of scores.
        comparison: what makes one of two answers better, for pairs.

    Raises:
        InputError: no criteria, too many, or two of one name; no words.

    Example:
        >>> from trimtab.evaluation import Criterion, Rubric
        >>> rubric = Rubric("manners", (Criterion("politeness", "How polite is the answer?"),), "The politer one is.")
        >>> len(rubric.digest)
        16
    """

    name: str
    criteria: tuple[Criterion, ...]
    comparison: str

    def __post_init__(self) -> None:
        if why := name_fault(self.name):
            raise InputError(f"a rubric's name {shown(self.name, 40)!r} {why}; give a word", field="rubric")
        names = [criterion.name for criterion in self.criteria]
        if not 1 <= len(names) <= _MAX_CRITERIA or len(set(names)) < len(names):
            raise InputError(
                f"rubric {self.name!r}: criteria {names}; give 1 to {_MAX_CRITERIA} with different names",
                field="rubric",
            )
        _check_words(self.comparison, f"rubric {self.name!r}, comparison")

    @property
    def digest(self) -> str:
        """A hash of every word."""
        return name_of(asdict(self))

    @property
    def names(self) -> tuple[str, ...]:
        """Of the criteria."""
        return tuple(criterion.name for criterion in self.criteria)

    @staticmethod
    def load(file: str | Path) -> "Rubric":
        """Read a rubric from a TOML file: `name`, `comparison`, and `[[criteria]]` with `name`, `question`, `levels`.

        Raises:
            InputError: the file cannot be read, is no TOML, or its fields are others.
        """
        found = located(file)
        where = shown(str(file))
        if found is None:
            raise InputError(f"{where}: there is no such file", code="no-such-file", field="rubric")
        try:
            document = tomllib.loads(read_file(*found).decode("utf-8-sig"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InputError(f"{where}: not TOML: {error}", code="unreadable-file", field="rubric") from None
        try:
            _check_fields(document, {"name": str, "comparison": str, "criteria": list}, "the file")
            criteria = tuple(_criterion(number, item) for number, item in enumerate(document["criteria"], 1))
            return Rubric(document["name"], criteria, document["comparison"])
        except InputError as error:
            raise error.at(where) from None


def _criterion(number: int, item: Any) -> Criterion:
    where = f"criterion {number}"
    if not isinstance(item, dict):
        raise InputError(f"{where}: not a table; begin it with [[criteria]]", field="rubric")
    item = {"levels": [], **item}
    _check_fields(item, {"name": str, "question": str, "levels": list}, where)
    if not all(isinstance(level, str) for level in item["levels"]):
        raise InputError(f"{where}: levels: give texts in quotation marks", field="rubric")
    return Criterion(item["name"], item["question"], tuple(item["levels"]))


def _check_fields(given: dict[str, Any], wanted: dict[str, type], where: str) -> None:
    if unknown := sorted(set(given) - set(wanted)):
        raise InputError(f"{where}: no field {unknown[0]!r} is known; give {', '.join(wanted)}", field="rubric")
    for name, kind in wanted.items():
        if not isinstance(given.get(name), kind):
            what = "a text in quotation marks" if kind is str else "a list"
            raise InputError(f"{where}: the field {name!r} is missing or not {what}", field="rubric")


def _check_words(text: str, where: str) -> None:
    if not text.strip() or len(text) > _MAX_WORDS or not text.replace("\n", " ").replace("\t", " ").isprintable():
        raise InputError(f"{where}: give 1 to {_MAX_WORDS} characters of printable text", field="rubric")


HELPSTEER: Final = Rubric(
    "helpsteer",
    (
        Criterion(
            "helpfulness",
            "How far does the answer give what the writer of the prompt is after?",
            (
                "nothing of it, or it works against it",
                "it touches on the matter and leaves most of the need unmet",
                "a part of it",
                "nearly all; something is left to wish for",
                "all of it; nothing is left to ask",
            ),
        ),
        Criterion(
            "correctness",
            "Is what the answer says true, and does it keep to what the prompt asks for?",
            (
                "wrong throughout, or about something else",
                "mostly wrong, or mostly beside the point",
                "right and wrong in like parts, or an important point is missing",
                "right but for small faults or gaps",
                "right throughout and complete",
            ),
        ),
        Criterion(
            "coherence",
            "Is the answer clear, in good order, and at one with itself?",
            (
                "it cannot be followed",
                "hard to follow, or it contradicts itself often",
                "it can be followed with effort, or contradicts itself once",
                "clear but for small unevenness",
                "clear throughout",
            ),
        ),
        Criterion(
            "complexity",
            "How much knowledge of its field did it take to write the answer? (More is not better.)",
            (
                "anybody could have written it",
                "everyday knowledge",
                "what school or a good newspaper teaches",
                "what a student of the field knows",
                "what only an expert knows",
            ),
        ),
        Criterion(
            "verbosity",
            "How long is the answer for what the prompt asks? (More is not better.)",
            ("far too short", "short", "about as long as asked for", "long", "far too long"),
        ),
    ),
    "The better answer does more of what the writer of the prompt asked for, exactly as asked, says what is true, is "
    "clear, and wastes no words. Length and style by themselves do not make an answer better.",
)
