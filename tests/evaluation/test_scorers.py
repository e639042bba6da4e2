"""Scorers without a judge: one interface, figures that the rooms they come from give."""

import numpy as np
import pytest

from trimtab.errors import InputError
from trimtab.evaluation import (
    Answer,
    Classifier,
    ClassifierScorer,
    FluencyScorer,
    LengthScorer,
    RepetitionScorer,
    Scorer,
    verdicts_by_scores,
)

TEXTS = ["a lovely day", "no no no no no", "", "one, two"]
ANSWERS = [Answer(str(i), f"Prompt {i}", text) for i, text in enumerate(TEXTS)]


def classifier(noise: bool = False) -> ClassifierScorer:
    words = ("plain", "plain") if noise else ("lovely", "awful")
    sides = [[f"a {word} {thing} {i}" for i, thing in enumerate(["day", "walk", "song"] * 10)] for word in words]
    made = Classifier.fit(sides[0][:15], sides[1][:15], seed=0)
    return ClassifierScorer(made, made.quality(sides[0][15:], sides[1][15:]))


def test_every_scorer_names_each_answer_once_and_what_it_cannot_score() -> None:
    likely = FluencyScorer(lambda prompts, texts: [-float(len(t)) if t else np.nan for t in texts])
    scorers: list[Scorer] = [LengthScorer(), RepetitionScorer(), classifier(), likely]
    expected: dict[str, list[float | None]] = {
        "length": [3.0, 5.0, 0.0, 3.0],
        "repetition": [0.0, 2 / 3, None, 0.0],
        "fluency": [-12.0, -14.0, None, -8.0],
    }
    for scorer in scorers:
        found = scorer.scores(ANSWERS)
        assert [(one.id, one.rater) for one in found] == [(a.id, scorer.identity) for a in ANSWERS]
        assert all((one.missing is None) == (set(one.scores) == set(scorer.criteria)) for one in found)
        if scorer.identity in expected:
            values = [one.scores.get(scorer.criteria[0]) for one in found]
            assert values == [None if v is None else pytest.approx(v) for v in expected[scorer.identity]]


def test_the_classifiers_scores_are_its_own_and_decide_pairs() -> None:
    scorer = classifier()
    first, second = ([Answer("1", "", text)] for text in ("an awful song", "a lovely song"))
    assert scorer.scores(second)[0].scores["log_odds"] == scorer.classifier.scores(["a lovely song"])[0]
    assert verdicts_by_scores(scorer.scores(first), scorer.scores(second))[0].verdict == 1


def test_a_classifier_that_cannot_judge_is_no_scorer() -> None:
    with pytest.raises(InputError, match="gives no scores"):
        classifier(noise=True)


def test_a_function_that_gives_other_than_one_number_each_is_refused() -> None:
    with pytest.raises(InputError, match="give one each"):
        FluencyScorer(lambda prompts, texts: [1.0]).scores(ANSWERS)
