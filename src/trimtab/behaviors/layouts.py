"""The rows of a JSON value: an array of them, columns, rows under a name, two lists, or a single row."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from trimtab.behaviors.columns import count_known, renamed
from trimtab.behaviors.headers import HEADER_FIELDS, checked_header
from trimtab.behaviors.table import Row, Table
from trimtab.errors import InputError
from trimtab.phrases import Phrase, with_commas
from trimtab.texts import shown

_ROWS_OF = ("train", "data", "rows", "items", "records", "instances", "pairs", "dataset", "samples")  # what wraps rows
_SPLITS = ("train", "test", "validation", "dev", "eval", "val")


class RepeatedKeys(dict[str, Any]):
    """An object in which a key occurs twice, of which Python would silently keep the last."""

    key: str = ""


def document(value: object, file: str, names: Mapping[str, str]) -> Table:
    """One object: a header with `examples`, two lists, columns, rows under a name, or a single row.

    Args:
        value: the content of a whole file.
        file: its name, for messages.
        names: from the file's names of fields to ours.

    Raises:
        InputError: it is not an object, or its rows are in no known layout.
    """
    if not isinstance(value, dict):
        raise InputError(f"{file}:1: expected an array or an object, found {type(value).__name__}")
    if isinstance(value, RepeatedKeys):
        _check_no_duplicate_keys(value, f"{file}:1")
    if "examples" in value:
        return renamed(_examples(value, file), names)
    if any(name in value for name in names):  # of columns, or of a single row
        as_row = renamed(Table(file, (Row(value, file),)), names)
        table = _one_object(as_row.rows[0].fields, file)
        return replace(table, notes=(*as_row.notes, *table.notes))
    return renamed(_one_object(value, file), names)


def _one_object(value: Mapping[str, Any], file: str) -> Table:
    lists = {key for key, held in value.items() if isinstance(held, list)}
    nested = any(isinstance(v, dict) for v in value.values())
    if lists == {"positive", "negative"} and not nested and count_known(value) == 2:
        return _two_lists(value, file)
    if (rows := _wrapped(value)) is not None:
        return _named_rows(value, *rows, file)
    if (columns := _columns(value, file)) is not None:
        return columns
    return table_of([(value, f"{file}:1")], file)


def _examples(value: Mapping[str, Any], file: str) -> Table:
    examples, rest = value["examples"], {k: v for k, v in value.items() if k != "examples"}
    if not isinstance(examples, list):
        raise InputError(f"{file}: 'examples' must be an array of rows, not {type(examples).__name__}")
    header, notes = checked_header(rest, file)
    return _table([(element, f"{file}:examples[{k}]") for k, element in enumerate(examples)], file, header, notes)


def _two_lists(value: Mapping[str, Any], file: str) -> Table:
    header, notes = checked_header({k: v for k, v in value.items() if k not in ("positive", "negative")}, file)
    rows = [
        Row({"text": text, "label": side}, f"{file}:{side}[{k}]")
        for side in ("positive", "negative")
        for k, text in enumerate(value[side])
    ]
    return Table(file, tuple(rows), header, notes)


def _wrapped(value: Mapping[str, Any]) -> tuple[str, list[Any]] | None:
    """The name and the rows of an object that wraps a list of rows."""
    for name in (*_ROWS_OF, *value):
        rows = value.get(name)
        if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
            continue
        if name in _ROWS_OF or (set(value) <= {name, *_SPLITS, *HEADER_FIELDS} and not _is_row({name: rows})):
            return name, rows
    columns, data = value.get("columns"), value.get("data")  # pandas' to_json(orient="split")
    if not isinstance(columns, list) or not isinstance(data, list) or not all(isinstance(c, str) for c in columns):
        return None
    if not all(isinstance(row, list) and len(row) == len(columns) for row in data):
        return None
    return "data", [dict(zip(columns, row, strict=True)) for row in data]


def _named_rows(value: Mapping[str, Any], name: str, rows: list[Any], file: str) -> Table:
    if all(isinstance(row.get("row"), dict) for row in rows):  # as the Hub's viewer gives them
        rows = [row["row"] for row in rows]
    fields = {key: value[key] for key in HEADER_FIELDS if isinstance(value.get(key), str)}
    header, _ = checked_header(fields, file)
    others = [key for key in value if key != name and isinstance(value[key], list) and key in (*_ROWS_OF, *_SPLITS)]
    note = Phrase("the rows are those of {field}", field=repr(name))
    if others:
        note = Phrase("{what}; {others} not read", what=note, others=with_commas([repr(key) for key in others]))
    return _table([(row, f"{file}:{name}[{k}]") for k, row in enumerate(rows)], file, header, (note,))


def _columns(value: Mapping[str, Any], file: str) -> Table | None:
    """An object of columns (lists, or pandas' objects by row), or pandas' rows by index; None if it is neither."""
    fields = {k: v for k, v in value.items() if k in HEADER_FIELDS and isinstance(v, str)}
    columns = {k: v for k, v in value.items() if k not in fields}
    if len(columns) < 2:
        return None
    if all(isinstance(column, list) for column in columns.values()) and not _is_row(columns):
        rows = _rows_of_columns(columns, file)
        where, note = [f"{file}:[{k}]" for k in range(len(rows))], Phrase("read by columns")
    elif all(isinstance(column, dict) and column for column in columns.values()):
        keys = list(next(iter(columns.values())))
        if not all(list(column) == keys for column in columns.values()):
            return None
        if all(key.isdigit() for key in keys):
            rows = [{name: column[key] for name, column in columns.items()} for key in keys]
            where, note = [f"{file}:[{key}]" for key in keys], Phrase("read by columns, as pandas' to_json writes them")
        elif all(key.isdigit() for key in columns):
            rows, where = list(columns.values()), [f"{file}:[{key}]" for key in columns]
            note = Phrase("read by index, as pandas' to_json(orient='index') writes rows")
        else:
            return None
    else:
        return None
    header, _ = checked_header(fields, file)
    return _table(list(zip(rows, where, strict=True)), file, header, (note,))


def _rows_of_columns(columns: Mapping[str, list[Any]], file: str) -> list[dict[str, Any]]:
    sizes = {name: len(column) for name, column in columns.items()}
    listed = " and ".join(f"{shown(name, 40)!r} ({n})" for name, n in sizes.items())
    if len(set(sizes.values())) > 1:
        raise InputError(f"{file}: the lists {listed} differ in length; {_lists_hint(columns, file)}")
    texts_only = all(isinstance(text, str) for column in columns.values() for text in column)
    if len(columns) == 2 and not count_known(list(columns)) and texts_only:
        raise InputError(f"{file}: two lists of texts, {listed}; {_lists_hint(columns, file)}")
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def _is_row(columns: Mapping[str, Any]) -> bool:
    """A single row of chats: each of its lists holds turns, and they may differ in length."""
    return any(
        isinstance(turn, dict) and ({"role", "content"} <= set(turn) or {"from", "value"} <= set(turn))
        for column in columns.values()
        for turn in column
    )


def _lists_hint(columns: Mapping[str, Any], file: str) -> str:
    if len(columns) != 2:
        return "make them equally long, or write one object a row"
    a, b = (shown(name, 40) for name in columns)
    line = f"\n  trimtab convert-data {file} OUT.jsonl --positive "
    return f"say which one is the positive side:{line}{a} --negative {b}{line}{b} --negative {a}"


# --- rows ---


def table_of(values: list[tuple[object, str]], file: str, broken: Iterable[str] = ()) -> Table:
    """The table of values and their places, of which the first may be a header.

    Raises:
        InputError: an unknown field in the header, or a list of texts alone.
    """
    header: Mapping[str, str] = {}
    notes: tuple[str, ...] = ()
    if values and isinstance(values[0][0], dict) and "trimtab" in values[0][0]:
        (first, source), *values = values
        assert isinstance(first, dict)
        header, notes = checked_header(first, source)
    return _table(values, file, header, notes, broken)


def _table(
    values: Iterable[tuple[object, str]],
    file: str,
    header: Mapping[str, str],
    notes: tuple[str, ...],
    broken: Iterable[str] = (),
) -> Table:
    rows, faults = [], list(broken)
    values = list(values)
    if len(values) > 1 and all(isinstance(value, str) for value, _ in values):
        raise InputError(
            f"{file}: a list of texts is only one side; write the other side too: "
            '{"positive": ["…"], "negative": ["…"]}'
        )
    for value, source in values:
        try:
            rows.append(_row(value, source))
        except InputError as error:
            faults.append(str(error))
    return Table(file, tuple(rows), header, notes, tuple(faults))


def _row(value: object, source: str) -> Row:
    if isinstance(value, dict):
        _check_no_duplicate_keys(value, source)
        return Row(value, source)
    if isinstance(value, list) and len(value) == 2:
        return Row({"positive": value[0], "negative": value[1]}, source)
    if isinstance(value, list) and len(value) == 3 and all(isinstance(text, str) for text in value):
        raise InputError(
            f"{source}: a row must be an object with fields; three texts do not say which is which: name them prompt, "
            "positive, negative"
        )
    raise InputError(f"{source}: a row must be an object with fields, or an array of two texts, not {_kind(value)}")


def _kind(value: object) -> str:
    return "NaN" if isinstance(value, float) and math.isnan(value) else type(value).__name__


def _check_no_duplicate_keys(value: Mapping[str, Any], source: str) -> None:
    below: list[object] = [value]
    while below:
        held = below.pop()
        if isinstance(held, RepeatedKeys):
            raise InputError(f"{source}: the field {shown(held.key, 40)!r} occurs twice in one object; remove one")
        if isinstance(held, dict | list):
            below += held.values() if isinstance(held, dict) else held
