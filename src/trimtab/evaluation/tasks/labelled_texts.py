"""Texts with the label toxic or not, from any table or from ToxiGen's demonstrations."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from trimtab.behaviors.encoding import decoded
from trimtab.behaviors.opening import located, read_file
from trimtab.behaviors.table import Row, Table
from trimtab.errors import InputError
from trimtab.evaluation.tasks.base import Unit
from trimtab.evaluation.tasks.reading import each, rows_of

_TEXTS = ("text", "comment_text", "comment", "sentence", "statement", "generation")
_LABELS = ("label", "is_toxic", "toxic", "toxicity", "is_hate")
_WORDS = {
    **dict.fromkeys(("toxic", "hate", "hateful", "1", "1.0", "true", "yes"), True),
    **dict.fromkeys(
        ("not toxic", "non-toxic", "nontoxic", "clean", "neutral", "benign", "0", "0.0", "false", "no"), False
    ),
}


@dataclass(frozen=True, kw_only=True)
class LabelledText(Unit):
    """A text.

    Args:
        text: as it was read, with white space made single.
        toxic: its label.

    Example:
        >>> from trimtab.evaluation.tasks import LabelledText
        >>> LabelledText("1", "1", (), text="Have a nice day.", toxic=False).toxic
        False
    """

    text: str
    toxic: bool


def labelled_texts(source: str, text: str = "", label: str = "") -> tuple[Table, list[LabelledText]]:
    """The rows of a source, and their texts with labels.

    Raises:
        InputError: as `Toxicity.load`.
    """
    table = _demonstrations(source) or rows_of(source)
    names = {name for row in table.rows for name in row.fields}
    of_text, of_label = _field(table, names, text, _TEXTS, "text"), _field(table, names, label, _LABELS, "label")

    def read(row: Row) -> LabelledText:
        words, id = " ".join(row.answer(of_text).split()), str(next(numbers))
        cluster = row.group() or f"#{first.setdefault(words, id)}"  # a text that comes twice is one
        return LabelledText(id, cluster, (), row.source, text=words, toxic=_label(row, of_label))

    numbers, first = count(1), dict[str, str]()
    return table, each(table, read)


def _field(table: Table, names: set[str], given: str, known: Sequence[str], kind: str) -> str:
    name = next((name for name in ((given,) if given else known) if name in names), None)
    if name is None:
        wanted = given or f"{', '.join(known[:-1])} or {known[-1]}"
        raise InputError(
            f"{table.file}: no field is called {wanted}; say which one holds the {kind}: {table.rows[0].field_names()}",
            code="missing-value",
            field=kind,
        )
    return name


def _label(row: Row, name: str) -> bool:
    value = row.fields.get(name)
    toxic = _WORDS.get(str(value).strip().casefold())
    if toxic is None:
        raise InputError(f"{row.source}: the label {value!r} is unknown; use 1 or 0, true or false, toxic or not toxic")
    return toxic


def _demonstrations(source: str) -> Table | None:
    """The lines of `hate_*.txt` and `neutral_*.txt` in a folder and those below; None if there are none."""
    place = None if source.startswith("hub:") else located(source)
    if place is None or not place[0].is_dir():
        return None
    rows = []
    for file in sorted(file for file in place[0].rglob("*.txt") if file.is_file()):
        kind = next((kind for kind in ("hate", "neutral") if file.name.startswith(f"{kind}_")), None)
        lines = decoded(read_file(file, file.stat()), str(file))[0].splitlines() if kind else []
        rows += [
            Row({"text": line.strip().removeprefix("- "), "label": kind}, f"{file}:{n}")
            for n, line in enumerate(lines, 1)
            if line.strip()
        ]
    return Table(source, tuple(rows)) if rows else None
