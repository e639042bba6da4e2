"""JSON and JSONL, whichever the file's name says; a document may hold its rows in many ways."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from trimtab.behaviors.columns import renamed
from trimtab.behaviors.layouts import RepeatedKeys, document, table_of
from trimtab.behaviors.table import Table
from trimtab.errors import InputError
from trimtab.phrases import Phrase


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) == len(pairs):
        return fields
    repeated, earlier = RepeatedKeys(fields), set()
    for key, _ in pairs:
        if key in earlier:
            repeated.key = key
        earlier.add(key)
    return repeated


_DECODER = json.JSONDecoder(object_pairs_hook=_object)


def read_json(text: str, file: str, *, lines: bool, names: Mapping[str, str]) -> Table:
    """The rows of a JSON or JSONL text.

    Args:
        text: of the whole file.
        file: its name, for messages.
        lines: whether the file's name says that every line is a row.
        names: other names of the fields `positive`, `negative` and so on, for documents of columns.

    Raises:
        InputError: names the line and what is broken.
    """
    rows = [(k, line) for k, line in enumerate(text.split("\n"), 1) if line.strip()]
    if len(rows) > 1 and _is_json(rows[0][1]):
        if _is_json(text):  # a document whose first line is one by itself, such as `[],` is not
            return _whole(text, file, names)
        if all(_is_json(line) for _, line in rows[1:3]) or not _many(text):
            return renamed(_lines(rows, file), names)
    printed = rows[0][1].strip() in ("[", "{")  # a document over many lines
    if (lines or (len(rows) > 1 and _is_json(rows[1][1]))) and not printed and not _is_json(text) and not _many(text):
        return renamed(_lines(rows, file), names)
    return _whole(text, file, names)


def _lines(lines: list[tuple[int, str]], file: str) -> Table:
    """JSONL. A broken line costs one row, which the caller may allow."""
    values: list[tuple[object, str]] = []
    broken = []
    for k, line in lines:
        try:
            value = _parse(line, file, k)
            if isinstance(value, list) and value and all(isinstance(v, dict) for v in value):
                values += [(v, f"{file}:{k}") for v in value]  # an array of rows a line
            else:
                values.append((value, f"{file}:{k}"))
        except InputError as error:
            broken.append(str(error))
    return table_of(values, file, broken)


def _whole(text: str, file: str, names: Mapping[str, str]) -> Table:
    many = [] if _is_json(text) else _many(text)
    if many:
        table = table_of(list(_flat(many, text, file)), file)
        note = Phrase("{n} JSON documents one after another, read as one list of rows", n=len(many))
        return renamed(replace(table, notes=(note, *table.notes)), names)
    if text.lstrip().startswith("["):
        return renamed(table_of(list(_elements(text, file)), file), names)
    return document(_parse(text, file, 1), file, names)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _parse(text: str, file: str, line: int) -> object:
    try:
        value: object = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        at = f"{file}:{line + error.lineno - 1}"
        raise InputError(f"{at}: broken JSON, column {error.colno}: {error.msg}{_fix(text, error)}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}:{line}: JSON that cannot be read: {error}") from None
    return value


def _fix(text: str, error: json.JSONDecodeError) -> str:
    before = text[: error.pos].rstrip()
    if before.endswith(",") and text[error.pos : error.pos + 1] in ("]", "}"):
        return "; there is a comma before the closing bracket: remove it"
    if text[error.pos : error.pos + 1] in ("]", "}") and error.msg.startswith("Illegal trailing comma"):
        return "; remove the comma"
    if text[error.pos : error.pos + 1] == "'" or re.match(r"\s*[\[{]\s*'", text):
        return "; JSON strings need double quotes: write the file with json.dump, not with print or str"
    return ""


def _many(text: str) -> list[tuple[object, int]]:
    """The values of a text that holds several one after another, with where each begins; none if it does not."""
    values: list[tuple[object, int]] = []
    at = 0
    while True:
        while at < len(text) and text[at] in " \t\r\n":
            at += 1
        if at >= len(text):
            return values if len(values) > 1 and all(isinstance(value, (dict, list)) for value, _ in values) else []
        try:
            value, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            return []
        values.append((value, at))
        at = end


def _flat(many: Iterable[tuple[object, int]], text: str, file: str) -> Iterator[tuple[object, str]]:
    line = counted = 0
    for value, at in many:
        line, counted = line + text.count("\n", counted, at), at
        if isinstance(value, list) and (not value or any(isinstance(row, dict | list) for row in value)):
            yield from ((row, f"{file}:{line + 1}") for row in value)
        else:
            yield value, f"{file}:{line + 1}"


def _elements(text: str, file: str) -> Iterator[tuple[object, str]]:
    """The elements of a top-level array, each with the line it begins on."""
    _parse(text, file, 1)  # the whole text is valid JSON, so what follows cannot fail
    at, line = text.index("[") + 1, 1
    counted = 0
    while True:
        while text[at] in " \t\r\n,":
            at += 1
        if text[at] == "]":
            return
        line, counted = line + text.count("\n", counted, at), at
        value, at = _DECODER.raw_decode(text, at)
        yield value, f"{file}:{line}"
