"""The paired change against its formula and against simulation."""

import numpy as np
import pytest

from trimtab.errors import InputError
from trimtab.statistics import paired_change


def items(gained: int, lost: int, right: int, wrong: int) -> tuple[list[int], list[int]]:
    before = [0] * gained + [1] * lost + [1] * right + [0] * wrong
    after = [1] * gained + [0] * lost + [1] * right + [0] * wrong
    return before, after


def test_it_is_the_published_interval() -> None:
    """Newcombe 1998 (Statistics in Medicine 17, 2635), table II, method 10: 36, 12, 2 and 0 of 50."""
    result = paired_change(*items(12, 2, 36, 0))
    assert result.value == pytest.approx(0.2)
    assert (result.low, result.high) == pytest.approx((0.0569, 0.3404), abs=5e-4)


@pytest.mark.parametrize(("p_gain", "p_loss"), [(0.0, 0.02), (0.02, 0.02), (0.1, 0.02), (0.005, 0.0)])
def test_it_covers_also_where_few_items_change(p_gain: float, p_loss: float) -> None:
    rng, hits, draws = np.random.default_rng(0), 0, 1000
    for _ in range(draws):
        u = rng.random(200)
        before = np.where(u < p_gain, 0, 1)
        after = np.where((u >= p_gain) & (u < p_gain + p_loss), 0, 1)
        result = paired_change(before, after)
        hits += result.low <= p_gain - p_loss <= result.high
    assert hits / draws >= 0.93


def test_nothing_changed_is_no_certainty_and_bad_input_is_refused() -> None:
    same = paired_change(*items(0, 0, 90, 10))
    assert same.value == 0
    assert -0.09 < same.low < 0 < same.high < 0.09
    with pytest.raises(InputError, match="same items"):
        paired_change([0, 1], [0])
    with pytest.raises(InputError, match="right"):
        paired_change([0, 2], [0, 1])
    with pytest.raises(InputError, match="level"):
        paired_change([0, 1], [0, 1], 1.5)
