"""An advice on disk: written completely or not at all."""

from pathlib import Path
from typing import Final

from trimtab.languages import ENGLISH, Language
from trimtab.results.advice import FILE, Advice
from trimtab.storage.atomic import save_texts

PAGE: Final = "advice.html"


def save_advice(advice: Advice, folder: str | Path, language: Language = ENGLISH) -> Path:
    """Write `advice.html`, in a language, and `advice.json`, the record; each appears whole, the JSON last.

    Returns:
        The page.

    Raises:
        InputError: the folder cannot be written, or belongs to a steering.
    """
    from trimtab.reports.advise.html import advice_page

    record = advice.model_dump_json(by_alias=True) + "\n"
    return save_texts(folder, "advice", {PAGE: advice_page(advice, language), FILE: record}) / PAGE
