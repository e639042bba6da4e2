"""What more examples would say: intervals against those of a check, chances against frequencies in known worlds."""

import numpy as np
import pytest
from numpy.typing import NDArray

from trimtab.errors import InputError
from trimtab.statistics import bootstrap_mean, share_interval
from trimtab.statistics.contrast import Contrast
from trimtab.statistics.outlook import Needed, Outlook, outlook

Floats = NDArray[np.float64]
EFFECT = Needed("mean", 0, 1, 0.05, "above")
WRONG = Needed("share", 0, 1, 0.25, "below")


def seen(seed: int, n: int, mean: float, sd: float = 0.3) -> Floats:
    """Δ+ and Δ− of n examples whose difference has this mean and standard deviation."""
    rng = np.random.default_rng(seed)
    sides = rng.normal(0, sd / np.sqrt(2), (n, 2))
    sides[:, 0] += mean
    return sides


def decided(rows: Floats, clusters: tuple[str, ...], pairing: str, level: float = 0.95) -> tuple[bool, bool]:
    """Whether both requirements hold, and whether one fails, as a check judges (of two, by Holm's first step)."""
    strict = 1 - (1 - level) / 2
    contrast = Contrast(rows[:, 0], rows[:, 1], clusters, pairing, 0, level)  # type: ignore[arg-type]
    holds = contrast.mean().low > 0.05 and contrast.below_zero().high < 0.25
    return holds, contrast.mean(strict).high < 0.05 or contrast.below_zero(strict).low > 0.25


@pytest.mark.parametrize("pairing", ["natural", "random"])
@pytest.mark.parametrize("of_each", [1, 2])
def test_with_nothing_new_it_says_what_a_check_says(pairing: str, of_each: int) -> None:
    agree = []
    for seed, (n, mean, sd) in enumerate(
        [(6, 0.4, 0.3), (12, 0.6, 0.2), (40, 0.5, 0.3), (40, -0.3, 0.3), (40, 0.1, 0.5)] * 2
    ):
        rows = np.repeat(seen(seed, n // of_each, mean, sd), of_each, axis=0)
        rows += 0.05 * np.random.default_rng(seed).standard_normal(rows.shape)
        clusters = tuple(f"q{i // of_each}" for i in range(len(rows)))
        found = outlook(
            rows,
            np.array(clusters),
            [EFFECT, WRONG],
            pairing=pairing,
            n_requirements=2,
            seed=0,
            futures=50,  # type: ignore[arg-type]
        )
        assert found.new[0] == 0
        assert found.passes[0] in (0.0, 1.0)
        agree.append((bool(found.passes[0]), bool(found.fails[0])) == decided(rows, clusters, pairing))
    assert all(agree)


def test_a_large_effect_passes_soon_and_one_far_below_fails() -> None:
    passing = outlook(seen(1, 12, 0.5), None, [EFFECT, WRONG], pairing="natural", n_requirements=2, seed=0)
    failing = outlook(seen(1, 12, -0.5), None, [EFFECT, WRONG], pairing="natural", n_requirements=2, seed=0)
    few, most = passing.needed(0.5), passing.needed(0.9)
    assert few is not None
    assert most is not None
    assert few <= most
    assert passing.at(most)[0] > 10 * passing.at(most)[1]
    assert failing.at(None)[1] > 0.95
    assert failing.needed(0.9) == 0, "it has failed already"


def test_a_requirement_that_may_stay_open_keeps_nothing_from_passing() -> None:
    rows = seen(2, 20, 0.5)
    gains = Needed("mean", 1, None, 0.0, "above")
    strict, lax = (
        outlook(rows, None, [EFFECT, need], pairing="natural", n_requirements=2, seed=0)
        for need in (gains, Needed("mean", 1, None, 0.0, "above", must_hold=False))
    )
    assert lax.passes[-1] > strict.passes[-1] + 0.3


def test_questions_count_and_not_their_copies() -> None:
    rows = seen(3, 10, 0.25)
    once = outlook(rows, None, [EFFECT], pairing="natural", n_requirements=1, seed=0)
    copies = outlook(
        np.repeat(rows, 4, axis=0), np.repeat(np.arange(10), 4), [EFFECT], pairing="natural", n_requirements=1, seed=0
    )
    np.testing.assert_allclose(copies.settled, once.settled, atol=0.1)


def settled_in_truth(rows: Floats, mean: float, new: int, seed: int) -> tuple[bool, bool]:
    """What a check says when so many further examples came from the true population."""
    more = np.concatenate([rows, seen(10_000 + seed, new, mean)])
    difference = more[:, 0] - more[:, 1]
    share = share_interval(difference < 0, level=0.95)
    at = {level: bootstrap_mean(difference, n_resamples=100, seed=0, level=level) for level in (0.95, 0.975)}
    holds = at[0.95].low > 0.05 and share.high < 0.25
    return holds, at[0.975].high < 0.05 or share_interval(difference < 0, level=0.975).low > 0.25


def test_chances_are_the_frequencies_of_what_comes() -> None:
    """Worlds with other effects each; what is said of 40 further examples, against what 40 of the world bring."""
    said, came, n_worlds = [], [], 200
    for world in range(n_worlds):
        mean = float(np.random.default_rng([4, world]).normal(0.2, 0.25))
        n = (8, 12, 20)[world % 3]
        rows = seen(world, n, mean)
        found = outlook(rows, None, [EFFECT, WRONG], pairing="natural", n_requirements=2, seed=world, futures=100)
        k = int(np.searchsorted(found.new, 40))
        said.append((found.passes[k], found.fails[k]))
        came.append(settled_in_truth(rows, mean, int(found.new[k]), world))
    chances, outcomes = np.array(said), np.array(came, dtype=float)
    for side in (0, 1):
        p, y = chances[:, side], outcomes[:, side]
        assert p.mean() == pytest.approx(y.mean(), abs=0.07)
        for low, high in ((0.0, 0.2), (0.2, 0.8), (0.8, 1.01)):
            some = (p >= low) & (p < high)
            if some.sum() >= 20:
                off = 3 * np.sqrt(0.25 / some.sum())
                assert y[some].mean() == pytest.approx(p[some].mean(), abs=off), (side, low)
        brier, constant = float(((p - y) ** 2).mean()), float(y.var())
        assert brier < 0.75 * constant, "and it tells worlds apart"


def test_the_same_seed_gives_the_same_futures() -> None:
    one, other, third = (
        outlook(seen(5, 9, 0.2), None, [EFFECT], pairing="natural", n_requirements=1, seed=seed) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one.passes, other.passes)
    assert (one.passes != third.passes).any()


def test_no_number_is_named_that_was_not_looked_at() -> None:
    never = Outlook(np.array([0, 1, 5]), np.array([0.0, 0.1, 0.3]), np.zeros(3))
    assert never.needed(0.5) is None
    assert never.needed(0.3) == 5
    assert never.at(None) == (0.3, 0.0)
    assert never.at(1) == (0.1, 0.0)


@pytest.mark.parametrize(
    ("rows", "needs", "word"),
    [(np.zeros((2, 2)), [EFFECT], "rows"), (np.zeros((5, 2)), [], "requirement"), ([["a"]] * 5, [EFFECT], "numbers")],
)
def test_what_makes_no_sense_is_refused(rows: object, needs: list[Needed], word: str) -> None:
    with pytest.raises(InputError, match=word):
        outlook(rows, None, needs, pairing="natural", n_requirements=1, seed=0)  # type: ignore[arg-type]
