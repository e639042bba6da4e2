"""Which page a folder of results has, and showing it in a browser."""

import os
import sys
import webbrowser
from pathlib import Path
from typing import Final

from trimtab.errors import InputError
from trimtab.reports.advise.files import PAGE as ADVICE
from trimtab.reports.check.ranking import INDEX
from trimtab.reports.fit.files import PAGE as FIT
from trimtab.reports.tune.files import PAGE as TUNING

REPORT: Final = "report.html"
PAGES: Final = (REPORT, INDEX, FIT, TUNING, ADVICE)
"""The pages that verbs write into their folders; of several the first is shown."""


def page_of(place: Path) -> Path:
    """The page of a report.

    Args:
        place: an HTML file, another file of a report such as `report.json`, or a folder that holds a page.

    Raises:
        InputError: there is none; names the folders inside that have one.
    """
    if place.is_file() and place.suffix.lower() == ".html":
        return place
    if not place.exists():
        raise InputError(
            f"{place} does not exist; give a page, or the folder of a check", code="no-such-file", field="report"
        )
    folder = place if place.is_dir() else place.parent
    for name in PAGES:
        if (folder / name).is_file():
            return folder / name
    inside = sorted({str(page.parent) for name in PAGES for page in folder.glob(f"*/{name}")})
    fix = f"give one of {', '.join(inside[:8])}" if inside else "give the folder that a check, fit or study wrote"
    raise InputError(f"{folder} holds no page of a report; {fix}", code="no-such-file", field="report")


def show(page: Path) -> bool:
    """Open a page in the default browser.

    Returns:
        Whether it was opened: never where there is no display, as over SSH, so that no browser takes the terminal.
    """
    return has_display() and webbrowser.open(page.resolve().as_uri())


def has_display() -> bool:
    """Whether windows can be shown, or a browser is named by `BROWSER`."""
    named = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
    return named or sys.platform in ("darwin", "win32")
