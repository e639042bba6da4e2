"""The languages that people are spoken to in: English, in which all phrases are written, and translations of it.

A catalogue (`ja/LC_MESSAGES/trimtab.po`, compiled to `.mo`) holds the templates of phrases; `make messages` brings it
up to date with the code. Only what people read is translated: names, commands and the texts of data sets stay.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files
from typing import Final, Literal, get_args

from trimtab.errors import InputError
from trimtab.phrases import Phrase

Code = Literal["en", "ja"]
LANGUAGES: Final[tuple[Code, ...]] = get_args(Code)


class _Missing(NullTranslations):
    """Stands behind a catalogue: no translation."""

    def gettext(self, message: str) -> str:
        return ""

    def pgettext(self, context: str, message: str) -> str:
        return ""


@dataclass(frozen=True)
class Language:
    """Says phrases.

    Args:
        code: of the language, as HTML names it.
        catalogue: translations of templates.

    Example:
        >>> from trimtab.languages import spoken
        >>> from trimtab.phrases import Phrase
        >>> spoken("ja")(Phrase("only {n} independent evaluation examples", n=12))
        '独立した評価例が12件しかありません'
    """

    code: Code
    catalogue: NullTranslations

    def __call__(self, text: str) -> str:
        """The text in this language; in English where it has no translation, or is no phrase."""
        template = self.template(text) if isinstance(text, Phrase) else None
        if template is None or not isinstance(text, Phrase):
            return str(text)
        try:
            return template.format(**{k: self(v) for k, v in text.values.items()}) if text.values else template
        except KeyError:  # a file's values are not those of the template
            return str(text)

    def template(self, phrase: Phrase) -> str | None:
        """The template in this language; None where it has no translation, and in English, whose text is there already.

        A translation is ours and is filled by name alone: what a file says of its sentences is never a format.
        """
        if self.code == "en":
            return None
        return self.catalogue.gettext(phrase.template) or None

    def of_place(self, place: str, text: str) -> str:
        """A text that stands in one place alone, such as a page's button, in this language."""
        return text if self.code == "en" else self.catalogue.pgettext(place, text) or text


@cache
def spoken(code: Code) -> Language:
    """A language by its code.

    Raises:
        InputError: there is none.
    """
    if code not in LANGUAGES:
        raise InputError(
            f"unknown language {code!r}; one of {', '.join(LANGUAGES)}", code="unknown-choice", field="language"
        )
    if code == "en":
        return Language(code, NullTranslations())
    with (files(__package__) / code / "LC_MESSAGES" / "trimtab.mo").open("rb") as file:
        catalogue = GNUTranslations(file)
    catalogue.add_fallback(_Missing())
    return Language(code, catalogue)


ENGLISH: Final = spoken("en")


def own(environment: Mapping[str, str] = os.environ) -> Code:
    """The language of the environment (`LC_ALL`, `LC_MESSAGES`, `LANG`, the first that is set); else English."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := environment.get(name):
            language = value.partition(".")[0].partition("_")[0]
            return next((code for code in LANGUAGES if code == language), "en")
    return "en"
