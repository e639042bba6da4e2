"""Permutation tests against brute force, their size under the null, their power, and what they refuse."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import binomtest

from trimtab.errors import InputError
from trimtab.statistics.direction import heterogeneity, permutation_test, random_directions


def test_paired_p_value_is_that_of_all_sign_patterns() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((8, 3)) + 0.4, rng.standard_normal((8, 3))
    d = a - b

    def statistic(signs: tuple[int, ...]) -> float:
        turned = d * np.array(signs)[:, None]
        return sum(turned[i] @ turned[j] for i in range(8) for j in range(8) if i != j)

    observed = statistic((1,) * 8)
    exact = np.mean([statistic(s) >= observed - 1e-9 for s in product((-1, 1), repeat=8)])
    estimated = permutation_test(a, b, pairing="natural", seed=1, n_permutations=20_000)
    assert abs(estimated - exact) < 4 * np.sqrt(exact * (1 - exact) / 20_000) + 1e-4


def test_unpaired_p_value_is_that_of_all_deals() -> None:
    from itertools import combinations

    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((5, 4)) + 0.5, rng.standard_normal((5, 4))
    rows = np.concatenate([a, b])

    def statistic(plus: tuple[int, ...]) -> float:
        rest = [i for i in range(10) if i not in plus]
        return float(((rows[list(plus)].mean(axis=0) - rows[rest].mean(axis=0)) ** 2).sum())

    observed = statistic(tuple(range(5)))
    exact = np.mean([statistic(c) >= observed - 1e-9 for c in combinations(range(10), 5)])
    estimated = permutation_test(a, b, pairing="random", seed=1, n_permutations=20_000)
    assert abs(estimated - exact) < 4 * np.sqrt(exact * (1 - exact) / 20_000) + 1e-4


def clustered(
    rng: np.random.Generator, n_clusters: int, size: int, d: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noise that rows of a cluster share: without clusters the test would take one cluster for `size` witnesses."""
    code = np.repeat(np.arange(n_clusters), size)
    a, b = (
        rng.standard_normal((n_clusters, d))[code] + 0.3 * rng.standard_normal((n_clusters * size, d)) for _ in range(2)
    )
    return a, b, code


@pytest.mark.parametrize("pairing", ["natural", "random"])
def test_under_the_null_p_values_are_uniform_also_for_clusters(pairing: str) -> None:
    rng = np.random.default_rng(3)
    ps = []
    for k in range(300):
        a, b, code = clustered(rng, 20, 3, 6)
        ps.append(permutation_test(a, b, code, pairing=pairing, seed=k, n_permutations=199))  # type: ignore[arg-type]
    for level in (0.05, 0.2, 0.5):
        hits = sum(p <= level for p in ps)
        assert binomtest(hits, len(ps), level).pvalue > 0.001, (level, hits)


def test_rows_of_one_unit_are_no_independent_witnesses() -> None:
    rng = np.random.default_rng(4)
    a, b, code = clustered(rng, 6, 30, 4)
    ignoring = permutation_test(a, b, pairing="natural", seed=0)
    respecting = permutation_test(a, b, code, pairing="natural", seed=0)
    assert ignoring < 0.01 < respecting


@pytest.mark.parametrize("pairing", ["natural", "random"])
def test_a_direction_is_found(pairing: str) -> None:
    rng = np.random.default_rng(5)
    a, b = rng.standard_normal((60, 50)), rng.standard_normal((60, 50))
    a[:, 0] += 1.5
    assert permutation_test(a, b, pairing=pairing, seed=0) < 0.01  # type: ignore[arg-type]


# --- one direction, or several ---


def two_ways(rng: np.random.Generator, n: int, angle: float, paired: bool) -> tuple[np.ndarray, np.ndarray]:
    """Contexts of two sorts (along the first axis); their directions lie `angle` apart."""
    sort = np.repeat([1.0, -1.0], n // 2)
    order = (rng.permutation(sort), rng.permutation(sort))
    sides = []
    for side, of in zip((0.5, -0.5), (order[0], order[0] if paired else order[1]), strict=True):
        rows = 0.7 * rng.standard_normal((n, 12))
        rows[:, 0] += 4 * of
        rows[:, 1] += side * 2 * np.cos(angle / 2)
        rows[:, 2] += side * 2 * np.sin(angle / 2) * of
        sides.append(rows)
    return sides[0], sides[1]


@pytest.mark.parametrize("pairing", ["natural", "random"])
def test_directions_that_depend_on_the_context_are_told_from_one_that_does_not(pairing: str) -> None:
    rng = np.random.default_rng(6)
    paired = pairing == "natural"
    apart = heterogeneity(*two_ways(rng, 100, np.pi / 2, paired), pairing=pairing, seed=0)  # type: ignore[arg-type]
    assert apart.p_value < 0.05
    assert apart.component == 1 or not paired  # unpaired halves may also differ in which contexts they hold
    assert apart.cosine < 0.35 < apart.expected
    small = []
    for k in range(100):
        one = heterogeneity(*two_ways(rng, 40, 0.0, paired), pairing=pairing, seed=k, n_permutations=199)  # type: ignore[arg-type]
        small.append(one.p_value <= 0.05)
    assert binomtest(sum(small), 100, 0.05, alternative="greater").pvalue > 0.001


def test_the_cosine_of_the_halves_is_what_a_loop_gives() -> None:
    rng = np.random.default_rng(7)
    a, b = two_ways(rng, 40, 1.0, True)
    result = heterogeneity(a, b, pairing="natural", seed=0)
    middle = (a + b) / 2
    component = np.linalg.svd(middle - middle.mean(axis=0))[2][result.component - 1]
    score = (middle - middle.mean(axis=0)) @ component
    upper = score > np.median(score)
    s, t = (a - b)[upper].mean(axis=0), (a - b)[~upper].mean(axis=0)
    assert result.cosine == pytest.approx(s @ t / np.linalg.norm(s) / np.linalg.norm(t))


def test_random_directions_have_the_norm_and_point_everywhere() -> None:
    v = np.arange(1.0, 9.0)
    result = random_directions(v, 500, seed=0)
    assert np.allclose(np.linalg.norm(result, axis=1), np.linalg.norm(v))
    assert np.abs(result.mean(axis=0)).max() < 5 * np.linalg.norm(v) / np.sqrt(8 * 500)
    assert np.array_equal(result, random_directions(v, 500, seed=0))


def test_what_cannot_be_tested_is_refused() -> None:
    a = np.random.default_rng(0).standard_normal((10, 3))
    with pytest.raises(InputError, match="same number"):
        permutation_test(a, a[:5], pairing="natural", seed=0)
    with pytest.raises(InputError, match="clusters"):
        permutation_test(a, -a, np.zeros(10, int), pairing="natural", seed=0)
    with pytest.raises(InputError, match="at least 8 clusters"):
        heterogeneity(a[:6], -a[:6], pairing="natural", seed=0)
    with pytest.raises(InputError, match="n_permutations"):
        permutation_test(a, -a, pairing="natural", seed=0, n_permutations=5)
    with pytest.raises(InputError, match="NaN"):
        permutation_test(a * np.nan, a, pairing="natural", seed=0)
    with pytest.raises(InputError, match="at least 1 direction"):
        random_directions(a[0], 0, 0)
