"""A page on which people chat with the model, steered and unsteered side by side."""

from typing import Final

from trimtab.serving.pages import Page

PAGE: Final = Page("trimtab.serving.playground", "playground", "/")
"""Where it is, and its files."""
