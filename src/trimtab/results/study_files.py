"""A study on disk: read back, every row checked."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import ValidationError

from trimtab.errors import InputError
from trimtab.results.figures import Record
from trimtab.results.study import Cell, Study, TypeCosines

if TYPE_CHECKING:
    import polars as pl

Row = TypeVar("Row", bound=Record)

TABLES: Final[Mapping[str, type[Record]]] = {"cells": Cell, "cosines": TypeCosines}
# What may not stand twice in a table.
_KEYS: Final[Mapping[type[Record], tuple[str, ...]]] = {
    Cell: ("model", "block", "component", "behavior", "prompt_type"),
    TypeCosines: ("model", "block", "component", "behavior"),
}
_TOLERANCE: Final = 1e-6  # by which a cosine may exceed 1


def load_study(folder: Path) -> Study:
    """Read a study back.

    Args:
        folder: where `save_study` wrote.

    Raises:
        InputError: no study there, or one that does not fit: another version, a column that is missing or of another
            type, a figure that is not finite, a cell that stands twice. The message names file and field.
    """
    file = folder / "study.json"
    try:
        study = Study.model_validate(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise InputError(f"{file} does not exist; give the folder that trimtab study wrote") from error
    except ValidationError as error:
        raise InputError(f"{file} is not a study of this version: {_first(error)}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    for table in TABLES:
        if getattr(study, table):
            raise InputError(f"{file} holds {table}, which belong into {table}.parquet; run the study again")
    cosines = _read(folder / "cosines.parquet", TypeCosines)
    _check_matrices(folder / "cosines.parquet", cosines)
    return study.model_copy(update={"cells": _read(folder / "cells.parquet", Cell), "cosines": cosines})


def _read(file: Path, record: type[Row]) -> tuple[Row, ...]:
    """The rows of a table, each one valid and none twice."""
    import polars as pl

    try:
        table = pl.read_parquet(file, glob=False)
    except FileNotFoundError as error:
        raise InputError(f"{file} does not exist; a study is study.json and both tables beside it") from error
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    _check_columns(file, table, record)
    rows: dict[tuple[object, ...], Row] = {}
    for i, values in enumerate(table.iter_rows(named=True)):
        try:
            row = record.model_validate(values)
        except ValidationError as error:
            raise InputError(f"{file}, row {i}: {_first(error)}") from error
        key = tuple(values[name] for name in _KEYS[record])
        if key in rows:
            cell = ", ".join(f"{name} {value!r}" for name, value in zip(_KEYS[record], key, strict=True))
            raise InputError(f"{file}, row {i}: {cell} stands there twice; a study has one row for each")
        rows[key] = row
    return tuple(rows.values())


def _check_columns(file: Path, table: "pl.DataFrame", record: type[Record]) -> None:
    expected, result = columns(record), dict(table.schema)
    missing = [name for name in expected if name not in result]
    if missing:
        raise InputError(f"{file} has no column {missing[0]!r}; it was not written by this version of trimtab study")
    surplus = [name for name in result if name not in expected]
    if surplus:
        raise InputError(f"{file} has a column {surplus[0]!r} that a study does not have")
    for name, kind in expected.items():
        if result[name] != kind:
            raise InputError(f"{file}: column {name!r} holds {result[name]}; it must hold {kind}")


def _check_matrices(file: Path, rows: tuple[TypeCosines, ...]) -> None:
    """A matrix has a row and a column for each type, and cosines in it."""
    for i, row in enumerate(rows):
        n = len(row.types)
        if len(set(row.types)) != n:
            raise InputError(f"{file}, row {i}: types: one of them stands there twice")
        if len(row.matrix) != n or any(len(line) != n for line in row.matrix):
            raise InputError(f"{file}, row {i}: matrix: it must be {n} × {n}, one row and column for each type")
        if any(abs(cosine) > 1 + _TOLERANCE for line in row.matrix for cosine in line):
            raise InputError(f"{file}, row {i}: matrix: a cosine lies outside −1…1")


def columns(record: type[Record]) -> dict[str, Any]:
    """Column types of a table, so that an empty one has them too."""
    import polars as pl

    kinds: dict[object, Any] = {bool: pl.Boolean(), int: pl.Int64(), str: pl.String(), float: pl.Float64()}
    kinds |= {
        float | None: pl.Float64(),
        str | None: pl.String(),
        tuple[str, ...]: pl.List(pl.String()),
        tuple[tuple[float, ...], ...]: pl.List(pl.List(pl.Float64())),
    }
    # What remains is a choice among words.
    return {name: kinds.get(field.annotation, pl.String()) for name, field in record.model_fields.items()}


def _first(error: ValidationError) -> str:
    """The first thing that does not fit, with its field."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
