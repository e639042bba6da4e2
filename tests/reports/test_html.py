"""The page: self-contained, complete, and deaf to hostile texts."""

import base64
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from trimtab.reports.check.html import page
from trimtab.reports.check.plots import PLOTS, figures
from trimtab.results.figures import Estimate
from trimtab.results.report import Acting, PromptTypeResult, Report

SECTIONS = [
    *("verdict", "facts", "effects", "types", "projections", "cosines", "blocks", "curve", "backfired"),
    *("continuations", "baselines", "generated", "side-effects", "data", "method", "glossary"),
]
# Names of elements that the page's own templates use; anything else came from a text.
ELEMENTS = re.compile(
    "html|head|meta|title|link|style|body|a|header|p|h[1-4]|bdi|nav|main|section|span|svg|circle|path|rect|line|ul|ol|li|"
    "table|caption|thead|tbody|tr|th|td|dl|div|dt|dd|small|figure|button|strong|article|details|summary|code|noscript|"
    "script|br|wbr"
)
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--enable-logging=stderr", "--v=0"),
    *("--virtual-time-budget=10000", "--dump-dom"),
]


class Outline(HTMLParser):
    """Elements with their attributes, the text people see, and scripts and styles apart."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self._inside: str | None = None
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._inside = tag
            if tag == "script":
                self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)
        elif self._inside is None:
            self.text.append(data)

    @property
    def visible(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.text))


@pytest.fixture(scope="module")
def any_page(any_report: Report) -> str:
    return page(any_report)


@pytest.fixture(scope="module")
def any_outline(any_page: str) -> Outline:
    return Outline(any_page)


@pytest.fixture(scope="module")
def hostile(variant: Callable[[str], Report]) -> Outline:
    return Outline(page(variant("hostile")))


def test_every_section_exists_and_is_linked(any_outline: Outline) -> None:
    ids = [attributes["id"] for tag, attributes in any_outline.elements if tag == "section"]
    assert ids == SECTIONS
    targets = {str(a["href"])[1:] for tag, a in any_outline.elements if tag == "a"}
    assert targets <= set(SECTIONS)


def test_no_address_outside_the_page_is_requested(any_page: str, any_outline: Outline) -> None:
    for tag, attributes in any_outline.elements:
        for name in ("src", "href", "srcset", "action", "poster", "data", "background", "formaction", "ping"):
            value = attributes.get(name)
            assert value is None or value.startswith("#") or value == "data:,", f"<{tag} {name}={value}>"
    style = any_page.split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


def test_plotly_is_inlined_exactly_once(report: Report) -> None:
    assert len(re.findall(r"plotly\.js v\d", page(report))) == 1


def test_policy_names_the_hash_of_each_script_that_runs_and_nothing_more(report: Report) -> None:
    outline = Outline(page(report))
    policy = next(str(a["content"]) for t, a in outline.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none';")
    running = [text for attributes, text in outline.scripts if "type" not in attributes]
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in running]
    rule = next(part for part in policy.split(";") if "script-src" in part)
    assert rule.split()[1:] == [f"'sha256-{digest}'" for digest in hashes]
    assert len(running) == 2


def test_hostile_texts_become_neither_elements_nor_attributes(hostile: Outline) -> None:
    assert all(ELEMENTS.fullmatch(tag) for tag, _ in hostile.elements)
    for _, attributes in hostile.elements:
        assert not [name for name in attributes if name.startswith("on")]
    assert "</script><img src=x onerror=alert(1)>" in hostile.visible
    assert "{{ 7 * 7 }}" in hostile.visible
    assert hostile.visible.index("What next") < hostile.visible.index("Reasons")
    assert "\x1b" not in hostile.visible
    assert "\u202e" not in hostile.visible


def test_json_of_the_plots_cannot_leave_its_script(hostile: Outline) -> None:
    data = [text for attributes, text in hostile.scripts if attributes.get("type") == "application/json"]
    assert len(data) == 2
    for text in data:
        assert not set(text) & set("<>&\u2028\u2029")
    drawn = json.loads(data[0])
    assert set(drawn) == set(PLOTS)
    marks = [trace["customdata"] for trace in drawn["backfiring"]["data"]]
    assert all("<img" not in text for trace in marks for text in trace)
    assert any("&lt;img" in text for trace in marks for text in trace)


def test_whatever_was_not_measured_says_why(any_report: Report, any_outline: Outline) -> None:
    visible = any_outline.visible
    for after in re.findall(r"not measured(.{0,14})", visible, flags=re.IGNORECASE):
        # Only after the heading of the list of types comes a type's name first.
        heading = any(name.startswith(after.split(":")[0].strip()) for name in any_report.prompt_types)
        note = re.match(r" \(([a-z])\)", after)
        assert re.match(r": \S", after) or heading or (note and f"({note[1]}) not measured: " in visible), after
    assert not re.search(r"\b(nan|None|inf|Undefined)\b", visible)


def test_reasons_of_the_record_are_printed(variant: Callable[[str], Report]) -> None:
    visible = Outline(page(variant("unmeasured"))).visible
    for reason in (
        "not measured: bare statements have no prompt: every difference would be equal",
        "not measured: one strength",
        "not measured: --quick was given",
        "not measured: choices are equally long",
        "not measured: no sweep over blocks was run, since the site was given",
    ):
        assert reason in visible


def test_a_type_without_any_figure_still_makes_a_page(report: Report) -> None:
    empty = report.model_copy(update={"prompt_types": {**report.prompt_types, "5-shot": PromptTypeResult()}})
    visible = Outline(page(empty)).visible
    assert "(a) not measured: measured for the chosen prompt type only" in visible
    assert "(b) not measured: no reason was recorded" in visible


def test_what_the_one_vector_does_in_each_group_stands_on_the_page(report: Report) -> None:
    text = " ".join(Outline(page(report)).text)
    for group in report.direction.grouping.groups:
        for prompt in group.prompts:
            assert prompt in text
    assert "not measured: fewer than two evaluation examples are like these" in text


def test_random_pairing_is_said_to_be_arbitrary(any_report: Report, any_outline: Outline) -> None:
    assert ("Arbitrary pairs." in any_outline.visible) == (any_report.pairing == "random")


def test_tables_have_header_cells_with_scope(any_outline: Outline) -> None:
    heads = [attributes for tag, attributes in any_outline.elements if tag == "th"]
    assert heads
    assert all(attributes.get("scope") in ("col", "row") for attributes in heads)


def test_same_report_same_page(report: Report) -> None:
    assert page(report) == page(report)


def test_reports_load_no_model_library() -> None:
    code = "import sys, trimtab.reports.check.html, trimtab.reports.check.terminal; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.browser
@pytest.mark.parametrize("name", ["plain", "hostile"])
def test_browser_draws_every_plot_without_an_error(
    name: str, variant: Callable[[str], Report], chromium: str, tmp_path: Path
) -> None:
    file = tmp_path / "report.html"
    file.write_text(page(variant(name)), encoding="utf-8")
    command = [chromium, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr, done.stderr
    drawn = figures(variant(name))
    assert done.stdout.count('data-drawn="yes"') == len(drawn) == 7
    assert len(re.findall(r'<svg class="main-svg"', done.stdout)) >= len(drawn)
    assert "<img src=x" not in done.stdout.replace('"', "")


def test_every_footnote_is_referred_to(any_report: Report) -> None:
    types = {t: r.model_copy(update={"n_massive": None}) for t, r in any_report.prompt_types.items()}
    html = page(any_report.model_copy(update={"prompt_types": types}))
    for letter in re.findall(r"<li>\(([a-z])\) not measured", html):
        assert f"not measured ({letter})" in html


def test_a_steering_that_leaves_prompts_alone_shows_where_it_acts_and_over_all(report: Report) -> None:
    """Figures of those acted on stand beside those of all, with how many there are of either."""
    chosen = report.verdict.prompt_type
    result = report.prompt_types[chosen]
    assert result.n is not None
    acting = Acting(
        share=Estimate(value=0.75, low=0.67, high=0.82, n=result.n), effect=Estimate(value=0.4321, low=0.4, high=0.47),
        rows=105, wrong_of_all=Estimate(value=0.0625, low=0.03, high=0.11, n=result.n),
    )  # fmt: skip
    types = {**report.prompt_types, chosen: result.model_copy(update={"acting": acting})}
    document = page(report.model_copy(update={"prompt_types": types}))
    section = document.split('<section id="acting"')[1].split("</section>")[0]
    rows = [" ".join(Outline(row).text).split() for row in section.split("<tr")[1:]]
    head, acted, left, every = (" ".join(row).replace("\N{NARROW NO-BREAK SPACE}", " ") for row in rows)
    assert "pushed the wrong way" in head
    assert all(part in acted for part in ("acted on: 105", "75 %", "0.43"))
    assert f"left alone: {result.n - 105}" in left
    assert "25 % [18, 33]" in left
    assert all(part in every for part in (f"all: {result.n}", "6 % [3, 11]"))
    assert 'id="acting"' not in page(report)
    earlier = acting.model_copy(update={"rows": None, "wrong_of_all": Acting.model_fields["wrong_of_all"].default})
    types[chosen] = result.model_copy(update={"acting": earlier})
    assert "not measured: " in page(report.model_copy(update={"prompt_types": types})).split('id="acting"')[1][:3000]
