"""A page for whoever is on duty: how releases stand, why, and what to do; live, and acted on with a confirmation."""

from typing import Final

from trimtab.serving.pages import Page

PAGE: Final = Page("trimtab.serving.console", "console", "/console")
"""Where it is, and its files."""
