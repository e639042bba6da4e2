"""Shares are what they say, nested, and of two releases independent."""

from collections import Counter

import pytest
from scipy.stats import binom, chi2_contingency
from tests.operations.releases.conftest import defined

from trimtab.operations import Release
from trimtab.operations.releases.assignment import PLACES, bound, layer_place, place_of

STAGES = (1.0, 5.0, 25.0, 50.0, 100.0)
SIZES = [20_000, pytest.param(1_000_000, marks=pytest.mark.slow)]


def at(share: float, name: str = "first") -> Release:
    return Release(defined(name), 1, "running", share)


def test_a_place_is_the_beginning_of_a_sha256() -> None:
    # printf 'salt\0ada' | sha256sum
    assert place_of("salt", "ada") == 0x0C4A36EFECA379F1
    assert (bound(0), bound(50), bound(100)) == (0, PLACES // 2, PLACES)


@pytest.mark.parametrize("n", SIZES)
def test_shares_are_within_what_a_binomial_allows_and_nobody_leaves_as_they_grow(n: int) -> None:
    units = [f"user-{i}" for i in range(n)]
    former: set[str] = set()
    for share in STAGES:
        release = at(share)
        treated = {unit for unit in units if release.arm(unit) == "treatment"}
        low, high = binom.interval(1 - 1e-6, n, share / 100)
        assert low <= len(treated) <= high
        assert former <= treated
        former = treated


@pytest.mark.parametrize("n", SIZES)
def test_two_releases_and_the_slices_of_traffic_are_independent(n: int) -> None:
    one, other = at(25, "one"), at(50, "other")
    table: Counter[tuple[str, str]] = Counter()
    slices: Counter[tuple[str, bool]] = Counter()
    for i in range(n):
        unit = f"user-{i}"
        first = one.arm(unit)
        table[first, other.arm(unit)] += 1
        slices[first, layer_place("tiny", unit) < bound(50)] += 1
    arms = ("control", "treatment")
    for counted in (
        [[table[a, b] for b in arms] for a in arms],
        [[slices[a, b] for b in (False, True)] for a in arms],
    ):
        assert chi2_contingency(counted).pvalue > 1e-4


def test_the_arm_is_control_whenever_treatment_is_off() -> None:
    for state in ("draft", "paused", "rolled-back"):
        release = Release(defined(), 3, state, 100.0)
        assert {release.arm(f"user-{i}") for i in range(50)} == {"control"}
