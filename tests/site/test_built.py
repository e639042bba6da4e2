"""The built site in a browser: nothing from other hosts, no barriers, and a switch of languages that keeps the page.

`make test-site` builds it and names its folder in TRIMTAB_SITE.
"""

import os
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, sync_playwright

PAGES = (
    "index.html",
    "ja/index.html",
    "tutorials/release.html",
    "ja/behaviors.html",
    "ja/explanations/verdict.html",
    "reference/cli/check.html",
)
SITE = os.environ.get("TRIMTAB_SITE")
THEME = {"landmark-unique"}  # of the theme's own menus

pytestmark = [pytest.mark.browser, pytest.mark.skipif(SITE is None, reason="TRIMTAB_SITE names no built site")]


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and keeps no log."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(SITE)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium)
        yield found
        found.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_pages_have_no_barriers_and_load_nothing_from_elsewhere(
    path: str, scheme: Any, address: str, browser: Browser
) -> None:
    page = browser.new_page(color_scheme=scheme, reduced_motion="reduce")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address + path, wait_until="networkidle")
    violations = Axe().run(page).response["violations"]
    page.close()
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    assert {each["id"] for each in violations} <= THEME


def test_the_switch_of_languages_keeps_the_page_where_it_is_translated(address: str, browser: Browser) -> None:
    page = browser.new_page()
    for path, other in (
        ("tutorials/study.html", "ja/tutorials/study.html"),
        ("methods.html", "ja/methods.html"),
        ("format.html", "ja/index.html"),
    ):
        page.goto(address + path)
        assert page.locator("html").get_attribute("lang") == "en"
        link = page.locator(".md-select__link[hreflang=ja]").evaluate("link => link.href")
        assert link == address + other
        page.goto(link)
        assert page.locator("html").get_attribute("lang") == "ja"
    assert Path(str(SITE), "ja", "tutorials", "study.html").exists()
    page.close()


def test_the_search_finds_a_page(address: str, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(address)
    page.keyboard.press("/")
    page.keyboard.type("anti-steerable")
    page.get_by_role("link", name="Glossary").first.wait_for()
    page.close()
