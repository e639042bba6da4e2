"""The closed rule against all subsets, and the rate of any false claim."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.errors import InputError
from trimtab.statistics.sequential import always_valid_p, holm


@given(st.lists(st.floats(-5, 12), min_size=1, max_size=6))
def test_the_adjusted_evidence_is_the_least_mean_of_all_sets_that_hold_the_metric(logs):
    evidence = np.exp(logs)
    places = range(len(logs))
    sets = [s for size in range(1, len(logs) + 1) for s in combinations(places, size)]
    closed = [min(evidence[list(s)].mean() for s in sets if i in s) for i in places]
    np.testing.assert_allclose(np.exp(holm(logs)), closed, rtol=1e-9)


@given(st.lists(st.floats(-2, 8), min_size=1, max_size=6))
def test_it_claims_whatever_holm_s_rule_on_p_values_would(logs):
    p = np.minimum(1, np.exp(-np.array(logs)))
    adjusted, left = np.empty(len(p)), len(p)
    for i in np.argsort(p):  # Holm 1979
        adjusted[i] = left * p[i]
        left -= 1
    order = np.argsort(p)
    adjusted[order] = np.maximum.accumulate(adjusted[order])
    claimed = holm(logs) >= np.log(20)
    assert all(claimed[i] for i in range(len(p)) if adjusted[i] < 0.05)


def test_p_is_one_over_the_most_evidence_so_far():
    path = np.log([[0.5, 4.0, 2.0, 40.0], [3.0, 1.0, 1.0, 1.0]])
    np.testing.assert_allclose(always_valid_p(path), [[1, 0.25, 0.25, 0.025], [1 / 3] * 4])


def test_no_metric_at_all_is_refused():
    with pytest.raises(InputError):
        holm([])
