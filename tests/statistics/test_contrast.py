"""Means and shares of a contrast, paired and unpaired, against brute force."""

import numpy as np
import pytest

from trimtab.statistics.contrast import Contrast

RNG = np.random.default_rng(0)
PLUS, MINUS = RNG.normal(0.3, 1, 40), RNG.normal(0, 1, 40)
UNITS = tuple(map(str, range(40)))


def test_natural_pairs_are_differenced_row_by_row() -> None:
    c = Contrast(PLUS, MINUS, UNITS, "natural")
    assert c.mean().value == pytest.approx(np.mean(PLUS - MINUS))
    assert c.below_zero().value == np.mean(PLUS - MINUS < 0)
    assert c.sd == pytest.approx(np.std(PLUS - MINUS, ddof=1))
    assert c.standardised == pytest.approx(np.mean(PLUS - MINUS) / np.std(PLUS - MINUS, ddof=1))


def test_random_pairing_compares_every_text_with_every_other() -> None:
    c = Contrast(PLUS, MINUS, UNITS, "random")
    assert c.below_zero().value == pytest.approx(np.mean(PLUS[:, None] < MINUS[None]))
    shuffled = Contrast(PLUS, RNG.permutation(MINUS), UNITS, "random")
    assert shuffled.below_zero().value == pytest.approx(c.below_zero().value)
    assert shuffled.mean().value == pytest.approx(c.mean().value)
    assert shuffled.sd == pytest.approx(c.sd)


def test_units_are_what_is_counted_and_resampled() -> None:
    doubled = Contrast(np.repeat(PLUS, 2), np.repeat(MINUS, 2), tuple(np.repeat(UNITS, 2)), "natural")
    once = Contrast(PLUS, MINUS, UNITS, "natural")
    assert doubled.n_clusters == 40
    assert doubled.mean().high - doubled.mean().low == pytest.approx(once.mean().high - once.mean().low, rel=0.1)


def test_shares_by_sign_leave_the_noise_apart() -> None:
    c = Contrast(np.array([-1.0, -0.01, 0.01, 1.0]), np.zeros(4), tuple("abcd"), "natural")
    shares = c.shares(noise=0.05)
    assert (shares.anti, shares.undecided) == (0.5, 0.5)


def test_nothing_that_varies_has_no_standardised_difference() -> None:
    assert Contrast(np.ones(5), np.ones(5), tuple("abcde"), "natural").standardised is None
