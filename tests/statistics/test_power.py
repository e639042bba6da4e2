"""What a number of examples can decide, against the binomial distribution itself."""

import numpy as np
import pytest
from scipy.stats import binomtest

from trimtab.errors import InputError
from trimtab.statistics.power import largest_passing, passing_chance, rows_needed


@pytest.mark.parametrize(("n", "bound"), [(72, 0.25), (140, 0.25), (103, 0.1), (20, 0.5)])
def test_the_largest_count_is_the_last_whose_wilson_interval_lies_below_the_bound(n: int, bound: float):
    ends = [binomtest(k, n).proportion_ci(0.95, method="wilson").high for k in range(n + 1)]
    assert largest_passing(n, bound) == max(k for k in range(n + 1) if ends[k] < bound)


def test_figures_of_an_audit_are_met():
    """At 72 examples at most 13.9 % may be seen below 25 %, and a set at 18 % passes with 0.23; at 140 with 0.45."""
    most = largest_passing(72, 0.25)
    assert most is not None
    assert round(most / 72, 3) == 0.139
    assert passing_chance(72, 0.25, 0.18) == pytest.approx(0.23, abs=0.01)
    assert passing_chance(140, 0.25, 0.18) == pytest.approx(0.45, abs=0.01)


def test_the_chance_agrees_with_simulation():
    draws = np.random.default_rng(0).binomial(90, 0.15, size=40_000)
    most = largest_passing(90, 0.25)
    assert most is not None
    assert passing_chance(90, 0.25, 0.15) == pytest.approx(float((draws <= most).mean()), abs=0.01)


def test_so_many_rows_as_are_needed_suffice_and_none_do_at_the_bound():
    n = rows_needed(0.25, 0.18)
    assert n is not None
    assert passing_chance(n, 0.25, 0.18) >= 0.8
    assert passing_chance(n // 2, 0.25, 0.18) < 0.8
    assert rows_needed(0.25, 0.25) is None
    assert rows_needed(0.25, 0.2499) is None


def test_too_few_rows_can_show_nothing():
    assert largest_passing(5, 0.25) is None
    assert passing_chance(5, 0.25, 0.0) == 0.0
    with pytest.raises(InputError, match="at least one row"):
        largest_passing(0, 0.25)
