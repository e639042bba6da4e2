"""A comparison on disk: written completely or not at all."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trimtab.errors import InputError
from trimtab.languages import ENGLISH, Language
from trimtab.reports.evaluate.html import Meanings
from trimtab.results.evaluation import Cell, Evaluation
from trimtab.storage.atomic import into_place, output_path, scratch


def save_evaluation(
    found: Evaluation,
    cells: Sequence[Cell],
    meanings: Meanings,
    folder: str | Path,
    language: Language = ENGLISH,
) -> Path:
    """Write the page, the record and a table of every unit; of the lock-box under names of their own, the record last.

    Args:
        found: what came out.
        cells: of the same part; a row of the table for each contender, damage, seed, unit and figure.
        meanings: of figures, for the page.
        folder: where; created if it does not exist.
        language: of the page.

    Returns:
        The folder.

    Raises:
        InputError: the folder cannot be written, or belongs to a steering.
    """
    import polars as pl

    from trimtab.reports.evaluate.html import evaluation_page

    folder, end = output_path(folder), "" if found.part == "test" else "-lockbox"
    page, table, record = f"report{end}.html", f"units{end}.parquet", f"evaluation{end}.json"
    rows: list[dict[str, Any]] = [
        {"contender": cell.contender, "seed": cell.seed, "damage": point.budget, **row.model_dump()}
        for cell in cells
        for point in cell.points
        for row in point.rows
    ]
    names = ("contender", "seed", "damage", "task", "unit", "cluster", "figure", "value")
    kinds = {"seed": pl.Int64(), "damage": pl.Float64(), "value": pl.Float64()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with scratch(folder, "evaluation") as work:
            schema = {name: kinds.get(name, pl.String()) for name in names}
            pl.DataFrame(rows, schema=schema).write_parquet(work / table)
            (work / page).write_text(evaluation_page(found, meanings, language), encoding="utf-8")
            (work / record).write_text(found.model_dump_json(by_alias=True, indent=1) + "\n", encoding="utf-8")
            into_place(work, folder, (table, page, record))
    except OSError as error:
        raise InputError(
            f"cannot write the comparison to {folder}: {error.strerror}; give another folder",
            code="unwritable-file",
            field="folder",
        ) from error
    return folder
