"""A report on disk: written completely or not at all."""

import json
import os
from pathlib import Path

from pydantic import ValidationError

from trimtab.errors import InputError
from trimtab.reports.record import ExampleRow, Report
from trimtab.scratch import outside_steerings, scratch


def save(report: Report, folder: Path) -> Path:
    """Write `report.html`, `report.json` and `examples.parquet`; each file appears whole, the JSON last.

    Raises:
        InputError: the folder cannot be written, or belongs to a steering.
    """
    import polars as pl

    from trimtab.reports.html import page

    outside_steerings(folder)
    table = pl.DataFrame([r.model_dump() for r in report.rows], schema=_columns())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with scratch(folder, "report") as work:
            table.write_parquet(work / "examples.parquet")
            (work / "report.html").write_text(page(report), encoding="utf-8")
            (work / "report.json").write_text(report.model_dump_json(by_alias=True, indent=1) + "\n", encoding="utf-8")
            for file in ("examples.parquet", "report.html", "report.json"):
                os.replace(work / file, folder / file)
    except OSError as error:
        raise InputError(f"cannot write the report to {folder}: {error.strerror}; give another --out") from error
    return folder


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
        return Report.model_validate({**record, "rows": rows})
    except FileNotFoundError as error:
        raise InputError(f"{file} does not exist; give the folder that trimtab check --out wrote") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, pl.exceptions.PolarsError, TypeError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise InputError(f"{file} is not a report of this version: {field}: {first['msg']}") from error


def _columns() -> dict[str, type]:
    """Column types of the table, so that an empty one has them too."""
    return {name: field.annotation for name, field in ExampleRow.model_fields.items()}  # type: ignore[misc]
