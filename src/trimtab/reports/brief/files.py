"""The page on disk, as HTML or, through Chromium, as PDF."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from trimtab.errors import InputError, TrimtabError
from trimtab.languages import Language
from trimtab.reports.brief.html import ReportFile, page
from trimtab.storage.atomic import whole

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
PRINTING: Final = 120  # seconds


def save(reports: Sequence[ReportFile], file: Path, language: Language) -> Path:
    """Write the page.

    Args:
        reports: at least one.
        file: ends in `.html`, or in `.pdf`, for which Chromium, Chrome or Edge prints the page.
        language: of the page.

    Raises:
        InputError: another ending, no browser for a PDF, a file that cannot be written.
        TrimtabError: the browser could not print.
    """
    ending = file.suffix.lower()
    if ending not in (".html", ".pdf"):
        raise InputError(f"{file} ends in neither .html nor .pdf; name it so", code="out-of-range", field="out")
    if (file.parent / "report.json").exists() and file.name in ("report.html", "report.pdf"):
        raise InputError(
            f"{file} lies beside the report and has its name; give another file", code="file-exists", field="out"
        )
    found = browser() if ending == ".pdf" else None
    text = page(reports, language)
    try:
        with whole(file) as work:
            if found is None:
                work.write_text(text, encoding="utf-8")
            else:
                source = work.with_name("page.html")
                source.write_text(text, encoding="utf-8")
                _print(found, source, work)
    except OSError as error:
        raise InputError(
            f"cannot write {file}: {error.strerror}; give another file", code="unwritable-file", field="out"
        ) from error
    return file


def browser() -> str:
    """A browser that prints to PDF.

    Raises:
        InputError: there is none.
    """
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    raise InputError(
        "printing to PDF needs Chromium, Chrome or Edge, which are not here; name a .html file and print that",
        code="not-installed",
        field="out",
    )


def _print(browser: str, source: Path, target: Path) -> None:
    """Have a browser print a page of ours, which runs no script and asks for nothing."""
    command = [
        browser,
        "--headless",
        "--disable-gpu",
        "--no-pdf-header-footer",
        f"--user-data-dir={source.parent / 'b'}",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--no-sandbox")  # Chromium refuses its sandbox to root
    command += [f"--print-to-pdf={target.absolute()}", source.absolute().as_uri()]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PRINTING, check=False)  # noqa: S603 - as found
    except subprocess.TimeoutExpired:
        raise TrimtabError(f"{browser} did not print within {PRINTING} seconds; name a .html file instead") from None
    if done.returncode or not target.is_file():
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise TrimtabError(f"{browser} could not print: {said[-1] if said else 'it said nothing'}; name a .html file")
