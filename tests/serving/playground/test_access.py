"""Keys, errors in plain words, and texts that would like to be code."""

from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests.serving.conftest import Make
from tests.serving.playground.conftest import Open, ask
from tests.serving.steerings import CHECKED, write_steering
from tests.serving.test_real_server import Live, listening

pytestmark = pytest.mark.browser
EVIL = "<img src=x onerror=\"document.title='taken'\">"


def test_a_key_is_asked_for_kept_in_the_tab_alone_and_forgotten(locked: Live, visit: Open) -> None:
    page = visit(locked)
    alert, key = page.get_by_role("alert"), page.get_by_label("API key")
    expect(alert).to_contain_text("The key is missing or not known")
    key.fill("tt-wrong")
    key.press("Enter")
    expect(alert).to_contain_text("Type in a key above")
    held = locked.server.keys
    key.fill(held["read"])
    key.press("Enter")
    expect(page.locator("#served")).to_contain_text("tiny, with 2 steerings")
    expect(alert).to_be_empty()
    ask(page, "hello")
    expect(alert).to_contain_text("a key with the scopes read")
    both = locked.server.held.create("both", ["read", "infer"])
    with page.expect_request("**/v1/chat/completions") as sent:
        key.fill(both)
        key.press("Enter")
        expect(page.locator("#served")).to_contain_text("tiny, with 2 steerings")
        ask(page, "hello")
    assert sent.value.all_headers()["authorization"] == f"Bearer {both}"
    assert both not in sent.value.url
    expect(page.locator(".pair")).to_contain_text("HELLO")
    assert both not in page.content()
    page.reload()
    expect(page.locator("#served")).to_contain_text("tiny, with 2 steerings")
    assert page.evaluate("[localStorage.length, document.cookie, sessionStorage.length]") == [0, "", 1]
    page.get_by_role("button", name="Forget key").click()
    expect(alert).to_contain_text("The key is missing or not known")
    assert page.evaluate("sessionStorage.length") == 0


def test_a_server_that_asks_for_no_key_shows_no_field_for_one(live: Live, visit: Open) -> None:
    page = visit(live)
    expect(page.get_by_label("API key")).to_be_hidden()
    page.get_by_label("Message", exact=True).fill("hello")
    assert "TRIMTAB_API_KEY" not in page.locator("#request-section").inner_text()


def test_errors_of_the_server_are_told_in_plain_words_and_the_message_is_kept(make: Make, visit: Open) -> None:
    with listening(make(no_auth=True, max_length=400, requests_per_minute=4)) as live:
        page = visit(live)
        alert, message = page.get_by_role("alert"), page.get_by_label("Message", exact=True)
        for words, title, reason in (
            ("refuse", "The server cannot do this", "the prompt has 6 tokens"),
            ("fail", "The engine is not available", "the engine's process ended"),
            ("break off", "The engine is not available", "try once more in a few seconds"),
        ):
            ask(page, words)
            expect(alert).to_contain_text(title)
            expect(alert).to_contain_text(reason)
            expect(alert).to_contain_text("req_")
        expect(page.locator(".pair .steered")).to_contain_text("broke off")
        ask(page, "hello")
        expect(alert).to_be_empty()
        ask(page, "once more")
        expect(alert).to_contain_text("The server is asked too much at the moment")
        expect(alert).to_contain_text("Try again in")
        assert message.input_value() == "once more"
        expect(page.get_by_role("status")).to_be_empty()
    page.get_by_role("button", name="Send").click()
    expect(alert).to_contain_text("The server cannot be reached")


def test_no_text_of_a_model_or_an_artifact_becomes_an_element(make: Make, steerings: Path, visit: Open) -> None:
    check = {**CHECKED, "decision": EVIL, "sentence": EVIL, "reasons": [EVIL], "reservations": [EVIL], "unit": EVIL}
    name = EVIL.replace("/", "")
    write_steering(steerings / "evil", {name: 1.0}, {name: check}, presets={EVIL: {name: 0.5}}, card=EVIL)
    broken = steerings / "<img src=x onerror=alert(1)>"
    broken.mkdir()
    (broken / "steering.json").write_text("{}")
    with listening(make(no_auth=True, max_length=400)) as live:
        page = visit(live)
        page.get_by_label("Steering", exact=True).select_option("evil")
        ask(page, EVIL)
        ask(page, "break " + EVIL)
        for words in ("Reasons and figures", "Card of the artifact"):
            page.get_by_text(words).click()
        for one in page.get_by_text("Every token with its figures").all():
            one.click()
        expect(page.locator("table")).to_have_count(2)
        assert page.locator("img, iframe, [onerror]").count() == 0
        assert page.title() == "Playground · trimtab"
        expect(page.locator(".pair .unsteered .text").first).to_have_text(EVIL)
        assert page.locator("#card-text").inner_text() == EVIL
        refused = page.evaluate("try { document.body.innerHTML = '<p>'; 'taken' } catch (error) { error.name }")
        assert refused == "TypeError"
