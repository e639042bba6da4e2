"""A search on disk: written completely or not at all."""

from pathlib import Path
from typing import Final

from trimtab.languages import ENGLISH, Language
from trimtab.results.tuning import FILE, Tuning
from trimtab.storage.atomic import save_texts

PAGE: Final = "tuning.html"


def save_tuning(tuning: Tuning, folder: str | Path, language: Language = ENGLISH) -> Path:
    """Write `tuning.html`, in a language, and `tuning.json`, the record; each appears whole, the JSON last.

    Returns:
        The page.

    Raises:
        InputError: the folder cannot be written, or belongs to a steering.
    """
    from trimtab.reports.tune.html import tuning_page

    record = tuning.model_dump_json(by_alias=True) + "\n"
    return save_texts(folder, "tuning", {PAGE: tuning_page(tuning, language), FILE: record}) / PAGE
