"""Every geometry metric against a closed form, scikit-learn or a brute-force loop."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import cosine_similarity

from trimtab.errors import InputError
from trimtab.statistics import (
    auroc,
    cluster_folds,
    convergence,
    cosine_matrix,
    cross_fitted,
    directional_agreement,
    directional_agreement_loo,
    edit_size_ratio,
    expected_cosine,
    overlap,
    pairs_for_cosine,
    projection,
    rematched_agreement,
    separability,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def cosine(a, b):
    """Brute force; a vector without length has cosine 0."""
    lengths = np.sqrt(sum(x * x for x in a)) * np.sqrt(sum(x * x for x in b))
    return sum(x * y for x, y in zip(a, b, strict=True)) / lengths if lengths > 0 else 0.0


def brute_loo(differences, clusters):
    """For each row, the mean over a list from which every row of its unit was struck."""
    out = []
    for row, cluster in zip(differences, clusters, strict=True):
        rest = [d for d, u in zip(differences, clusters, strict=True) if u != cluster]
        out.append(cosine(row, np.mean(rest, axis=0)))
    return np.array(out)


def test_float16_input_is_computed_in_float64():
    big = np.full((4, 2), 60000.0, dtype=np.float16)  # the sum overflows float16
    assert directional_agreement(big) == pytest.approx(1.0)


def test_directional_agreement_equals_scikit_learn_cosines_with_the_mean():
    d = rng().normal(size=(20, 7)) + 0.3
    want = cosine_similarity(d, d.mean(axis=0, keepdims=True)).mean()
    assert directional_agreement(d) == pytest.approx(want, abs=1e-12)


def test_directional_agreement_of_orthonormal_differences_is_one_over_root_n_and_zero_when_left_out():
    d = np.eye(9)
    assert directional_agreement(d) == pytest.approx(1 / 3)
    np.testing.assert_allclose(directional_agreement_loo(d), np.zeros(9), atol=1e-12)


def test_a_row_of_zeros_counts_as_cosine_zero():
    d = np.array([[0.0, 0], [1, 0], [2, 0]])
    assert directional_agreement(d) == pytest.approx(2 / 3)
    np.testing.assert_allclose(directional_agreement_loo(d), [0, 1, 1])


def test_leave_one_out_equals_the_loop():
    d = rng(1).normal(size=(15, 6)) + 0.2
    np.testing.assert_allclose(directional_agreement_loo(d), brute_loo(d, range(15)), atol=1e-12)


def test_leave_one_out_leaves_out_every_row_of_the_same_unit():
    d = rng(2).normal(size=(15, 6)) + 0.2
    clusters = np.array(list("aabbbcdefgghiij"))
    np.testing.assert_allclose(directional_agreement_loo(d, clusters), brute_loo(d, clusters), atol=1e-12)


def test_copies_of_a_row_in_one_unit_do_not_raise_the_leave_one_out_agreement():
    d = rng(3).normal(size=(40, 64))
    copied, clusters = np.repeat(d, 3, axis=0), np.repeat(np.arange(40), 3)
    np.testing.assert_allclose(
        directional_agreement_loo(copied, clusters)[::3], directional_agreement_loo(d), atol=1e-12
    )
    alone = 2 / np.sqrt(2**2 + 39 * 3**2)  # without clusters: two own copies among 39 × 3 others of equal length
    assert directional_agreement_loo(copied).mean() - directional_agreement_loo(d).mean() == pytest.approx(
        alone, abs=0.02
    )


def test_leave_one_out_is_zero_not_noise_when_nothing_is_left_of_the_rest():
    d = np.array([[0.1, 0.7], [0.2, 0.3], [-0.2, -0.3]])  # the rest of row 0 cancels
    assert directional_agreement_loo(d)[0] == 0.0


def test_rematched_agreement_equals_a_loop_over_its_own_matchings_when_one_side_is_constant():
    positive, negative = rng(4).normal(size=(12, 5)) + 0.5, np.tile([0.1, 0, 0, 0, 0.2], (12, 1))
    want = brute_loo(positive - negative, range(12)).mean()  # every matching is the same then
    mean, sd = rematched_agreement(positive, negative, seed=1)
    assert mean == pytest.approx(want, abs=1e-12)
    assert sd == pytest.approx(0, abs=1e-12)


def test_rematched_agreement_is_seeded_uses_unequal_sides_and_approaches_the_population_cosine():
    # d = a - b, independent, with mean mu and covariance 2I: cos(d, mu) is close to |mu| / sqrt(|mu|^2 + 2 d_model).
    mu = np.zeros(400)
    mu[0] = 30.0
    positive, negative = rng(5).normal(size=(300, 400)) + mu, rng(6).normal(size=(350, 400))
    mean, sd = rematched_agreement(positive, negative, seed=2, n_matchings=5)
    s_noise = 2 * 400 / 300
    assert mean == pytest.approx(30 * 30 / np.sqrt(900 + 800) / np.sqrt(900 + s_noise), abs=0.01)
    assert sd > 0
    assert (mean, sd) == rematched_agreement(positive, negative, seed=2, n_matchings=5)


def test_projection_puts_the_class_means_at_plus_and_minus_one():
    p, q = rng(7).normal(size=(2, 6))
    np.testing.assert_allclose(projection(np.stack([p, q, (p + q) / 2]), p, q), [1, -1, 0], atol=1e-12)
    orthogonal = np.linalg.svd((p - q)[None])[2][1]
    np.testing.assert_allclose(projection((p + 5 * orthogonal)[None], p, q), [1], atol=1e-12)


def test_separability_equals_the_formula_and_ignores_shift_and_scale():
    a, b = rng(8).normal(2, 1, 30), rng(9).normal(0, 3, 50)
    want = (a.mean() - b.mean()) / np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2)
    assert separability(a, b) == pytest.approx(want)
    assert separability(7 * a - 3, 7 * b - 3) == pytest.approx(want)


def test_auroc_equals_scikit_learn_with_ties():
    a, b = rng(10).integers(0, 6, 40) + 1.0, rng(11).integers(0, 6, 25) * 1.0
    want = roc_auc_score([1] * 40 + [0] * 25, np.concatenate([a, b]))
    assert auroc(a, b) == pytest.approx(want, abs=1e-12)


def test_overlap_is_one_for_equal_zero_for_apart_and_a_half_for_half_shifted_uniforms():
    grid = np.linspace(0, 1, 1000)
    assert overlap(grid, grid) == pytest.approx(1)
    assert overlap(grid, grid + 5) == 0
    assert overlap(grid, np.linspace(0.5, 1.5, 1000), bins=30) == pytest.approx(0.5, abs=0.02)
    assert overlap(np.ones(3), np.ones(5)) == 1


def brute_cross_fitted(positive, negative, fold_p, fold_n, n_folds):
    """A loop over folds written from the definition, with scikit-learn's AUROC."""
    dprime, area = [], []
    for k in range(n_folds):
        mu_p, mu_n = positive[fold_p != k].mean(axis=0), negative[fold_n != k].mean(axis=0)
        s, c = mu_p - mu_n, (mu_p + mu_n) / 2
        kp = np.array([2 * (a - c) @ s / (s @ s) for a in positive[fold_p == k]])
        kn = np.array([2 * (a - c) @ s / (s @ s) for a in negative[fold_n == k]])
        dprime.append((kp.mean() - kn.mean()) / np.sqrt((kp.var(ddof=1) + kn.var(ddof=1)) / 2))
        area.append(roc_auc_score([1] * len(kp) + [0] * len(kn), np.concatenate([kp, kn])))
    return np.mean(dprime), np.mean(area)


@pytest.mark.parametrize("n_folds", [2, 5])
def test_cross_fitted_equals_the_loop_and_never_pools(n_folds):
    positive, negative = rng(12).normal(size=(41, 8)) + 0.4, rng(13).normal(size=(41, 8))
    got = cross_fitted(positive, negative, np.arange(41), n_folds=n_folds, seed=3)
    want = brute_cross_fitted(positive, negative, got.fold_positive, got.fold_negative, n_folds)
    assert (got.separability, got.auroc) == pytest.approx(want, abs=1e-12)
    np.testing.assert_array_equal(got.fold_positive, got.fold_negative)
    assert got.kappa_positive.shape == got.kappa_negative.shape == (41,)


def test_cross_fitted_unpaired_takes_unequal_sides_and_equals_the_loop():
    positive, negative = rng(14).normal(size=(33, 8)) + 0.4, rng(15).normal(size=(20, 8))
    clusters = [f"p{i // 3}" for i in range(33)], [f"n{i}" for i in range(20)]
    got = cross_fitted(positive, negative, *clusters, n_folds=2, seed=3)
    want = brute_cross_fitted(positive, negative, got.fold_positive, got.fold_negative, 2)
    assert (got.separability, got.auroc) == pytest.approx(want, abs=1e-12)
    assert sorted(np.bincount(got.fold_negative)) == [10, 10]


def test_cross_fitted_is_about_zero_on_noise_where_the_in_sample_value_is_large():
    held_out, in_sample = [], []
    for seed in range(20):
        p, q = rng(seed).normal(size=(2, 40, 200))
        held_out.append(cross_fitted(p, q, np.arange(40), seed=seed).separability)
        means = p.mean(axis=0), q.mean(axis=0)
        in_sample.append(separability(projection(p, *means), projection(q, *means)))
    assert abs(np.mean(held_out)) < 0.2
    assert np.mean(in_sample) > 2


def test_folds_keep_a_unit_together_on_both_sides_and_differ_in_size_by_one_unit_at_most():
    units_p, units_n = rng(16).integers(0, 25, 80), rng(17).integers(0, 40, 70)
    codes_p, codes_n, fold = cluster_folds((80, 70), units_p, units_n, n_folds=3, seed=0)
    for u in range(40):
        assert len({*fold[codes_p[units_p == u]], *fold[codes_n[units_n == u]]}) <= 1
    assert np.ptp(np.bincount(fold[np.unique(codes_p)], minlength=3)) <= 1
    np.testing.assert_array_equal(fold, cluster_folds((80, 70), units_p, units_n, n_folds=3, seed=0)[2])


def test_cosine_matrix_equals_scikit_learn_and_has_an_exact_diagonal():
    v = rng(18).normal(size=(7, 5))
    np.testing.assert_allclose(cosine_matrix(v), cosine_similarity(v), atol=1e-12)
    assert (np.diag(cosine_matrix(v)) == 1).all()


def test_convergence_is_one_at_full_size_and_equals_scikit_learn_at_size_one():
    d = rng(19).normal(size=(10, 4)) + 0.5
    got = convergence(d, [1, 10], seed=0, repeats=30)
    assert got.shape == (2, 30)
    np.testing.assert_allclose(got[1], 1)
    single = cosine_similarity(d, d.mean(axis=0, keepdims=True))[:, 0]
    assert all(np.isclose(single, c, atol=1e-12).any() for c in got[0])


def test_expected_cosine_predicts_the_cosine_of_independently_trained_vectors():
    mu = rng(20).normal(size=300) * 0.1
    scale = np.linspace(0.2, 1.5, 300)

    def sample(g, n):
        return mu + scale * g.normal(size=(n, 300))

    g = rng(21)
    measured = np.mean([cosine(sample(g, 30).mean(axis=0), sample(g, 30).mean(axis=0)) for _ in range(200)])
    predicted = np.mean([expected_cosine(sample(g, 200), 30) for _ in range(20)])
    assert predicted == pytest.approx(measured, abs=0.02)
    closed_form = mu @ mu / (mu @ mu + (scale**2).sum() / 30)
    assert predicted == pytest.approx(closed_form, abs=0.02)


def test_pairs_for_cosine_is_the_smallest_number_that_reaches_the_target_and_none_without_signal():
    d = rng(22).normal(size=(100, 50)) + 0.3
    n = pairs_for_cosine(d, target=0.9)
    assert n is not None
    assert expected_cosine(d, n) >= 0.9 > expected_cosine(d, n - 1)
    opposed = np.concatenate([d, -d])
    assert pairs_for_cosine(opposed) is None
    assert expected_cosine(opposed, 100) == 0


def test_dose_is_the_length_of_the_edit_over_the_median_norm():
    assert edit_size_ratio(np.array([3.0, 4.0]), strength=-2.0, median_norm=20.0) == pytest.approx(0.5)


BAD = np.array([[1.0, np.nan], [1, 1]])
GOOD = np.array([[1.0, 2], [0, 1], [3, 1]])


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: rematched_agreement(GOOD, GOOD[:, :1], seed=0), "width"),
        (lambda: directional_agreement(BAD), "row 0"),
        (lambda: directional_agreement(GOOD[0]), "shape"),
        (lambda: directional_agreement([["a"]]), "numbers"),
        (lambda: directional_agreement(np.zeros((3, 2))), "zero"),
        (lambda: directional_agreement_loo(GOOD[:1]), "at least 2"),
        (lambda: directional_agreement_loo(GOOD, ["a", "a", "a"]), "2 clusters"),
        (lambda: directional_agreement_loo(GOOD, ["a", "b"]), "one label per row"),
        (lambda: projection(GOOD, GOOD[0], GOOD[0]), "equal"),
        (lambda: projection(GOOD, GOOD[0], np.ones(3)), "width"),
        (lambda: separability(np.ones(3), np.zeros(3)), "variance"),
        (lambda: separability(np.ones(1), np.zeros(3)), "at least 2"),
        (lambda: cross_fitted(GOOD, GOOD[:2], [0, 1, 2], seed=0), "same number of rows"),
        (lambda: cross_fitted(GOOD, -GOOD, [0, 1, 2], seed=0), "fold"),
        (lambda: cross_fitted(GOOD, -GOOD, [0, 1, 2], n_folds=1, seed=0), "n_folds"),
        (lambda: cosine_matrix(np.zeros((2, 2))), "row 0"),
        (lambda: convergence(GOOD, [4], seed=0, repeats=1), "sizes"),
        (lambda: pairs_for_cosine(GOOD, target=1.0), "target"),
        (lambda: edit_size_ratio(np.ones(2), 1.0, 0.0), "median_norm"),
    ],
)
def test_bad_input_is_an_input_error_that_says_what(call, word):
    with pytest.raises(InputError, match=word):
        call()
