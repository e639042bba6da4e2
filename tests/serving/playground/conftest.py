"""The page in Debian's Chromium, served by a server that listens; nothing but that server can be reached."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.serving.browser import browser as browser
from tests.serving.browser import visits
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


@pytest.fixture
def visit(browser: Browser) -> Iterator[Open]:
    """Open the page of a server; see `visits`."""
    with visits(browser) as blank:

        def visited(live: Live, width: int = 1280, height: int = 900, **options: object) -> Page:
            _, page = blank(live.url, width, height, **options)
            page.goto(f"{live.url}/")
            expect(page.locator("#served")).not_to_be_empty()
            expect(page.locator("#served")).not_to_contain_text("Asking")
            return page

        yield visited


def ask(page: Page, message: str) -> None:
    """Send a message and wait for its answer."""
    page.get_by_label("Message", exact=True).fill(message)
    page.get_by_role("button", name="Send").click()
    answered(page)


def answered(page: Page) -> None:
    expect(page.get_by_role("button", name="Stop")).to_be_disabled()
