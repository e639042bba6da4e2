"""Rows of a task's data: from a file, a folder or a Hugging Face dataset, and checks of their fields."""

import json
import re
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from trimtab.behaviors.files import OTHER_SUFFIXES, SUFFIXES, read_table
from trimtab.behaviors.folders import read_folder
from trimtab.behaviors.hub import DATASET_ID, read_dataset
from trimtab.behaviors.opening import located, read_file
from trimtab.behaviors.table import Row, Table
from trimtab.errors import InputError
from trimtab.phrases import Phrase, with_commas
from trimtab.texts import shown

Read = TypeVar("Read")
_WHOLE = re.compile(r"-?[0-9]{1,9}(\.0)?")


def rows_of(source: str | Path) -> Table:
    """The rows of a source, each with its place.

    Args:
        source: a file (JSON, JSONL, CSV, Excel, Parquet, Arrow; gzipped or not), a folder with such files or with a
            dataset, or a Hugging Face dataset, `ORG/NAME` or `hub:ORG/NAME`, either with `@revision:config:split`.

    Raises:
        InputError: there is none, it cannot be read, or it has no rows.
    """
    name = str(source)
    if not name.strip():
        raise InputError(
            "the source is empty; give a file, a folder or a dataset", code="missing-value", field="source"
        )
    place = None if name.startswith("hub:") else located(source)
    if place is None:
        if not (name.startswith("hub:") or _is_dataset(name)):
            raise InputError(
                f"{shown(name, 120)}: no such file or folder; give the path of the task's data or the id of a Hugging "
                "Face dataset (hub:ORG/NAME)",
                code="no-such-file",
                field="source",
            )
        table = read_dataset(name.removeprefix("hub:"))
    elif stat.S_ISDIR(place[1].st_mode):
        table = _folder(place[0])
    else:
        table = read_table(read_file(*place), shown(name))
    if not table.rows:
        raise InputError(f"{table.file}: no rows; a task needs at least one")
    return table


def _is_dataset(name: str) -> bool:
    return bool(DATASET_ID.fullmatch(name)) and not name.lower().endswith((*SUFFIXES, *OTHER_SUFFIXES))


def _folder(path: Path) -> Table:
    """The rows of a dataset's folder, or of all files with one row a line in it."""
    table = read_folder(path)
    if table is not None:
        return table
    files = sorted(file for file in path.iterdir() if file.name.lower().endswith((".jsonl", ".jsonl.gz")))
    if not files:
        raise InputError(
            f"{shown(str(path))} is a folder without .jsonl files; give the file that holds the rows",
            code="wrong-file",
            field="source",
        )
    tables = [rows_of(file) for file in files]
    names = with_commas([shown(file.name, 40) for file in files])
    note = Phrase("read from {n} files of the folder: {names}", n=len(files), names=names)
    return replace(tables[0], file=shown(str(path)), rows=tuple(r for t in tables for r in t.rows), notes=(note,))


def each(table: Table, read: Callable[[Row], Read]) -> list[Read]:
    """What `read` makes of every row.

    Raises:
        InputError: the first row that it cannot read; a task leaves none out, since its figures would change.
    """
    return [read(row) for row in table.rows]


def whole(row: Row, name: str, choices: Sequence[int]) -> int:
    """A whole number, also as text, and as 3.0, which pandas writes.

    Raises:
        InputError: missing, or none of the choices.
    """
    if name not in row.fields:
        raise InputError(f"{row.source}: the field {name!r} is missing; found {row.field_names()}")
    value = row.fields[name]
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        value = int(value.strip().removesuffix(".0"))
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or value not in choices:
        listed = ", ".join(map(str, choices))
        given = shown(repr(value), 40)
        raise InputError(f"{row.source}: the field {name!r} is {given}; it must be one of {listed}")
    return int(value)  # type: ignore[call-overload, no-any-return]


def chosen(row: Row, name: str, choices: Iterable[str]) -> str:
    """A text that is one of the choices.

    Raises:
        InputError: missing, or another text.
    """
    value, known = row.text(name), list(choices)
    if value not in known:
        raise InputError(f"{row.source}: the field {name!r} is {shown(value, 40)!r}; it must be {' or '.join(known)}")
    return value


def item(row: Row, name: str) -> Any:
    """A field that holds a list or an object, also as JSON text, as some datasets store it.

    Raises:
        InputError: missing, or neither.
    """
    value = row.fields.get(name)
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{row.source}: the field {name!r} is broken JSON: {error}") from None
    if not isinstance(value, dict | list):
        raise InputError(
            f"{row.source}: the field {name!r} must hold a list or an object, found {type(value).__name__}; the row "
            f"has {row.field_names()}"
        )
    return value


def option(name: str, value: str, choices: Sequence[str]) -> str:
    """An option of a task, checked.

    Raises:
        InputError: none of the choices.
    """
    if value not in choices:
        raise InputError(
            f"{name} {value!r} is unknown; it can be {' or '.join(choices)}", code="unknown-choice", field=name
        )
    return value
