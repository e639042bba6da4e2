"""The page for everybody: judged by axe, by keyboard alone, on narrow screens, with less motion."""

import json

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from tests.serving.playground.conftest import Open, answered, ask
from tests.serving.test_real_server import Live

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)])
def test_axe_finds_no_fault_and_nothing_is_wider_than_the_screen(
    live: Live, visit: Open, scheme: str, width: int
) -> None:
    page = visit(live, width=width, color_scheme=scheme)
    assert faults(page) == []
    page.get_by_label("Steering", exact=True).select_option("warm")
    ask(page, "hello")
    for words in ("Every token with its figures", "Reasons and figures", "Card of the artifact"):
        page.get_by_text(words).click()
    expect(page.locator("tbody tr")).to_have_count(9)
    page.get_by_label("Max tokens").fill("64000")
    ask(page, "too many")
    expect(page.get_by_role("alert")).to_contain_text("The server cannot do this")
    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def faults(page: Page) -> list[str]:
    """What axe finds, of any weight."""
    found = Axe().run(page).response["violations"]
    return [f"{one['impact']}: {one['id']}: {json.dumps([node['target'] for node in one['nodes']])}" for one in found]


def test_everything_works_by_keyboard_in_the_order_of_the_page(live: Live, visit: Open) -> None:
    page = visit(live)

    def focused() -> str:
        return str(page.evaluate("document.activeElement.id || document.activeElement.textContent"))

    def walk(until: str) -> list[str]:
        passed: list[str] = []
        while not passed or passed[-1] != until:
            page.keyboard.press("Tab")
            passed.append(focused())
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none", f"the focus on {passed[-1]} cannot be seen"
            assert len(passed) < 40, passed
        return passed

    assert walk("Skip to the message") == ["Skip to the message"]
    page.keyboard.press("Enter")
    assert focused() == "message"
    assert walk("send") == ["send"]
    order = walk("system")
    assert order == [
        *("steering", "Card of the artifact", "reload", "preset", "strength-0", "strength-0-number", "scope"),
        *("compare", "explain", "follow", "max-tokens", "temperature", "seed", "system"),
    ]
    for _ in range(len(order) - 1):
        page.keyboard.press("Shift+Tab")
    assert focused() == "steering"
    page.keyboard.press("w")
    expect(page.get_by_label("Steering", exact=True)).to_have_value("warm")
    walk("strength-0")
    page.keyboard.press("ArrowLeft")
    assert page.get_by_role("slider", name="warm").get_attribute("aria-valuetext") == "1.4"
    walk("scope")
    while focused() != "message":
        page.keyboard.press("Shift+Tab")
    page.keyboard.type("hello")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("you")
    page.keyboard.press("Enter")
    answered(page)
    assert focused() == "message"
    expect(page.locator(".pair .steered .text")).to_have_text("HELLO\nYOU")
    expect(page.get_by_role("status")).to_contain_text("Steered answer: HELLO")
    assert live.server.engine.seen[0].steering.strength == {"warm": 1.4}


def test_every_control_has_a_name_and_colour_is_never_alone(live: Live, visit: Open) -> None:
    page = visit(live)
    page.get_by_label("Steering", exact=True).select_option("warm")
    ask(page, "hello")
    names = page.evaluate(
        "[...document.querySelectorAll('input, select, textarea')].map("
        "c => c.getAttribute('aria-label') || [...c.labels].map(l => l.textContent).join())"
    )
    assert all(names)
    assert len(set(names)) == len(names)
    widths = page.locator(".legend .token").evaluate_all(
        "all => all.map(one => getComputedStyle(one).borderBottomWidth)"
    )
    assert widths == ["0px", "1px", "2px", "3px", "4px"]


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_an_answer_is_in_view_when_it_comes(live: Live, visit: Open, width: int, height: int) -> None:
    page = visit(live, width, height)
    for message in ("hello", "and you", "now say a little more"):
        ask(page, message)
        expect(page.locator(".exchange .steered .foot").last).to_be_in_viewport()
        expect(page.locator(".exchange .unsteered h4").last).to_be_in_viewport()


def test_motion_is_left_out_for_those_who_ask_for_less(live: Live, visit: Open) -> None:
    page = visit(live, reduced_motion="reduce")
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    assert page.evaluate("getComputedStyle(document.getElementById('send')).transitionDuration") == "0s"
