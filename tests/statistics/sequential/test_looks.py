"""Looks at a sample of fixed size: where they lie, and what settles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from trimtab.errors import InputError
from trimtab.statistics.sequential import INTERIM_LEVEL, look_ends, scale_limit


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


def test_what_settles_early_lies_three_standard_errors_away():
    assert stats.norm.ppf((1 + INTERIM_LEVEL) / 2) == pytest.approx(3.0, abs=1e-4)


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
