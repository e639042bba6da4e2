"""κ, α and win rates against other people's libraries, brute force and simulated raters."""

import random

import numpy as np
import pytest
from krippendorff import alpha as their_alpha
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

from trimtab.errors import InputError
from trimtab.statistics import cohens_kappa, krippendorffs_alpha, win_rate


def raters(n: int, values: int, same: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two raters who take the same value with this chance, else each one of their own."""
    rng = np.random.default_rng(seed)
    first, second = rng.integers(values, size=(2, n))
    return first, np.where(rng.random(n) < same, first, second)


@pytest.mark.parametrize("values", [2, 3, 5])
@pytest.mark.parametrize("same", [0.0, 0.6])
def test_kappa_and_alpha_are_those_of_scikit_learn_and_krippendorff(values: int, same: float) -> None:
    first, second = raters(60, values, same, seed=values)
    for metric, weights in (("nominal", None), ("interval", "quadratic")):
        kappa = cohens_kappa(first, second, metric=metric)
        alpha = krippendorffs_alpha(np.stack([first, second], axis=1), metric=metric)
        assert kappa.value == pytest.approx(cohen_kappa_score(first, second, weights=weights))
        data = np.stack([first, second]).astype(float)
        assert alpha.value == pytest.approx(their_alpha(reliability_data=data, level_of_measurement=metric))
        assert kappa.low <= kappa.value <= kappa.high
        assert alpha.low <= alpha.value <= alpha.high


def test_alpha_of_many_raters_with_gaps_is_that_of_krippendorff() -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(5, size=40)
    ratings = np.clip(truth[:, None] + rng.integers(-1, 2, size=(40, 4)), 0, 4).astype(float)
    ratings[rng.random(ratings.shape) < 0.3] = np.nan
    for metric in ("nominal", "interval"):
        expected = their_alpha(reliability_data=ratings.T, level_of_measurement=metric)
        assert krippendorffs_alpha(ratings, metric=metric).value == pytest.approx(expected)


def test_intervals_of_kappa_and_alpha_cover_the_truth_as_often_as_they_say() -> None:
    first, second = raters(200_000, 2, 0.6, seed=0)  # the truth: 0.6
    assert cohens_kappa(first[:5000], second[:5000]).value == pytest.approx(0.6, abs=0.05)
    hits = {"kappa": 0, "alpha": 0}
    for k in range(400):
        a, b = (side[60 * k : 60 * (k + 1)] for side in (first, second))
        for name, found in (("kappa", cohens_kappa(a, b)), ("alpha", krippendorffs_alpha(np.stack([a, b], axis=1)))):
            hits[name] += found.low <= 0.6 <= found.high
    assert all(0.92 <= count / 400 <= 0.995 for count in hits.values()), hits


def test_raters_who_never_differ_on_few_units_are_not_certain_to_agree() -> None:
    for found in (cohens_kappa([1, 2] * 5, [1, 2] * 5), krippendorffs_alpha([[1, 1], [2, 2]] * 5)):
        assert (found.value, found.high) == (1.0, 1.0)
        assert found.low < 0.7


def test_units_of_one_prompt_do_not_count_as_many() -> None:
    first, second = raters(20, 2, 0.6, seed=1)
    own = cohens_kappa(first, second)
    copied = cohens_kappa(np.repeat(first, 5), np.repeat(second, 5), np.repeat(np.arange(20), 5))
    assert copied.value == pytest.approx(own.value)
    assert copied.high - copied.low == pytest.approx(own.high - own.low, rel=0.1)
    naive = cohens_kappa(np.repeat(first, 5), np.repeat(second, 5))
    assert naive.high - naive.low < 0.6 * (own.high - own.low)


def test_one_category_leaves_nothing_to_agree_beyond() -> None:
    assert cohens_kappa([1, 1, 1], [1, 1, 1]) is None
    assert krippendorffs_alpha([[1, 1], [1, 1]]) is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cohens_kappa([1, 2], [1, 2, 2]), "the same units"),
        (lambda: cohens_kappa([1, float("nan")], [1, 2]), "NaN"),
        (lambda: cohens_kappa([1, 2], [1, 2], ["a", "a"]), "clusters"),
        (lambda: cohens_kappa([1, 2], [1, 2], metric="ordinal"), "nominal or interval"),
        (lambda: krippendorffs_alpha([1, 2, 3]), "one row a unit"),
        (lambda: krippendorffs_alpha([[1, float("nan")], [2, 2]]), "clusters"),
        (lambda: win_rate([]), "1 for won"),
        (lambda: win_rate([0.5, 1]), "1 for won"),
        (lambda: win_rate([1, 0], ["a"]), "one label a pair"),
        (lambda: win_rate([1, 0], ["a", "a"]), "one cluster"),
    ],
)
def test_what_cannot_be_rated_is_refused(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


# --- win rates ---


def test_a_win_rate_without_ties_is_close_to_wilsons_by_scipy() -> None:
    found = win_rate([1] * 130 + [-1] * 70)
    theirs = binomtest(130, 200).proportion_ci(method="wilson")
    assert found.value == 0.65
    assert found.low == pytest.approx(theirs.low, abs=0.004)
    assert found.high == pytest.approx(theirs.high, abs=0.004)


def test_a_win_rate_with_ties_and_prompts_is_close_to_a_bootstrap_of_prompts() -> None:
    rng = np.random.default_rng(0)
    lean = rng.normal(0.3, 0.6, size=60)  # of each prompt
    verdicts = np.sign(np.round(np.repeat(lean, 4) + rng.normal(0, 0.5, size=240))).astype(int)
    clusters = np.repeat(np.arange(60), 4)
    found = win_rate(verdicts, clusters)
    by_prompt = ((1 + verdicts) / 2).reshape(60, 4).mean(axis=1)
    resampled = [by_prompt[rng.integers(60, size=60)].mean() for _ in range(4000)]
    low, high = np.quantile(resampled, [0.025, 0.975])
    assert found.value == pytest.approx(by_prompt.mean())
    assert found.low == pytest.approx(low, abs=0.02)
    assert found.high == pytest.approx(high, abs=0.02)


def test_a_win_rate_covers_the_truth_and_exchanged_sides_mirror_it() -> None:
    rng, hits = np.random.default_rng(1), 0
    for _ in range(400):
        verdicts = rng.choice([1, 0, -1], p=[0.5, 0.3, 0.2], size=50)  # 0.65
        found = win_rate(verdicts)
        hits += found.low <= 0.65 <= found.high
        back = win_rate(-verdicts)
        assert [back.low, back.high] == pytest.approx([1 - found.high, 1 - found.low])
    assert 0.93 <= hits / 400 <= 0.999


def test_repeated_verdicts_on_the_same_pairs_do_not_make_it_surer() -> None:
    once = [random.Random(i).choice([1, 1, 0, -1]) for i in range(40)]
    single, thrice = win_rate(once), win_rate(np.repeat(once, 3).reshape(-1, 3))
    assert thrice.value == pytest.approx(single.value)
    assert thrice.high - thrice.low == pytest.approx(single.high - single.low, rel=0.02)
