"""A search on disk: written completely or not at all."""

from pathlib import Path
from typing import Final

from trimtab.errors import InputError
from trimtab.results.tuning import FILE, Tuning
from trimtab.storage.atomic import into_place, output_path, scratch

PAGE: Final = "tuning.html"


def save_tuning(tuning: Tuning, folder: str | Path) -> Path:
    """Write `tuning.html` and `tuning.json`, the record; each appears whole, the JSON last.

    Returns:
        The page.

    Raises:
        InputError: the folder cannot be written, or belongs to a steering.
    """
    from trimtab.reports.tune.html import tuning_page

    folder = output_path(folder)
    record = tuning.model_dump_json(by_alias=True) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with scratch(folder, "tuning") as work:
            for file, text in ((PAGE, tuning_page(tuning)), (FILE, record)):
                (work / file).write_text(text, encoding="utf-8")
            into_place(work, folder, (PAGE, FILE))
    except OSError as error:
        raise InputError(
            f"cannot write to {folder}: {error.strerror}; give another folder", code="unwritable-file", field="folder"
        ) from error
    return folder / PAGE
