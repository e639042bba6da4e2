"""A study on disk: written completely or not at all."""

from pathlib import Path

from trimtab.errors import InputError
from trimtab.languages import ENGLISH, Language
from trimtab.results.study import Study
from trimtab.results.study_files import TABLES, columns
from trimtab.storage.atomic import into_place, output_path, scratch


def save_study(study: Study, folder: str | Path, language: Language = ENGLISH) -> Path:
    """Write `cells.parquet`, `cosines.parquet`, `report.html` and `study.json`; each appears whole, the JSON last.

    Args:
        study: what to write.
        folder: where; created if it does not exist.
        language: of the page.

    Returns:
        The folder.

    Raises:
        InputError: the folder cannot be written, or belongs to a steering.
    """
    import polars as pl

    from trimtab.reports.study.html import study_page

    folder = output_path(folder)
    text = study.model_dump_json(by_alias=True, indent=1, exclude=set(TABLES))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with scratch(folder, "study") as work:
            for table, record in TABLES.items():
                rows = [row.model_dump() for row in getattr(study, table)]
                pl.DataFrame(rows, schema=columns(record)).write_parquet(work / f"{table}.parquet")
            (work / "report.html").write_text(study_page(study, language), encoding="utf-8")
            (work / "study.json").write_text(text + "\n", encoding="utf-8")
            into_place(work, folder, (*(f"{table}.parquet" for table in TABLES), "report.html", "study.json"))
    except OSError as error:
        raise InputError(
            f"cannot write the study to {folder}: {error.strerror}; give another folder",
            code="unwritable-file",
            field="folder",
        ) from error
    return folder
