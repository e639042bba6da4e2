"""From bytes to rows: what kind of file it is, told by its content, and the line each row stands on."""

import codecs
import csv
import difflib
import json
from collections.abc import Iterator, Mapping

from trimtab.behaviors.opening import unzipped
from trimtab.behaviors.table import Row, Table
from trimtab.behaviors.texts import name_fault, shown
from trimtab.errors import InputError

HEADER_FIELDS = ("name", "description", "positive_instruction", "negative_instruction", "pairing")
SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".gz")


def read_table(data: bytes, file: str) -> Table:
    """The rows of a JSONL, JSON, CSV, TSV or Parquet file, gzipped or not.

    Args:
        data: the file's bytes.
        file: its name, for messages; the ending only decides where the content leaves a doubt.

    Raises:
        InputError: names the file, the line and what is broken.
    """
    if data.startswith(b"\x1f\x8b"):
        data = unzipped(data, file)
    if data.startswith(b"PAR1"):
        return Table(file, _parquet(data, file))
    text = _decode(data, file)
    if not text.strip():
        raise InputError(f"{file}: the file is empty; it needs one example a row")
    if text.lstrip()[0] in "{[" or _ending(file) in (".json", ".jsonl"):
        return _json(text, file)
    return Table(file, _delimited(text, file))


def _ending(file: str) -> str:
    name = file.lower().removesuffix(".gz")
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")


def _decode(data: bytes, file: str) -> str:
    mark = len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0
    try:
        text = data[mark:].decode("utf-8")
    except UnicodeDecodeError as error:
        at = mark + error.start
        line = data.count(b"\n", 0, at) + 1
        raise InputError(
            f"{file}:{line}: not UTF-8: byte 0x{data[at]:02x} at offset {at}; save the file as UTF-8"
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(f"{file}:{line}: a NUL byte; this is no text file, or remove it")
    return text if "\n" in text else text.replace("\r", "\n")  # lines of the old Mac


# --- JSON and JSONL: either may stand in a file named like the other ---


def _json(text: str, file: str) -> Table:
    lines = [(k, line) for k, line in enumerate(text.split("\n"), 1) if line.strip()]
    if len(lines) > 1 and _is_json(lines[0][1]):
        return _with_header([(_parse(line, file, k), f"{file}:{k}") for k, line in lines], file)
    printed = lines[0][1].strip() in ("[", "{")  # a document over many lines
    like_jsonl = _ending(file) == ".jsonl" or (len(lines) > 1 and _is_json(lines[1][1]))
    if like_jsonl and not printed and not _is_json(text):
        for k, line in lines:
            _parse(line, file, k)
    if text.lstrip().startswith("["):
        return _with_header(list(_elements(text, file)), file)
    return _document(_parse(text, file, 1), file)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _parse(text: str, file: str, line: int) -> object:
    try:
        value: object = json.loads(text)
    except json.JSONDecodeError as error:
        at = f"{file}:{line + error.lineno - 1}"
        raise InputError(f"{at}: broken JSON, column {error.colno}: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}:{line}: JSON that cannot be read: {error}") from None
    return value


def _elements(text: str, file: str) -> Iterator[tuple[object, str]]:
    """The elements of a top-level array, each with the line it begins on."""
    _parse(text, file, 1)  # the whole is sound, so what follows cannot fail
    decoder, at, line = json.JSONDecoder(), text.index("[") + 1, 1
    counted = 0
    while True:
        while text[at] in " \t\r\n,":
            at += 1
        if text[at] == "]":
            return
        line, counted = line + text.count("\n", counted, at), at
        value, at = decoder.raw_decode(text, at)
        yield value, f"{file}:{line}"


def _document(value: object, file: str) -> Table:
    """One object: a header with `examples`, two lists, or a single row."""
    if not isinstance(value, dict):
        raise InputError(f"{file}:1: expected an array or an object, found {type(value).__name__}")
    if "examples" in value:
        examples, rest = value["examples"], {k: v for k, v in value.items() if k != "examples"}
        if not isinstance(examples, list):
            raise InputError(f"{file}: 'examples' must be an array of rows, not {type(examples).__name__}")
        rows = [_row(element, f"{file}:examples[{k}]") for k, element in enumerate(examples)]
        return Table(file, tuple(rows), _header(rest, file))
    if isinstance(value.get("positive"), list) and isinstance(value.get("negative"), list):
        rest = {k: v for k, v in value.items() if k not in ("positive", "negative")}
        rows = [
            Row({"text": text, "label": side}, f"{file}:{side}[{k}]")
            for side in ("positive", "negative")
            for k, text in enumerate(value[side])
        ]
        return Table(file, tuple(rows), _header(rest, file))
    return _with_header([(value, f"{file}:1")], file)


def _with_header(values: list[tuple[object, str]], file: str) -> Table:
    header: Mapping[str, str] = {}
    if values and isinstance(values[0][0], dict) and "trimtab" in values[0][0]:
        (first, source), *values = values
        assert isinstance(first, dict)
        header = _header(first, source)
    return Table(file, tuple(_row(value, source) for value, source in values), header)


def _row(value: object, source: str) -> Row:
    if isinstance(value, dict):
        return Row(value, source)
    if isinstance(value, list) and len(value) == 2:
        return Row({"positive": value[0], "negative": value[1]}, source)
    raise InputError(
        f"{source}: a row must be an object with fields, or an array of two texts, not {type(value).__name__}"
    )


def _header(fields: Mapping[str, object], source: str) -> dict[str, str]:
    """The checked header: see `HEADER_FIELDS`; `trimtab` says what the file is."""
    what = fields.get("trimtab", "behavior")
    if what not in ("behavior", "probe"):
        raise InputError(f"{source}: this is a trimtab {what!r}, not a 'behavior'")
    row = Row({key: value for key, value in fields.items() if key != "trimtab"}, source)
    given = {"trimtab": str(what)}
    for key in row.fields:
        if key not in HEADER_FIELDS:
            near = difflib.get_close_matches(key, HEADER_FIELDS, 1)
            meant = f"; did you mean {near[0]!r}?" if near else f"; it may hold {', '.join(HEADER_FIELDS)}"
            raise InputError(f"{source}: unknown field {key!r} in the header{meant}")
        given[key] = row.text(key)
    if given.get("pairing", "natural") not in ("natural", "random"):
        raise InputError(f"{source}: the header's 'pairing' is {given['pairing']!r}; it can be 'natural' or 'random'")
    if bool(given.get("positive_instruction")) != bool(given.get("negative_instruction")):
        raise InputError(f"{source}: the header has only one of the two instructions; give both or none")
    if given.get("positive_instruction") and given["positive_instruction"] == given["negative_instruction"]:
        raise InputError(f"{source}: the header's two instructions are the same; give two that differ")
    if fault := name_fault(given.get("name", "unnamed")):
        raise InputError(f"{source}: the header's 'name', {shown(repr(given['name']), 120)}, {fault}; write another")
    return given


# --- tables ---


def _delimited(text: str, file: str) -> tuple[Row, ...]:
    import polars as pl

    head = text.lstrip("\r\n").split("\n", 1)[0]
    separator = "\t" if head.count("\t") > head.count(",") else ","
    names = _names(head.rstrip("\r"), separator, file)
    if len(set(names)) < len(names):
        raise InputError(f"{file}:1: two columns have the same name in {names}; rename one")
    try:
        frame = pl.read_csv(text.encode(), separator=separator, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        reason = str(error).split("\n", 1)[0]
        raise InputError(f"{file}: cannot be read as a table: {reason}; look for open quotes and extra cells") from None
    rows, line = [], 2 + text[: len(text) - len(text.lstrip("\r\n"))].count("\n")
    for cells in frame.iter_rows(named=True):
        if any(cell is not None for cell in cells.values()):
            rows.append(Row({key: cell or "" for key, cell in cells.items()}, f"{file}:{line}"))
        line += 1 + sum(cell.count("\n") for cell in cells.values() if cell)
    return tuple(rows)


def _names(head: str, separator: str, file: str) -> list[str]:
    try:
        return next(csv.reader([head], delimiter=separator))
    except csv.Error as error:
        raise InputError(f"{file}:1: the names of the columns cannot be read: {error}; save the file anew") from None


def _parquet(data: bytes, file: str) -> tuple[Row, ...]:
    import polars as pl

    try:
        frame = pl.read_parquet(data)
    except pl.exceptions.PolarsError as error:
        reason = str(error).split("\n", 1)[0]
        raise InputError(f"{file}: broken Parquet file: {reason}; write it again") from None
    return tuple(Row(cells, f"{file}:{k}") for k, cells in enumerate(frame.iter_rows(named=True), 1))
