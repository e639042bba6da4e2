"""Means and shares of a contrast, paired and unpaired, against brute force."""

from typing import Literal

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


def test_a_tie_is_half_of_random_pairs_and_none_of_natural_ones() -> None:
    plus, minus = np.array([1.0, 1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0, 2.0])
    pairs = [int(np.sign(p - m)) for p in plus for m in minus]
    assert pairs.count(0) == 6
    random, natural = (Contrast(plus, minus, tuple("abcd"), pairing) for pairing in ("random", "natural"))
    assert random.below_zero().value == random.shares(0.0).anti == (pairs.count(-1) + 6 / 2) / 16
    assert natural.below_zero().value == natural.shares(0.0).anti == 1 / 4
    same = np.zeros(4)
    for pairing, share in (("random", 0.5), ("natural", 0.0)):
        assert Contrast(same, same, tuple("abcd"), pairing).below_zero().value == share


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


@pytest.mark.parametrize("pairing", ["natural", "random"])
def test_shares_are_of_those_acted_on_and_means_of_all(pairing: Literal["natural", "random"]) -> None:
    up, down = RNG.random(40) < 0.6, RNG.random(40) < 0.6
    if pairing == "natural":
        down = up
    plus, minus = np.where(up, PLUS, 0.0), np.where(down, MINUS, 0.0)
    c = Contrast(plus, minus, UNITS, pairing, acting=(up, down))
    if pairing == "natural":
        below = (plus - minus)[up] < 0
        mean = (plus - minus)[up].mean()
    else:
        below = plus[up][:, None] < minus[down][None]
        mean = plus[up].mean() - minus[down].mean()
    assert c.below_zero().value == pytest.approx(below.mean())
    assert c.shares(0.0).anti == pytest.approx(below.mean())
    assert c.mean().value == pytest.approx(np.mean(plus - minus))
    within, acts = c.mean_acting(), c.acts()
    assert within is not None
    assert acts is not None
    assert within.value == pytest.approx(mean)
    assert acts.value == pytest.approx(np.mean([*up, *down]))
    assert c.n_acting == len({u for u, a, b in zip(UNITS, up, down, strict=True) if a or b})


def test_what_acts_everywhere_is_as_without_a_condition() -> None:
    every = np.ones(40, np.bool_)
    for pairing in ("natural", "random"):
        plain, same = (
            Contrast(PLUS, MINUS, UNITS, pairing, acting=acting)  # type: ignore[arg-type]
            for acting in (None, (every, every))
        )
        assert plain.below_zero() == same.below_zero()
        assert plain.side_below_zero("positive") == same.side_below_zero("positive")
        assert same.mean_acting() == plain.mean()
        assert plain.acts() is None
        acts = same.acts()
        assert acts is not None
        assert acts.value == 1


def test_what_acts_nowhere_tells_nothing_of_shares() -> None:
    none = np.zeros(40, np.bool_)
    c = Contrast(np.zeros(40), np.zeros(40), UNITS, "natural", acting=(none, none))
    assert (c.below_zero().low, c.below_zero().high) == (0.0, 1.0)
    assert c.mean_acting() is None
    assert c.n_acting == 0
    assert c.mean().value == 0
