"""Chances to be best against draws and closed forms; floors that are kept; factorial designs against least squares."""

from itertools import product

import numpy as np
import pytest
from numpy.random import default_rng
from scipy import stats

from trimtab.errors import InputError
from trimtab.statistics.sequential import (
    Belief,
    best_arm,
    beta_belief,
    factorial_contrasts,
    factorial_levels,
    normal_belief,
    with_floor,
)


@pytest.mark.parametrize("more", [True, False])
@pytest.mark.parametrize("beliefs", [
    [Belief("beta", 8, 4), Belief("beta", 30, 20), Belief("beta", 2, 2)],
    [Belief("normal", 0.1, 0.2), Belief("normal", 0.0, 0.05), Belief("normal", -1.0, 1.0)],
])  # fmt: skip
def test_the_chance_to_be_best_is_that_of_many_draws(beliefs: list[Belief], more: bool) -> None:
    draws = np.stack([one.law.rvs(400_000, random_state=k) for k, one in enumerate(beliefs)])
    first = draws.argmax(axis=0) if more else draws.argmin(axis=0)
    wanted = np.bincount(first, minlength=3) / draws.shape[1]
    assert best_arm(beliefs, more_is_better=more) == pytest.approx(wanted, abs=0.004)


def test_of_two_normal_arms_the_chance_has_a_closed_form() -> None:
    found = best_arm([Belief("normal", 0.3, 0.4), Belief("normal", 0.1, 0.3)])
    assert found[0] == pytest.approx(stats.norm.cdf(0.2 / 0.5), abs=1e-4)


def test_beliefs_are_the_conjugate_ones() -> None:
    assert beta_belief([1, 0, 1, 0.5], [1, 1, 0.5, 2]) == Belief("beta", 3.5, 3.0)
    y, scale = default_rng(0).normal(2.0, 1.5, 40), 1.5
    found = normal_belief(y, np.ones(40), center=1.0, scale=scale)
    precision = 1 / scale**2 + 40 / scale**2
    assert (found.first, found.second) == pytest.approx(((1.0 + y.sum()) / scale**2 / precision, precision**-0.5))
    with pytest.raises(InputError):
        beta_belief([1.5], [1])
    with pytest.raises(InputError):
        normal_belief([1.5], [1], center=0, scale=0)


def test_every_arm_keeps_its_floor_and_floors_that_do_not_fit_are_refused() -> None:
    shares = with_floor([0.7, 0.3, 0.0], 0.05)
    assert shares.min() == pytest.approx(0.05)
    assert shares.sum() == pytest.approx(1.0)
    assert with_floor([0.2, 0.8], 0.0) == pytest.approx([0.2, 0.8])
    with pytest.raises(InputError, match=r"give at most 0\.333"):
        with_floor([0.7, 0.3, 0.0], 0.4)
    with pytest.raises(InputError):
        best_arm([])


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_contrasts_are_the_coefficients_of_least_squares(k: int) -> None:
    cells, contrasts = factorial_levels(k), factorial_contrasts(k)
    means = default_rng(k).normal(size=2**k)
    pairs = [pair for pair in contrasts if len(pair) == 2]
    columns = [np.ones(2**k)] + [np.array([c[i] for c in cells], dtype=float) - 0.5 for i in range(k)]
    columns += [columns[1 + i] * columns[1 + j] for i, j in pairs]
    wanted = np.linalg.lstsq(np.stack(columns, axis=1), means, rcond=None)[0][1:]
    assert [float(c @ means) for c in contrasts.values()] == pytest.approx(list(wanted))
    assert cells == list(product((False, True), repeat=k))
    with pytest.raises(InputError):
        factorial_levels(0)
