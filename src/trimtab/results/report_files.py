"""A report on disk: read back, every field checked."""

import json
from pathlib import Path

from pydantic import ValidationError

from trimtab.errors import InputError
from trimtab.results.earlier import present
from trimtab.results.report import ExampleRow, Report


def load(folder: Path) -> Report:
    """Read a report back.

    Raises:
        InputError: no report there, or one that does not fit the schema.
    """
    import polars as pl

    file = folder / "report.json" if folder.is_dir() else folder
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        table = file.with_name("examples.parquet")
        rows = pl.read_parquet(table, glob=False).to_dicts() if table.is_file() else []
        return Report.model_validate(present({**record, "rows": rows}))
    except FileNotFoundError as error:
        raise InputError(f"{file} does not exist; give the folder that trimtab check wrote") from error
    except (
        OSError,
        UnicodeDecodeError,
        json.JSONDecodeError,
        pl.exceptions.PolarsError,
        TypeError,
        KeyError,
        AttributeError,
    ) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise InputError(f"{file} is not a report of this version: {field}: {first['msg']}") from error


def columns() -> dict[str, type]:
    """Column types of the table, so that an empty one has them too."""
    return {name: field.annotation for name, field in ExampleRow.model_fields.items()}  # type: ignore[misc]
