"""Thresholds with a promise: the exact bound against scipy's binomial test, and the promise against simulation."""

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from trimtab.errors import InputError
from trimtab.statistics.selective import (
    promised,
    risk_auroc,
    thresholds_by_coverage,
    upper_share,
)


@pytest.mark.parametrize(("wrong", "n"), [(0, 1), (0, 29), (1, 46), (7, 60), (59, 60), (60, 60)])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_the_bound_is_that_of_the_binomial_test(wrong: int, n: int, level: float) -> None:
    exact = binomtest(wrong, n, alternative="less").proportion_ci(level, method="exact")
    assert upper_share(wrong, n, level) == pytest.approx(exact.high)
    if wrong < n:  # by definition: were the share as high, so few would be seen with a chance of 1 − level
        assert binom.cdf(wrong, n, upper_share(wrong, n, level)) == pytest.approx(1 - level)


@pytest.mark.parametrize(("wrong", "n", "level"), [(-1, 4, 0.9), (5, 4, 0.9), (1, 4, 1.0)])
def test_what_is_no_share_is_refused(wrong: float, n: float, level: float) -> None:
    with pytest.raises(InputError):
        upper_share(wrong, n, level)


def test_thresholds_keep_the_shares_they_are_named_by() -> None:
    risk = np.random.default_rng(0).normal(size=237)
    kept = [(risk < t).mean() for t in thresholds_by_coverage(risk)]
    assert np.allclose(kept, np.arange(1, 21) / 20, atol=1 / 237)


def test_the_largest_threshold_of_those_reached_without_a_failure_is_taken() -> None:
    thresholds = thresholds_by_coverage(np.arange(100))

    def best(bad: set[int]) -> float | None:
        return promised(thresholds, lambda t, level: 0.5 if np.searchsorted(thresholds, t) in bad else 0.1, 0.25)

    assert best(set()) == np.inf
    assert best({19}) == thresholds[18]
    assert best({6, 16, 19}) == thresholds[15]  # the sequence from a half jumps over the first
    assert best({6, 16}) == np.inf  # that of all examples over both
    assert best({4, 9, 14, 19}) is None
    assert best({4, 14, 19}) == thresholds[13]


@pytest.mark.parametrize("informative", [True, False])
def test_the_promise_is_broken_at_most_as_often_as_it_says(informative: bool) -> None:
    """Examples whose chance of going wrong is known: the true share below the chosen threshold is computed."""
    rng, most, broken, kept = np.random.default_rng(2), 0.25, 0, 0
    grid = np.linspace(0.0, 1.0, 2001)[:-1] + 1 / 4000  # of risks, uniform

    def chance(risk: np.ndarray) -> np.ndarray:
        return 0.6 * risk if informative else np.full_like(risk, 0.26)

    runs = 2000
    for _ in range(runs):
        risk = rng.random(110)
        goes_wrong = rng.random(110) < chance(risk)

        def upper(threshold: float, level: float, risk: np.ndarray = risk, wrong: np.ndarray = goes_wrong) -> float:
            below = risk < threshold
            return upper_share(int(wrong[below].sum()), int(below.sum()), level)

        chosen = promised(thresholds_by_coverage(risk), upper, most)
        if chosen is not None:
            kept += 1
            broken += bool(chance(grid)[grid < chosen].mean() > most)
    assert broken <= binom.ppf(0.999, runs, 0.05)
    if informative:
        assert kept > 0.4 * runs  # and it is of use: without leaving any alone none could be kept


def test_auroc_of_a_risk_is_that_over_all_pairs_of_rows() -> None:
    rng = np.random.default_rng(3)
    risk, chance = np.round(rng.normal(size=40), 1), rng.random(40)
    pairs = [
        (chance[i] * (1 - chance[j]), 1.0 if risk[i] > risk[j] else 0.5 if risk[i] == risk[j] else 0.0)
        for i in range(40)
        for j in range(40)
        if i != j
    ]
    expected = sum(w * v for w, v in pairs) / sum(w for w, _ in pairs)
    assert risk_auroc(risk, chance).value == pytest.approx(expected)
    from sklearn.metrics import roc_auc_score

    wrong = rng.random(40) < 0.4
    found = risk_auroc(risk, wrong)
    assert found.value == pytest.approx(roc_auc_score(wrong, risk))
    assert found.low < found.value < found.high


def test_auroc_intervals_cover_what_is_true_of_the_population() -> None:
    rng, covered, runs = np.random.default_rng(4), 0, 400
    truth = 5 / 6  # ∫ 2r (2r − r²) dr: densities 2r of what goes wrong and 2 (1 − r) of the others
    for _ in range(runs):
        risk = rng.random(60)
        found = risk_auroc(risk, rng.random(60) < risk)
        covered += found.low <= truth <= found.high
    assert binom.ppf(0.001, runs, 0.93) <= covered <= runs


def test_auroc_needs_both_kinds() -> None:
    with pytest.raises(InputError, match="none does"):
        risk_auroc([1.0, 2.0, 3.0], [0, 0, 0])
