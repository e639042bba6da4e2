"""The classifier against scikit-learn's AUROC, on behaviors with and without something to learn."""

from functools import cache

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from trimtab.behaviors import Behavior, Splits, builtin, shuffled, split
from trimtab.errors import InputError
from trimtab.evaluation import Classifier, Quality
from trimtab.statistics import Interval

SURE = Quality(Interval(0.9, 0.8, 1.0), 50, 50, 0, None)


def sides(behavior: Behavior, part: str, seed: int = 0) -> tuple[list[str], list[str], tuple[str, ...]]:
    result = getattr(parts(behavior, seed), part)
    return [e.positive for e in result.examples], [e.negative for e in result.examples], result.clusters


def parts(behavior: Behavior, seed: int) -> Splits:
    return split(behavior, seed=seed)


def learnt(behavior: Behavior, seed: int = 0) -> Classifier:
    positive, negative, clusters = sides(behavior, "train", seed)
    return Classifier.fit(positive, negative, seed, clusters)


@cache
def sentiment() -> Classifier:
    return learnt(builtin("sentiment"))


def test_sentiment_is_told_apart_and_the_auroc_is_scikit_learns() -> None:
    positive, negative, clusters = sides(builtin("sentiment"), "eval")
    quality = sentiment().quality(positive, negative, clusters)
    scores = sentiment().scores([*positive, *negative])
    assert quality.auroc is not None
    assert quality.auroc.value == pytest.approx(roc_auc_score([1] * len(positive) + [0] * len(negative), scores))
    assert quality.auroc.value > 0.85
    assert quality.auroc.low > 0.8
    assert (quality.n_positive, quality.n_negative, quality.n_seen, quality.reason) == (146, 146, 0, None)


@pytest.mark.parametrize("name", ["null", "shuffled"])
def test_where_there_is_nothing_to_learn_it_says_that_it_cannot_judge(name: str) -> None:
    positive, negative, clusters = sides(builtin(name), "eval")
    classifier = learnt(builtin(name))
    quality = classifier.quality(positive, negative, clusters)
    assert quality.auroc is not None
    assert quality.auroc.low < 0.5 < quality.auroc.high
    assert quality.reason is not None
    assert "AUROC" in quality.reason
    shift = classifier.compare(negative, positive, clusters, quality=quality)
    assert (shift.base, shift.steered, shift.difference, shift.fell) == (None, None, None, None)
    assert (shift.n, shift.reason) == (146, quality.reason)


def test_labels_at_random_never_pass_for_a_behavior() -> None:
    for seed in range(8):
        behavior = shuffled(builtin("sentiment"), seed)
        quality = learnt(behavior, seed).quality(*sides(behavior, "eval", seed))
        assert quality.reason is not None


def test_the_shift_is_the_mean_difference_of_the_scores() -> None:
    positive, negative, clusters = sides(builtin("sentiment"), "eval")
    up, down = sentiment().scores(positive), sentiment().scores(negative)
    shift = sentiment().compare(negative, positive, clusters, quality=SURE)
    assert shift.base is not None
    assert shift.steered is not None
    assert shift.difference is not None
    assert shift.fell is not None
    assert shift.base.value == pytest.approx(down.mean())
    assert shift.steered.value == pytest.approx(up.mean())
    assert shift.difference.value == pytest.approx((up - down).mean())
    assert shift.fell.value == np.mean(up < down)
    assert 0 < shift.difference.low < shift.difference.high
    assert (shift.n, shift.n_empty, shift.reason) == (146, (0, 0), None)


def test_scores_are_log_odds_even_where_there_is_no_evidence() -> None:
    classifier = Classifier.fit(["good"] * 20, ["evil"] * 20, 0)
    good, evil, neither = classifier.scores(["good", "evil", "zzz"])
    assert good == pytest.approx(-evil)
    assert good > 1
    assert neither == pytest.approx(0, abs=1e-3)


def test_more_texts_of_one_side_are_no_prior_for_it() -> None:
    classifier = Classifier.fit(["good"] * 60, ["evil"] * 12, 0)
    assert classifier.scores(["zzz"])[0] == pytest.approx(0, abs=1e-3)


def test_a_text_scores_the_same_in_any_company() -> None:
    positive, negative, _ = sides(builtin("sentiment"), "eval")
    together = sentiment().scores([*positive, *negative])
    assert np.array_equal(together[:5], [sentiment().scores([text])[0] for text in positive[:5]])
    assert np.array_equal(together, sentiment().scores([f"  {text}\n" for text in (*positive, *negative)]))


def test_the_same_texts_and_seed_give_the_same_classifier() -> None:
    positive, negative, clusters = sides(builtin("sentiment"), "eval")
    again = learnt(builtin("sentiment"))
    assert again.C == sentiment().C
    assert np.array_equal(again.scores(positive), sentiment().scores(positive))
    assert again.quality(positive, negative, clusters) == sentiment().quality(positive, negative, clusters)


def test_empty_texts_are_not_measured_and_counted() -> None:
    scores = sentiment().scores(["", " \n", "lovely"])
    assert np.isnan(scores).tolist() == [True, True, False]
    texts = ["lovely", "awful", "a joy", "a mess"]
    shift = sentiment().compare([*texts, ""], ["", *texts], quality=SURE)
    assert (shift.n, shift.n_empty) == (3, (1, 1))
    silent = sentiment().compare(texts, [""] * 4, quality=SURE)
    assert silent.difference is None
    assert silent.reason is not None
    assert "4 texts are empty" in silent.reason
    assert sentiment().compare([], [], quality=SURE).reason is not None


def test_answers_seen_in_training_are_no_examination() -> None:
    train, evaluation = (sides(builtin("sentiment"), part) for part in ("train", "eval"))
    mixed = sentiment().quality(
        [*evaluation[0], *(text.upper() for text in train[0][:7])], [*evaluation[1], *train[1][:7]]
    )
    assert (mixed.n_positive, mixed.n_negative, mixed.n_seen) == (146, 146, 14)
    clean = sentiment().quality(evaluation[0], evaluation[1])
    assert mixed.auroc == clean.auroc
    known = sentiment().quality(*train)
    assert (known.auroc, known.n_seen) == (None, 2 * len(train[0]))
    assert known.reason is not None
    assert "are training answers too" in known.reason


def test_few_answers_leave_it_unjudged() -> None:
    positive, negative, clusters = sides(builtin("sentiment"), "eval")
    quality = sentiment().quality(positive[:3], negative[:3], clusters[:3])
    assert quality.reason is not None


def test_a_behavior_of_two_rows_can_be_learnt_from() -> None:
    classifier = Classifier.fit(["a good day", "good"], ["a bad day", "bad", "bad, bad"], 0)
    assert (classifier.n_positive, classifier.n_negative) == (2, 3)
    assert classifier.scores(["good"])[0] > classifier.scores(["bad"])[0]


@pytest.mark.parametrize(
    ("positive", "negative", "clusters", "message"),
    [
        ("good", ["bad", "evil"], None, "positive: give a list"),
        (["good"], ["bad", "evil"], None, "positive: 1 answers; give at least 2"),
        (["good", "fine"], ["bad", " "], None, "negative: 1 answers are empty, the first is number 1"),
        (["good", "fine"], ["bad", 3], None, "negative: give a list"),
        (["good", "fine"], ["bad", "evil", "sad"], ["a", "b"], "as many on both sides"),
        (["good", "fine"], ["bad", "evil"], ["a"], "2 labels"),
        (["good", "fine"], ["bad", "evil"], ["a", "a"], "at least 2 clusters"),
    ],
)
def test_training_that_does_not_fit_is_refused(
    positive: list[str], negative: list[str], clusters: list[str] | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Classifier.fit(positive, negative, 0, clusters)


def test_texts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="2 base and 1 steered"):
        sentiment().compare(["a", "b"], ["c"], quality=SURE)
    with pytest.raises(InputError, match="2 positive and 1 negative"):
        sentiment().quality(["a", "b"], ["c"])
    with pytest.raises(InputError, match="texts: give a list"):
        sentiment().scores("a text")
