"""Exchanged labels: on populations whose share is known."""

import numpy as np
import pytest

from trimtab.errors import InputError
from trimtab.statistics.label_noise import exchanged_labels


def population(n: int, share: float, apart: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    wrong = rng.random(n) < share
    return np.where(wrong, -apart, apart) + rng.normal(size=n), wrong


@pytest.mark.parametrize("share", [0.1, 0.2, 0.4])
def test_the_share_is_found_where_the_sides_lie_apart(share: float):
    estimates, covered = [], []
    for seed in range(20):
        result = exchanged_labels(population(150, share, 2.0, seed)[0], seed)
        estimates.append(result.share.value)
        covered.append(result.share.low <= share <= result.share.high)
    assert np.mean(estimates) == pytest.approx(share, abs=0.02)
    assert sum(covered) >= 16


def test_clean_labels_are_called_noisy_no_more_often_than_the_test_allows():
    p = [exchanged_labels(population(120, 0.0, 1.5, seed)[0], seed).p_value for seed in range(60)]
    assert np.mean(np.array(p) < 0.05) <= 0.12


def test_the_clearest_examples_are_those_that_were_exchanged_labels():
    u, wrong = population(200, 0.2, 3.0, 0)
    result = exchanged_labels(u, 0)
    assert wrong[result.clear].mean() > 0.95
    assert len(result.clear) > 0.8 * wrong.sum()


def test_sides_that_lie_together_are_told_by_the_separation():
    assert exchanged_labels(population(150, 0.0, 0.3, 1)[0], 0).separation < 1.2


def test_too_few_values_are_an_input_error():
    with pytest.raises(InputError, match="20"):
        exchanged_labels(np.ones(30), 0)
