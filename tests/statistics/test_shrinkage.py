"""Shrinkage toward known directions: against Gaussian conditioning by dense matrices, and where the truth is known."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal
from sklearn.covariance import ledoit_wolf

from trimtab.errors import InputError
from trimtab.statistics import ShrunkDifference, shrunk_difference

Floats = NDArray[np.float64]
D = 40


def cosine(a: Floats, b: Floats) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def drawn(seed: int, n: int, true: Floats, spread: float = 1.0) -> tuple[Floats, Floats]:
    """Pairs whose differences scatter about `true`, more along some axes than along others."""
    rng = np.random.default_rng(seed)
    scale = spread * np.linspace(2.0, 0.2, len(true))
    shared, noise = rng.standard_normal((n, len(true))), rng.standard_normal((n, len(true))) * scale
    return shared + true + noise, shared


def covariance(a: Floats, b: Floats, pairing: str) -> Floats:
    """Of the mean difference, by scikit-learn."""
    if pairing == "natural":
        centred = a - b - (a - b).mean(axis=0)
    else:
        centred = np.vstack([a - a.mean(axis=0), b - b.mean(axis=0)])
    n = len(a)
    rows = centred / n * np.sqrt(n / (n - 1))
    return np.asarray(ledoit_wolf(rows, assume_centered=True)[0]) * len(rows)


@pytest.mark.parametrize("pairing", ["natural", "random"])
def test_given_its_variances_it_is_the_mean_of_a_gaussian_given_what_was_seen(pairing: str) -> None:
    rng = np.random.default_rng(1)
    true = rng.standard_normal(D)
    known = np.stack([true + rng.standard_normal(D), rng.standard_normal(D)])
    a, b = drawn(2, 9, true)
    found = shrunk_difference(a, b, known, pairing=pairing)  # type: ignore[arg-type]
    s, noise = a.mean(axis=0) - b.mean(axis=0), covariance(a, b, pairing)
    gamma = 1 / found.shrinkage - 1
    p = known / np.linalg.norm(known, axis=1, keepdims=True)
    before = p.T @ np.diag(found.variances) @ p + gamma * noise  # of μ
    np.testing.assert_allclose(found.vector, before @ np.linalg.solve(before + noise, s), rtol=1e-6, atol=1e-9)
    weights = np.diag(found.variances) @ p @ np.linalg.solve(before + noise, s)
    np.testing.assert_allclose(found.weights, weights, rtol=1e-6, atol=1e-9)


def test_its_variances_are_those_of_the_largest_likelihood() -> None:
    rng = np.random.default_rng(3)
    true = rng.standard_normal(D)
    known = np.stack([true + rng.standard_normal(D), true + 2 * rng.standard_normal(D), rng.standard_normal(D)])
    a, b = drawn(4, 12, true, spread=2.0)
    found = shrunk_difference(a, b, known, pairing="natural")
    assert found.shrinkage < 0.5
    s, noise = (a - b).mean(axis=0), covariance(a, b, "natural")
    p = known / np.linalg.norm(known, axis=1, keepdims=True)

    def likelihood(logs: Floats) -> float:
        v = p.T @ np.diag(np.exp(logs[1:])) @ p + (1 + np.exp(logs[0])) * noise
        return float(multivariate_normal(np.zeros(D), v).logpdf(s))

    best = np.log([1 / found.shrinkage - 1, *found.variances])
    slopes = approx_fprime(best, likelihood, 1e-5)
    inside = found.variances > 1e-9 * float(s @ s)
    assert inside.any()
    assert abs(slopes[0]) < 1e-2
    assert np.abs(slopes[1:][inside]).max() < 1e-2
    assert (slopes[1:][~inside] < 1e-2).all(), "where a variance is at its least, more of it would be no likelier"
    assert all(likelihood(best + rng.normal(0, 2, len(best))) <= likelihood(best) + 1e-6 for _ in range(200))


def test_a_direction_at_right_angles_leaves_the_shrinkage_of_james_and_stein() -> None:
    true = np.zeros(D)
    true[0] = 3.0
    a, b = drawn(5, 12, true)
    s, noise = (a - b).mean(axis=0), covariance(a, b, "natural")
    across = np.random.default_rng(6).standard_normal(D)
    across -= s * float(across @ np.linalg.solve(noise, s)) / float(s @ np.linalg.solve(noise, s))  # as S measures
    found = shrunk_difference(a, b, [across], pairing="natural")
    factor = 1 - D / float(s @ np.linalg.solve(noise, s))
    assert 0.5 < factor < 0.95
    np.testing.assert_allclose(found.vector, factor * s, rtol=1e-4, atol=1e-6)


def test_with_many_pairs_it_is_the_plain_mean_difference() -> None:
    rng = np.random.default_rng(7)
    true = rng.standard_normal(D)
    known = np.stack([true + rng.standard_normal(D), rng.standard_normal(D)])
    shrinkage = []
    for n in (10, 100, 1000, 10_000):
        a, b = drawn(8, n, true)
        found = shrunk_difference(a, b, known, pairing="natural")
        plain = (a - b).mean(axis=0)
        shrinkage.append(found.shrinkage)
        far = np.linalg.norm(found.vector - plain) / np.linalg.norm(plain)
    assert shrinkage == sorted(shrinkage, reverse=True)
    assert far < 2e-3


def simulated(related: bool, n: int, times: int) -> tuple[Floats, Floats]:
    """Cosines with the truth of the plain and of the shrunk estimate, one simulated behavior each."""
    plain, shrunk = [], []
    for seed in range(times):
        rng = np.random.default_rng([int(related), n, seed])
        true = rng.standard_normal(D)
        known = rng.standard_normal((4, D)) + (true * rng.uniform(0, 1, (4, 1)) if related else 0.0)
        a, b = drawn(1000 + seed, n, true, spread=2.0)
        plain.append(cosine((a - b).mean(axis=0), true))
        shrunk.append(cosine(shrunk_difference(a, b, known, pairing="natural").vector, true))
    return np.array(plain), np.array(shrunk)


@pytest.mark.parametrize("n", [4, 20])
def test_related_directions_bring_it_nearer_to_the_truth_and_unrelated_ones_cost_nothing(n: int) -> None:
    plain, shrunk = simulated(related=True, n=n, times=30)
    gain = shrunk - plain
    assert gain.mean() > 3 * gain.std(ddof=1) / np.sqrt(len(gain))
    plain, shrunk = simulated(related=False, n=n, times=30)
    assert (shrunk - plain).mean() > -0.01


def test_what_was_seen_keeps_half_of_its_weight_however_little_it_is() -> None:
    at_most, known = [], np.random.default_rng(17).standard_normal((3, D))
    for seed in range(10):
        a, b = drawn(seed, 20, np.zeros(D))
        found = shrunk_difference(a, b, known, pairing="natural")
        at_most.append(found.shrinkage)
        assert cosine(found.vector, (a - b).mean(axis=0)) > 0.9
    assert max(at_most) == pytest.approx(0.5)


def test_shares_say_where_the_vector_comes_from() -> None:
    rng = np.random.default_rng(9)
    true = rng.standard_normal(D)
    a, b = drawn(10, 8, true, spread=3.0)
    found = shrunk_difference(a, b, [true, rng.standard_normal(D)], pairing="natural")
    p = true / np.linalg.norm(true)
    part = found.shrinkage * found.weights[0] * p
    assert found.shares[0] == pytest.approx(float(part @ found.vector / (found.vector @ found.vector)))
    assert found.shares[0] > 0.3 > 10 * abs(found.shares[1])
    own = (1 - found.shrinkage) * (a - b).mean(axis=0)
    assert found.own_share == pytest.approx(float(own @ found.vector / (found.vector @ found.vector)))


def test_a_question_that_stands_there_many_times_counts_once() -> None:
    rng = np.random.default_rng(11)
    true = rng.standard_normal(D)
    a, b = drawn(12, 6, true, spread=2.0)
    once = shrunk_difference(a, b, [true], pairing="natural")
    again = shrunk_difference(
        np.repeat(a, 5, axis=0), np.repeat(b, 5, axis=0), [true], np.repeat(np.arange(6), 5), pairing="natural"
    )
    np.testing.assert_allclose(again.vector, once.vector, rtol=1e-6)
    as_rows = shrunk_difference(np.repeat(a, 5, axis=0), np.repeat(b, 5, axis=0), [true], pairing="natural")
    assert as_rows.shrinkage < once.shrinkage


def test_its_units_do_not_matter() -> None:
    rng = np.random.default_rng(13)
    true = rng.standard_normal(D)
    a, b = drawn(14, 8, true)
    known = true + rng.standard_normal(D)
    one = shrunk_difference(a, b, [known], pairing="natural")
    other: ShrunkDifference = shrunk_difference(1e4 * a, 1e4 * b, [-3e-3 * known], pairing="natural")
    np.testing.assert_allclose(other.vector / 1e4, one.vector, rtol=1e-3)
    np.testing.assert_allclose(other.shares, one.shares, atol=1e-3)


def test_pairs_that_all_say_the_same_are_left_as_they_are() -> None:
    b = np.random.default_rng(15).standard_normal((5, D))
    found = shrunk_difference(b + 1.0, b, [np.ones(D)], pairing="natural")
    np.testing.assert_allclose(found.vector, np.ones(D))


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"directions": np.zeros((1, 3))}, "no direction"),
        ({"directions": np.ones((1, 2))}, "width"),
        ({"negative": np.ones((3, 3))}, "same number"),
        ({"clusters": ["a"] * 4}, "clusters"),
        ({"negative": np.eye(4, 3)}, "same mean"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, object], word: str) -> None:
    rows = {"positive": np.eye(4, 3), "negative": np.ones((4, 3)), "directions": np.ones((1, 3)), **given}
    with pytest.raises(InputError, match=word):
        shrunk_difference(**rows, pairing="natural")  # type: ignore[arg-type]
