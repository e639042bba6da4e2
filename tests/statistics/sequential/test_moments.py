"""Moments and estimates against numpy on all values at once, and the delta method against the bootstrap."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from trimtab.errors import InputError
from trimtab.statistics.sequential import (
    Moments,
    PairMoments,
    adjusted_difference,
    difference,
    mean_estimate,
    ratio_estimate,
)

VALUES = st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=2, max_size=20)


def gathered(rows):
    pairs = PairMoments()
    for y, x in rows:
        pairs = pairs.add(y, x)
    return pairs


def numbers(pairs):
    return [float(v) for v in (pairs.y.n, pairs.y.mean, pairs.y.m2, pairs.x.mean, pairs.x.m2, pairs.cross)]


def at_once(rows):
    y, x = np.array(rows).T
    moved = y - y.mean(), x - x.mean()
    return [len(y), y.mean(), moved[0] @ moved[0], x.mean(), moved[1] @ moved[1], moved[0] @ moved[1]]


@given(VALUES)
def test_moments_of_a_stream_are_those_of_all_values_at_once(rows):
    np.testing.assert_allclose(numbers(gathered(rows)), at_once(rows), rtol=1e-6, atol=1e-5)


@given(VALUES, st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), st.data())
def test_a_unit_that_comes_back_counts_by_its_new_value_alone(rows, new, data):
    k = data.draw(st.integers(0, len(rows) - 1))
    replaced = gathered(rows).replace(rows[k], new)
    np.testing.assert_allclose(numbers(replaced), at_once([*rows[:k], new, *rows[k + 1 :]]), rtol=1e-6, atol=1e-5)


@given(VALUES, VALUES)
def test_merged_groups_are_one_group(first, second):
    merged = gathered(first).merge(gathered(second))
    np.testing.assert_allclose(numbers(merged), at_once([*first, *second]), rtol=1e-6, atol=1e-5)


def test_a_path_holds_the_moments_after_each_unit_of_an_arm():
    rng = np.random.default_rng(0)
    y, x, arm = 1e6 + rng.normal(size=(3, 40)), rng.normal(size=(3, 40)), rng.random((3, 40)) < 0.4
    path = PairMoments.path(y, x, arm.astype(float))
    for i in range(3):
        seen = PairMoments()
        for t in range(40):
            seen = seen.add(y[i, t], x[i, t]) if arm[i, t] else seen
            if seen.y.n:
                fields = (path.y.n, path.y.mean, path.y.m2, path.x.mean, path.x.m2, path.cross)
                there = [np.asarray(v)[i, t] for v in fields]
                np.testing.assert_allclose(there, numbers(seen), rtol=1e-9, atol=1e-7)


def test_a_difference_has_the_standard_error_of_welch():
    rng = np.random.default_rng(1)
    a, b = rng.normal(1, 2, 300), rng.normal(0, 1, 500)
    found = difference(*(mean_estimate(Moments.path(v)) for v in (a, b[:300])))
    welch = stats.ttest_ind(a, b[:300], equal_var=False)
    assert float(np.asarray(found.value)[-1] / np.asarray(found.error)[-1]) == pytest.approx(float(welch.statistic))
    assert float(np.asarray(found.units)[-1]) == pytest.approx(600)


def test_the_error_of_a_ratio_is_that_of_the_bootstrap():
    rng = np.random.default_rng(2)
    x = rng.poisson(4, 400) + 1.0
    y = rng.binomial(x.astype(int), rng.beta(2, 3, 400)).astype(float)
    drawn = stats.bootstrap(
        (y, x), lambda a, b, axis: a.sum(axis) / b.sum(axis), paired=True, vectorized=True, n_resamples=2000, rng=rng
    )
    estimate = ratio_estimate(gathered(zip(y, x, strict=True)))
    assert float(estimate.value) == pytest.approx(y.sum() / x.sum())
    assert float(estimate.error) == pytest.approx(drawn.standard_error, rel=0.07)


def test_adjustment_is_the_coefficient_of_a_regression_and_shrinks_the_error_by_what_the_past_explains():
    rng = np.random.default_rng(3)
    arm = rng.random(2000) < 0.5
    past = rng.normal(size=2000)
    outcome = 0.3 * arm + 0.8 * past + 0.6 * rng.normal(size=2000)
    last = [gathered(zip(outcome[a], past[a], strict=True)) for a in (arm, ~arm)]
    found, plain = adjusted_difference(*last), difference(*(mean_estimate(s.y) for s in last))
    design = np.column_stack([np.ones(2000), arm, past])
    coefficient = np.linalg.lstsq(design, outcome, rcond=None)[0][1]
    assert float(found.value) == pytest.approx(coefficient, abs=1e-3)
    assert float(found.error / plain.error) == pytest.approx(0.6, abs=0.03)  # √(1 − 0.8²)


def test_a_ratio_without_any_denominator_says_nothing():
    estimate = ratio_estimate(PairMoments().add(1.0, 0.0).add(2.0, 0.0))
    assert np.isnan(estimate.value)
    assert float(estimate.error) == 0


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_no_number_is_refused(bad):
    with pytest.raises(InputError, match="not finite"):
        Moments().add(bad)
    with pytest.raises(InputError, match="add one first"):
        Moments().replace(1.0, 2.0)
    with pytest.raises(InputError, match="NaN"):
        Moments.path(np.array([1.0, bad]))
