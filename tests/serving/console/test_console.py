"""What whoever is on duty does and sees on the page: how a release stands, a rollback, what others change."""

import os
import subprocess
import sys

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from tests.serving.console.conftest import OnDuty, Open
from tests.serving.console.seeding import seed
from tests.serving.monitoring.checks import checked, scores_of

from trimtab.interventions import RequestSteering
from trimtab.operations import Releases, Store, arm_of
from trimtab.serving.monitoring.canary import compared
from trimtab.serving.monitoring.observations import Looked
from trimtab.serving.monitoring.setups import Setup

pytestmark = pytest.mark.browser


def another(duty: OnDuty, name: str) -> Releases:
    """One more release under way, in the place of those before."""
    for one in duty.releases.all():
        if one.is_open:
            duty.releases.act(one.name, "rollback", by="ada")
    with Store(duty.place) as store:
        seed(store, arm_of(duty.place.parent / "steerings" / "warm")[0], units=60, name=name)
    return duty.releases


def act(page: Page, action: str, typed: str, why: str = "") -> None:
    page.get_by_role("group", name="What can be done with this release").get_by_role("button", name=action).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill(why)
    dialog.get_by_label("To confirm").fill(typed)
    dialog.get_by_role("button", name=action).click()


def test_a_release_is_told_in_a_sentence_a_chart_and_tables(on_duty: OnDuty, visit: Open) -> None:
    page = visit(on_duty)
    card = page.locator("#release .verdict")
    expect(card).to_contain_text("better")
    expect(card).to_contain_text("liked: Better by 17.7 percentage points: an improvement is shown")
    expect(card).to_contain_text("Next:")
    chart = page.get_by_role("img", name="Treatment minus control, percentage points")
    expect(chart).to_be_visible()
    assert chart.locator(".zero, .margin, .effect, .band, .estimate").count() == 5
    page.get_by_text("The chart as a table").first.click()
    rows = page.locator(".chart tbody tr")
    assert 30 <= rows.count() <= 40
    expect(rows.first).to_contain_text("297 / 303")
    expect(page.locator("#release")).to_contain_text("At 50%: treatment had 50.5% of 600 users.")
    feedback = page.get_by_role("table", name="Answers with feedback")
    assert [row.split("\t")[1:] for row in feedback.locator("tbody tr").all_inner_texts()] == [
        ["down", "128", "77"], ["up", "169", "226"],
    ]  # fmt: skip
    expect(page.get_by_role("table", name="All that was done to this release")).to_contain_text("on Monday")
    expect(page.get_by_role("table", name="The end of the audit")).to_contain_text("a pilot for the newsletter")
    page.get_by_label("Metric").select_option("latency")
    expect(page.get_by_role("img", name="Treatment minus control, seconds")).to_be_visible()


def test_a_rollback_asks_for_the_name_and_a_wrong_one_does_nothing(on_duty: OnDuty, visit: Open) -> None:
    releases = another(on_duty, "second")
    page = visit(on_duty)
    expect(page.get_by_role("heading", name="Release second")).to_be_visible()
    act(page, "Roll back", "secnd", "wrong")
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("Nothing was done")
    assert releases.get("second").state == "running"
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    act(page, "Roll back", "second", "complaints")
    expect(page.locator("#release .verdict")).to_contain_text("rolled back")
    done = releases.history("second")[-1]
    assert (done.release.state, done.entry.who, done.entry.why) == ("rolled-back", "ada", "complaints")
    expect(page.locator("#done")).to_have_text("Done: second is rolled back at 0%.")
    expect(page.locator("#audit tbody tr").first).to_contain_text("complaints")


def test_what_another_process_changes_appears_by_itself(on_duty: OnDuty, visit: Open) -> None:
    another(on_duty, "third")
    page = visit(on_duty)
    expect(page.locator("#release .verdict")).not_to_contain_text("paused")
    expect(page.get_by_text("Live: changes appear by themselves.")).to_be_visible()
    command = ["release", "pause", "third", "--store", str(on_duty.place), "--by", "bob", "--why", "a call came"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-m", "trimtab", *command], check=True, capture_output=True, env=environment)
    expect(page.locator("#release .verdict")).to_contain_text("paused")
    expect(page.locator("#release .verdict")).to_contain_text("a call came")
    expect(page.locator("#audit tbody tr").first).to_contain_text("bob")
    expect(page.get_by_role("button", name="Resume")).to_be_visible()


def test_a_step_for_a_state_that_is_gone_is_refused_and_the_new_one_shown(on_duty: OnDuty, visit: Open) -> None:
    releases = another(on_duty, "fourth")
    page = visit(on_duty)
    page.get_by_role("button", name="Promote").click()
    releases.act("fourth", "pause", by="bob")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("To confirm").fill("fourth")
    dialog.get_by_label("To confirm").press("Enter")
    expect(page.locator("#fault")).to_contain_text("Somebody or something was faster")
    expect(page.locator("#release .verdict")).to_contain_text("paused")
    assert releases.get("fourth").version == 3


def test_without_the_scope_operate_the_page_is_for_reading(on_duty: OnDuty, visit: Open) -> None:
    another(on_duty, "fifth")
    page = visit(on_duty, on_duty.live.server.keys["read"])
    expect(page.locator("#release .verdict")).to_be_visible()
    expect(page.locator("#read-only")).to_contain_text("You can look, not act: the key read has no scope operate.")
    assert page.locator("[data-action]").count() == 0
    refused = page.evaluate(
        "async (key) => (await fetch('v1/off', {method: 'POST', body: '{\"off\": true}', headers: "
        "{authorization: `Bearer ${key}`, 'content-type': 'application/json'}})).status",
        on_duty.live.server.keys["read"],
    )
    assert refused == 403
    assert on_duty.off.reason is None


def test_all_steering_is_switched_off_and_on_with_the_word_typed(on_duty: OnDuty, visit: Open) -> None:
    releases = another(on_duty, "sixth")
    page = visit(on_duty)
    page.get_by_role("button", name="Switch all off").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("To confirm").fill("off")
    dialog.get_by_role("button", name="Switch all off").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Nothing was done")
    assert on_duty.off.reason is None
    dialog.get_by_label("To confirm").fill("OFF")
    dialog.get_by_label("To confirm").press("Enter")
    expect(page.locator("#off")).to_contain_text("Off: every answer is the model’s own")
    assert on_duty.off.file.is_file()
    assert releases.get("sixth").state == "paused"
    page.get_by_role("button", name="Switch on again").click()
    page.get_by_role("dialog").get_by_label("To confirm").fill("ON")
    page.get_by_role("dialog").get_by_label("To confirm").press("Enter")
    expect(page.locator("#off")).to_contain_text("On: releases are followed")
    assert on_duty.off.reason is None


def test_a_server_without_a_store_says_so(alone: OnDuty, visit: Open) -> None:
    page = visit(alone)
    expect(page.locator("#releases")).to_contain_text("This server has no store")
    expect(page.locator("#monitoring")).to_contain_text("Nothing was watched")
    expect(page.locator("#audit")).to_be_hidden()
    assert page.locator("[data-action]").count() == 0


def test_a_canary_says_on_how_many_rows_the_steering_acts(alone: OnDuty, visit: Open) -> None:
    acts = np.arange(40) % 4 != 0
    effects = np.where(acts, np.where(np.arange(40) % 10 == 1, -0.2, 0.4), 0.0)
    run = compared(checked(effects, acting=(acts, acts)), scores_of(effects, acts=acts))
    looked = Looked("kind", Setup("warm", RequestSteering("5f2c", {"warm": 1.0})), run)
    seen = alone.monitor.observations
    seen.add_canary(looked)
    try:
        told = visit(alone).locator("#monitoring")
        expect(told).to_contain_text("as checked")
        expect(told).to_contain_text("pushed the wrong way 13%")  # 4 of 30
        expect(told).to_contain_text("of those it acts on; that is 75%")
        expect(told).to_contain_text("of the rows, in the check 75%")
    finally:
        seen.forget("kind", ())


def test_a_lost_connection_is_told_with_the_age_of_what_is_shown_and_found_again(on_duty: OnDuty, visit: Open) -> None:
    page = visit(on_duty)
    expect(page.get_by_text("Live: changes appear by themselves.")).to_be_visible()
    page.context.route("**/v1/events", lambda route: route.abort())
    on_duty.live.server.app.state.changes.stopping = lambda: True  # the server ends the streams
    expect(page.locator("#link")).to_contain_text("The connection is lost")
    expect(page.locator("#age")).to_contain_text("What stands here was read")
    on_duty.live.server.app.state.changes.stopping = lambda: False
    page.context.unroute("**/v1/events")
    page.context.route("**/v1/events", lambda route: route.continue_())
    expect(page.get_by_text("Live: changes appear by themselves.")).to_be_visible()


def test_the_key_is_asked_for_and_stands_in_no_address(on_duty: OnDuty, visit: Open) -> None:
    page = visit(on_duty, None)
    expect(page.locator("#fault")).to_contain_text("The key is missing or not known")
    expect(page.locator("#main")).to_be_hidden()
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    page.get_by_label("API key").fill(on_duty.key)
    page.get_by_label("API key").press("Enter")
    expect(page.locator("#access")).to_contain_text("Key in use: ada")
    expect(page.locator("#release .verdict")).to_be_visible()
    assert seen
    assert on_duty.key not in " ".join([*seen, page.url, page.content()])
    page.get_by_role("button", name="Forget key").click()
    expect(page.locator("#main")).to_be_hidden()
    assert page.evaluate("sessionStorage.length") == 0
