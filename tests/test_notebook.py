"""What notebooks show: small, alone, and escaped, whatever the texts hold."""

import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest
import torch
from tests.languages.words import JAPANESE, Words
from tests.reports import study_example
from tests.reports.conftest import build
from tests.reports.study_example import example

import trimtab as tt
from trimtab.notebook import MAX_LENGTH, MAX_ROWS
from trimtab.phrases import Phrase
from trimtab.results.numbers import estimate

EVIL = "<script>alert(1)</script>"
ALLOWED = {"div", "b", "table", "thead", "tbody", "tr", "th", "td"}


class Page(HTMLParser):
    """Which elements there are, which attributes they have, and all text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[tuple[str, str | None]] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= set(attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the language of the machine that runs the tests."""
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


def behavior(n: int = 20) -> tt.Behavior:
    rows = [tt.Example(f"{EVIL} {i}", positive=" yes\x1b[31m" + "a" * 500, negative=" n&amp;o") for i in range(n)]
    return tt.Behavior("kind & <b>", rows, EVIL)


def steering() -> tt.Steering:
    made = tt.Steering.from_vector(14, torch.ones(576), "<i>warm")
    return made.changed(presets={"gentle": {"<i>warm": 0.5}})


OBJECTS: dict[str, Callable[[], Any]] = {
    "behavior": behavior,
    "report": lambda: build(behavior=EVIL),
    "steering": steering,
    "study": example,
}


@pytest.mark.parametrize("name", OBJECTS)
def test_it_is_small_has_no_script_style_or_link_and_every_text_is_escaped(name: str) -> None:
    html = OBJECTS[name]()._repr_html_()
    page = Page(html)
    assert set(page.tags) <= ALLOWED
    assert page.attributes <= {("style", "text-align:left")}
    assert len(html) < 12_000
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", html)


def test_a_behavior_shows_its_first_examples_and_how_many_there_are() -> None:
    page = Page(behavior()._repr_html_())
    assert page.tags.count("tr") == 1 + MAX_ROWS
    assert f"… and {20 - MAX_ROWS} more" in page.text
    assert f"{EVIL} 0" in page.text
    assert "\\x1b[31m" in page.text
    assert "a" * MAX_LENGTH not in page.text
    assert "kind & <b>" in page.text


def test_a_report_shows_its_verdict_and_each_requirement() -> None:
    report = build()
    page = Page(report._repr_html_())
    assert page.text.startswith(f"caution · {report.behavior} · smollm2 · block 14 residual")
    assert report.verdict.sentence in page.text
    assert page.tags.count("tr") == 1 + len(report.verdict.bounds)
    assert all(bound.name in page.text for bound in report.verdict.bounds)


def test_a_steering_shows_attributes_and_where_it_acts() -> None:
    text = Page(steering()._repr_html_()).text
    assert "<i>warm" in text
    assert "sites: 14" in text
    assert "presets: gentle" in text


def test_a_study_shows_what_each_prompt_type_does() -> None:
    study = example(models=1)
    text = Page(study._repr_html_()).text
    first = next(one for one in study.types if one.at == "strength 1")
    assert first.prompt_type in text
    assert estimate(first.effect) in text.replace("\\xa0", "\xa0")


NAMES = ("kind & <b>", EVIL, "<i>warm", *(model[0] for model in study_example.MODELS), *study_example.TYPES)
SAID = Phrase("{figure} {unit}", figure=1, unit=Phrase("nats/token"))


@pytest.mark.parametrize("name", OBJECTS)
def test_it_is_in_the_language_of_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    thing = OBJECTS[name]()
    if name == "report":  # whose sentences are made up
        named = {"name": Phrase("mean steering effect")}
        bounds = tuple(bound.model_copy(update=named) for bound in thing.verdict.bounds)
        verdict = thing.verdict.model_copy(update={"sentence": SAID, "bounds": bounds})
        thing = thing.model_copy(update={"verdict": verdict})
    english = thing._repr_html_()
    assert not JAPANESE.search(english)
    monkeypatch.setenv("LC_ALL", "ja_JP.UTF-8")
    japanese = thing._repr_html_()
    assert len(JAPANESE.findall(japanese)) > 10
    assert Words(japanese).without(NAMES) == set()
    assert Page(japanese).tags == Page(english).tags


def test_a_behavior_is_shown_without_torch() -> None:
    code = (
        "import sys, trimtab as tt\n"
        "assert '<table>' in tt.Behavior.builtin('sentiment')._repr_html_()\n"
        "assert not {'torch', 'transformers', 'jinja2', 'plotly'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
