"""From rows to examples: which format the rows have, and one small function for each."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from trimtab.behaviors.answers import READERS, read_exactly
from trimtab.behaviors.behavior import Example
from trimtab.behaviors.catalogue import FORMATS, NAMES, Format, nearest, overview
from trimtab.behaviors.columns import count_known, names_read, spelled, with_plain_turns
from trimtab.behaviors.evaluations import is_caa, read_choices, read_statements, without_garbled_rows
from trimtab.behaviors.example_set import ExampleSet
from trimtab.behaviors.invalid_rows import InvalidRows
from trimtab.behaviors.labelled import LABELS, TEXT_FIELDS
from trimtab.behaviors.table import Row, Table
from trimtab.errors import InputError
from trimtab.nearest import meant
from trimtab.phrases import Phrase
from trimtab.texts import shown

View = Literal["choice", "statements"]
VIEWS: tuple[View, ...] = ("choice", "statements")

_MAJORITY = 0.5  # share of the rows that decides for a format


def parse(table: Table, format: str | None = None, view: str | None = None, *, skip_bad: bool = False) -> ExampleSet:
    """The examples of a table.

    Args:
        table: rows of one format.
        format: the name of a format in `catalogue.FORMATS`; None detects it from the fields.
        view: `choice` (default) or `statements`, for the formats `mwe` and `caa` only.
        skip_bad: leave out rows that cannot be read, and say so in a note; else the first one is an error.

    Raises:
        InputError: an unknown format or view, a view for a format without views, or a row that does not fit.
    """
    if view is not None and view not in VIEWS:
        raise InputError(f"unknown view {view!r}; {meant(view, VIEWS)}it can be {' or '.join(VIEWS)}")
    if format is not None and format not in NAMES:
        raise InputError(f"unknown format {format!r}; {meant(format, NAMES)}it can be {', '.join(NAMES)}")
    invalid = InvalidRows(skip_bad)
    invalid.add(list(table.broken), len(table.rows))
    if not table.rows:
        raise InputError(f"{table.file}: no rows; a behavior needs at least one example")
    total = len(table.rows) + len(table.broken)
    parsed = read_exactly(table, invalid) if "exact" in table.header else _read(table, format, view, invalid)
    if skip_bad:
        parsed = replace(parsed, examples=_one_kind(parsed.examples, invalid))
    return replace(parsed, notes=(*invalid.notes(total), *parsed.notes))


def _read(table: Table, format: str | None, view: str | None, invalid: InvalidRows) -> ExampleSet:
    table, changed = spelled(table)
    n_notes = len(table.notes)
    table = with_plain_turns(table, invalid)
    entry = next(entry for entry in FORMATS if entry.name == format) if format else detect(table)
    notes = list(table.notes[n_notes:])
    table, synonyms = _first_names(table, entry)
    read_as = {name: synonyms.pop(ours, ours) for name, ours in changed.items() if ours in entry.names} | synonyms
    if read_as:
        notes.insert(0, Phrase("read {fields}", fields=names_read(read_as)))
    if entry.name in ("mwe", "caa"):
        kept, garbled = without_garbled_rows(table)
        if view == "statements":
            parsed = read_statements(kept, invalid)
        else:
            parsed = read_choices(kept, entry.name == "caa", invalid)
        return replace(parsed, notes=(*notes, *garbled, *parsed.notes))
    if view is not None:
        raise InputError(f"{table.file}: a view can be chosen for the formats mwe and caa only; this is {entry.name!r}")
    parsed = READERS[entry.name](table, invalid)
    return replace(parsed, notes=(*notes, *parsed.notes))


def detect(table: Table) -> Format:
    """The format whose fields the rows have: the first that most rows fit, else that their fields together fit.

    Raises:
        InputError: none fits; names the fields found and what each format needs.
    """
    names = {name for row in table.rows for name in row.fields}
    fitting = [entry for entry in FORMATS if not entry.lacks(names)]
    fields = [set(row.fields) for row in table.rows]
    for entry in fitting:
        if sum(not entry.lacks(row_fields) for row_fields in fields) >= _MAJORITY * len(fields):
            return _by_value(entry, table)
    if fitting:
        return _by_value(fitting[0], table)
    raise InputError(no_format(table))


def _by_value(entry: Format, table: Table) -> Format:
    """`caa` for `mwe` by its answers, `preferences` for chats beside a prompt."""
    by_name = {entry.name: entry for entry in FORMATS}
    if entry.name == "mwe" and is_caa(table.rows[0]):
        return by_name["caa"]
    if entry.name == "conversations" and any("prompt" in row.fields for row in table.rows):
        return by_name["preferences"]
    return entry


def no_format(table: Table) -> str:
    """Why no format fits, the nearest one, and the command or line that makes the rows fit."""
    row = table.rows[0]
    names = dict.fromkeys(str(name) for row in table.rows for name in row.fields)
    if _is_prose(names):
        return (
            f"{table.file}:1: the first line should name the columns; found {row.field_names()}\n"
            f"  if that line is an example, put this line above it: {_names_for(list(names))}"
        )
    lines = [f"{row.source}: no format has these fields; found {row.field_names()}"]
    if near := nearest(names):
        lacking = ", ".join(repr(field) for field in near.lacks(names))
        lines.append(f"  the nearest format, {near.name}, also needs {lacking}")
    else:
        lines[0] += "; the formats are"
        lines.append(overview())
    if "messages" in names or "conversations" in names:
        lines.append("  a behavior needs two answers to every prompt, one that shows it and one that does not")
    lines += _command(table)
    return "\n".join(lines)


def _names_for(cells: Sequence[str]) -> str:
    """A line of names for a table without one, by what its first line holds."""
    sides = [cell.strip().casefold() in LABELS for cell in cells]
    if len(cells) == 2 and any(sides):
        return "label,text" if sides[0] else "text,label"
    return ",".join(("prompt", "positive", "negative")[-len(cells) :]) if len(cells) in (2, 3) else "their names"


def _command(table: Table) -> list[str]:
    """The command that says which fields are which, by what they hold."""
    row = table.rows[0]
    texts = [str(name) for name, value in row.fields.items() if isinstance(value, str) and not count_known([str(name)])]
    sides = [name for name in row.fields if _holds_sides(table, name)]
    rest = [name for name in row.fields if isinstance(row.fields[name], str) and name not in sides]
    start = f"  trimtab convert-data {table.file} OUT.jsonl"
    if len(sides) == 1 and rest:
        options = f"--text {_word(max(rest, key=lambda name: len(str(row.fields[name]))))} --label {_word(sides[0])}"
        return ["  if each row has one text and its side, say which fields they are:", f"{start} {options}"]
    if len(texts) > 1:
        options = f"--positive {_word(texts[-2])} --negative {_word(texts[-1])}"
        return [
            "  if two of the fields are the wanted and the unwanted answer, say which, such as:",
            f"{start} {options}",
        ]
    return []


def _holds_sides(table: Table, name: str) -> bool:
    """Whether a field contains labels of two sides."""
    values = {str(row.fields.get(name)).strip().casefold() for row in table.rows}
    return len(values) == 2 and values <= set(LABELS)


def _word(name: str) -> str:
    return shlex.quote(shown(name, 40))


def _is_prose(names: Iterable[str]) -> bool:
    """Whether the names of the columns are sentences: a table without its first line, or a plain text."""
    return any(len(name.split()) > 3 for name in names)


def _first_names(table: Table, entry: Format) -> tuple[Table, dict[str, str]]:
    """The table with fields under the first of the names that the format knows them by."""
    names = {name for row in table.rows for name in row.fields}
    changed: dict[str, str] = {}
    for field in (*entry.needs, *entry.takes):
        first, *others = field.split("|")
        other = next((name for name in others if name in names and name not in changed), None)
        if first not in names and other is not None and first not in TEXT_FIELDS:
            changed[other] = first
    if not changed:
        return table, {}
    rows = tuple(Row({changed.get(k, k): v for k, v in row.fields.items()}, row.source) for row in table.rows)
    return replace(table, rows=rows), changed


def _one_kind(examples: Sequence[Example], invalid: InvalidRows) -> Sequence[Example]:
    """Examples that all have a prompt, or all none: the smaller kind is left out."""
    bare = [e for e in examples if not e.prompt]
    if not bare or 2 * len(bare) == len(examples) or len(bare) == len(examples):
        return examples
    prompted = 2 * len(bare) < len(examples)  # most have a prompt
    fault = f"{'no prompt' if prompted else 'a prompt'}, unlike most rows"
    left_out = [e for e in examples if bool(e.prompt) != prompted]
    invalid.add([f"{e.source}: {fault}" for e in left_out], len(examples))
    return [e for e in examples if bool(e.prompt) == prompted]
