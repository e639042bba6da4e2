"""Betting against `ville`, against every pair of means one by one, and its level at small numbers."""

import numpy as np
import pytest
import ville
from scipy import stats

from trimtab.errors import InputError
from trimtab.statistics.sequential import BettingDifference, BettingMean, log_e_path


def test_the_interval_of_a_mean_is_that_of_ville_to_a_cell():
    values = np.random.default_rng(0).beta(2, 5, 300)
    theirs = ville.BettingCS(alpha=0.05, grid=1001).fit(values)
    ours = BettingMean()
    for k, value in enumerate(values):
        ours.add(value)
        interval = ours.interval()
        assert interval.low == pytest.approx(theirs.lower_[k], abs=0.0011)
        assert interval.high == pytest.approx(theirs.upper_[k], abs=0.0011)


@pytest.mark.parametrize(("side", "alternative"), [("lower", "greater"), ("upper", "less"), ("both", "two-sided")])
def test_the_evidence_is_that_of_ville(side, alternative):
    values = np.random.default_rng(1).random(200) ** 2
    alpha = 0.05 if side == "both" else 0.025  # their bets are those of two ends
    path = log_e_path(values, 0.4, alpha=alpha, side=side)
    np.testing.assert_allclose(path, ville.BettingTest(0.4, alternative=alternative).fit(values).log_e_values_)
    stream = BettingMean(alpha=alpha, side=side)
    for value in values:
        stream.add(value)
    assert stream.log_e_value(0.4) == pytest.approx(float(path[-1]))


@pytest.mark.parametrize("rate", [0.02, 0.5, 0.9])
def test_false_alarms_are_at_most_alpha_from_the_first_outcome_on(rate):
    values = (np.random.default_rng(2).random((1000, 1000)) < rate).astype(float)
    alarms = (log_e_path(values, rate) >= np.log(20)).any(axis=1).sum()
    assert alarms <= stats.binom.ppf(0.999, 1000, 0.05)


def test_bounds_scale_the_interval():
    unit, scaled = BettingMean(), BettingMean(low=-2, high=8)
    for value in np.random.default_rng(3).random(100):
        unit.add(value)
        scaled.add(10 * value - 2)
    a, b = unit.interval(), scaled.interval()
    assert (b.value, b.low, b.high) == pytest.approx((10 * a.value - 2, 10 * a.low - 2, 10 * a.high - 2))


def two_streams(difference, rng, rates, n):
    for k in range(n):
        arm = "treatment" if k % 2 else "control"
        difference.add(arm, float(rng.random() < rates[arm]))


@pytest.mark.parametrize("d", [-0.3, 0.0, 0.24, 0.5])
def test_evidence_on_a_difference_holds_against_every_pair_of_means(d):
    """Never above the product of the capitals of the four gamblers, computed anew at pairs between the cells."""
    rng = np.random.default_rng(4)
    values = {"treatment": (rng.random(80) < 0.8).astype(float), "control": (rng.random(80) < 0.3).astype(float)}
    streamed = BettingDifference(cells=100, side="lower")
    for arm, stream in values.items():
        for value in stream:
            streamed.add(arm, value)
    alpha = 0.05**0.5  # either stream brings half of the goal
    pairs = [(m + d - further, m) for m in np.arange(0.011, 1, 0.034) for further in (0.0, 0.017, 0.2)]

    def capital(arm, mean, most):
        sides = [float(log_e_path(values[arm], mean, alpha=alpha, side=side)[-1]) for side in ("lower", "upper")]
        weights = np.log([0.9, 0.1] if most == "lower" else [0.1, 0.9])
        return np.logaddexp(*(np.array(sides) + weights))

    by_pairs = [
        capital("treatment", a, "lower") + capital("control", b, "upper") for a, b in pairs if 0 < a < 1 and 0 < b < 1
    ]
    found = streamed.log_e_value(d)
    assert found <= min(by_pairs)
    assert found >= min(by_pairs) - 1.5  # and rounding to cells costs little


def test_a_difference_keeps_its_level_and_is_found():
    rng, alarms = np.random.default_rng(5), 0
    for _ in range(60):
        nothing = BettingDifference(cells=100)
        for _ in range(4):
            two_streams(nothing, rng, {"treatment": 0.6, "control": 0.6}, 60)
            interval = nothing.interval()
        alarms += not interval.low <= 0 <= interval.high
    assert alarms <= stats.binom.ppf(0.999, 60, 0.05)
    something = BettingDifference()
    two_streams(something, rng, {"treatment": 0.7, "control": 0.4}, 1200)
    interval = something.interval()
    assert 0 < interval.low < 0.3 < interval.high
    assert something.log_e_value(0.0) > np.log(20)
    assert something.log_e_value(0.3) < np.log(20)


def test_without_an_outcome_nothing_is_known():
    for stream, bounds in ((BettingMean(-1, 3), (-1, 3)), (BettingDifference(-1, 3), (-4, 4))):
        interval = stream.interval()
        assert np.isnan(interval.value)
        assert (interval.low, interval.high) == bounds


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="outside"):
        BettingMean().add(1.5)
    with pytest.raises(InputError, match="outside"):
        BettingMean().add(float("nan"))
    with pytest.raises(InputError, match="null 2 lies outside"):
        BettingMean().log_e_value(2)
    with pytest.raises(InputError, match="arm"):
        BettingDifference().add("dose", 1.0)
    with pytest.raises(InputError, match="bounds"):
        BettingMean(1.0, 0.0)
    with pytest.raises(InputError, match="null"):
        log_e_path(np.zeros(3), 0.0)
