"""Beside figures that a classifier gave, the page says how well it can judge; beside adjusted ones, what that took."""

import re

import pytest
from playwright.sync_api import expect
from tests.serving.console.conftest import OnDuty, Open
from tests.serving.console.seeding import SCORER, seed_scored

from trimtab.operations import Store, arm_of

pytestmark = pytest.mark.browser
WORDS = {
    "en-US": ("kindness is scored by:", r"adjusted by the past: ([\d.]+)% of the variance is gone"),
    "ja-JP": ("kindness", r"過去.*?([\d.]+)%"),
}


@pytest.fixture(scope="module")
def scored(on_duty: OnDuty) -> OnDuty:
    """The server, with a release under way that a classifier judges."""
    for one in on_duty.releases.all():
        if one.is_open:
            on_duty.releases.act(one.name, "rollback", by="ada")
    with Store(on_duty.place) as store:
        seed_scored(store, arm_of(on_duty.place.parent / "steerings" / "warm")[0])
    return on_duty


@pytest.mark.parametrize("locale", list(WORDS))
def test_the_page_says_who_scored_and_what_the_past_explains(scored: OnDuty, visit: Open, locale: str) -> None:
    beginning, gone = WORDS[locale]
    page = visit(scored, path="/console?release=scored", locale=locale)
    release = page.locator("#release")
    expect(release).to_contain_text(SCORER)
    expect(release.locator("li", has_text=SCORER)).to_contain_text(beginning)
    found = re.search(gone, release.inner_text())
    assert found
    assert 0.9 < float(found[1]) / 100 < 1.0


def test_on_a_narrow_window_the_sentence_breaks(scored: OnDuty, visit: Open) -> None:
    page = visit(scored, path="/console?release=scored", width=390)
    expect(page.locator("#release")).to_contain_text(SCORER)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
