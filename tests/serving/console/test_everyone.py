"""Both pages for everybody: two languages, axe, keyboard, narrow windows; and no word beside the catalogues."""

import json
import re
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect
from tests.serving.console.conftest import OnDuty, Open

pytestmark = pytest.mark.browser

# What people read, but for what the server or a person said, times, and the names of languages.
SAID = """() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  for (let node; (node = walker.nextNode()); ) {
    const part = node.parentElement;
    const apart = part.closest("[translate=no], time, script, noscript, .product, #language");
    if (!apart && node.data.trim()) found.push(node.data);
  }
  for (const part of document.querySelectorAll("[aria-label], [placeholder], [title]")) {
    if (part.closest("[translate=no]") && !part.matches("[data-t-aria-label]")) continue;
    found.push(...["aria-label", "placeholder", "title"].map((name) => part.getAttribute(name)).filter(Boolean));
  }
  return found;
}"""


def faults(page: Page) -> list[str]:
    """What axe finds, of any weight."""
    found = Axe().run(page).response["violations"]
    return [f"{one['impact']}: {one['id']}: {json.dumps([node['target'] for node in one['nodes']])}" for one in found]


def shown(page: Page, path: str) -> None:
    """Wait until the page has its data, and open what can be opened."""
    if path == "/console":
        expect(page.locator(".chart svg")).to_be_visible()
        page.get_by_text(
            "表で見る" if page.locator("html").get_attribute("lang") == "ja" else "as a table"
        ).first.click()
    else:
        expect(page.locator("#verdicts .badge")).to_be_visible()


@pytest.mark.parametrize(
    ("path", "locale", "scheme", "width"),
    [
        ("/console", "en-US", "light", 1280),
        ("/console", "ja-JP", "dark", 360),
        ("/", "ja-JP", "light", 360),  # in English: tests/serving/playground/test_everyone.py
    ],
)
def test_axe_finds_no_fault_and_nothing_is_wider_than_the_screen(
    on_duty: OnDuty, visit: Open, path: str, locale: str, scheme: str, width: int
) -> None:
    page = visit(on_duty, width=width, path=path, locale=locale, color_scheme=scheme)
    shown(page, path)
    assert page.locator("html").get_attribute("lang") == locale[:2]
    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    if path == "/console":
        page.locator("[data-action=rollback]").click()
        assert faults(page) == []


@pytest.mark.parametrize("path", ["/console", "/"])
def test_no_word_on_a_page_is_outside_of_its_catalogue(on_duty: OnDuty, visit: Open, path: str) -> None:
    page = visit(on_duty, path=path, locale="ja-JP")
    shown(page, path)

    def marked(route: Route) -> None:
        texts = route.fetch().json()
        route.fulfill(json={key: mark(value) for key, value in texts.items()})

    page.context.route(re.compile(r"/(en|ja)\.json$"), marked)
    page.reload()
    expect(page.locator("h1")).to_contain_text("⟦")
    if path == "/console":
        expect(page.locator(".chart svg")).to_be_visible()
    else:
        page.locator("#message").fill("hello")
        page.locator("#send").click()
        expect(page.locator(".below .did")).to_be_visible()
    said = page.evaluate(SAID)
    assert len(said) > 60
    assert [text for text in said if re.search(r"[A-Za-z\u3040-\u30ff\u4e00-\u9fff]", beside(text))] == []


def mark(value: Any) -> Any:
    """A text of a catalogue that can be told from others, and so can its ends where elements stand in it."""
    if isinstance(value, dict):
        return {name: mark(one) for name, one in value.items()}
    return f"⟦{re.sub(r'({[a-z]+})', '‹' + chr(92) + '1›', value)}⟧"


def beside(text: str) -> str:
    """What of a text node is no text of a catalogue."""
    before = None
    while before != text:
        before, text = text, re.sub(r"⟦[^⟦⟧]*⟧", "", text)
    return re.sub(r"^\s*(?:⟦[^⟧]*‹|›[^⟦⟧]*‹|›[^⟦]*⟧)\s*$", "", text)


def test_the_language_is_chosen_and_remembered_for_both_pages(on_duty: OnDuty, visit: Open) -> None:
    page = visit(on_duty)
    expect(page.get_by_role("heading", name="Console", exact=True)).to_be_visible()
    assert page.evaluate("localStorage.length") == 0
    page.get_by_label("Language").select_option("ja")
    expect(page.get_by_role("heading", name="コンソール", exact=True)).to_be_visible()
    expect(page.locator("#release .verdict")).to_contain_text("次にすること")
    assert (page.locator("html").get_attribute("lang"), page.title()) == ("ja", "コンソール · trimtab")
    page.goto(f"{on_duty.url}/")
    expect(page.get_by_role("heading", name="プレイグラウンド", exact=True)).to_be_visible()
    page.locator("#message").fill("hello")
    page.locator("#send").click()
    expect(page.locator(".below .did")).to_contain_text("トークンのうち")
    page.get_by_label("言語").select_option("en")
    expect(page.locator(".below .did")).to_contain_text("tokens in scope were edited")
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    assert page.locator("html").get_attribute("lang") == "en"


def test_a_rollback_is_done_by_keyboard_alone(on_duty: OnDuty, visit: Open) -> None:
    page = visit(on_duty, reduced_motion="reduce")
    expect(page.locator(".chart svg")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"

    def focused() -> str:
        return str(page.evaluate("document.activeElement.dataset.action || document.activeElement.id"))

    passed: list[str] = []
    while not passed or passed[-1] != "rollback":
        page.keyboard.press("Tab")
        passed.append(focused())
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none", passed
        assert len(passed) < 40, passed
    assert passed.index("off") < passed.index("promote") < passed.index("pause")
    page.keyboard.press("Enter")
    assert focused() == "why"
    page.keyboard.type("by keyboard")
    page.keyboard.press("Tab")
    assert focused() == "typed"
    page.keyboard.type("cheerful")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert focused() == "rollback"
    assert on_duty.releases.get("cheerful").state == "running"
    page.keyboard.press("Enter")
    page.keyboard.type("by keyboard")
    page.keyboard.press("Tab")
    page.keyboard.type("cheerful")
    page.keyboard.press("Enter")
    expect(page.locator("#release .verdict")).to_contain_text("rolled back")
    assert on_duty.releases.history("cheerful")[-1].entry.why == "by keyboard"
