"""From bytes to rows: what kind of file it is, by its content, and the line of each row."""

from collections.abc import Mapping
from dataclasses import replace

from trimtab.behaviors.columns import count_known, renamed
from trimtab.behaviors.delimited import SEPARATORS, read_delimited, separator_of
from trimtab.behaviors.documents import read_json
from trimtab.behaviors.encoding import decoded
from trimtab.behaviors.frames import ARROW_FILE, ARROW_STREAM, PARQUET, read_frames
from trimtab.behaviors.invalid_rows import InvalidRows
from trimtab.behaviors.opening import unzipped
from trimtab.behaviors.spreadsheets import ZIP, read_workbook
from trimtab.behaviors.table import Table
from trimtab.errors import InputError

SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".gz")
OTHER_SUFFIXES = (".xlsx", ".txt", ".arrow", ".ndjson", ".psv", ".tab")  # also read; not the ending of a dataset's id
_GZIP = b"\x1f\x8b"


def read_table(data: bytes, file: str, *, skip_bad: bool = False, names: Mapping[str, str] | None = None) -> Table:
    """The rows of a JSONL, JSON, CSV, Parquet, Arrow or Excel file, gzipped or not.

    Args:
        data: the file's bytes.
        file: its name, for messages; the ending only decides if the content leaves doubt.
        skip_bad: keep lines without a row in the table's `broken`; else the first of them is an error.
        names: what the file calls our fields, such as `{"good": "positive"}`.

    Raises:
        InputError: names the file, the line and what is broken.
    """
    if data.startswith(_GZIP):
        data = unzipped(data, file)
    table = _table(data, file, names or {})
    if not skip_bad:
        InvalidRows(False).add(list(table.broken), len(table.rows))
    return table


def _table(data: bytes, file: str, names: Mapping[str, str]) -> Table:
    if data.startswith((PARQUET, ARROW_FILE, ARROW_STREAM)):
        return renamed(Table(file, read_frames([(data, file)])), names)
    if data.startswith(ZIP):
        return renamed(read_workbook(data, file), names)
    text, notes = decoded(data, file)
    if not text.strip():
        raise InputError(f"{file}: the file is empty; it needs one example a row")
    ending = _ending(file)
    if text.lstrip()[0] in "{[" or ending in (".json", ".jsonl", ".ndjson"):
        table = read_json(text, file, lines=ending in (".jsonl", ".ndjson"), names=names)
    else:
        _check_no_prose(text, file, ending, names)
        table = renamed(
            read_delimited(text, file, lambda cells: count_known([names.get(cell, cell) for cell in cells])), names
        )
    return replace(table, notes=(*notes, *table.notes))


def _ending(file: str) -> str:
    name = file.lower().removesuffix(".gz")
    return next((suffix for suffix in (*SUFFIXES, *OTHER_SUFFIXES) if name.endswith(suffix)), "")


def _check_no_prose(text: str, file: str, ending: str, names: Mapping[str, str]) -> None:
    """A text with one example a line is one side only; what looks like that is not read as a table.

    Raises:
        InputError: says how to add the other side.
    """
    head = text.lstrip("\r\n").split("\n", 1)[0].rstrip("\r")
    if ending in (".csv", ".tsv", ".psv", ".tab") or "\t" in head:
        return
    cells = head.split(separator_of(head, lambda cells: count_known([names.get(cell, cell) for cell in cells])))
    if any(count_known([names.get(cell.strip(' "'), cell)]) for cell in cells):
        return
    if ending != ".txt" and len(head.split()) < 4 and any(sign in head for sign in SEPARATORS):
        return
    n = sum(bool(line.strip()) for line in text.split("\n"))
    raise InputError(
        f"{file}: a text of {n} lines, which can only be one side; a behavior needs both:\n"
        "  a folder with positive.txt and negative.txt, one text a line (give the folder);\n"
        "  or a table whose first line names the columns: prompt,positive,negative"
    )
