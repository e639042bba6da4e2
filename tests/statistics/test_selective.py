"""Thresholds with a promise: the exact bound against scipy's binomial test, and the promise against simulation."""

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from trimtab.errors import InputError
from trimtab.statistics.selective import last_that_holds, sequence_of_thresholds, thresholds_by_coverage, upper_share


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


def test_the_sequence_starts_where_most_is_gained_and_only_goes_up() -> None:
    rng = np.random.default_rng(1)
    risk = rng.random(400)
    wrong = rng.random(400) < np.where(risk < 0.6, 0.05, 0.8)
    found = sequence_of_thresholds(risk, wrong, 60)
    assert 0.5 < found[0] < 0.65
    assert (np.diff(found) > 0).all()
    with pytest.raises(InputError):
        sequence_of_thresholds(risk, wrong[:-1], 60)
    with pytest.raises(InputError):
        sequence_of_thresholds(risk, 2 * wrong.astype(float), 60)


@pytest.mark.parametrize("informative", [True, False])
def test_the_promise_is_broken_at_most_as_often_as_it_says(informative: bool) -> None:
    """Examples whose chance of going wrong is known: the true share below the chosen threshold is computed."""
    rng, most, broken, kept = np.random.default_rng(2), 0.25, 0, 0
    grid = np.linspace(0.0, 1.0, 2001)[:-1] + 1 / 4000  # of risks, uniform

    def chance(risk: np.ndarray) -> np.ndarray:
        return 0.6 * risk if informative else np.full_like(risk, 0.26)

    runs = 2000
    for _ in range(runs):
        given, test = rng.random(150), rng.random(80)
        goes_wrong = rng.random(80) < chance(test)

        def upper(threshold: float, test: np.ndarray = test, goes_wrong: np.ndarray = goes_wrong) -> float:
            below = test < threshold
            return upper_share(int(goes_wrong[below].sum()), int(below.sum()), 0.95) if below.any() else 1.0

        sequence = sequence_of_thresholds(given, rng.random(150) < chance(given), 80)
        chosen = last_that_holds(sequence, upper, most)
        if chosen is not None:
            kept += 1
            broken += bool(chance(grid)[grid < chosen].mean() > most)
    assert broken <= binom.ppf(0.999, runs, 0.05)
    if informative:
        assert kept > 0.4 * runs  # and it is of use: without leaving any alone none could be kept
