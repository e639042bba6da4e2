"""What the page says of releases with several arms: who leads, what helps, and which arm is kept at the end."""

import re

import pytest
from playwright.sync_api import expect
from tests.serving.console.conftest import OnDuty, Open
from tests.serving.console.seeding import seed_several

from trimtab.operations import Store, arm_of

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def several(on_duty: OnDuty) -> OnDuty:
    """An adaptive and a factorial release in the place of the one before."""
    on_duty.releases.act("cheerful", "rollback", by="ada")
    with Store(on_duty.place) as store:
        seed_several(store, arm_of(on_duty.place.parent / "steerings" / "warm")[0])
    return on_duty


def test_an_adaptive_release_says_which_arm_leads_and_one_is_kept_at_the_end(several: OnDuty, visit: Open) -> None:
    page = visit(several, path="/console?release=tone")
    card = page.locator("#release .verdict")
    expect(card).to_contain_text(
        re.compile(r"bold leads: the best with a chance of >99%, and it has 80% of the traffic")
    )
    expect(card).to_contain_text("finish it and keep bold")
    expect(page.locator("#releases")).to_contain_text("90%, over several arms")
    arms = page.get_by_role("table", name="By errors")
    assert [row.split("\t")[:2] for row in arms.locator("tbody tr").all_inner_texts()] == [
        ["control", "10%"], ["unsteered", "10%"], ["bold", "80%"],
    ]  # fmt: skip
    expect(page.get_by_role("table", name="How each arm compares with control")).to_contain_text(
        "gets nothing any more"
    )
    expect(page.get_by_role("table", name="All that was done")).to_contain_text("shares set anew")
    expect(page.locator("#release .facts")).to_contain_text(re.compile(r"unsteered: \d+ answers"))
    charts = page.locator(".courses").get_by_role("img")
    assert [one.get_attribute("aria-label").split(":")[0] for one in charts.all()] == ["control", "unsteered", "bold"]
    expect(page.locator(".courses figcaption").nth(2)).to_contain_text(re.compile(r"bold [\d.]+% \[[\d.]+, [\d.]+\]"))
    page.locator("details", has_text="The arms over time as a table").locator("summary").click()
    over = page.get_by_role("table", name="The arms over time as a table")
    assert len(over.locator("tbody tr").all()) > 10
    page.get_by_label("Metric").select_option("cancelled")
    expect(page.locator(".courses figcaption").nth(2)).to_contain_text("bold 0%")
    actions = page.get_by_role("group", name="What can be done with this release")
    assert actions.get_by_role("button").all_inner_texts() == ["Pause", "Roll back", "Finish"]
    actions.get_by_role("button", name="Finish").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("What everybody gets").select_option("bold")
    dialog.get_by_label("To confirm").fill("tone")
    dialog.get_by_role("button", name="Finish").click()
    expect(card).to_contain_text("everybody gets the arm that was kept")
    assert several.releases.get("tone").steering(several.releases.get("tone").arm("anybody")) is not None


def test_a_factorial_release_says_which_attribute_moves_what(several: OnDuty, visit: Open) -> None:
    page = visit(several, path="/console?release=which", locale="ja-JP")
    card = page.locator("#release .verdict")
    expect(card).to_contain_text(re.compile(r"kind は errors を −\d+(\.\d)?ポイント 動かします"))
    effects = page.get_by_role("table", name="その属性を有効にしたときの変化")
    rows = [row.split("\t") for row in effects.locator("tbody tr").all_inner_texts()]
    assert {(row[0], row[1]): row[-1] for row in rows if row[-1] == "はい"} == {("kind", "errors"): "はい"}
    assert len(rows) == 6
