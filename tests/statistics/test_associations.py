"""Rank correlations against scipy and brute-force resampling, and the coverage of intervals over families."""

import numpy as np
import pytest
from scipy import stats

from trimtab.errors import InputError
from trimtab.statistics import bootstrap_mean, jackknife_interval
from trimtab.statistics.associations import (
    family_mean,
    partial_spearman,
    rank_counts,
    spearman,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def ends(interval):
    return interval.value, interval.low, interval.high


def families_of(n_families, n, largest=0.4):
    """Labels [n] of which the first family holds the share `largest`, the others about as many cells each."""
    first = round(largest * n)
    return np.sort(np.concatenate([np.zeros(first, int), 1 + np.arange(n - first) % (n_families - 1)]))


def alike(g, code, share):
    """A normal value per cell, of which `share` of the variance is that of the family."""
    return np.sqrt(share) * g.normal(size=code.max() + 1)[code] + np.sqrt(1 - share) * g.normal(size=len(code))


def columns(seed=0, n=40, n_families=9):
    code = families_of(n_families, n)
    x = alike(rng(seed), code, 0.5).round(1)  # with ties
    y = (0.6 * x + alike(rng(seed + 1), code, 0.5)).round(1)
    return x, y, np.stack([x + y + alike(rng(seed + 2), code, 0.5), alike(rng(seed + 3), code, 0.5)], axis=1), code


def brute_rho(x, y, given=()):
    """Correlation of what least squares leaves of the ranks."""
    ranks = [stats.rankdata(column) for column in (x, y, *given)]
    design = np.stack([np.ones(len(x)), *ranks[2:]], axis=1)
    left = [r - design @ np.linalg.lstsq(design, r, rcond=None)[0] for r in ranks[:2]]
    return np.corrcoef(left)[0, 1]


# ---- Rank correlations ---------------------------------------------------------------------------------------------


def test_spearman_has_the_value_of_scipy_ties_included():
    x, y, _, code = columns()
    assert spearman(x, y, code, seed=0).value == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)


def test_partial_spearman_has_the_closed_form_of_one_column_held_fixed():
    x, y, given, code = columns()
    xy, xz, yz = (stats.spearmanr(a, b).statistic for a, b in ((x, y), (x, given[:, 0]), (y, given[:, 0])))
    want = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    assert partial_spearman(x, y, given[:, 0], code, seed=0).value == pytest.approx(want, abs=1e-12)


def test_partial_spearman_correlates_the_residuals_of_ranks_on_several_columns():
    x, y, given, code = columns()
    assert partial_spearman(x, y, given, code, seed=0).value == pytest.approx(brute_rho(x, y, given.T), abs=1e-9)


def test_a_column_held_fixed_that_has_nothing_to_do_with_either_changes_little():
    g, code = rng(5), families_of(40, 400, 0.1)
    x = g.normal(size=400)
    y, other = x + g.normal(size=400), g.normal(size=400)
    plain, partial = spearman(x, y, code, seed=0), partial_spearman(x, y, other, code, seed=0)
    assert ends(partial) == pytest.approx(ends(plain), abs=0.02)


@pytest.mark.parametrize(("seed", "held"), [(7, 0), (8, 0), (7, 2)])
def test_interval_has_the_outer_ends_of_jackknife_and_resampling_done_by_copying_rows(seed, held):
    x, y, given, code = columns(seed)
    given = given[:, :held]
    rows = [np.flatnonzero(code == f) for f in range(9)]
    rho = lambda picked: brute_rho(x[picked], y[picked], given[picked].T)  # noqa: E731
    deleted = [rho(np.concatenate(rows[:f] + rows[f + 1 :])) for f in range(9)]
    value = rho(np.arange(40))
    jackknife = jackknife_interval(np.arctanh(value), np.arctanh(deleted))
    draws = rng(3).multinomial(9, np.full(9, 1 / 9), size=2000)
    resampled = [rho(np.concatenate([np.tile(rows[f], c) for f, c in enumerate(counts)])) for counts in draws]
    low, high = np.quantile(resampled, [0.025, 0.975])
    independent = stats.t.ppf(0.975, 8) * np.sqrt((1 + value**2 / 2) / (37 - held))
    half = max(jackknife.high - jackknife.value, independent)
    want = value, min(np.tanh(jackknife.value - half), low), max(np.tanh(jackknife.value + half), high)
    got = partial_spearman(x, y, given, code, seed=3) if held else spearman(x, y, code, seed=3)
    assert ends(got) == pytest.approx(want, abs=1e-8)


def test_copies_of_cells_within_their_families_hardly_narrow_the_interval():
    x, y, _, code = columns()
    copied = spearman(np.repeat(x, 4), np.repeat(y, 4), np.repeat(code, 4), seed=0)
    plain = spearman(x, y, code, seed=0)
    assert copied.value == pytest.approx(plain.value)
    assert copied.high - copied.low > 0.9 * (plain.high - plain.low)  # independent cells: half


def test_interval_is_no_narrower_than_that_of_independent_cells():
    x = np.arange(30.0)
    y = x + np.tile([4.0, -4.0], 15)
    got = spearman(x, y, np.arange(30) // 2, seed=0)  # each family has one of either sign: hardly any spread
    half = stats.t.ppf(0.975, 14) * np.sqrt((1 + got.value**2 / 2) / 27)
    assert got.low <= np.tanh(np.arctanh(got.value) - half) + 1e-9
    assert got.high >= np.tanh(np.arctanh(got.value) + half) - 1e-9


def test_perfect_order_is_1_with_a_lower_end_below_it():
    got = spearman(np.arange(12), np.arange(12) ** 3, np.arange(12) // 2, seed=0)
    assert (got.value, got.high) == (1, 1)
    assert 0.5 < got.low < 0.999


def test_interval_depends_on_ranks_only_and_turns_with_the_sign():
    x, y, _, code = columns()
    plain, bent, turned = (spearman(x, z, code, seed=0) for z in (y, np.exp(y), -y))
    assert ends(bent) == pytest.approx(ends(plain))
    assert ends(turned) == pytest.approx((-plain.value, -plain.high, -plain.low), abs=1e-3)


def test_interval_repeats_with_its_seed_and_narrows_with_its_level():
    x, y, _, code = columns()
    names = np.array([f"family {c}" for c in code])
    first, named, narrow = (
        spearman(x, y, code, seed=1),
        spearman(x, y, names, seed=1),
        spearman(x, y, code, seed=1, level=0.8),
    )
    assert first == named
    assert first.low < narrow.low < narrow.high < first.high


@pytest.mark.parametrize("draws", [120, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("share", "rho", "partial"), [(0.9, 0.6, False), (0.5, 0.0, False), (0.5, 0.6, True)])
def test_interval_covers_where_one_family_of_20_holds_two_fifths_of_66_cells(share, rho, partial, draws):
    code, spearmans = families_of(20, 66), lambda r: 6 / np.pi * np.arcsin(r / 2)
    truth, inside = spearmans(rho), 0
    if partial:  # of x, y and what both are correlated with at 0.5
        truth = (spearmans(rho) - spearmans(0.5) ** 2) / (1 - spearmans(0.5) ** 2)
    mix = np.linalg.cholesky([[1, 0.5, 0.5], [0.5, 1, rho], [0.5, rho, 1]] if partial else np.diag([1.0, 1, 1]))
    for seed in range(draws):
        z, x, y = mix @ np.stack([alike(rng([seed, i]), code, share) for i in range(3)])
        y = y if partial else rho * x + np.sqrt(1 - rho**2) * y
        i = partial_spearman(x, y, z, code, seed=seed) if partial else spearman(x, y, code, seed=seed)
        inside += i.low <= truth <= i.high
    assert 0.89 <= inside / draws <= 0.995


# ---- Means, areas, ranks -------------------------------------------------------------------------------------------


def test_family_mean_has_the_outer_ends_of_the_bootstrap_and_of_deleting_families():
    code = families_of(12, 50)
    values = alike(rng(1), code, 0.9)
    deleted = jackknife_interval(values.mean(), [values[code != f].mean() for f in range(12)])
    resampled = bootstrap_mean(values, code, seed=4)
    want = values.mean(), min(deleted.low, resampled.low), max(deleted.high, resampled.high)
    assert ends(family_mean(values, code, seed=4)) == pytest.approx(want)


def test_family_mean_covers_where_a_large_family_makes_the_bootstrap_too_narrow():
    code, inside = families_of(45, 300), np.zeros(2)
    for seed in range(150):
        values = alike(rng(seed), code, 0.9)
        both = family_mean(values, code, seed=seed), bootstrap_mean(values, code, seed=seed)
        inside += [i.low <= 0 <= i.high for i in both]
    assert inside[0] / 150 >= 0.9 > inside[1] / 150


def auroc_rows(seed=0, n_families=8, n=40):
    code = families_of(n_families, n)
    scores = alike(rng(seed), code, 0.5)
    hit = scores + rng(seed + 9).normal(size=n) > 0.3
    return hit, scores, scores + 0.2 * rng(seed + 5).normal(size=(n_families, n)), code


def test_rank_counts_of_a_small_matrix():
    matrix = [[3, 2, 1], [1, 2, 3], [9, 5, 7], [np.nan, 8, 9]]
    assert rank_counts(matrix).tolist() == [[2, 0, 1], [0, 2, 1], [1, 1, 1]]


def test_rank_counts_equal_those_of_scipys_ranks():
    matrix = rng(2).normal(size=(30, 5))
    ranks = stats.rankdata(-matrix, axis=1)
    assert rank_counts(matrix).tolist() == [[(ranks[:, j] == r + 1).sum() for r in range(5)] for j in range(5)]


def test_rank_counts_give_ties_to_the_earlier_column_and_leave_out_what_was_not_measured():
    assert rank_counts([[1, 1, 1], [1, 1, np.nan]]).tolist() == np.eye(3).tolist()
    assert rank_counts([[np.nan, 1], [2, np.nan]]).tolist() == [[0, 0], [0, 0]]


# ---- Bad input -----------------------------------------------------------------------------------------------------

GOOD = {"x": np.arange(9.0), "y": np.arange(9.0)[::-1], "families": np.arange(9) // 3}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"y": np.arange(8)}, "9 values of x, 8 of y"),
        ({"y": [np.nan, *range(8)]}, "y: NaN or infinity in 1 rows"),
        ({"families": np.arange(9) // 5}, "families: 2 different ones; an interval needs at least 3"),
        ({"families": np.arange(8)}, "families: shape"),
        ({"families": np.linspace(0, 1, 9)}, "one label per cell"),
        ({"x": np.ones(9)}, "x: 1 in all 9 cells"),
        ({"y": [1, 2, 3, 0, 0, 0, 0, 0, 0]}, "y: varies in family '0' only"),
        ({"level": 1.0}, "level is 1"),
        ({"given": np.arange(8)}, "8 given"),
        ({"given": np.zeros(9)}, "given, column 0: 0 in all 9 cells"),
        ({"given": np.full(9, np.inf)}, "given: NaN or infinity"),
        ({"given": np.arange(9.0) ** 2}, "hold fewer columns fixed"),
    ],
)
def test_invalid_columns_are_refused_with_what_to_do(columns, message):
    arguments = {**GOOD, **columns}
    with pytest.raises(InputError, match=message):
        (partial_spearman if "given" in columns else spearman)(**arguments, seed=0)


@pytest.mark.parametrize("matrix", [[1.0, 2.0], [[1.0, np.inf]]])
def test_rank_counts_refuse_what_is_no_matrix_of_figures(matrix):
    with pytest.raises(InputError, match="matrix"):
        rank_counts(matrix)


def test_family_mean_needs_three_families():
    with pytest.raises(InputError, match="at least 3"):
        family_mean([1.0, 2.0, 3.0], ["a", "a", "b"], seed=0)
