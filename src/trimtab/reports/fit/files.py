"""A fit's page on disk: written completely or not at all."""

from pathlib import Path
from typing import Final

from trimtab.errors import InputError
from trimtab.results.fit import Fit
from trimtab.storage.atomic import into_place, output_path, scratch

PAGE: Final = "fit.html"


def save_fit(fit: Fit, folder: str | Path) -> Path:
    """Write `fit.html` and `fit.json`, the record; each appears whole, the JSON last.

    Returns:
        The page.

    Raises:
        InputError: the folder cannot be written, or belongs to a steering.
    """
    from trimtab.reports.fit.html import fit_page

    folder = output_path(folder)
    record = fit.model_dump_json(by_alias=True) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with scratch(folder, "fit") as work:
            for file, text in ((PAGE, fit_page(fit)), ("fit.json", record)):
                (work / file).write_text(text, encoding="utf-8")
            into_place(work, folder, (PAGE, "fit.json"))
    except OSError as error:
        raise InputError(
            f"cannot write to {folder}: {error.strerror}; give another folder", code="unwritable-file", field="folder"
        ) from error
    return folder / PAGE
