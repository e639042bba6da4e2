"""Groups of examples: k-means against a loop, the test against its own null, shrinkage against planted means."""

import numpy as np
import pytest
from scipy.stats import binomtest

from trimtab.errors import InputError
from trimtab.statistics.groups import MIN_CLUSTERS, Groups, best_grouped, grouped, means_differ, shrunk_means

WIDTH = 12


def planted(rng: np.random.Generator, sizes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Contexts of several subjects, far from the origin and of any length, as activations are; and their subjects."""
    subject = np.repeat(np.arange(len(sizes)), sizes)
    middles = 6.0 + 4.0 * np.eye(WIDTH)[: len(sizes)]
    rows = middles[subject] + 0.3 * rng.standard_normal((len(subject), WIDTH))
    return rows * rng.uniform(1, 50, size=(len(subject), 1)), subject


def test_planted_groups_are_found_largest_first_and_rows_go_to_the_nearest_centre() -> None:
    rng = np.random.default_rng(0)
    rows, subject = planted(rng, (20, 50, 30))
    found = grouped(rows, 3, seed=0)
    assert found.label.tolist() == np.array([2, 0, 1])[subject].tolist()
    fresh, _ = planted(rng, (15, 15, 15))
    nearest = []
    for row in fresh:
        unit = row / np.sqrt(sum(x * x for x in row))
        nearest.append(min(range(3), key=lambda j: float(np.sum((unit - found.centres[j]) ** 2))))
    assert found.of(fresh).tolist() == nearest
    for j in range(3):
        own = rows[found.label == j] / np.linalg.norm(rows[found.label == j], axis=1, keepdims=True)
        np.testing.assert_allclose(found.centres[j], own.mean(axis=0))


def test_a_question_is_in_one_group_and_counts_once() -> None:
    rng = np.random.default_rng(1)
    rows, _ = planted(rng, (12, 12))
    clusters = np.arange(24)
    copies = np.concatenate([rows, np.tile(rows[:1], (40, 1))])  # one question, 41 times
    found = grouped(copies, 2, np.concatenate([clusters, np.zeros(40, dtype=int)]), seed=0)
    once = grouped(rows, 2, clusters, seed=0)
    np.testing.assert_allclose(found.centres, once.centres)
    assert set(found.label[24:]) == {found.label[0]}
    nearest = found.nearest(copies, int(found.label[0]), 3, np.concatenate([clusters, np.zeros(40, dtype=int)]))
    assert len({0 if row >= 24 else row for row in nearest}) == 3


def test_the_rows_nearest_to_a_centre_come_first() -> None:
    rng = np.random.default_rng(2)
    rows, _ = planted(rng, (20, 20))
    found = grouped(rows, 2, seed=0)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    away = np.linalg.norm(unit - found.centres[1], axis=1)
    own = [row for row in np.argsort(away) if found.label[row] == 1]
    assert found.nearest(rows, 1, 3) == own[:3]


def test_what_makes_no_groups_is_refused() -> None:
    rng = np.random.default_rng(3)
    rows, _ = planted(rng, (30, 3))
    with pytest.raises(InputError, match="of 2 groups one holds 3 independent examples"):
        grouped(rows, 2, seed=0)
    with pytest.raises(InputError, match="all alike"):
        grouped(np.outer(rng.uniform(1, 9, 40), np.ones(WIDTH)), 2, seed=0)
    with pytest.raises(InputError, match="too few for 3 groups"):
        grouped(rows[: 3 * MIN_CLUSTERS - 1], 3, seed=0)
    with pytest.raises(InputError, match="at least 2 groups"):
        grouped(rows, 1, seed=0)
    with pytest.raises(InputError, match="different width"):
        Groups(np.ones((2, 4)), np.zeros(3, dtype=np.int64)).of(rows)
    with pytest.raises(InputError, match="in several groups"):
        shrunk_means(rows, np.arange(33) % 2, np.zeros(33, dtype=int) + (np.arange(33) > 20))


def test_groups_dealt_at_random_differ_as_often_as_the_level_says_and_planted_ones_always() -> None:
    rng = np.random.default_rng(4)
    clusters = np.repeat(np.arange(24), 2)
    small = []
    for k in range(120):
        own = rng.standard_normal((24, 6)).repeat(2, axis=0) + 0.1 * rng.standard_normal((48, 6))
        label = rng.permutation(np.arange(24) % 3)[clusters]
        small.append(means_differ(own, label, clusters, seed=k, n_permutations=99).p_value <= 0.05)
    assert binomtest(sum(small), 120, 0.05, alternative="greater").pvalue > 0.001
    label = np.arange(48) % 2
    apart = rng.standard_normal((48, 6)) + 2 * np.outer(2 * label - 1, np.ones(6))
    found = means_differ(apart, label, seed=0)
    assert found.p_value == pytest.approx(1 / 501)
    assert found.excess > 5


def test_the_spread_between_groups_is_what_a_loop_gives() -> None:
    rng = np.random.default_rng(5)
    rows, label, clusters = rng.standard_normal((20, 3)), np.array([0, 1] * 5 + [1, 2] * 5), np.arange(20)
    rows[label == 2] += 1.0

    def between(of: np.ndarray) -> float:
        return sum(
            float((of == j).sum()) * float(((rows[of == j].mean(axis=0) - rows.mean(axis=0)) ** 2).sum())
            for j in range(3)
        )

    own = between(label)
    dealt = np.array([between(rng.permutation(label)) for _ in range(4000)])
    found = means_differ(rows, label, clusters, seed=0, n_permutations=4000)
    assert found.p_value == pytest.approx((dealt >= own).mean(), abs=0.03)
    assert found.excess == pytest.approx((own - dealt.mean()) / dealt.std(), rel=0.1)


def test_means_are_pulled_by_the_share_that_is_noise() -> None:
    rng = np.random.default_rng(6)
    label = np.repeat([0, 1], [30, 10])
    rows = rng.standard_normal((40, 4)) + np.outer(label, [1.0, 0.0, 0.0, 0.0])
    found = shrunk_means(rows, label)
    first, second = rows[:30], rows[30:]
    noise = [float(side.var(axis=0, ddof=1).sum()) / len(side) for side in (first, second)]
    apart = float(((first.mean(axis=0) - second.mean(axis=0)) ** 2).sum()) / 2  # variance of two means
    tau2 = apart - sum(noise) / 2
    assert tau2 > 0
    weights = [tau2 / (tau2 + v) for v in noise]
    np.testing.assert_allclose(found.weights, weights)
    for j, side in enumerate((first, second)):
        expected = weights[j] * side.mean(axis=0) + (1 - weights[j]) * rows.mean(axis=0)
        np.testing.assert_allclose(found.shrunk[j], expected)


def test_copies_of_a_question_are_no_evidence_and_groups_alike_share_one_mean() -> None:
    rng = np.random.default_rng(7)
    rows, label = rng.standard_normal((20, 5)), np.arange(20) % 2
    rows[label == 1] += 0.7
    once = shrunk_means(rows, label)
    copied = shrunk_means(rows.repeat(6, axis=0), label.repeat(6), np.arange(20).repeat(6))
    np.testing.assert_allclose(copied.weights, once.weights)
    np.testing.assert_allclose(copied.shrunk, once.shrunk)
    same = np.concatenate([rows, rows])
    np.testing.assert_allclose(shrunk_means(same, np.repeat([0, 1], 20)).weights, 0.0)
    np.testing.assert_allclose(shrunk_means(same, np.repeat([0, 1], 20)).shrunk, np.tile(rows.mean(axis=0), (2, 1)))


def test_pulled_means_lie_nearer_to_the_true_ones() -> None:
    rng = np.random.default_rng(8)
    label = np.arange(32) % 4
    plain, pulled = [], []
    for _ in range(200):
        true = 0.3 * rng.standard_normal((4, 10))
        found = shrunk_means(true[label] + rng.standard_normal((32, 10)), label)
        plain.append(((found.means - true) ** 2).sum())
        pulled.append(((found.shrunk - true) ** 2).sum())
    assert np.mean(pulled) < 0.9 * np.mean(plain)


@pytest.mark.parametrize("sizes", [(40, 30), (30, 25, 20), (20, 20, 20, 20)])
def test_as_many_groups_are_taken_as_have_directions_of_their_own(sizes: tuple[int, ...]) -> None:
    right = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        rows, subject = planted(rng, sizes)
        differences = np.eye(WIDTH)[subject] + 0.5 * rng.standard_normal((len(subject), WIDTH))
        groups, test = best_grouped(rows, differences, seed=0)
        right += groups.k == len(sizes)
        assert test.p_value < 0.05
    assert right >= 9


def test_the_number_of_groups_is_that_of_a_loop_and_its_test_counts_all_numbers() -> None:
    rng = np.random.default_rng(5)
    rows, _ = planted(rng, (14, 13, 12))
    differences = rng.standard_normal((39, WIDTH))
    tests = {k: means_differ(differences, grouped(rows, k, seed=0).label, seed=0) for k in (2, 3)}
    with pytest.raises(InputError, match="it takes 8 in each"):
        grouped(rows, 4, seed=0)  # left out
    groups, test = best_grouped(rows, differences, seed=0)
    best = max(tests, key=lambda k: tests[k].excess)
    assert groups.k == best
    assert test.p_value == min(1.0, 3 * tests[best].p_value)
    with pytest.raises(InputError, match="15 independent examples are too few for 2 groups"):
        best_grouped(rows[:15], differences[:15], seed=0)


def test_where_all_groups_share_a_mean_a_small_p_is_as_rare_as_it_says() -> None:
    small = 0
    for seed in range(100):
        rng = np.random.default_rng(100 + seed)
        rows, _ = planted(rng, (12, 12))
        small += best_grouped(rows, rng.standard_normal((24, WIDTH)), seed=seed)[1].p_value <= 0.05
    assert binomtest(small, 100, 0.05, alternative="greater").pvalue > 0.01
