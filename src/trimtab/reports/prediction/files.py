"""Calibrations on disk: written completely or not at all."""

from pathlib import Path

from trimtab.errors import InputError
from trimtab.languages import ENGLISH, Language
from trimtab.results.calibration_files import FILE
from trimtab.results.prediction import Calibrations
from trimtab.storage.atomic import into_place, output_path, scratch


def save_calibrations(calibrations: Calibrations, folder: str | Path, language: Language = ENGLISH) -> None:
    """Write `report.html`, in a language, and `calibrations.json`; each appears whole, the JSON last.

    Raises:
        InputError: the folder cannot be written, or belongs to a steering.
    """
    from trimtab.reports.prediction.html import calibration_page

    folder = output_path(folder)
    record = calibrations.model_dump_json(by_alias=True, indent=1) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with scratch(folder, "predict") as work:
            for file, text in (("report.html", calibration_page(calibrations, language)), (FILE, record)):
                (work / file).write_text(text, encoding="utf-8")
            into_place(work, folder, ("report.html", FILE))
    except OSError as error:
        raise InputError(
            f"cannot write to {folder}: {error.strerror}; give another folder", code="unwritable-file", field="folder"
        ) from error
