"""Classifiers of checks score a sample of answers beside their way; what they fail at is counted, nobody waits."""

import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from math import exp
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from tests.serving.asking import sent
from tests.serving.live.conftest import Operated, until

from trimtab.cli.serve_classifier import add_classifiers
from trimtab.errors import InputError, TrimtabError
from trimtab.evaluation import Classifier, HeldOut, Quality
from trimtab.operations import Metric, OutcomeLog, OutcomeReader, import_metrics, planned
from trimtab.operations.experiments import Experiment
from trimtab.serving.live.classifying import Classifying, Scoring, outcome_of
from trimtab.serving.logs import logger
from trimtab.statistics import Interval

SCORED = Metric.made(name="warmth", feedback="classified.warmth", source="classifier", bounds=(0, 1))
FAST = Scoring(per_minute=6000)


@cache
def warmth() -> HeldOut:
    """Tells letters apart, which the spelling engine answers with."""
    warm, cold = [f"hello warm {i}" for i in range(20)], [f"cold {i} frost" for i in range(20)]
    classifier = Classifier.fit(warm, cold, seed=0)
    return HeldOut("Warmth", "5f2c", classifier, Quality(Interval(0.9, 0.85, 0.95), 20, 20, 0, None))


@contextmanager
def classified(
    operated: Operated, *more: HeldOut, scoring: Scoring = FAST
) -> Iterator[tuple[Classifying, io.StringIO]]:
    log = io.StringIO()
    made = Classifying([warmth(), *more], operated.operations.outcomes, logger(log), scoring)
    operated.operations.classifying = made
    yield made, log
    made.close()


def test_scores_are_outcomes_of_the_arm_that_answered_and_say_how_well_the_classifier_separates(
    operated: Operated,
) -> None:
    import_metrics(operated.store, [SCORED], by="ada")
    operated.release(stages=(50, 100), **planned("warmth", ()))
    with classified(operated) as (classifying, log):
        answers = [operated.ask("good day", user=user) for user in ("ada", "bob", "cleo")]
        until(lambda: classifying.counts["scored"] == 3)
        figures = page(operated)
    texts = [str(answer["choices"][0]["message"]["content"]) for answer in answers]
    wanted = [1 / (1 + exp(-x)) for x in warmth().classifier.scores(texts)]
    until(lambda: len(OutcomeReader(operated.store, "first").values(SCORED).value) == 3)  # with their exposures
    assert sorted(OutcomeReader(operated.store, "first").values(SCORED).value) == pytest.approx(sorted(wanted))
    (outcome,) = operated.operations.outcomes.of_request(answers[0]["trimtab"]["request_id"])
    said = "classifier of 'Warmth': AUROC 0.90 [0.85, 0.95] on 40 unseen answers"
    assert (outcome["source"], outcome["metric"], outcome["consent"]) == ("classifier", "classified.warmth", False)
    assert outcome["who"] == said
    assert figures["trimtab_classifier_scores_total", "scored"] == 3
    assert [figures["trimtab_classifier_auroc", bound] for bound in ("low", "value", "high")] == [0.85, 0.9, 0.95]
    assert Experiment(operated.store, "first").look().scored_by == {"warmth": said}
    counts = sent(operated.server, "GET", "/v1/releases/first/feedback", "read").json()["data"]
    assert {(one["source"], one["by"]) for one in counts} == {("classifier", said)}
    assert log.getvalue() == ""


def page(operated: Operated) -> dict[tuple[str, str], float]:
    text = sent(operated.server, "GET", "/metrics", "read").text
    return {
        (sample.name, sample.labels.get("outcome", sample.labels.get("bound", ""))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_an_answer_waits_for_no_classifier_and_what_is_too_much_is_left_out_and_counted(
    operated: Operated, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, write = threading.Event(), OutcomeLog.write

    def held(log: OutcomeLog, *args: Any, **options: Any) -> Any:
        assert asked.wait(30.0)  # an answer that waited for its score would wait for itself
        return write(log, *args, **options)

    with classified(operated) as (classifying, _):
        monkeypatch.setattr(OutcomeLog, "write", held)
        operated.ask("hello", user="ada")
        for i in range(150):
            classifying.put(f"req_{i}", "", "hello")
        classifying.put("req_blank", "", " \n ")
        asked.set()
        until(lambda: sum(classifying.counts.values()) == 152)
    counts = classifying.counts
    assert counts["queue full"] >= 49
    assert (counts["empty"], counts["scored"] + counts["queue full"]) == (1, 151)


def test_a_store_that_does_not_answer_costs_the_score_and_nothing_else_and_no_text_is_logged(
    operated: Operated, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any, **__: Any) -> None:
        raise TrimtabError("the store is gone")

    def broken(*_: Any) -> None:
        raise ValueError("secret words")

    with classified(operated) as (classifying, log):
        with monkeypatch.context() as lost:
            lost.setattr(OutcomeLog, "write", gone)
            classifying.put("req_1", "", "secret words")
            until(lambda: classifying.counts["store"] == 1)
        with monkeypatch.context() as lost:
            lost.setattr(Classifier, "scores", broken)
            classifying.put("req_2", "", "secret words")
            until(lambda: classifying.counts["failed"] == 1)
        classifying.put("req_3", "", "secret words")
        until(lambda: classifying.counts["scored"] == 1)
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [(line["event"], line["outcome"]) for line in lines] == [
        ("classifier_failed", "store"),
        ("classifier_failed", "failed"),
    ]
    assert "secret" not in log.getvalue()


def test_several_behaviors_have_outcomes_of_their_own(operated: Operated) -> None:
    brief = replace(warmth(), behavior="very Brief!", data_digest="77")
    with classified(operated, brief) as (classifying, _):
        classifying.put("req_1", "", "hello")
        until(lambda: classifying.counts["scored"] == 1)
    assert {one["metric"] for one in operated.operations.outcomes.of_request("req_1")} == {
        "classified.warmth",
        "classified.very-brief",
    }
    assert outcome_of(replace(warmth(), behavior="丁寧さ", data_digest="77")) == "classified.77"


def test_the_sample_is_drawn_by_the_request(operated: Operated) -> None:
    with classified(operated, scoring=Scoring(0.25, 6000)) as (classifying, _):
        taken = [classifying.takes(f"req_{i}") for i in range(4000)]
    assert 0.22 < sum(taken) / len(taken) < 0.28


@pytest.mark.parametrize("options", [{"share": 0.0}, {"share": 1.5}, {"per_minute": 0.0}])
def test_samples_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError) as error:
        Scoring(**options)
    assert error.value.field == f"classifier_{next(iter(options))}"


def test_classifiers_that_cannot_judge_or_are_named_twice_are_refused(operated: Operated) -> None:
    outcomes, log = operated.operations.outcomes, logger(io.StringIO())
    unable = replace(warmth(), quality=Quality(Interval(0.6, 0.5, 0.7), 20, 20, 0, "the AUROC is too low"))
    for some, words in (([unable], "AUROC"), ([warmth(), warmth()], "2 classifiers of 1")):
        with pytest.raises(InputError, match=words) as error:
            Classifying(some, outcomes, log, Scoring())
        assert error.value.field == "classifier"


def test_a_folder_of_a_check_is_taken_and_its_auroc_told(operated: Operated, tmp_path: Path) -> None:
    out = io.StringIO()
    told = Console(file=out, soft_wrap=True)
    warmth().save(tmp_path)
    for where, folders, words in ((None, [tmp_path], "store"), (operated.operations, [tmp_path / "no"], "there is no")):
        with pytest.raises(InputError, match=words):
            add_classifiers(where, folders, 1.0, 60.0, told)
    add_classifiers(operated.operations, [], 1.0, 60.0, told)
    add_classifiers(operated.operations, [tmp_path], 1.0, 60.0, told)
    assert len(operated.operations.beside) == 1
    assert out.getvalue().startswith("outcome classified.warmth: classifier of 'Warmth': AUROC 0.90")
