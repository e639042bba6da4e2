"""The style that all pages share: those of reports, and the server's playground."""

from functools import lru_cache
from importlib.resources import files

from trimtab.reports.palette import FONT


@lru_cache(maxsize=1)
def style() -> str:
    """The style sheet: colours of both schemes, type, badges, tables."""
    text = (files("trimtab.reports") / "templates" / "style.css").read_text(encoding="utf-8")
    return text.replace("$FONT", FONT)
