"""Pages and terminals of every verb in Japanese: no English is left but names, commands and what others wrote."""

import re
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console
from tests.conftest import Run
from tests.languages.words import JAPANESE, VERB, Words, foreign, plotted
from tests.reports import fit_example, study_example
from tests.reports.test_evaluation import comparison
from tests.reports.test_tune_html import searched

from trimtab.errors import InputError, NotFiniteError
from trimtab.languages import Language, spoken
from trimtab.phrases import Phrase
from trimtab.reports.advise.html import advice_page
from trimtab.reports.advise.terminal import advice_summary
from trimtab.reports.evaluate.html import evaluation_page
from trimtab.reports.evaluate.terminal import evaluation_summary
from trimtab.reports.fit.html import fit_page
from trimtab.reports.fit.terminal import gate_summary
from trimtab.reports.judge.terminal import cost_summary, judging_summary
from trimtab.reports.prediction.html import calibration_page
from trimtab.reports.prediction.terminal import calibration_summary, prediction_summary
from trimtab.reports.study.html import study_page
from trimtab.reports.study.terminal import study_summary
from trimtab.reports.tune.html import tuning_page
from trimtab.reports.tune.terminal import tuning_summary
from trimtab.results.advice import Advice, AdvisedRequirement, Attempt
from trimtab.results.calibration_files import shipped
from trimtab.results.evaluation import Contrast, Evaluation
from trimtab.results.figures import Estimate
from trimtab.results.fit import Fit
from trimtab.results.judging import JudgeAgreement, JudgeCost, Judging
from trimtab.results.prediction import PredictedRow, Prediction
from trimtab.results.study import Study
from trimtab.results.tuning import Tuning
from trimtab.statistics import Interval
from trimtab.statistics.prediction import Expected
from trimtab.workflows.advise.remedies import REMEDIES

JA, EN = spoken("ja"), spoken("en")
# What the records are about: names of attributes, models, tasks, prompt types, and of features as they are called.
NAMES = (
    *fit_example.NAMES, *(model[0] for model in study_example.MODELS), *study_example.TYPES, "truthful", "fair",
    "mat-steer at", "mat-steer", "mc1", "truth", "AUROC", "Brier", "trimtab", "torch", "transformers", "residual",
)  # fmt: skip
HOW = Phrase("{method}, site {site}", method="mat-steer", site=14)
WHAT = Phrase("Steering “{name}” with a finished steering ({how})", name="warmth", how=HOW)
SAID = Phrase("{what} moves answers the intended way: {figures}.", what=WHAT, figures="+0.1")


def fit(name: str) -> Fit:
    """One of the page's own tests, with sentences that trimtab says."""
    made = fit_example.VARIANTS[name]()
    checked = {
        k: a.model_copy(update={"verdict": a.verdict and a.verdict.model_copy(update={"sentence": SAID})})
        for k, a in made.attributes.items()
    }
    note = Phrase("{name}: {note}", name="a", note=SAID)
    return made.model_copy(update={"attributes": checked, "notes": (note,)})


def studied() -> Study:
    made, why = study_example.example(2), Phrase("bare statements have no prompts")
    cells = tuple(c if c.not_measured is None else c.model_copy(update={"not_measured": why}) for c in made.cells)
    return made.model_copy(update={"notes": (SAID,), "cells": cells})


def tuned() -> Tuning:
    found = searched()
    why = Phrase(
        "Trial {trial} gains most on average among the {n} best trade-offs. Its damage is {share} of what is allowed.",
        trial=2, n=2, share="20%",
    )  # fmt: skip
    task = next(iter(found.tasks.values())).model_copy(update={"meaning": Phrase("share of rows answered right")})
    return found.model_copy(update={"why": why, "notes": (SAID,), "tasks": dict.fromkeys(found.tasks, task)})


def compared() -> Evaluation:
    around = Estimate(value=-0.2, low=-0.22, high=-0.18, n=30)
    rows = (
        Contrast(first="a", second="b", difference=around, p=0.001, p_holm=0.002),
        Contrast(first="a", second="asking", difference=around, p=0.5, p_holm=0.5),
        Contrast(first="b", second="temperature", difference=around),
        Contrast(first="b", second="asking", difference=Estimate(reason=Phrase("it was not measured"))),
    )
    found = comparison({"a": 0.2, "b": 0.05}, {"a": 0.001, "b": 0.4}, contrasts=rows)
    task = found.protocol.tasks[0].model_copy(update={"meaning": Phrase("share of rows answered right")})
    protocol = found.protocol.model_copy(update={"tasks": (task,)})
    return found.model_copy(update={"protocol": protocol, "notes": (SAID,)})


def advised() -> Advice:
    """A remedy that fails, one that holds, one that was not tried and one that could not be made."""

    def required(name: str, value: float, holds: bool | None, unit: str = "share") -> AdvisedRequirement:
        return AdvisedRequirement(
            name=Phrase(name), figure=Estimate(value=value, low=value - 0.1, high=value + 0.1, n=20), threshold=0.25,
            direction="below" if unit == "share" else "above", unit=unit, holds=holds,
        )  # fmt: skip

    needs = (
        required("mean steering effect", 0.4, True, "logits"), required("share of anti-steerable examples", 0.3, None),
        required("divergence on neutral text (KL)", 0.01, True),
    )  # fmt: skip
    of = {remedy.name: remedy.what for remedy in REMEDIES}
    missed = (*needs[:1], required("share of anti-steerable examples", 0.5, False))
    attempts = (
        Attempt(name="vector", what=of["vector"], requirements=missed, margin=-1.2, seconds=3.0, notes=(SAID,)),
        Attempt(
            name="careful-vector", what=of["careful-vector"], requirements=needs, margin=1.1,
            acts=Estimate(value=0.7, low=0.5, high=0.8, n=20),
        ),
        Attempt(name="icv", what=of["icv"], reason=Phrase("not tried: {remedy} holds on dev", remedy="careful-vector")),
        Attempt(
            name="iti", what=of["iti"],
            reason=Phrase("could not be made: {why}", why=Phrase("{remedy} could not be made", remedy="vector")),
        ),
    )  # fmt: skip
    return Advice(
        trimtab="0", torch="0", transformers="0", command="trimtab advise warmth", seconds=90.0, seed=0,
        behavior="warmth", description="To be warm.", model=searched().model, dtype="float32", n_train=30, n_dev=12,
        n_eval=20, attempts=attempts, chosen="careful-vector", decision="no-go", sentence=SAID, folder="steering",
        report="check", notes=(SAID,),
    )  # fmt: skip


def predicted() -> Prediction:
    """A row within the fit, one outside of it, one without a calibration."""
    known = shipped().calibrations[0]
    cells = [c for c in studied().cells if c.not_measured is None][:3]
    ranks = {"separability_held_out": 1, "agreement_loo": 2}
    outside = (
        Phrase(
            "{feature} {figure} is below the fitted range, {low} to {high}", feature="norm", figure=1, low=2, high=3
        ),
    )
    expected = Expected(0.6, Interval(0.1, 0.0, 0.2), Interval(0.2, 0.1, 0.3), ())
    rows = (
        PredictedRow(geometry=cells[0], ranks=ranks, expected=expected),
        PredictedRow(
            geometry=cells[1], ranks=ranks,
            expected=replace(expected, outside=outside),
        ),
        PredictedRow(geometry=cells[2], ranks=ranks, not_expected=Phrase("uncalibrated")),
    )  # fmt: skip
    why = Phrase("calibrated without a chat template only; fit one to a study with it")
    return Prediction(
        trimtab="0", torch="0", transformers="0", command="trimtab predict", seconds=9.0, seed=0,
        model=known.model, dtype="float32", calibrations=(known,), rows=rows, notes=(SAID,),
        uncalibrated={"free text, pairs": why},
    )  # fmt: skip


COST = JudgeCost(
    requests=1200, prompt_tokens=48_000, answer_tokens=9_000, cost=0.5, most_requests=3600, most_cost=1.5, kept=3,
    spent_requests=400, spent_prompt_tokens=16_000, spent_answer_tokens=3_000, spent_cost=0.2,
)  # fmt: skip


def judged() -> Judging:
    """Pairs of which some have no judgement, by a judge that people agree with a little."""
    share = Estimate(value=0.8, low=0.7, high=0.9, n=40)
    agrees = JudgeAgreement(people="labels.csv", n=40, n_labelled=40, accuracy=share, kappa=share, alpha=share)
    return Judging(
        trimtab="0", seconds=1.0, seed=0, file="pairs.csv", kind="pairs", judge="mat-steer", rubric="helpsteer",
        rubric_digest="0", repeats=1, temperature=0.0, cost=COST, n=40, n_rows=50, missing={"unclear": 8, "budget": 2},
        fault="status 500", n_cut=1, wins=30, losses=8, ties=2, win_rate=share, disagreed=share, shown_first=0.5,
        agreement=agrees, sentence=agrees.sentence,
    )  # fmt: skip


def scored() -> Judging:
    """Scores of answers, one without an interval, held against people's."""
    mean = Estimate(value=2.5, low=2.0, high=3.0, n=12)
    agrees = JudgeAgreement(
        people="people.csv", n=12, n_labelled=12, by_score={"truth": mean, "fair": Estimate(value=1)}
    )
    scores = {"truth": mean, "fair": Estimate(reason=Phrase("fewer than 2 clusters have the score"))}
    update = {"kind": "answers", "win_rate": None, "scores": scores, "agreement": agrees, "sentence": agrees.sentence}
    return judged().model_copy(update=update)


MEANINGS = {("truth", "mc1"): (Phrase("the best answer is the likeliest"), "higher")}
PAGES: dict[str, Callable[[Language], str]] = {
    "fit": lambda language: fit_page(fit("plain"), language),
    "fit alone": lambda language: fit_page(fit("alone"), language),
    "fit untrained": lambda language: fit_page(fit("untrained"), language),
    "advise": lambda language: advice_page(advised(), language),
    "study": lambda language: study_page(studied(), language),
    "calibration": lambda language: calibration_page(shipped(), language),
    "evaluate": lambda language: evaluation_page(compared(), MEANINGS, language),
    "tune": lambda language: tuning_page(tuned(), language),
}
SUMMARIES: dict[str, Callable[[Console, Language], None]] = {
    "fit": lambda console, language: gate_summary(fit("plain").training, console, language),
    "advise": lambda console, language: advice_summary(advised(), console, language),
    "study": lambda console, language: study_summary(studied(), console, language),
    "predict": lambda console, language: prediction_summary(predicted(), console, language),
    "calibration": lambda console, language: calibration_summary(shipped(), console, language),
    "evaluate": lambda console, language: evaluation_summary(compared(), console, language),
    "tune": lambda console, language: tuning_summary(tuned(), console, language),
    "judge": lambda console, language: judging_summary(judged(), console, language),
    "judge scores": lambda console, language: judging_summary(scored(), console, language),
    "judge cost": lambda console, language: cost_summary(COST, console, language),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_japanese_page_holds_no_english(name: str) -> None:
    page = PAGES[name](JA)
    assert Words(page).without(NAMES) == set()
    assert '<html lang="ja">' in page
    if 'id="figures"' in page:
        assert foreign(plotted(page), NAMES) == []
    english = PAGES[name](EN)
    assert len(Words(english).without(NAMES)) > 20, "the rule finds English where there is some"
    assert not JAPANESE.search("".join(Words(english).parts))


@pytest.mark.parametrize(
    ("record", "page"),
    [(advised(), advice_page), (fit("untrained"), fit_page), (tuned(), tuning_page)],
    ids=["advise", "fit", "tune"],
)
def test_a_record_of_a_file_is_shown_as_before_it_was_written(
    record: Advice | Fit | Tuning, page: Callable[[Any, Language], str]
) -> None:
    written = record.model_dump_json(by_alias=True)
    assert not JAPANESE.search(written)
    assert page(type(record).model_validate_json(written), JA) == page(record, JA)


@pytest.mark.parametrize("name", SUMMARIES)
def test_a_japanese_terminal_says_no_english(name: str) -> None:
    def printed(language: Language, width: int) -> str:
        console = Console(file=(out := StringIO()), width=width, color_system=None)
        SUMMARIES[name](console, language)
        return out.getvalue()

    said = printed(JA, 400)
    assert not re.search(r"\d %", said), "a figure that was put into a plain string keeps its English per cent sign"
    assert JAPANESE.search(said)
    assert foreign([VERB.sub(" · ", line) for line in said.splitlines()], NAMES) == []
    assert not JAPANESE.search(printed(EN, 400))
    assert max(map(cell_len, printed(JA, 80).splitlines())) <= 80


@pytest.mark.parametrize("record", [judged(), scored()], ids=["pairs", "answers"])
def test_a_judging_of_a_file_is_said_in_another_language_as_before_it_was_written(record: Judging) -> None:
    def printed(found: Judging) -> str:
        console = Console(file=(out := StringIO()), width=400, color_system=None)
        judging_summary(found, console, JA)
        return out.getvalue()

    written = record.model_dump_json(by_alias=True)
    assert not JAPANESE.search(written)
    assert printed(Judging.model_validate_json(written)) == printed(record)


def test_a_message_of_an_error_is_said_in_the_language_or_quoted_in_its_own() -> None:
    known = NotFiniteError(Phrase("a divergence is NaN or infinite; try a smaller strength or dtype float32"))
    found = {}
    for error in (known.at("icv"), InputError("nobody has translated this")):
        why = Phrase("could not be made: {why}", why=error.message)
        attempts = (advised().attempts[0].model_copy(update={"reason": why, "requirements": ()}),)
        found[str(error)] = advice_page(advised().model_copy(update={"attempts": attempts}), JA)
    said, quoted = found.values()
    assert "作成できませんでした：icv：乖離がNaNか無限大です" in said
    assert '<span lang="en">' not in said
    assert '作成できませんでした：<span lang="en">nobody has translated this</span>' in quoted


@pytest.mark.parametrize(
    "asked",
    [
        ("fit", "sentiment"),
        ("advise", "sentiment"),
        ("study", "sentiment"),
        ("predict", "sentiment"),
        ("evaluate", "--task", "behavior:sentiment", "--method", "icv"),
        ("tune", "--task", "behavior:sentiment", "--method", "icv"),
        ("judge", "pairs.csv", "--endpoint", "http://127.0.0.1:9/v1", "--endpoint-model", "m"),
    ],
    ids=lambda asked: asked[0],
)
def test_every_verb_takes_a_language_and_refuses_others_before_any_work(asked: tuple[str, ...], run: Run) -> None:
    code, _, err = run(*asked, "--lang", "fr")
    assert code == 2
    assert "--lang 'fr': choose en or ja" in err
    assert "loading" not in err
