"""The code on the page is the request on the page: it is run, and asks the server for the same."""

import json
import os
import shutil
import subprocess
import sys
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from tests.serving.playground.conftest import Open, ask
from tests.serving.test_real_server import Live

pytestmark = pytest.mark.browser
MESSAGE = "It's \"here\"\n\\n $HOME `id` — é 🙂 {} '''"


def prepared(live: Live, visit: Open, key: str | None) -> Page:
    page = visit(live)
    if key is not None:
        page.get_by_label("API key").fill(key)
        page.get_by_label("API key").press("Enter")
    page.get_by_label("Steering", exact=True).select_option("warm")
    page.get_by_label("Seed").fill("7")
    page.get_by_label("Strength of warm as a number").fill("0.75")
    ask(page, MESSAGE)
    return page


def run(command: list[str], key: str | None) -> str:
    environment = {**os.environ, **({"TRIMTAB_API_KEY": key} if key else {})}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def seen(live: Live) -> list[Any]:
    """The last two requests of the engine, but for their ids."""
    return [(r.prompt, r.sampling, r.steering, r.explain) for r in live.server.engine.seen[-2:]]


@pytest.mark.parametrize("keyed", [False, True])
def test_both_snippets_ask_for_what_is_on_the_page(request: pytest.FixtureRequest, keyed: bool, visit: Open) -> None:
    live = request.getfixturevalue("locked" if keyed else "live")
    key = live.server.held.create("both", ["read", "infer"]) if keyed else None
    page = prepared(live, visit, key)
    asked = seen(live)
    assert asked[0][2].strength == {"warm": 0.75}
    python, curl = (page.locator(f"#{name}").text_content() or "" for name in ("python", "curl"))
    assert key is None or key not in python + curl
    assert MESSAGE.upper() in run([sys.executable, "-c", python], key)
    assert seen(live) == asked
    if shutil.which("curl"):
        answer = json.loads(run(["sh", "-c", f"{curl} --silent"], key))
        assert answer["choices"][0]["message"]["content"] == MESSAGE.upper()
        assert answer["trimtab"]["unsteered"][0]["text"] == MESSAGE
        assert seen(live) == asked


def test_a_model_without_a_chat_template_continues_each_message(live: Live, visit: Open) -> None:
    live.server.engine.messages = False
    page = prepared(live, visit, None)
    expect(page.get_by_text("it continues each message as a text")).to_be_visible()
    expect(page.get_by_label("System message")).to_be_disabled()
    expect(page.locator(".steered .text")).to_have_text(MESSAGE.upper())
    expect(page.locator(".unsteered .text")).to_have_text(MESSAGE)
    asked = seen(live)
    python, curl = (page.locator(f"#{name}").text_content() or "" for name in ("python", "curl"))
    assert MESSAGE.upper() in run([sys.executable, "-c", python], None)
    assert seen(live) == asked
    if shutil.which("curl"):
        assert json.loads(run(["sh", "-c", f"{curl} --silent"], None))["choices"][0]["text"] == MESSAGE.upper()
        assert seen(live) == asked


def test_a_button_copies_the_code(live: Live, visit: Open) -> None:
    page = visit(live, permissions=["clipboard-read", "clipboard-write"])
    page.get_by_label("Message", exact=True).fill("hello")
    page.get_by_role("button", name="Copy the Python code").click()
    expect(page.get_by_role("status")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#python").text_content()
