"""Debian's Chromium for the tests of pages, and what holds of every visit."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect, sync_playwright

PATIENCE = 20_000  # milliseconds


@pytest.fixture(scope="module")  # while it runs, its thread has a running event loop
def browser(chromium: str) -> Iterator[Browser]:
    flags = ["--disable-background-networking", "--disable-component-update", "--disable-quic", "--disable-sync"]
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu", *flags])
        yield running
        running.close()


@contextmanager
def visits(browser: Browser) -> Iterator[Callable[..., tuple[BrowserContext, Page]]]:
    """Opens blank pages that may ask one server; at the end no other was asked, and no page raised an error."""
    opened: list[BrowserContext] = []
    hosts: set[str] = set()
    errors: list[str] = []

    def blank(url: str, width: int, height: int, **options: object) -> tuple[BrowserContext, Page]:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        opened.append(context)

        def checked(route: Route) -> None:
            hosts.add(urlsplit(route.request.url).netloc)
            route.continue_() if route.request.url.startswith(url) else route.abort()

        context.route("**/*", checked)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if "Content Security" in said.text else None)
        return context, page

    yield blank
    for context in opened:
        context.close()
    assert not errors
    assert len(hosts) <= 1, hosts
