"""The page in Debian's Chromium, served by a server that listens; nothing but that server can be reached."""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright
from tests.serving.conftest import Make
from tests.serving.test_real_server import Live, listening

Open = Callable[..., Page]


@pytest.fixture
def live(make: Make) -> Iterator[Live]:
    """A server that asks for no key."""
    with listening(make(no_auth=True, max_length=400)) as found:
        yield found


@pytest.fixture
def locked(make: Make) -> Iterator[Live]:
    """A server that asks for one."""
    with listening(make(max_length=400)) as found:
        yield found


@pytest.fixture(scope="module")  # while it runs, its thread has a running event loop
def browser(chromium: str) -> Iterator[Browser]:
    flags = ["--disable-background-networking", "--disable-component-update", "--disable-quic", "--disable-sync"]
    expect.set_options(timeout=20_000)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu", *flags])
        yield running
        running.close()


@pytest.fixture
def visit(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Open the page of a server; at the end no other host was asked for anything and the page raised no error."""
    opened, hosts, errors = [], set(), []

    def visited(live: Live, width: int = 1280, height: int = 900, **options: object) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        opened.append(context)

        def checked(route: Route) -> None:
            hosts.add(urlsplit(route.request.url).netloc)
            route.continue_() if route.request.url.startswith(live.url) else route.abort()

        context.route("**/*", checked)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if "Content Security" in said.text else None)
        page.goto(f"{live.url}/")
        expect(page.locator("#served")).not_to_be_empty()
        expect(page.locator("#served")).not_to_contain_text("Asking")
        return page

    yield visited
    for context in opened:
        context.close()
    assert not errors
    assert len(hosts) <= 1, hosts


def ask(page: Page, message: str) -> None:
    """Send a message and wait for its answer."""
    page.get_by_label("Message", exact=True).fill(message)
    page.get_by_role("button", name="Send").click()
    answered(page)


def answered(page: Page) -> None:
    expect(page.get_by_role("button", name="Stop")).to_be_disabled()
