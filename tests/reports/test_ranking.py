"""Several checks side by side: who comes first, what a row says, and a page that links the reports."""

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console
from tests.reports.conftest import CHOSEN, HOSTILE
from tests.reports.test_html import ELEMENTS, Outline

from trimtab.reports.check.ranking import FLATTERS, UNITS, index_page, ranked, ranking, rows, save_index, site_of
from trimtab.results import consequences as con
from trimtab.results import report as rec
from trimtab.results.report import Report


def changed(report: Report, name: str, decision: str, low: float | None, **changes: Any) -> Report:
    """A report on another behavior, whose effect has another lower end (None: was not measured)."""
    chosen = report.prompt_types[CHOSEN]
    assert chosen.effect is not None
    effect = (
        None if low is None else chosen.effect.model_copy(update={"mean": low + 0.1, "low": low, "high": low + 0.2})
    )
    types = {**report.prompt_types, CHOSEN: chosen.model_copy(update={"effect": effect})}
    verdict = report.verdict.model_copy(update={"decision": decision})
    return report.model_copy(update={"behavior": name, "verdict": verdict, "prompt_types": types, **changes})


@pytest.fixture(scope="module")
def some(report: Report) -> list[Report]:
    return [
        changed(report, "harmful", "no-go", 0.9),
        changed(report, "open", "inconclusive", 0.8),
        changed(report, "good", "go", 0.1),
        changed(report, "careful", "caution", 0.7),
        changed(report, "better", "go", 0.3, seconds=41.23),
        changed(report, "unknown", "caution", None, side_effects=con.SideEffects(kl=con.Divergence(reason="no texts"))),
    ]


def printed(reports: list[Report], width: int = 80, encoding: str = "utf-8") -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
    ranking(reports, Console(file=file, width=width))
    return file.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]


def test_the_verdict_comes_first_then_the_lower_end_of_the_effect(some: list[Report]) -> None:
    assert [r.behavior for r in ranked(some)] == ["better", "good", "careful", "unknown", "open", "harmful"]


def test_equals_stay_in_the_order_given(report: Report) -> None:
    equal = [changed(report, name, "go", 0.2) for name in ("c", "a", "b")]
    assert [r.behavior for r in ranked(equal)] == ["c", "a", "b"]


def test_the_table_has_a_row_for_each_best_first_with_its_figures(some: list[Report]) -> None:
    text = printed(some, width=100)
    names = [m[1] for m in re.finditer(r"^ (\S+) +[✔▲✘?] ", text, re.MULTILINE)]
    assert names == [r.behavior for r in ranked(some)]
    row = next(line for line in text.splitlines() if "better" in line).split()
    wrong, kl = some[4].prompt_types[CHOSEN].anti_steerable, some[4].side_effects.kl.value
    assert wrong is not None
    assert kl is not None
    assert row[:4] == ["better", "✔", "go", "0.40"]
    assert float(row[4]) == pytest.approx(100 * wrong.share, abs=0.5)
    assert float(row[5]) == pytest.approx(kl, abs=0.001)
    assert row[6:] == ["14", "1", "41.2"]
    following = text.splitlines()[text.splitlines().index(next(x for x in text.splitlines() if "better" in x)) + 1]
    assert "[0.30, 0.50]" in following
    row = next(line for line in text.splitlines() if "unknown" in line).split()
    assert row[3] == row[5] == "–"
    assert FLATTERS.split(",")[0] in " ".join(text.split())


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(some: list[Report], width: int) -> None:
    assert max(map(cell_len, printed(some, width).splitlines())) <= width


def test_ascii_terminals_get_ascii_and_markup_is_only_text(some: list[Report], report: Report) -> None:
    assert printed([*some, changed(report, "[red]x[/]", "go", 0.1)], encoding="ascii").isascii()
    assert "[red]x[/]" in printed([changed(report, "[red]x[/]", "go", 0.1)])


def test_effects_in_different_units_say_so_and_stand_on_scales_of_their_own(report: Report) -> None:
    text = changed(report, "text", "go", 0.1)
    choice = changed(report, "choice", "go", 4.0, unit="logits")
    assert UNITS not in " ".join(printed([text]).split())
    shown = " ".join(printed([text, choice], width=120).split())
    assert "nats/token" in shown
    assert "logits" in shown
    assert UNITS in shown
    alone = rows([text], ["a"])[0].bar
    assert {r.report.behavior: r.bar for r in rows([text, choice], ["a", "b"])}["text"] == alone


def test_bars_of_one_unit_share_a_scale_on_which_the_requirement_has_one_place(report: Report) -> None:
    found = rows([changed(report, "low", "no-go", -0.3), changed(report, "high", "go", 0.5)], ["low", "high"])
    high, low = found[0].bar, found[1].bar
    assert high is not None
    assert low is not None
    assert high.threshold == low.threshold
    # 0.7 at the top is 96 and −0.3 at the bottom 4, so that 0.05 lies at 4 + 92 · 0.35
    assert (low.low, high.high) == (4.0, 96.0)
    assert high.threshold == pytest.approx(4 + 92 * 0.35, abs=0.01)
    assert (found[0].kind, found[1].kind) == ("good", "bad")
    assert rows([changed(report, "across", "inconclusive", -0.05)], ["x"])[0].kind == "open"


def test_sites_read_as_the_option_takes_them(report: Report) -> None:
    assert site_of(report) == "14"
    mlp = report.model_copy(update={"site": rec.SiteRecord(block=3, component="mlp")})
    assert site_of(mlp) == "mlp:3"
    finished = rec.SteeringRecord(
        id="x", method="m", attributes={"a": 1.0}, edits={"3": (), "mlp:7": ()}, trained_on_this=None
    )
    assert site_of(report.model_copy(update={"steering": finished})) == "3, mlp:7"
    assert site_of(report.model_copy(update={"site": None})) == "–"


def test_the_page_ranks_and_links_the_reports_beside_it(some: list[Report], tmp_path: Path) -> None:
    odd = some[4].model_copy(update={"behavior": "50% of & <it>"})
    found = [*some[:4], odd, some[5]]
    for report in found:
        (tmp_path / report.behavior).mkdir()
        (tmp_path / report.behavior / "report.html").touch()
    file = save_index(found, tmp_path)
    assert file == tmp_path / "index.html"
    outline = Outline(file.read_text(encoding="utf-8"))
    links = [str(a["href"]) for tag, a in outline.elements if tag == "a"]
    assert links[0] == "50%25%20of%20%26%20%3Cit%3E/report.html"
    assert links[1:] == [f"{name}/report.html" for name in ("good", "careful", "unknown", "open", "harmful")]
    for text in ("50% of & <it>", "2 go, 2 caution, 1 inconclusive, 1 no-go", "not measured: no texts", FLATTERS):
        assert text in outline.visible


def test_the_page_needs_no_script_and_no_address_outside(some: list[Report]) -> None:
    page = index_page(some, [f"{r.behavior}/report.html" for r in some])
    outline = Outline(page)
    assert outline.scripts == []
    assert len(page) < 100_000
    policy = next(str(a["content"]) for t, a in outline.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert "script-src 'none';" in policy
    for _, attributes in outline.elements:
        for name in ("src", "href"):
            value = attributes.get(name)
            assert value is None or value == "data:," or value.endswith("/report.html")
    assert not re.search(r"\b(nan|None|inf|Undefined)\b", outline.visible)


def test_hostile_texts_become_neither_elements_nor_attributes(variant: Callable[[str], Report]) -> None:
    outline = Outline(index_page([variant("hostile"), variant("unmeasured")], ["a", "b"]))
    assert all(ELEMENTS.fullmatch(tag) for tag, _ in outline.elements)
    assert not [name for _, attributes in outline.elements for name in attributes if name.startswith("on")]
    assert HOSTILE[0].replace("\x1b", "␛")[:20] in outline.visible
