"""The page for those who decide says what the report bears out, in either language, and nothing else."""

import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import Run
from tests.reports.conftest import build, estimate
from tests.reports.test_html import ELEMENTS, Outline

import trimtab as tt
from trimtab.errors import InputError
from trimtab.languages import ENGLISH, LANGUAGES, Code, spoken
from trimtab.phrases import Phrase
from trimtab.reports.brief import files
from trimtab.reports.brief.content import Brief
from trimtab.reports.brief.html import ReportFile, page
from trimtab.results import consequences as con
from trimtab.results.figures import Estimate
from trimtab.results.report import NextStep, Report, SteeringRecord


def brief(report: Report) -> Brief:
    return Brief(report, "out/mine")


def visible(report: Report, code: Code = "en") -> str:
    return Outline(page([ReportFile(report, "out/mine")], spoken(code))).visible


@pytest.mark.parametrize("language", LANGUAGES)
def test_any_report_becomes_a_page_without_scripts_or_holes(any_report: Report, language: Code) -> None:
    outline = Outline(page([ReportFile(any_report, "out/mine")], spoken(language)))
    assert outline.scripts == []
    assert all(ELEMENTS.fullmatch(tag) for tag, _ in outline.elements)
    assert not [name for _, attributes in outline.elements for name in attributes if name.startswith("on")]
    assert [a["lang"] for tag, a in outline.elements if tag == "html"] == [language]
    if "onerror" not in any_report.behavior:  # hostile texts have braces of their own
        assert not re.search(r"\{\w*\}|None|nan", outline.visible)


def test_the_answer_is_that_of_the_verdict() -> None:
    answers = {}
    for decision in ("go", "caution", "no-go", "inconclusive"):
        made = build()
        verdict = made.verdict.model_copy(update={"decision": decision})
        b = brief(made.model_copy(update={"verdict": verdict}))
        answers[decision] = b.answer
        assert b.passed is (decision in ("go", "caution"))
        assert bool(list(b.plan)) is b.passed
    assert answers["go"].startswith("Yes")
    assert answers["caution"].startswith("Yes, if")
    assert answers["no-go"] == "No."
    assert answers["inconclusive"] == "Not yet."


def test_the_worst_examples_are_the_three_that_were_pushed_hardest_the_wrong_way() -> None:
    report = build()
    b = brief(report)
    hardest = sorted(text.effect for text in report.examples if text.effect < 0)[:3]
    assert [text.effect for text in b.examples] == hardest
    assert f"Of {len(report.examples)} examples {sum(t.effect < 0 for t in report.examples)} were" in b.about_examples
    none = report.model_copy(update={"examples": tuple(t for t in report.examples if t.effect > 0)})
    assert brief(none).examples == []
    assert "No example" in brief(none).about_examples


def test_factors_are_exponentials_of_the_effect_and_its_interval() -> None:
    report = build()
    effect = report.prompt_types[report.verdict.prompt_type].effect
    assert effect is not None
    first = next(brief(report).sure)
    found = [float(x) for x in re.findall(r"\d+\.\d+", first)[:3]]
    assert found == pytest.approx([math.exp(x) for x in (effect.mean, effect.low, effect.high)], abs=0.006)


def test_capability_is_shown_as_what_was_lost() -> None:
    (row,) = [cost for cost in brief(build()).costs if "turned wrong" in cost.name]
    assert re.sub(r"\s", " ", row.figure) == "3 % [0, 6]"


@pytest.mark.parametrize(
    ("beats", "adds", "said"),
    [(0.1, 0.1, ("stronger", "adds 0.")), (-0.1, -0.1, ("weaker", "nothing certain")), (0.0, 0.0, ("told apart",))],
)
def test_prompting_is_compared_by_intervals(beats: float, adds: float, said: tuple[str, ...]) -> None:
    baseline = con.PromptingBaseline(
        effect=estimate(0.1, 0.02, 50), beats=estimate(beats, 0.02, 50), adds=estimate(adds, 0.02, 50)
    )
    text = " ".join(brief(build(prompting_baseline=baseline)).savings)
    for words_ in said:
        assert words_ in text
    assert "Fine-tuning was not tried" in text


def test_what_was_not_measured_is_said_with_its_reason() -> None:
    report = build(training_variability=con.TrainingVariability(effect=Estimate(reason="too few rows")))
    assert "not measured: too few rows" in visible(report)
    assert "未測定：too few rows" in re.sub("： *", "：", visible(report, "ja"))


def test_what_was_given_was_not_chosen_and_a_finished_steering_may_have_seen_the_examples() -> None:
    def chance(report: Report) -> str:
        return {str(asked): said for asked, said in brief(report).doubts}["Was the best of many tries picked?"]

    given = {"site_chosen": "given", "strength_chosen": "given", "prompt_type_chosen": "given"}
    assert "was chosen on 60 other examples" in chance(build())
    assert "nothing was chosen" in chance(build(**given))
    for known, said in ((True, True), (None, True), (False, False)):
        steering = SteeringRecord(id=None, method="pca", attributes={}, edits={}, trained_on_this=known)
        finished = build(steering=steering)
        assert "nothing was chosen" in chance(finished)
        assert ("came finished" in visible(finished)) is said
    assert "came finished" not in visible(build())


def test_an_inconclusive_verdict_says_whether_examples_or_a_fault_leave_it_open() -> None:
    made = build()
    open_ = made.verdict.bounds[0].model_copy(update={"holds": None})
    held = tuple(bound.model_copy(update={"holds": True}) for bound in made.verdict.bounds)
    for bounds, said in (((open_, *held[1:]), "leave open"), (held, "A fault of the examples")):
        verdict = made.verdict.model_copy(update={"decision": "inconclusive", "bounds": bounds})
        assert said in brief(made.model_copy(update={"verdict": verdict})).means


def test_how_often_such_verdicts_are_wrong_comes_with_its_reservations(variant: Callable[[str], Report]) -> None:
    assert "this model has not been measured" in visible(variant("random"))


def test_steps_are_said_in_the_readers_language() -> None:
    what = Phrase(
        "Read the reservation first: a pilot is defensible if you can live with it, and with less traffic than a go "
        "would deserve."
    )
    report = build(next_steps=(NextStep(code="read-reservations", what=what),))
    assert what in visible(report)
    assert "まず留保事項を読んでください" in visible(report, "ja")


def test_several_reports_become_one_file(run: Run, tmp_path: Path) -> None:
    for name in ("one", "two"):
        build(behavior=name).save(tmp_path / name)
    out = tmp_path / "here/brief.html"
    done = run("brief", str(tmp_path / "one"), str(tmp_path / "two/report.json"), "--out", str(out), "--lang", "ja")
    assert done == (0, f"brief: {out}\n", "")
    text = out.read_text(encoding="utf-8")
    assert text.count("<article") == 2
    assert all(f"「{name}」" in text for name in ("one", "two"))
    assert [file.name for file in out.parent.iterdir()] == ["brief.html"]


def test_what_cannot_be_is_refused(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build().save(tmp_path / "one")
    for arguments, said in (
        ((str(tmp_path / "none"),), "does not exist"),
        ((str(tmp_path / "one"), "--lang", "fr"), "--lang"),
        ((str(tmp_path / "one"), "--out", str(tmp_path / "brief.txt")), "neither .html nor .pdf"),
        ((str(tmp_path / "one"), "--out", str(tmp_path)), "neither .html nor .pdf"),
    ):
        code, _, err = run("brief", *arguments)
        assert code == 2
        assert said in err
    monkeypatch.setattr(shutil, "which", lambda name: None)
    code, _, err = run("brief", str(tmp_path / "one"), "--out", str(tmp_path / "brief.pdf"))
    assert code == 2
    assert "needs Chromium" in err
    assert not (tmp_path / "brief.pdf").exists()


def test_a_browser_that_fails_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "browser", lambda: "false")
    with pytest.raises(tt.TrimtabError, match="could not print"):
        files.save([ReportFile(build(), "x")], tmp_path / "brief.pdf", ENGLISH)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match=r"neither"):
        files.save([ReportFile(build(), "x")], tmp_path / "brief", ENGLISH)


@pytest.mark.browser
def test_the_pdf_is_one(chromium: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "browser", lambda: chromium)
    saved = files.save([ReportFile(build(), "x")], tmp_path / "brief.pdf", spoken("ja"))
    assert saved.read_bytes().startswith(b"%PDF-")
    assert [file.name for file in tmp_path.iterdir()] == ["brief.pdf"]


def test_hostile_texts_stay_text(variant: Callable[[str], Report]) -> None:
    text = page([ReportFile(variant("hostile"), "<b>x</b>")], ENGLISH)
    assert "<script" not in text
    assert "&lt;b&gt;x" in text
