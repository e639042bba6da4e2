"""Drift: the urn against exact chances, the level over whole streams, and what moves is found; the index beside it."""

import numpy as np
import pytest
from scipy import stats

from trimtab.errors import InputError
from trimtab.statistics.sequential import DriftTest, JudgeDrift, population_stability
from trimtab.statistics.sequential.changes import ChangeEvidence


def test_evidence_of_a_change_is_the_weighted_sum_over_all_beginnings():
    factors = np.random.default_rng(0).normal(size=(3, 12))
    path = ChangeEvidence(3).add_many(factors)
    for t in range(1, 13):
        begun = [np.exp(factors[:, s - 1 : t].sum(axis=1)).mean() / (s * (s + 1)) for s in range(1, t + 1)]
        assert np.exp(path[t - 1]) == pytest.approx(sum(begun) + 1 / (t + 1))


def test_values_one_by_one_and_in_parts_give_the_same_evidence():
    rng = np.random.default_rng(1)
    reference, live = rng.normal(size=100), rng.normal(0.1, 1.2, 60)
    whole, single, parts = (DriftTest(reference) for _ in range(3))
    path = whole.add_many(live)
    for value in live:
        single.add(value)
    parts.add_many(live[:7])
    parts.add_many(live[7:7])
    parts.add_many(live[7:])
    assert single.log_e_value == pytest.approx(path[-1])
    assert parts.log_e_value == pytest.approx(path[-1])
    assert single.largest == pytest.approx(max(0, path.max()))
    one = ChangeEvidence(2)
    steps = rng.normal(size=(2, 5))
    assert [one.add(step) for step in steps.T] == pytest.approx(ChangeEvidence(2).add_many(steps))


def test_the_next_bin_has_the_chance_of_the_urn():
    """Over many references, whatever the distribution: the share of live pairs in the same bin, against Dirichlet's."""
    rng, same = np.random.default_rng(2), []
    for _ in range(3000):
        test = DriftTest(rng.exponential(size=20), bins=5, seed=int(rng.integers(2**31)))
        test.add_many(rng.exponential(size=2))
        same.append(test.counts.max() == 2)
    a = test.expected
    exact = float((a * (a + 1)).sum() / (a.sum() * (a.sum() + 1)))
    assert abs(sum(same) - 3000 * exact) < 4 * (3000 * exact * (1 - exact)) ** 0.5


def rounded(rng, n):
    return rng.normal(size=n).round()


@pytest.mark.parametrize("draw", [lambda rng, n: rng.standard_t(3, n), rounded])
@pytest.mark.parametrize("m", [20, 300])
def test_streams_without_drift_alarm_no_more_often_than_alpha_however_small_the_reference(draw, m):
    rng, alarms = np.random.default_rng(3), 0
    for k in range(120):
        test = DriftTest(draw(rng, m), alpha=0.2, seed=k)
        test.add_many(draw(rng, 2000))
        alarms += test.alarm
    assert alarms <= stats.binom.ppf(0.999, 120, 0.2)


def test_a_test_that_takes_the_reference_for_the_truth_does_alarm():
    """The same bets against the reference's own shares: at 20 values they are wrong, and a long stream shows it."""
    rng, alarms = np.random.default_rng(4), 0
    for k in range(40):
        test = DriftTest(rng.normal(size=20), alpha=0.2, seed=k)
        test.expected *= 1e9
        test._urn *= 1e9  # an urn that live values do not change
        test.add_many(rng.normal(size=5000))
        alarms += test.alarm
    assert alarms > stats.binom.ppf(0.999, 40, 0.2)


@pytest.mark.parametrize(("shift", "scale"), [(0.5, 1.0), (-0.5, 1.0), (0.0, 1.6), (0.0, 0.5)])
@pytest.mark.parametrize("before", [0, 5000])
def test_a_move_or_a_spread_is_found_whenever_it_begins(shift, scale, before):
    rng = np.random.default_rng(5)
    test = DriftTest(rng.normal(size=500))
    test.add_many(rng.normal(size=before))
    test.add_many(rng.normal(shift, scale, 500))
    assert before < test.alarm_at < before + 350
    assert test.p_value <= 0.05


def test_the_stability_index_is_its_formula_and_small_without_drift():
    before, now = np.array([100.5, 200.5, 300.5]) / 601.5, np.array([150.5, 0.5, 100.5]) / 251.5
    expected = ((now - before) * np.log(now / before)).sum()
    assert population_stability([100, 200, 300], [150, 0, 100]) == pytest.approx(expected)
    assert population_stability([100, 100], [1000, 1000]) == pytest.approx(0)


def judged(seed, system=0.0, judge=0.0, n=1500):
    rng = np.random.default_rng(seed)
    watch = JudgeDrift(rng.normal(0.7, 0.2, 1000), rng.normal(0, 0.1, 500), guard=100, seed=seed)
    for k in range(n):
        watch.add_score(rng.normal(0.7 + system + judge, 0.2))
        if k % 3 == 0:
            watch.add_anchor(rng.normal(0.6 + judge, 0.1), 0.6)
    return watch.verdict


def test_a_change_of_the_system_and_one_of_the_judge_are_told_apart():
    assert [judged(seed) for seed in range(5)].count("none") >= 4
    assert [judged(seed, system=-0.1) for seed in range(5)].count("system") >= 4
    assert [judged(seed, judge=-0.1) for seed in range(5)].count("judge") >= 4


def test_the_system_is_blamed_only_after_the_anchors_had_their_time():
    rng = np.random.default_rng(6)
    watch = JudgeDrift(rng.normal(size=200), rng.normal(size=200), guard=3)
    while not watch.waiting:
        assert watch.add_score(rng.normal(2.0)) == "none"
    said = [watch.add_anchor(float(rng.normal()), 0.0) for _ in range(4)]
    assert said == ["none", "none", "system", "system"]


def test_a_judge_that_shows_within_the_wait_takes_the_blame():
    rng = np.random.default_rng(7)
    watch = JudgeDrift(rng.normal(size=200), rng.normal(size=200), guard=100)
    while not watch.waiting:
        watch.add_score(rng.normal(2.0))
    said = [watch.add_anchor(float(rng.normal(2.0)), 0.0) for _ in range(40)]
    assert (said[0], said[-1], watch.waiting) == ("none", "judge", False)


def test_references_that_are_no_use_are_refused():
    for reference, bins in (([1.0] * 19, 50), ([float("nan")] * 30, 50), ([1.0] * 30, 1)):
        with pytest.raises(InputError):
            DriftTest(reference, bins=bins)
    with pytest.raises(InputError, match="guard"):
        JudgeDrift([1.0] * 30, [0.0] * 30, guard=0)
    with pytest.raises(InputError, match="bins"):
        population_stability([1, 2], [1, 2, 3])
