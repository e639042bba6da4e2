"""A report on disk: written completely or not at all."""

from pathlib import Path

from trimtab.errors import InputError
from trimtab.languages import ENGLISH, Language
from trimtab.results.report import Report
from trimtab.results.report_files import columns
from trimtab.storage.atomic import into_place, output_path, scratch, whole


def save(report: Report, folder: str | Path, language: Language = ENGLISH) -> Path:
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
            (work / "report.html").write_text(page(report, language), encoding="utf-8")
            (work / "report.json").write_text(report.model_dump_json(by_alias=True, indent=1) + "\n", encoding="utf-8")
            into_place(work, folder, ("examples.parquet", "report.html", "report.json"))
    except OSError as error:
        raise InputError(
            f"cannot write the report to {folder}: {error.strerror}; give another folder",
            code="unwritable-file",
            field="folder",
        ) from error
    return folder


def speak(report: Report, folder: Path, language: Language) -> None:
    """Write the page anew where it is in another language.

    Raises:
        InputError: the page cannot be written.
    """
    from trimtab.reports.check.html import page

    file = folder / "report.html"
    try:
        with file.open(encoding="utf-8") as written:
            if f'<html lang="{language.code}">' in written.read(200):
                return
    except OSError:
        pass  # there is none, and so it is written
    try:
        with whole(file) as work:
            work.write_text(page(report, language), encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"cannot write {file}: {error.strerror}; give another folder", code="unwritable-file", field="folder"
        ) from error
