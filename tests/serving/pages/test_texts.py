"""What pages say: in two languages, from the texts of each page and the catalogue of translations alone."""

import json
import re
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any

import pytest

from trimtab.serving.console import PAGE as CONSOLE
from trimtab.serving.pages import SHARED, Page
from trimtab.serving.playground import PAGE as PLAYGROUND

PAGES = (PLAYGROUND, CONSOLE)
NAMES = {"en": {"one", "other"}, "ja": {"other"}}  # how each language counts


def read(page: Page, name: str) -> str:
    return (files(page.package) / "files" / name).read_text(encoding="utf-8")


def catalogue(page: Page, language: str) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        assert len(names) == len(set(names)), [name for name in names if names.count(name) > 1]
        return dict(pairs)

    return dict(json.loads(page.file(f"{language}.json")[0], object_pairs_hook=unique))


def texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value.values())


def placeholders(value: Any) -> set[str]:
    return {name for text in texts(value) for name in re.findall(r"\{(\w+)\}", text)}


@pytest.mark.parametrize("page", [SHARED, *PAGES], ids=lambda page: page.name)
def test_both_languages_have_the_same_texts_with_the_same_placeholders(page: Page) -> None:
    english, japanese = catalogue(page, "en"), catalogue(page, "ja")
    assert english.keys() == japanese.keys()
    for key in english:
        assert placeholders(english[key]) == placeholders(japanese[key]), key
        for language, value in (("en", english[key]), ("ja", japanese[key])):
            assert all(text.strip() for text in texts(value)), key
            if isinstance(value, dict):
                assert value.keys() == NAMES[language], key
                assert all("{n}" in text or "{size}" in text for text in texts(value)), key


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_text_that_a_page_asks_for_is_there_and_none_is_left_over(page: Page) -> None:
    held = catalogue(page, "en").keys() | catalogue(SHARED, "en").keys()
    code = [
        read(one, name) for one in (page, SHARED) for name in one.paths.values() if not name.endswith((".json", ".css"))
    ]
    asked = {key for text in code for key in re.findall(r"""\b(?:t|parts|has)\(\s*"([^"]+)\"""", text)}
    asked |= {key for text in code for key in re.findall(r'data-t(?:-[a-z-]+)?="([^"]+)"', text)}
    assert asked <= held, asked - held
    words = {key for text in code for key in re.findall(r'"([a-z_-]+(?:\.[a-z_-]+)*)"', text)}
    patterns = [
        re.sub(r"\\\$\\\{[^}]*\\\}", ".+", re.escape(found))
        for text in code
        for found in re.findall(r"`([a-z-]*\.?\$\{[^`]*)`", text)
    ]
    kinds = {kind for text in code for kind in re.findall(r'\bword\(\s*"([a-z-]+(?:\.[a-z-]+)*)"', text)}
    own = catalogue(page, "en").keys()
    unused = [
        key for key in own
        if key not in asked | words
        and not any(key.startswith(f"{kind}.") for kind in kinds)
        and not any(re.fullmatch(pattern, key) for pattern in patterns)
    ]  # fmt: skip
    assert unused == []


class _Text(HTMLParser):
    """Collects what a page's markup says itself."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self._quiet = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self._quiet += tag in ("noscript", "title") or (self._quiet > 0 and tag in ("p", "span"))
        self._own = given.get("translate") == "no"
        self.said += [
            f"{name}={value}" for name, value in attributes if name in ("aria-label", "placeholder", "title", "alt")
        ]

    def handle_endtag(self, tag: str) -> None:
        self._quiet -= self._quiet > 0 and tag in ("noscript", "title", "p", "span")

    def handle_data(self, data: str) -> None:
        if data.strip() and not self._quiet and not self._own:
            self.said.append(data.strip())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_markup_says_nothing_itself_but_the_products_name(page: Page) -> None:
    parser = _Text()
    parser.feed(read(page, "index.html"))
    assert set(parser.said) == {"trimtab"}
