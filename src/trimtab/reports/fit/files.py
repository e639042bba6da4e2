"""A fit's page on disk: written completely or not at all."""

from pathlib import Path
from typing import Final

from trimtab.languages import ENGLISH, Language
from trimtab.results.fit import Fit
from trimtab.storage.atomic import save_texts

PAGE: Final = "fit.html"


def save_fit(fit: Fit, folder: str | Path, language: Language = ENGLISH) -> Path:
    """Write `fit.html`, in a language, and `fit.json`, the record; each appears whole, the JSON last.

    Returns:
        The page.

    Raises:
        InputError: the folder cannot be written, or belongs to a steering.
    """
    from trimtab.reports.fit.html import fit_page

    record = fit.model_dump_json(by_alias=True) + "\n"
    return save_texts(folder, "fit", {PAGE: fit_page(fit, language), "fit.json": record}) / PAGE
