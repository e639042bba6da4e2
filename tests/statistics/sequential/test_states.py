"""States: exactly one for each interval, and each as it is defined."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.errors import InputError
from trimtab.statistics import Interval
from trimtab.statistics.sequential import state_of


def state(low, high, **given):
    return state_of(Interval((low + high) / 2, low, high), **given)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.001, 0.03, "better"),
        (0.001, 0.029, "no harm shown"),  # an improvement, too small to matter
        (0.0, 0.05, "no harm shown"),
        (-0.0199, 0.05, "no harm shown"),
        (-0.019, -0.001, "no harm shown"),  # harm, within the margin
        (-0.02, 0.05, "inconclusive"),
        (-0.06, -0.02, "inconclusive"),
        (-0.06, -0.0201, "worse"),
        (-np.inf, np.inf, "inconclusive"),
        (-np.inf, -0.03, "worse"),  # one end alone is enough
        (-0.01, np.inf, "no harm shown"),
        (0.05, 0.04, "inconclusive"),  # an empty interval
    ],
)
def test_each_state_is_what_it_is_defined_to_be(low, high, expected):
    assert state(low, high, effect=0.03, margin=0.02) == expected


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 0.5), st.floats(0, 0.5))
def test_less_is_better_is_the_mirror(low, width, effect, margin):
    high = low + width
    mirrored = state(-high, -low, effect=effect, margin=margin, more_is_better=False)
    assert mirrored == state(low, high, effect=effect, margin=margin)


@pytest.mark.parametrize("bad", [{"effect": -1}, {"margin": -0.1}, {"margin": float("nan")}])
def test_sizes_below_zero_are_refused(bad):
    with pytest.raises(InputError):
        state(0.0, 1.0, **bad)
