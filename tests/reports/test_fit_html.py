"""The page of a fit: complete, self-contained, deaf to hostile texts; marks what is not as it should be."""

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError
from rich.console import Console
from tests.reports.fit_example import VARIANTS, build, gate
from tests.reports.test_html import ELEMENTS, FLAGS, Outline

from trimtab.reports.fit.curves import curves, panels
from trimtab.reports.fit.files import save_fit
from trimtab.reports.fit.html import figures, fit_page
from trimtab.reports.fit.tables import gate_rows, shown, varied
from trimtab.reports.fit.terminal import gate_summary
from trimtab.results.fit import Fit, GateRecord, ShadedText, Training

SECTIONS = ["attributes", "training", "candidates", "texts", "method", "words"]


@pytest.fixture(scope="module", params=list(VARIANTS))
def any_fit(request: pytest.FixtureRequest) -> Fit:
    return VARIANTS[request.param]()


@pytest.fixture(scope="module")
def outline(any_fit: Fit) -> Outline:
    return Outline(fit_page(any_fit))


@pytest.fixture(scope="module")
def plain() -> Outline:
    return Outline(fit_page(build()))


def test_the_record_survives_the_way_to_disk_and_back(any_fit: Fit, tmp_path: Path) -> None:
    page = save_fit(any_fit, tmp_path / "f")
    assert page.name == "fit.html"
    assert Fit.model_validate_json((tmp_path / "f" / "fit.json").read_text()) == any_fit
    assert sorted(p.name for p in (tmp_path / "f").iterdir()) == ["fit.html", "fit.json"]
    record = any_fit.training.model_dump(mode="json", by_alias=True)
    assert record["schema"] == 2
    assert Training.model_validate(record) == any_fit.training


@pytest.mark.parametrize(
    "odd", [{"answer_from": 7}, {"pieces": ("a",)}, {"attribute": "x"}, {"edits": {}}, {"side": "up"}, {"more": 1}]
)
def test_a_text_whose_parts_do_not_fit_is_refused(odd: dict[str, object]) -> None:
    text = build().training.texts[0]
    with pytest.raises(ValidationError):
        ShadedText.model_validate({**text.model_dump(), **odd})


def test_sections_are_those_that_have_something_to_show_and_all_links_lead_somewhere(
    any_fit: Fit, outline: Outline
) -> None:
    ids = [str(a["id"]) for _, a in outline.elements if "id" in a]
    sections = [str(a["id"]) for tag, a in outline.elements if tag == "section"]
    training = any_fit.training
    present = {
        "training": training.sites,
        "candidates": training.candidates,
        "texts": training.texts,
        "words": training,
    }
    assert sections == [s for s in SECTIONS if present.get(s, True)]
    assert len(ids) == len(set(ids))
    links = [str(a["href"]) for tag, a in outline.elements if tag == "a"]
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    assert {link for link in links if not link.startswith("#")} == {"checks/a%23b/report.html"}


def test_nothing_is_requested_and_only_named_scripts_run(outline: Outline) -> None:
    for tag, attributes in outline.elements:
        for name in ("src", "srcset", "action", "poster", "data", "background", "formaction", "ping"):
            assert attributes.get(name) is None, tag
        assert not [name for name in attributes if name.startswith("on")]
    policy = next(str(a["content"]) for _, a in outline.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none';")
    scripts = [1 for attributes, _ in outline.scripts if "type" not in attributes]
    drawn = any("plot" in str(a.get("class", "")).split() for _, a in outline.elements)
    assert len(scripts) == policy.count("sha256-") == (2 if drawn else 0)


def test_hostile_texts_become_neither_elements_nor_characters_that_deceive() -> None:
    outline = Outline(fit_page(VARIANTS["hostile"]()))
    assert all(ELEMENTS.fullmatch(tag) for tag, _ in outline.elements)
    assert outline.visible.count("</script><img src=x onerror=alert(1)>") > 10
    assert "{{ 7 * 7 }}" in outline.visible
    for hidden in ("\x1b", "\u202e", "\u2028"):
        assert hidden not in outline.visible
        assert all(hidden not in str(value) for _, a in outline.elements for value in a.values())


def test_no_figure_is_missing_without_a_reason(outline: Outline) -> None:
    assert not re.search(r"\b(nan|None|inf|Undefined)\b", outline.visible)
    assert all(re.match(r": \S", after) for after in re.findall(r"not measured(.{0,4})", outline.visible))


def test_headings_of_tables_have_a_scope(outline: Outline) -> None:
    heads = [attributes for tag, attributes in outline.elements if tag == "th"]
    assert heads
    assert all(attributes.get("scope") in ("col", "row") for attributes in heads)


@pytest.mark.parametrize(
    ("figures_of", "holds"),
    [
        ((0.101, 0.05, 0.099), (True, True, True)),
        ((0.1, 0.05, 0.1), (False, True, False)),
        ((0.3, 0.3, 0.5), (True, False, False)),
        ((0.3, 0.1, None), (True, True, None)),
    ],
)
def test_a_gate_is_good_when_it_opens_on_its_negatives_and_nowhere_else(
    figures_of: tuple[float, float, float | None], holds: tuple[bool | None, ...]
) -> None:
    (row,) = gate_rows({"warmth": GateRecord.model_validate(gate(*figures_of))})
    assert tuple(line.holds for line in row.lines) == holds
    assert row.good == (False not in holds)
    apart = {"warmth": row.gate.model_copy(update={"mmd2_after": row.gate.mmd2_before})}
    assert not gate_rows(apart)[0].good
    assert gate_rows(apart)[0].meaning.endswith("no nearer to each other")
    assert ("hardly" in row.meaning) == (not holds[0])
    assert ("no less" in row.meaning) == (not holds[1])
    assert ("other attributes" in row.meaning) == (holds[2] is not None)


def test_gates_are_said_and_marked_in_words_signs_and_figures(plain: Outline) -> None:
    good = "warmth opens on what it should change, less on what is as desired already, and stays shut on the other"
    bad = "formality hardly opens on what it should change, opens no less on what is as desired already, and opens"
    text = plain.visible
    assert text.index(f"✔ {good}") < text.index(f"✘ {bad}")
    assert text.count("✘ no") == 3
    assert "0.600 above 0.1 ✔ yes 8.0 % 72.0 %" in text


def test_the_chosen_candidate_is_marked_and_only_what_differs_is_a_column(plain: Outline) -> None:
    assert varied(build().training.candidates) == ["share"]
    assert "2 ★ taken 0.4 1.5 0.400 0.400 0.400 0.400" in plain.visible
    rows = [a for tag, a in plain.elements if tag == "tr" and a.get("class") == "chosen"]
    assert len(rows) == 1


def test_shades_are_the_records_gates_and_underlines_its_touched_tokens() -> None:
    training = build().training
    for text in training.texts:
        (view,) = shown(training, text.attribute, text.side)
        assert view.left_out == (12, 1)
        for shading in (view.own, *view.others):
            assert [p.text for p in shading.pieces] == list(text.pieces)
            assert [float(p.depth) for p in shading.pieces] == pytest.approx(text.seen[shading.attribute], abs=0.006)
            assert [p.touched for p in shading.pieces] == [e > 0.01 for e in text.edits[shading.attribute]]
            assert [p.answer for p in shading.pieces] == [False] * 3 + [True] * 3
        own = text.seen[text.attribute][3:]
        assert view.own.gist.startswith(f"answer: mean gate {sum(own) / 3:.2g}")
        assert {s.attribute for s in view.others} == set(text.seen) - {text.attribute}


def test_spaces_between_tokens_are_those_of_the_text() -> None:
    html = fit_page(build())
    lines = [re.sub(r"<[^>]+>", "", line) for line in re.findall(r'<p class="shaded".*?</p>', html, re.DOTALL)]
    assert len(lines) == 6 * 3
    assert set(lines) == {"&lt;s&gt;The tram was late."}


def test_curves_hold_the_records_values_and_mark_the_epoch_taken() -> None:
    site = build().training.sites["14"]
    assert panels(site) == ["loss", "alignment", "positives", "sparsity", "orthogonality"]  # nothing was shrunk
    drawn = curves(site)
    train, dev = drawn.data[:2]
    assert (train.name, list(train.x), list(train.y)) == ("train", list(range(1, 13)), list(site.train["loss"]))
    assert site.dev is not None
    assert (dev.name, list(dev.x), list(dev.y)) == ("dev", list(range(13)), list(site.dev["loss"]))
    assert {shape.x0 for shape in drawn.layout.shapes} == {7}
    assert [a.text for a in drawn.layout.annotations] == ["★ taken: epoch 7"]
    assert list(figures(VARIANTS["untrained"]())) == []


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_the_terminal_tells_gates_and_marks(encoding: str) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=out, width=80)
    gate_summary(build(("[red]warmth", "formality", "brevity")).training, console)
    gate_summary(Training(), console)
    out.seek(0)
    printed = out.read()
    row = next(line for line in printed.splitlines() if "[red]warmth" in line)
    signs = ("✔", "✘") if encoding == "utf-8" else ("+", "x")
    yes = re.escape(signs[0])
    assert re.search(rf"0\.60 {yes}[ |]+0\.050 {yes}[ |]+0\.030 {yes}[ |]", row)
    assert next(line for line in printed.splitlines() if "formality" in line).count(signs[1]) == 3
    assert max(map(len, printed.splitlines())) <= 80


def test_the_page_loads_no_model_library() -> None:
    code = "import sys, trimtab.reports.fit.html, trimtab.reports.fit.terminal; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


WIDE = """<script>addEventListener("load", () => { const d = document.querySelector("iframe").contentDocument;
document.body.dataset.wide = d.documentElement.scrollWidth; })</script>"""


@pytest.mark.browser
@pytest.mark.parametrize("name", ["plain", "hostile"])
def test_browser_draws_the_curves_without_an_error_and_the_page_fits_narrow_and_wide_screens(
    name: str, chromium: str, tmp_path: Path
) -> None:
    file = save_fit(VARIANTS[name](), tmp_path)
    command = [chromium, *FLAGS, "--allow-file-access-from-files", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run([*command, file.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr, done.stderr
    assert done.stdout.count('data-drawn="yes"') == 1
    for width in (360, 1280):
        frame = tmp_path / "frame.html"
        frame.write_text(f'<body>{WIDE}<iframe src="fit.html" style="width:{width}px;height:900px;border:0"></iframe>')
        framed = subprocess.run([*command, frame.as_uri()], capture_output=True, text=True, timeout=120, check=True)
        width_of_page = re.search(r'data-wide="(\d+)"', framed.stdout)
        assert width_of_page, framed.stderr
        assert int(width_of_page[1]) <= width
