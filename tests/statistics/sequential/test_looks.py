"""Looks at a sample of fixed size: where they lie, and what settles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from trimtab.errors import InputError
from trimtab.statistics.sequential import (
    INTERIM_LEVEL,
    INTERIM_MEAN_LEVEL,
    look_ends,
    reported_level,
    scale_limit,
    skewed_mean_limit,
)


@pytest.mark.parametrize(
    ("n", "ends"),
    [
        (1, (1,)),
        (64, (64,)),
        (70, (70,)),
        (95, (95,)),
        (96, (64, 96)),
        (146, (64, 146)),
        (159, (64, 159)),
        (160, (64, 128, 160)),
        (200, (64, 128, 200)),
        (500, (64, 128, 500)),
    ],
)
def test_looks_come_at_64_and_128_rows_and_at_all(n, ends):
    assert look_ends(n) == ends


@given(st.integers(1, 2000), st.integers(1, 300))
def test_looks_rise_to_all_rows_and_the_last_is_worth_its_while(n, size):
    ends = look_ends(n, size)
    assert ends[-1] == n
    assert ends[:-1] == (size, 2 * size)[: len(ends) - 1]
    assert list(ends) == sorted(set(ends))
    assert len(ends) == 1 or ends[-1] - ends[-2] >= size // 2


@pytest.mark.parametrize(("level", "errors"), [(INTERIM_LEVEL, 3.0), (INTERIM_MEAN_LEVEL, 5.0)])
def test_what_settles_early_lies_three_standard_errors_away_and_means_five(level, errors):
    assert stats.norm.ppf((1 + level) / 2) == pytest.approx(errors, abs=0.01)


def test_only_intervals_after_an_early_stop_are_reported_wider():
    assert [reported_level(look, 3) for look in (1, 2, 3)] == [0.97, 0.97, 0.95]
    assert reported_level(1, 1) == 0.95


@pytest.mark.parametrize(("look", "n_looks"), [(0, 2), (3, 2)])
def test_a_look_that_was_not_planned_has_no_level(look, n_looks):
    with pytest.raises(InputError, match="from 1 to the last"):
        reported_level(look, n_looks)


@pytest.mark.parametrize("bad", [{"n": 0}, {"n": 100, "size": 0}])
def test_no_rows_are_no_look(bad):
    with pytest.raises(InputError, match="give at least 1 row"):
        look_ends(**bad)


@given(st.lists(st.floats(0.01, 100) | st.floats(-100, -0.01), min_size=1, max_size=30), st.floats(0.5, 0.999))
def test_the_limit_of_a_spread_is_where_so_small_a_sum_of_squares_becomes_unlikely(values, level):
    limit = scale_limit(values, level)
    assert stats.chi2(len(values), scale=limit**2).cdf(np.square(values).sum()) == pytest.approx(1 - level)


def test_the_limit_of_a_spread_lies_above_it_as_often_as_promised():
    drawn = 0.3 * np.random.default_rng(0).standard_normal((4000, 8))
    above = sum(scale_limit(row, 0.95) > 0.3 for row in drawn)
    assert stats.binomtest(above, 4000, 0.95).pvalue > 0.001


@pytest.mark.parametrize(("values", "level"), [([], 0.95), ([1.0, np.nan], 0.95), ([1.0], 1.0), ([1.0], 0.0)])
def test_no_values_and_levels_that_are_no_chance_are_refused(values, level):
    with pytest.raises(InputError):
        scale_limit(values, level)


@pytest.mark.parametrize("spread", [0.25, 1.0])
def test_the_limit_of_a_skewed_mean_lies_below_the_truth_about_as_often_as_it_may(spread):
    drawn = np.random.default_rng(0).lognormal(-(spread**2) / 2, spread, (4000, 60))  # mean 1
    below = np.mean([skewed_mean_limit(row, 0.9) < 1 for row in drawn])
    assert 0.04 < below < 0.07  # 5 % in the tail; the formula is an approximation


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=20), st.floats(0.1, 10))
def test_the_limit_of_a_skewed_mean_scales_with_the_values_and_lies_above_their_geometric_mean(values, factor):
    limit = skewed_mean_limit(values, 0.95)
    assert skewed_mean_limit(np.multiply(values, factor), 0.95) == pytest.approx(factor * limit)
    assert limit >= stats.gmean(values) * (1 - 1e-12)


def test_a_value_of_zero_leaves_a_skewed_mean_without_a_limit():
    assert skewed_mean_limit([0.1, 0.0, 0.2], 0.95) == np.inf


@pytest.mark.parametrize(("values", "level"), [([1.0], 0.95), ([1.0, np.inf], 0.95), ([1.0, 2.0], 1.0)])
def test_too_few_values_and_bad_levels_give_no_limit_of_a_skewed_mean(values, level):
    with pytest.raises(InputError):
        skewed_mean_limit(values, level)
