"""Pairs, answers and people's labels from files: CSV, JSON, JSONL or Parquet, refused with line and reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from trimtab.behaviors.files import read_table
from trimtab.behaviors.opening import located, read_file
from trimtab.behaviors.table import Row
from trimtab.decimals import decimals
from trimtab.errors import InputError
from trimtab.evaluation.judges.records import Answer, Pair, PairVerdict, RatedAnswer
from trimtab.evaluation.judges.rubrics import SCORES, Rubric
from trimtab.texts import shown

# What files call our fields; the second names are those of LLMBar (Zeng et al. 2023, 2310.07641).
_FIRST: Final = ("first", "output_1")
_SECOND: Final = ("second", "output_2")
_PROMPT: Final = ("prompt", "input")
_LABEL: Final = ("label",)
_VERDICTS: Final = {"first": -1, "1": -1, "second": 1, "2": 1, "tie": 0}
_COLUMNS: Final = {*_FIRST, *_SECOND, *_PROMPT, *_LABEL, "answer", "id", "cluster", "rater", "verdict"}
_OWN_LABELS: Final = "labels of the file"


@dataclass(frozen=True)
class JudgeInput:
    """What a file holds to be judged.

    Args:
        pairs: two answers to each prompt; none where the file holds single answers.
        answers: one answer to each prompt; none where it holds pairs.
        labels: which of a pair people prefer, where the file says so.

    Example:
        >>> from trimtab.evaluation import Answer, JudgeInput
        >>> JudgeInput(answers=(Answer("1", "Name a colour.", "Blue."),)).pairs
        ()
    """

    pairs: tuple[Pair, ...] = ()
    answers: tuple[Answer, ...] = ()
    labels: tuple[PairVerdict, ...] = ()


def read_judged(file: str | Path) -> JudgeInput:
    """Pairs or answers to be judged.

    Columns: `prompt` (cells may be empty); `first` and `second` for pairs, or `answer`; if wanted `id` (default: the
    row's number), `cluster` (default: the prompt) and, for pairs, `label` (`first`, `second` or `tie`; also 1 and 2).
    LLMBar's `input`, `output_1`, `output_2` are read as they are; capitals in a name mean nothing.

    Args:
        file: CSV, TSV, JSON, JSONL, Parquet or .xlsx.

    Raises:
        InputError: names file, line and what is wrong.

    Example:
        >>> from pathlib import Path
        >>> from trimtab.evaluation import read_judged
        >>> _ = Path("pairs.csv").write_text("prompt,first,second,label\\nName a colour.,Blue.,No.,first\\n")
        >>> found = read_judged("pairs.csv")
        >>> found.pairs[0].first, found.labels[0].verdict
        ('Blue.', -1)
    """
    rows = _rows(file)
    first = rows[0]
    if _name(first, _SECOND) or _name(first, _FIRST):
        read = [_pair(row, number) for number, row in enumerate(rows, 1)]
        pairs = tuple(pair for pair, _ in read)
        _check_distinct(rows, [pair.id for pair in pairs])
        return JudgeInput(pairs=pairs, labels=tuple(label for _, label in read if label is not None))
    if "answer" not in first.fields:
        raise InputError(
            f"{first.source}: neither the columns first and second nor answer; found {first.field_names()}",
            code="wrong-file",
        )
    answers = tuple(_answer(row, number) for number, row in enumerate(rows, 1))
    _check_distinct(rows, [answer.id for answer in answers])
    return JudgeInput(answers=answers)


def read_verdicts(file: str | Path, ids: Sequence[str]) -> tuple[PairVerdict, ...]:
    """People's verdicts on pairs: the columns `id`, `rater` and `verdict` (`first`, `second` or `tie`).

    Args:
        file: see `read_judged`.
        ids: of the pairs.

    Raises:
        InputError: names file, line and what is wrong: an unknown id, another verdict, or a second one of a rater on a
            pair.

    Example:
        >>> from pathlib import Path
        >>> from trimtab.evaluation import read_verdicts
        >>> _ = Path("people.csv").write_text("id,rater,verdict\\n1,ada,second\\n1,bob,tie\\n")
        >>> [one.verdict for one in read_verdicts("people.csv", ["1"])]
        [1, 0]
    """
    rows = _by_people(file, ids, {"verdict"})
    return tuple(PairVerdict(id, rater, (_verdict(row, "verdict"),)) for row, id, rater in rows)


def read_scores(file: str | Path, ids: Sequence[str], rubric: Rubric) -> tuple[RatedAnswer, ...]:
    """People's scores of answers: the columns `id`, `rater` and one for every criterion, whole numbers from 0 to 4.

    Args:
        file: see `read_judged`.
        ids: of the answers.
        rubric: its criteria.

    Raises:
        InputError: names file, line and what is wrong.

    Example:
        >>> from pathlib import Path
        >>> from trimtab.evaluation import Criterion, Rubric, read_scores
        >>> rubric = Rubric("manners", (Criterion("politeness", "How polite is it?"),), "The politer one.")
        >>> _ = Path("people.csv").write_text("id,rater,politeness\\n1,ada,3\\n")
        >>> read_scores("people.csv", ["1"], rubric)[0].scores
        {'politeness': 3.0}
    """
    return tuple(
        RatedAnswer(id, rater, {name: _score(row, name) for name in rubric.names})
        for row, id, rater in _by_people(file, ids, set(rubric.names))
    )


def _rows(file: str | Path) -> tuple[Row, ...]:
    found = located(file)
    where = shown(str(file))
    if found is None:
        raise InputError(f"{where}: there is no such file", code="no-such-file")
    rows = read_table(read_file(*found), where).rows
    if not rows:
        raise InputError(f"{where}: no rows; give at least one", code="wrong-file")
    return tuple(_spelled(row) for row in rows)


def _spelled(row: Row) -> Row:
    """The row with `Prompt`, ` ID` and the like under our names, unless these are there too."""
    ours = {str(name): str(name).strip().casefold() for name in row.fields}
    changed = {n: o for n, o in ours.items() if n != o and o in _COLUMNS and list(ours.values()).count(o) == 1}
    return Row({changed.get(name, name): value for name, value in row.fields.items()}, row.source) if changed else row


def _by_people(file: str | Path, ids: Sequence[str], wanted: set[str]) -> list[tuple[Row, str, str]]:
    rows, known, seen, found = _rows(file), set(ids), set[tuple[str, str]](), []
    for row in rows:
        absent = sorted({"id", "rater", *wanted} - row.fields.keys())
        unknown = sorted(set(map(str, row.fields)) - {"id", "rater", *wanted})
        if absent or unknown:
            what = f"the column {absent[0]!r} is missing" if absent else f"no column {shown(unknown[0], 40)!r} is known"
            raise InputError(f"{row.source}: {what}; give id, rater, {', '.join(sorted(wanted))}", field="people")
        id, rater = _word(row, "id"), _word(row, "rater")
        if id not in known:
            raise InputError(f"{row.source}: no row has the id {shown(id, 40)!r}; give the ids of what was judged")
        if (id, rater) in seen:
            raise InputError(f"{row.source}: {shown(rater, 40)!r} has judged {shown(id, 40)!r} already; remove one row")
        seen.add((id, rater))
        found.append((row, id, rater))
    return found


def _pair(row: Row, number: int) -> tuple[Pair, PairVerdict | None]:
    names = {"first": _name(row, _FIRST), "second": _name(row, _SECOND)}
    for field, name in names.items():
        if name is None:
            raise InputError(f"{row.source}: the column {field!r} is missing; found {row.field_names()}")
    first, second = (row.text(str(name)) for name in names.values())
    pair = Pair(_id(row, number), _prompt(row), first, second, _cluster(row))
    label = _name(row, _LABEL)
    if label is None or row.blank(label):
        return pair, None
    return pair, PairVerdict(pair.id, _OWN_LABELS, (_verdict(row, label),))


def _answer(row: Row, number: int) -> Answer:
    return Answer(_id(row, number), _prompt(row), row.text("answer"), _cluster(row))


def _name(row: Row, names: Sequence[str]) -> str | None:
    return next((name for name in names if name in row.fields), None)


def _prompt(row: Row) -> str:
    name = _name(row, _PROMPT)
    if name is None:
        raise InputError(
            f"{row.source}: the column 'prompt' is missing; found {row.field_names()}; its cells may be empty where "
            "answers follow no prompt"
        )
    return "" if row.fields[name] is None else row.text(name)


def _id(row: Row, number: int) -> str:
    return _word(row, "id") if "id" in row.fields else str(number)


def _cluster(row: Row) -> str:
    return "" if row.blank("cluster") else _word(row, "cluster")


def _word(row: Row, name: str) -> str:
    """A field as text of one line; numbers as they are written."""
    value = row.fields[name]
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return decimals(value, ".0f")
    text = row.text(name).strip()
    if not text or not text.isprintable():
        raise InputError(f"{row.source}: the field {name!r} is empty or has control characters; give a word")
    return text


def _verdict(row: Row, name: str) -> int:
    word = _word(row, name).casefold().removesuffix(".0")  # as pandas writes numbers in a column with gaps
    if word not in _VERDICTS:
        raise InputError(f"{row.source}: {name} {shown(word, 40)!r}; give first, second or tie")
    return _VERDICTS[word]


def _score(row: Row, name: str) -> float:
    word = _word(row, name)
    if word not in map(str, SCORES):
        raise InputError(f"{row.source}: {name} {shown(word, 40)!r}; give a whole number from 0 to 4")
    return float(word)


def _check_distinct(rows: Sequence[Row], ids: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for row, id in zip(rows, ids, strict=True):
        if id in seen:
            raise InputError(
                f"{row.source}: the id {shown(id, 40)!r} was given at {seen[id]} already; give each its own"
            )
        seen[id] = row.source
