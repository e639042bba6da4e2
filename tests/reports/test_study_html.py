"""The page of a study: complete, self-contained, deaf to hostile names; its plots hold what the record holds."""

import base64
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.reports.conftest import HOSTILE
from tests.reports.study_example import MODELS, NO_PROMPT, TOO_FEW, example
from tests.reports.test_html import ELEMENTS, FLAGS, Outline

from trimtab.reports.check.html import page
from trimtab.reports.check.tables import cell
from trimtab.reports.palette import DARK
from trimtab.reports.study.groups import GroupView, groups
from trimtab.reports.study.html import study_page
from trimtab.reports.study.scatter import MORE_DARK, PAIRS
from trimtab.reports.study.tables import BEHAVIORS, behavior_rows
from trimtab.results.report import Report
from trimtab.results.study import Cell, Study

PARTS = ("effects", "wrong", "ranks", "cosines", "geometry", "behaviors")
PER_GROUP = 2 * 3 + 2 + 2 * len(PAIRS)  # strips and ranks, cosines, scatter plots
RENAMED = {
    MODELS[0][0]: HOSTILE[6],
    MODELS[1][0]: HOSTILE[0],
    "sentiment": HOSTILE[0],
    "certainty": HOSTILE[1],
    "formality": HOSTILE[2],
    "politics-liberal": HOSTILE[3],
    "refusal": HOSTILE[7],
    "prefilled+instruction": HOSTILE[0],
    "5-shot": HOSTILE[1],
    "residual": HOSTILE[1],
    "nats/token": HOSTILE[7],
    "float32": HOSTILE[0],
    "LlamaForCausalLM": HOSTILE[0],
    TOO_FEW: HOSTILE[0],
    NO_PROMPT: HOSTILE[4],
}


def renamed(value: Any) -> Any:
    """A record's dump with nasty texts in place of some."""
    if isinstance(value, dict):
        return {name: renamed(inner) for name, inner in value.items()}
    if isinstance(value, tuple | list):
        return [renamed(inner) for inner in value]
    return RENAMED.get(value, value) if isinstance(value, str) else value


@pytest.fixture(scope="module")
def study() -> Study:
    return example()


@pytest.fixture(scope="module")
def single() -> Study:
    return example(1)


@pytest.fixture(scope="module")
def group(single: Study) -> GroupView:
    return groups(single)[0]


@pytest.fixture(scope="module")
def nasty(study: Study) -> Study:
    texts = {"command": HOSTILE[0], "notes": HOSTILE, "torch": HOSTILE[0]}
    return Study.model_validate({**renamed(study.model_dump()), **texts})


@pytest.fixture(scope="module")
def outline(study: Study) -> Outline:
    return Outline(study_page(study))


@pytest.fixture(scope="module")
def hostile(nasty: Study) -> Outline:
    return Outline(study_page(nasty))


def ids(outline: Outline) -> list[str]:
    return [str(attributes["id"]) for _, attributes in outline.elements if "id" in attributes]


def links(outline: Outline) -> list[str]:
    return [str(a["href"])[1:] for tag, a in outline.elements if tag == "a"]


def test_every_part_of_every_group_exists_and_is_linked(outline: Outline) -> None:
    parts = [f"g{i}-{part}" for i in (1, 2) for part in PARTS]
    assert {"studied", "reading", "g1", "g2", "models", "words", *parts} <= set(ids(outline))
    assert set(links(outline)) <= set(ids(outline))
    assert set(parts) <= set(links(outline))
    assert len(ids(outline)) == len(set(ids(outline)))


def test_one_group_is_linked_by_its_parts_alone(single: Study) -> None:
    outline = Outline(study_page(single))
    assert links(outline) == ["found", "studied", "reading", *(f"g1-{part}" for part in PARTS), "words", "words"]
    assert "models" not in ids(outline)


def test_the_header_counts_what_was_studied(outline: Outline, study: Study) -> None:
    absent = sum(c.not_measured is not None for c in study.cells)
    facts = f"behaviors 30 5 of them controls families 12 prompt types 7 models 2 cells 420 {absent} not measured"
    assert facts in outline.visible
    for text in (study.command, study.models[1].digest, "Qwen2ForCausalLM, 24 blocks", "bfloat16", *study.notes):
        assert text in outline.visible
    assert "Geometry informs, measured effects decide." in outline.visible


def test_nothing_outside_the_page_is_requested(study: Study, outline: Outline) -> None:
    for tag, attributes in outline.elements:
        for name in ("src", "href", "srcset", "action", "poster", "data", "background", "formaction", "ping"):
            value = attributes.get(name)
            assert value is None or value.startswith("#") or value == "data:,", f"<{tag} {name}={value}>"
    html = study_page(study)
    assert "url(" not in html.split("<style>")[1].split("</style>")[0]
    assert len(re.findall(r"plotly\.js v\d", html)) == 1


def test_policy_is_that_of_reports_and_names_the_scripts_that_run(outline: Outline, report: Report) -> None:
    policies = [
        [str(a["content"]) for _, a in one.elements if a.get("http-equiv") == "Content-Security-Policy"]
        for one in (outline, Outline(page(report)))
    ]
    assert policies[0] == policies[1]
    running = [text for attributes, text in outline.scripts if "type" not in attributes]
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in running]
    rule = next(part for part in policies[0][0].split(";") if "script-src" in part)
    assert rule.split()[1:] == [f"'sha256-{digest}'" for digest in hashes]


def test_hostile_texts_become_neither_elements_nor_attributes(hostile: Outline) -> None:
    assert all(ELEMENTS.fullmatch(tag) for tag, _ in hostile.elements)
    for _, attributes in hostile.elements:
        assert not [name for name in attributes if name.startswith("on")]
    assert "</script><img src=x onerror=alert(1)>" in hostile.visible
    assert "{{ 7 * 7 }}" in hostile.visible
    assert "\x1b" not in hostile.visible
    assert "\u202e" not in hostile.visible


def test_json_of_the_plots_cannot_leave_its_script_nor_carry_markup(hostile: Outline) -> None:
    data = [text for attributes, text in hostile.scripts if attributes.get("type") == "application/json"]
    assert len(data) == 2
    for text in data:
        assert not set(text) & set("<>&\u2028\u2029")
    # Plotly reads the markup of titles, ticks, legends and hover texts; `escape` leaves no tag but our own in them.
    tags = set(re.findall(r"<[^>]*>", json.dumps(json.loads(data[0]))))
    assert tags <= {"<b>", "</b>", "<br>", "<extra>", "</extra>"}
    assert "quot;" not in data[0]  # plotly would print it


def test_whatever_was_not_measured_says_why(outline: Outline) -> None:
    for reason in (NO_PROMPT, TOO_FEW):
        assert f"not measured: {reason}" in outline.visible
    assert not re.search(r"\b(nan|None|inf|Undefined)\b", outline.visible)


def test_tables_have_header_cells_with_scope(outline: Outline) -> None:
    heads = [attributes for tag, attributes in outline.elements if tag == "th"]
    assert heads
    assert all(attributes.get("scope") in ("col", "row", "colgroup") for attributes in heads)


def test_every_association_and_summary_is_in_a_table(outline: Outline, study: Study) -> None:
    for figure in (*(a.rho for a in study.associations), *(s.effect for s in study.types)):
        value, limits = cell(figure)
        assert f"{value} {limits}".replace("\N{NO-BREAK SPACE}", " ") in outline.visible
    assert outline.visible.count("norm of the vector held fixed") == 2 * 2  # models and outcomes
    for text in ("effect Δ at equal dose, without controls", "anti-steerable share at strength 1, without controls"):
        assert text in outline.visible


def test_behaviors_stand_with_their_best_type_controls_behind(group: GroupView) -> None:
    rows = behavior_rows(group)
    assert len(rows) == 30
    assert [row.control for row in rows] == [False] * 24 + [True] * 5 + [False]
    assert rows[-1].reason == f"not measured: {TOO_FEW}"
    best: dict[str, Cell] = {}
    for one in group.measured:
        if one.behavior not in best or (one.effect or 0) > (best[one.behavior].effect or 0):
            best[one.behavior] = one
    assert {row.name: row.prompt_type for row in rows[:-1]} == {name: c.prompt_type for name, c in best.items()}


def test_a_long_table_of_behaviors_says_what_it_leaves_out(single: Study) -> None:
    many = [
        c.model_copy(update={"behavior": f"{c.behavior}-{i}"})
        for i in range(6)
        for c in single.cells
        if c.prompt_type == "prefilled"
    ]
    outline = Outline(study_page(single.model_copy(update={"cells": tuple(many)})))
    assert f"{6 * 30 - BEHAVIORS} more stand in cells.parquet." in outline.visible


def test_an_empty_study_and_one_without_figures_make_a_page(single: Study) -> None:
    nothing: dict[str, Any] = {"cells": (), "cosines": (), "types": (), "associations": ()}
    assert "not measured: the study has no cells." in Outline(study_page(single.model_copy(update=nothing))).visible
    cells = tuple(c for c in single.cells if c.not_measured is not None)
    page = Outline(study_page(single.model_copy(update={**nothing, "cells": cells})))
    assert "not measured: no cell carries an effect." in page.visible
    assert "not measured: no ranks were counted." in page.visible
    assert not [a for _, a in page.elements if "data-figure" in a]


def test_same_study_same_page(single: Study) -> None:
    assert study_page(single) == study_page(single)


def test_every_colour_has_a_dark_partner_that_differs(study: Study, outline: Outline) -> None:
    data = [text for attributes, text in outline.scripts if attributes.get("type") == "application/json"]
    figures, dark = json.loads(data[0]), json.loads(data[1])
    for figure in figures.values():
        figure["layout"].pop("template", None)  # plotly's own, nothing of which shows
    used = set(re.findall(r'"(#[0-9a-f]{6})"', json.dumps(figures)))
    assert dark == {**DARK, **MORE_DARK}
    assert used - dark.keys() == {"#fffffe"}  # numbers on the strongest cells, white in both schemes
    assert len(set(dark.values())) == len(dark)


def test_pages_of_studies_load_no_model_library() -> None:
    code = "import sys, trimtab.reports.study.html, trimtab.reports.study.files; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.browser
@pytest.mark.parametrize("name", ["study", "nasty"])
def test_browser_draws_every_plot_without_an_error(
    name: str, request: pytest.FixtureRequest, chromium: str, tmp_path: Path
) -> None:
    file = tmp_path / "report.html"
    file.write_text(study_page(request.getfixturevalue(name)), encoding="utf-8")
    command = [chromium, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    assert "CONSOLE" not in done.stderr, done.stderr
    assert done.stdout.count('data-drawn="yes"') == 2 * PER_GROUP + 2
    assert len(re.findall(r'<svg class="main-svg"', done.stdout)) >= 2 * PER_GROUP + 2
    assert "<img src=x" not in done.stdout.replace('"', "")
