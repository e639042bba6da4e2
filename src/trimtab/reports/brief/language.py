"""Words of a language, and which language a reader has."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final, Literal, get_args

Language = Literal["en", "ja"]
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)


@dataclass(frozen=True)
class Words:
    """Texts by key, with places to fill.

    Args:
        language: whose.
        texts: by key; where the number of things matters, by `one` and `other`.
    """

    language: Language
    texts: Mapping[str, str | Mapping[str, str]]

    def __call__(self, key: str, /, **values: object) -> str:
        """The text of a key; `n` among the values is the number of things."""
        text = self.texts[key]
        if not isinstance(text, str):
            text = text["one"] if values.get("n") == 1 and "one" in text else text["other"]
        return text.format(**values)


@cache
def words(language: Language) -> Words:
    """The words of a language."""
    text = (files("trimtab.reports.brief.words") / f"{language}.json").read_text(encoding="utf-8")
    return Words(language, json.loads(text))


def own_language() -> Language:
    """That of the environment (`LC_ALL`, `LC_MESSAGES`, `LANG`); English if it is none of ours."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(name):
            return next((language for language in LANGUAGES if value.startswith(language)), "en")
    return "en"
