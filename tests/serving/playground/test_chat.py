"""What people do on the page: ask, compare, change strengths, go on, stop; and what the server is asked for then."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.serving.conftest import Make
from tests.serving.playground.conftest import Open, answered, ask
from tests.serving.steerings import CHECKED, write_steering
from tests.serving.test_real_server import Live, listening, until

from trimtab.interventions import SCOPES, RequestSteering

pytestmark = pytest.mark.browser


def asked(live: Live, n: int = 1) -> list[tuple[list[str], RequestSteering | None]]:
    """Of the last `n` requests to the engine, the turns and the steering."""
    return [([m.content for m in one.prompt], one.steering) for one in live.server.engine.seen[-n:]]


def choose(page: Page, name: str) -> None:
    page.get_by_label("Steering", exact=True).select_option(name)


def test_one_message_is_answered_twice_from_one_request(live: Live, visit: Open) -> None:
    page = visit(live)
    choose(page, "warm")
    with page.expect_request("**/v1/chat/completions") as sent:
        ask(page, "hello")
    assert json.loads(sent.value.post_data or "")["steering"] == {
        "name": "warm", "strength": {"warm": 1.5}, "scope": "generated", "explain": True, "compare": True,
    }  # fmt: skip
    steered, unsteered = asked(live, 2)
    assert (steered[1].strength, unsteered[1]) == ({"warm": 1.5}, None)
    assert sum("chat/completions" in str(line["route"]) for line in live.server.lines) == 1
    expect(page.locator(".pair .steered .text")).to_have_text("HELLO")
    expect(page.locator(".pair .unsteered .text")).to_have_text("hello")
    expect(page.locator(".below")).to_contain_text("9 of 9 tokens in scope were edited, on average by 10")
    expect(page.get_by_role("status")).to_have_text("Steered answer: HELLO. Unsteered answer: hello")


def test_tokens_are_shaded_by_edit_or_gate_and_a_table_has_every_figure(live: Live, visit: Open) -> None:
    page = visit(live)
    choose(page, "warm")
    ask(page, "hello")
    tokens = page.locator(".pair .steered .token")
    assert tokens.all_inner_texts() == ["H", "E", "L", "L", "O"]
    assert [one.get_attribute("class") for one in tokens.all()] == ["token unread", *["token shade-4"] * 4]
    page.get_by_label("Shade:").select_option("gate of warm, 0 shut to 1 open")
    assert tokens.last.get_attribute("title") == "edit 10% of the activation, gate of warm 0.75"
    expect(page.locator(".legend")).to_contain_text("0.75 to 1")
    page.get_by_text("Every token with its figures").click()
    expect(page.locator("tbody tr")).to_have_count(9)
    rows = page.locator("tbody tr").all_inner_texts()
    assert [row.split("\t")[0] for row in rows] == ["prompt"] * 5 + ["answer"] * 4
    assert rows[5].split("\t") == ["answer", '"E"', "yes", "10%", "0.75"]


def test_strengths_come_from_slider_number_or_preset(live: Live, visit: Open) -> None:
    page = visit(live)
    choose(page, "warm")
    slider, number = page.get_by_role("slider", name="warm"), page.get_by_label("Strength of warm as a number")
    strengths = page.get_by_label("Strengths")
    assert (slider.input_value(), number.input_value()) == ("1.5", "1.5")
    expect(page.locator(".scale")).to_contain_text("checked")
    expect(strengths).to_have_value("checked")
    strengths.select_option("preset gentle")
    assert (slider.input_value(), number.input_value()) == ("0.5", "0.5")
    slider.press("ArrowRight")
    assert float(number.input_value()) == pytest.approx(0.6)
    expect(strengths).to_have_value("custom")
    number.fill("-7.25")
    assert slider.input_value() == slider.get_attribute("min")
    page.get_by_label("Tokens that are edited").select_option("last")
    page.get_by_label("Unsteered answer beside it").uncheck()
    ask(page, "hello")
    ((_, steering),) = asked(live)
    assert (steering.strength, steering.scope) == ({"warm": -7.25}, "last")
    departures = page.locator(".below .notes").all_inner_texts()
    assert "strength -7.25 has the opposite sign of the checked 1.5" in departures[0]
    assert "scope last, where it was checked with generated" in departures[0]
    number.fill("16")
    page.get_by_label("Message", exact=True).fill("more")
    page.get_by_role("button", name="Send").click()
    assert number.evaluate("field => field.validity.rangeOverflow")
    assert len(live.server.engine.seen) == 1
    offered = page.get_by_label("Tokens that are edited").locator("option").all_inner_texts()
    assert [words.split()[0] for words in offered] == list(SCOPES)


def test_the_verdict_is_a_word_with_what_it_means_and_what_to_do(make: Make, steerings: Path, visit: Open) -> None:
    reservations = ["prompting moves it as far"]
    for decision in ("caution", "no-go", "inconclusive"):
        check = {**CHECKED, "decision": decision, "reservations": reservations, "reasons": ["it holds"]}
        write_steering(steerings / decision, {"a": 1.0}, {"a": check})
    (steerings / "broken").mkdir()
    (steerings / "broken" / "steering.json").write_text("{}")
    with listening(make(no_auth=True, max_length=400)) as live:
        page = visit(live)
        signs: set[str] = set()
        for name, word, next_step in (
            ("warm", "go", "Keep to the strength"),
            ("caution", "caution", "Try the cases"),
            ("no-go", "no-go", "Do not put it to use"),
            ("inconclusive", "inconclusive", "check on more examples"),
            ("brief", "not checked", "trimtab check"),
        ):
            choose(page, name)
            box = page.locator("article.verdict")
            assert box.locator(".badge").inner_text() == word
            signs.add(box.locator(".badge svg").inner_html())
            expect(box).to_contain_text(next_step)
            expect(page.get_by_role("group", name="What the next answer is made with")).to_contain_text(word)
            warned = "Warning: prompting moves it as far" in box.inner_text()
            assert warned == (word in ("caution", "no-go", "inconclusive"))
        assert len(signs) == 5
        expect(page.locator("#left-out")).to_contain_text("Left out: broken:")
        page.get_by_text("Card of the artifact").click()
        expect(page.locator("#card-text")).to_have_text("a card")


def test_later_turns_follow_the_answer_that_is_chosen(live: Live, visit: Open) -> None:
    page = visit(live)
    choose(page, "warm")
    page.get_by_label("System message").fill("be kind")
    ask(page, "hello")
    ask(page, "and you?")
    assert asked(live, 2)[0][0] == ["be kind", "hello", "HELLO", "and you?"]
    page.get_by_label("Later turns follow").select_option("the unsteered answer")
    page.get_by_role("button", name="Ask the last message again").click()
    answered(page)
    assert asked(live, 2)[0][0] == ["be kind", "hello", "hello", "and you?"]
    assert page.locator(".exchange").count() == 2
    page.get_by_role("button", name="Clear the conversation").click()
    ask(page, "anew")
    assert asked(live, 2)[0][0] == ["be kind", "anew"]


def test_tokens_temperature_and_seed_are_asked_for_as_they_stand(live: Live, visit: Open) -> None:
    page = visit(live)
    choose(page, "")
    page.get_by_label("Max tokens").fill("3")
    page.get_by_label("Temperature").fill("0.7")
    page.get_by_label("Seed").fill("11")
    ask(page, "hello")
    drawn = live.server.engine.seen[-1].sampling
    assert (drawn.max_tokens, drawn.temperature, drawn.seed) == (3, 0.7, 11)
    assert live.server.engine.seen[-1].steering is None
    expect(page.locator(".pair")).to_contain_text("hel")
    expect(page.locator(".pair")).to_contain_text("cut off at the most tokens")


def test_an_answer_that_is_stopped_is_cancelled_and_kept_as_far_as_it_came(live: Live, visit: Open) -> None:
    page = visit(live)
    choose(page, "warm")
    page.get_by_label("Message", exact=True).fill("wait " * 8)
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".pair .steered .text")).to_contain_text("WAI")
    expect(page.locator("#python")).to_contain_text("wait wait")
    page.get_by_role("button", name="Stop").click()
    answered(page)
    expect(page.locator(".pair .steered .foot")).to_have_text("stopped")
    page.get_by_text("Every token with its figures").click()
    expect(page.locator("tbody tr", has_text="prompt")).to_have_count(39)
    until(lambda: len(live.server.engine.cancelled) == 2)
    ask(page, "and now?")
    expect(page.locator(".exchange").last).to_contain_text("AND NOW?")


def test_a_steering_that_was_switched_off_is_told_and_the_list_is_read_again(live: Live, visit: Open) -> None:
    page = visit(live)
    choose(page, "warm")
    live.server.registry.disable("warm")
    ask(page, "hello")
    expect(page.get_by_role("alert")).to_contain_text("the steering 'warm' is disabled")
    assert page.get_by_label("Message", exact=True).input_value() == "hello"
    page.get_by_role("button", name="Read the list of steerings again").click()
    expect(page.get_by_label("Steering", exact=True)).to_have_value("brief")
    assert page.locator("option[value=warm]").is_disabled()
