"""A report on disk: written completely or not at all."""

from pathlib import Path

from trimtab.errors import InputError
from trimtab.results.report import Report
from trimtab.results.report_files import columns
from trimtab.storage.atomic import into_place, output_path, scratch


def save(report: Report, folder: str | Path) -> Path:
    """Write `report.html`, `report.json` and `examples.parquet`; each file appears whole, the JSON last.

    Raises:
        InputError: the folder cannot be written, or belongs to a steering.
    """
    import polars as pl

    from trimtab.reports.check.html import page

    folder = output_path(folder)
    table = pl.DataFrame([r.model_dump() for r in report.rows], schema=columns())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with scratch(folder, "report") as work:
            table.write_parquet(work / "examples.parquet")
            (work / "report.html").write_text(page(report), encoding="utf-8")
            (work / "report.json").write_text(report.model_dump_json(by_alias=True, indent=1) + "\n", encoding="utf-8")
            into_place(work, folder, ("examples.parquet", "report.html", "report.json"))
    except OSError as error:
        raise InputError(
            f"cannot write the report to {folder}: {error.strerror}; give another folder",
            code="unwritable-file",
            field="folder",
        ) from error
    return folder
