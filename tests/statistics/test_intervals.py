"""Intervals against scipy and brute-force deletion, and their coverage on populations with known parameters.

The slow versions draw 1,000 samples instead of 200; their bounds are 93–97 %, plus a standard error and a half. Where
noise rules the direction intervals are known to be a little too wide, and only there 99 % is allowed.
"""

from functools import cache
from itertools import combinations

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtr, ndtri

from trimtab.errors import InputError
from trimtab.statistics import (
    agreement_interval,
    bootstrap_mean,
    bootstrap_two_sample,
    cluster_folds,
    cross_fitted,
    directional_agreement_loo,
    jackknife,
    jackknife_interval,
    separability,
    separability_interval,
    share_interval,
    simultaneous_level,
    two_sample_share,
    wilson,
)
from trimtab.statistics.jackknife import jackknife_variance, pair_variance

DRAWS = [200, pytest.param(1000, marks=pytest.mark.slow)]


def rng(seed=0):
    return np.random.default_rng(seed)


def ends(interval):
    return interval.value, interval.low, interval.high


def check_coverage(name, draws, truth, draw_interval, at_most=0.98):
    """Share of `draws` intervals that hold `truth`: 0.90–0.99 for 200 draws, 0.92–`at_most` for 1,000."""
    inside = 0
    for seed in range(draws):
        interval = draw_interval(seed)
        inside += interval.low <= truth <= interval.high
    print(f"coverage of {name}: {inside / draws:.3f} of {draws}")  # noqa: T201 - shown by pytest -rP
    low, high = (0.90, 0.99) if draws < 1000 else (0.92, at_most)
    assert low <= inside / draws <= high


# ---- Shares --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "n", "level"), [(0, 20, 0.95), (20, 20, 0.95), (7, 61, 0.9), (1, 3, 0.99)])
def test_wilson_equals_scipy(k, n, level):
    want = stats.binomtest(k, n).proportion_ci(level, method="wilson")
    assert ends(wilson(k, n, level)) == pytest.approx((k / n, want.low, want.high), abs=1e-12)


def test_share_interval_is_wilson_when_all_units_differ():
    flags = rng(1).random(50) < 0.3
    assert share_interval(flags) == wilson(flags.sum(), 50)
    assert share_interval(flags, np.arange(50)) == wilson(flags.sum(), 50)


def test_share_interval_of_copied_rows_is_no_narrower_than_that_of_the_originals():
    flags = rng(2).random(60) < 0.4
    alone, copied = wilson(flags.sum(), 60), share_interval(np.repeat(flags, 8), np.repeat(np.arange(60), 8))
    assert copied.high - copied.low >= alone.high - alone.low
    assert copied.high - copied.low == pytest.approx(alone.high - alone.low, rel=0.05)


def test_share_interval_of_unanimous_clusters_counts_units_not_rows():
    got = share_interval(np.ones(100), np.repeat(np.arange(10), 10))
    assert got.high == 1
    q = stats.t.ppf(0.975, 9)
    assert got.low == pytest.approx(10 / (10 + q**2))


def test_share_interval_of_clustered_rows_is_wilson_at_the_n_that_two_more_units_give():
    flags, clusters = rng(20).random(90) < 0.2, np.sort(rng(21).integers(25, size=90))
    _, codes, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    u, mean = len(sizes), 90 / len(sizes)
    true = [flags[codes == c].sum() for c in range(u)] + [mean, 0]
    middle = sum(true) / (90 + 2 * mean)
    residuals = [hits - middle * size for hits, size in zip(true, [*sizes, mean, mean], strict=True)]
    variance = (u + 2) * np.var(residuals, ddof=1) / (90 + 2 * mean) ** 2
    n, p, t = middle * (1 - middle) / variance * u / (u + 2), flags.mean(), stats.t.ppf(0.975, u - 1)
    roots = np.roots([1 + t**2 / n, -(2 * p + t**2 / n), p * p])
    assert ends(share_interval(flags, clusters)) == pytest.approx((p, roots.min(), roots.max()), abs=1e-9)


@pytest.mark.parametrize("draws", DRAWS)
@pytest.mark.parametrize("share", [0.05, 0.3])
def test_share_interval_covers_for_clustered_rows(share, draws):
    def draw(seed):
        g = rng(seed)
        clusters = np.repeat(np.arange(70), g.integers(1, 8, size=70))
        rates = g.beta(3 * share, 3 * (1 - share), 70)  # rows of a cluster are alike
        return share_interval(g.random(len(clusters)) < rates[clusters], clusters)

    check_coverage(f"a clustered share of {share:.0%}", draws, share, draw)


# ---- Means ---------------------------------------------------------------------------------------------------------


def test_bootstrap_mean_is_close_to_students_t_for_normal_values():
    x = rng(3).normal(size=100)
    want = stats.ttest_1samp(x, 0).confidence_interval(0.95)
    assert ends(bootstrap_mean(x, seed=0, n_resamples=20000)) == pytest.approx((x.mean(), *want), abs=0.02)


def test_bootstrap_mean_has_the_outer_ends_of_scipys_bca_and_students_t_for_skewed_values():
    x = rng(4).exponential(size=400)
    bca = stats.bootstrap((x,), np.mean, n_resamples=9999, method="BCa", rng=rng(0)).confidence_interval
    student = stats.ttest_1samp(x, 0).confidence_interval(0.95)
    assert student.low < bca.low - 0.002
    assert student.high < bca.high - 0.002
    got = bootstrap_mean(x, seed=0, n_resamples=9999)
    assert got.low == pytest.approx(student.low)
    assert got.high == pytest.approx(bca.high, abs=0.008)


def test_bootstrap_mean_with_few_units_is_students_t_over_the_unit_means():
    unit_means = rng(5).normal(size=6)
    want = stats.ttest_1samp(unit_means, 0).confidence_interval(0.95)
    got = bootstrap_mean(np.repeat(unit_means, 4), np.repeat(list("abcdef"), 4), seed=0)
    assert ends(got) == pytest.approx((unit_means.mean(), *want))


def test_bootstrap_mean_resamples_units_so_that_copies_do_not_narrow_it():
    x = rng(6).normal(size=40)
    alone, copied = bootstrap_mean(x, seed=0), bootstrap_mean(np.repeat(x, 5), np.repeat(np.arange(40), 5), seed=0)
    assert ends(copied) == pytest.approx(ends(alone))


def test_bootstraps_repeat_with_their_seed_and_only_with_it():
    x, y = rng(7).normal(size=(2, 30))
    first, again, other = (bootstrap_two_sample(x, y, seed=s) for s in (0, 0, 1))
    assert first == again != other
    assert bootstrap_mean(x, seed=0) == bootstrap_mean(x, seed=0) != bootstrap_mean(x, seed=1)


POPULATIONS = {
    "normal": (lambda g, n: g.normal(size=n), 0.0),
    "skewed": (lambda g, n: g.gamma(2.0, size=n), 2.0),
    "heavy": (lambda g, n: g.standard_t(3, size=n), 0.0),
    "clusters of 1-4": (
        lambda g, n: np.repeat(g.normal(size=n), 1 + np.arange(n) % 4) + g.normal(size=n // 4 * 10),
        0.0,
    ),
}


@pytest.mark.parametrize("draws", DRAWS)
@pytest.mark.parametrize("n", [32, 60, 140])
@pytest.mark.parametrize("name", POPULATIONS)
def test_bootstrap_mean_covers(name, n, draws):
    sample, truth = POPULATIONS[name]
    clusters = np.repeat(np.arange(n), 1 + np.arange(n) % 4) if name.startswith("clusters") else None
    draw = lambda seed: bootstrap_mean(sample(rng(seed), n), clusters, seed=seed, n_resamples=1000)  # noqa: E731
    check_coverage(f"a {name} mean, n={n}", draws, truth, draw)


@pytest.mark.parametrize("draws", DRAWS)
@pytest.mark.parametrize("n", [4, 6])
@pytest.mark.parametrize("name", ["normal", "heavy"])
def test_the_mean_of_as_few_as_eight_to_eleven_questions_leave_to_evaluate_is_covered(name, n, draws):
    sample, truth = POPULATIONS[name]
    draw = lambda seed: bootstrap_mean(sample(rng(seed), n), seed=seed)  # noqa: E731
    check_coverage(f"a {name} mean, n={n}", draws, truth, draw)


def test_two_sample_mean_is_close_to_welchs_interval_and_has_its_value():
    x, y = rng(8).normal(1, 1, 120), rng(9).normal(0, 2, 90)
    want = stats.ttest_ind(x, y, equal_var=False).confidence_interval(0.95)
    got = bootstrap_two_sample(x, y, seed=0, n_resamples=20000)
    assert ends(got) == pytest.approx((x.mean() - y.mean(), *want), abs=0.03)


def test_two_sample_share_has_the_value_of_the_u_statistic_and_about_its_delong_error():
    x, y = rng(10).normal(0.5, 1, 200), rng(11).normal(size=150)
    below = x[:, None] < y  # brute force: all pairs, and DeLong's variance of their share
    delong = below.mean(axis=1).var(ddof=1) / 200 + below.mean(axis=0).var(ddof=1) / 150
    got = two_sample_share(x, y)
    assert got.value == pytest.approx(below.mean())
    assert (got.high - got.low) / 2 == pytest.approx(1.96 * np.sqrt(delong), rel=0.05)


def test_two_sample_share_of_zero_still_has_an_upper_end_above_zero():
    got = two_sample_share(np.arange(30) + 100.0, np.arange(25) * 1.0)
    assert (got.value, got.low) == (0, 0)
    assert 0.03 < got.high < 0.2


@pytest.mark.parametrize("draws", DRAWS)
@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("below", [0.02, 0.1])
def test_two_sample_share_covers_small_shares(below, clustered, draws):
    """The upper end matters: there a bound on anti-steerable examples is kept or not."""
    size = 4 if clustered else 1
    clusters, shift = np.repeat(np.arange(60), size), -np.sqrt(2) * ndtri(below)
    spread = np.sqrt(0.5) if clustered else 1.0

    def draw(seed):
        g = rng(seed)
        up, down = (
            np.sqrt(1 - spread**2) * g.normal(size=60)[clusters] + spread * g.normal(size=60 * size) for _ in range(2)
        )
        return two_sample_share(up + shift, down, clusters, clusters)

    check_coverage(f"two-sample share of {below}", draws, below, draw)


@pytest.mark.parametrize("draws", DRAWS)
@pytest.mark.parametrize("statistic", ["mean", "anti"])
def test_two_sample_intervals_cover_for_units_of_several_rows(statistic, draws):
    units_p, units_n = np.repeat(np.arange(50), 2), np.repeat(np.arange(40), 3)

    def draw(seed):
        g = rng(seed)
        up = 0.8 + g.normal(size=50)[units_p] + 0.5 * g.normal(size=100)
        down = g.normal(size=40)[units_n] + 0.5 * g.normal(size=120)
        if statistic == "anti":
            return two_sample_share(up, down, units_p, units_n)
        return bootstrap_two_sample(up, down, units_p, units_n, seed=seed, n_resamples=1000)

    truth = {"mean": 0.8, "anti": ndtr(-0.8 / np.sqrt(2 * 1.25))}[statistic]
    check_coverage(f"two-sample {statistic}", draws, truth, draw)


# ---- Jackknife -----------------------------------------------------------------------------------------------------


def test_jackknife_of_the_mean_is_students_t():
    x = rng(12).normal(size=25)
    deleted = [np.delete(x, i).mean() for i in range(25)]
    want = stats.ttest_1samp(x, 0).confidence_interval(0.95)
    assert ends(jackknife_interval(x.mean(), deleted)) == pytest.approx((x.mean(), *want))


def test_jackknife_of_a_difference_of_means_adds_the_strata():
    x, y = rng(13).normal(size=(2, 20))
    value = x.mean() - y.mean()
    deleted = [np.delete(x, i).mean() - y.mean() for i in range(20)]
    deleted += [x.mean() - np.delete(y, i).mean() for i in range(20)]
    want = stats.ttest_ind(x, y).confidence_interval(0.95)  # pooled; the same for equal sizes
    got = jackknife_interval(value, deleted, strata=[0] * 20 + [1] * 20)
    assert ends(got) == pytest.approx((value, *want))


def brute_agreement_interval(d, clusters):
    """Delete each cluster and each two, from scratch; the jackknife less the part of pairs, by scalar loops."""
    names = np.unique(clusters)
    n = len(names)

    def without(*gone):
        left = ~np.isin(clusters, gone)
        return directional_agreement_loo(d[left], clusters[left]).mean()

    value, deleted = without(), np.array([without(u) for u in names])
    q = np.full((n, n), np.nan)
    for i, j in combinations(range(n), 2):
        q[i, j] = q[j, i] = value - deleted[i] - deleted[j] + without(names[i], names[j])
    centred = q - np.nanmean(q, axis=0)[:, None] - np.nanmean(q, axis=1) + np.nanmean(q)
    pairs = 2 / 3 * np.nansum(centred**2) / 2 * ((n - 1) / n) ** 2
    variance = (n - 1) / n * ((deleted - deleted.mean()) ** 2).sum()
    half = stats.t.ppf(0.975, n - 1) * np.sqrt(max(variance - pairs, pairs))
    return value, max(value - half, -1), min(value + half, 1)


@pytest.mark.parametrize("clusters", [np.arange(18), np.arange(18) // 2, np.array([0] * 5 + list(range(1, 14)))])
@pytest.mark.parametrize("signal", [0.0, 0.3])
def test_agreement_interval_equals_brute_force_deletion_of_units_and_pairs(clusters, signal):
    d = rng(14).normal(size=(18, 6)) + signal
    assert ends(agreement_interval(d, clusters)) == pytest.approx(brute_agreement_interval(d, clusters), abs=1e-10)


def test_agreement_interval_of_many_units_looks_at_a_part_of_the_pairs(monkeypatch):
    d = rng(15).normal(size=(120, 20))
    whole = ends(agreement_interval(d))
    monkeypatch.setattr(jackknife, "_MAX_PAIRED", 40)
    part = ends(agreement_interval(d))
    assert part[0] == whole[0]
    assert part != whole
    assert part[2] - part[1] == pytest.approx(whole[2] - whole[1], rel=0.1)


def differences(g, n=60, d=32, signal=0.4):
    """Population of differences with unequal noise along the dimensions."""
    return signal + np.linspace(0.5, 1.5, d) * g.normal(size=(n, d))


@cache
def true_agreement():
    return np.mean([directional_agreement_loo(differences(rng(10**6 + i))).mean() for i in range(3000)])


@pytest.mark.parametrize("draws", DRAWS)
def test_agreement_interval_covers_the_expected_leave_one_out_cosine(draws):
    check_coverage("agreement", draws, true_agreement(), lambda seed: agreement_interval(differences(rng(seed))))


@pytest.mark.parametrize("draws", DRAWS)
def test_agreement_interval_covers_zero_for_noise(draws):
    check_coverage(
        "agreement of noise", draws, 0.0, lambda s: agreement_interval(differences(rng(s), signal=0.0)), 0.99
    )


def brute_separability_interval(p, q, units_p, units_n, n_folds, seed):
    """Delete each cluster, and each two of unlike folds; refit every fold with scalar loops, keep the folds."""
    codes_p, codes_n, fold = cluster_folds((len(p), len(q)), units_p, units_n, n_folds, seed)
    n_clusters, strata = len(fold), np.array([f"{k}{u in codes_p}" for u, k in enumerate(fold)])

    def refit(k, *gone):
        keep_p, keep_n, in_p, in_n = (
            ~np.isin(codes_p, gone),
            ~np.isin(codes_n, gone),
            fold[codes_p] == k,
            fold[codes_n] == k,
        )
        s = p[keep_p & ~in_p].mean(axis=0) - q[keep_n & ~in_n].mean(axis=0)
        kp, kn = p[keep_p & in_p] @ s, q[keep_n & in_n] @ s
        area = stats.mannwhitneyu(kp, kn).statistic / len(kp) / len(kn)
        return np.array([separability(kp, kn), area]) / n_folds

    whole = [refit(k) for k in range(n_folds)]
    single = [[refit(k, u) for k in range(n_folds)] for u in range(n_clusters)]
    variance = [jackknife_variance(np.sum(single, axis=1)[:, i], strata)[0] for i in range(2)]
    twice = np.zeros(2)
    for first, second in combinations(np.unique(strata), 2):
        if first[0] != second[0]:  # one of the two is held out where the other trains
            us, vs = np.flatnonzero(strata == first), np.flatnonzero(strata == second)
            both = (int(first[0]), int(second[0]))
            q_uv = [
                [sum(whole[k] - single[u][k] - single[v][k] + refit(k, u, v) for k in both) for v in vs] for u in us
            ]
            c = q_uv - np.mean(q_uv, axis=0) - np.mean(q_uv, axis=1)[:, None] + np.mean(q_uv, axis=(0, 1))
            twice += (c**2).mean(axis=(0, 1)) * (len(us) - 1) * (len(vs) - 1)
    return [max(v - t, t) for v, t in zip(variance, twice, strict=True)]


@pytest.mark.parametrize(("paired", "n_folds"), [(True, 2), (False, 2), (True, 4)])
@pytest.mark.parametrize("shift", [0.6, 0.0])
def test_separability_interval_equals_brute_force_deletion_with_fixed_folds(paired, n_folds, shift):
    p, q = rng(15).normal(size=(31, 8)) + shift, rng(16).normal(size=(31 if paired else 17, 8))
    units_p = np.arange(31) // 2
    units_n = units_p if paired else 100 + np.arange(17)
    sides = units_p, None if paired else units_n
    got = separability_interval(p, q, *sides, n_folds=n_folds, seed=5)
    fitted = cross_fitted(p, q, *sides, n_folds=n_folds, seed=5)
    dprime, area = brute_separability_interval(p, q, *sides, n_folds, 5)
    assert (got.separability.value, got.auroc.value) == (fitted.separability, fitted.auroc)
    t = stats.t.ppf(0.975, len(np.unique([*units_p, *units_n])) - n_folds * (1 if paired else 2))
    assert got.separability.high - got.separability.value == pytest.approx(t * np.sqrt(dprime), abs=1e-10)
    n, a = fitted.auroc * (1 - fitted.auroc) / area, fitted.auroc  # Wilson, as the roots of (a − x)² = t² x(1−x)/n
    roots = np.roots([1 + t**2 / n, -(2 * a + t**2 / n), a * a])
    assert (got.auroc.high, got.auroc.low) == pytest.approx((roots.max(), roots.min()), abs=1e-9)


def test_pairs_of_units_that_alone_make_a_statistic_vary_are_counted_once():
    """x̄ ȳ of two strata of mean 0 varies by σ⁴/(n m), by pairs alone; the jackknife finds twice that."""
    g, n, m, result = rng(19), 12, 9, []
    for _ in range(400):
        x, y = g.normal(size=n), g.normal(size=m)
        less_x, less_y = (x.sum() - x) / (n - 1), (y.sum() - y) / (m - 1)
        deleted = np.concatenate([less_x * y.mean(), x.mean() * less_y])
        q = np.zeros((n + m, n + m))
        q[:n, n:] = x.mean() * y.mean() - less_x[:, None] * y.mean() - x.mean() * less_y + np.outer(less_x, less_y)
        strata = np.repeat([0, 1], [n, m])
        result.append((jackknife_variance(deleted, strata)[0], pair_variance(q, strata)))
    assert np.mean(result, axis=0) * n * m == pytest.approx((2.0, 1.0), rel=0.12)


def test_auroc_of_one_keeps_a_lower_end_below_one():
    p, q = rng(17).normal(size=(30, 4)) + 50, rng(18).normal(size=(30, 4))
    got = separability_interval(p, q, np.arange(30), seed=0).auroc
    assert (got.value, got.high) == (1, 1)
    assert 0.9 < got.low < 0.98


SCALE = np.linspace(0.5, 1.5, 32)
MU = np.linspace(0.1, 0.5, 32)


def two_classes(g, n=60, shared=0.5):
    """Pairs whose two sides share part of their noise; class difference MU, noise SD = SCALE on each side."""
    common = np.sqrt(shared) * g.normal(size=(n, 32))
    p, q = (SCALE * (common + np.sqrt(1 - shared) * g.normal(size=(n, 32))) for _ in range(2))
    return p + MU, q


@cache
def true_separability():
    """d′ of the population along directions fitted on 30 rows, by its formula for Gaussian classes."""
    values = []
    for i in range(3000):
        p, q = two_classes(rng(10**6 + i), n=30)
        s = p.mean(axis=0) - q.mean(axis=0)
        values.append(s @ MU / np.sqrt(s**2 @ SCALE**2))
    return np.mean(values), np.mean(ndtr(np.array(values) / np.sqrt(2)))


@pytest.mark.parametrize("draws", DRAWS)
@pytest.mark.parametrize("metric", ["separability", "auroc"])
def test_separability_interval_covers_the_expected_held_out_value(metric, draws):
    def draw(seed):
        p, q = two_classes(rng(seed))
        return getattr(separability_interval(p, q, np.arange(60), seed=seed), metric)

    truth = dict(zip(["separability", "auroc"], true_separability(), strict=True))[metric]
    check_coverage(f"held-out {metric}", draws, truth, draw)


def test_simultaneous_level_is_bonferronis():
    assert simultaneous_level(0.95, 5) == pytest.approx(0.99)
    assert simultaneous_level(0.95, 1) == pytest.approx(0.95)


few_rows = two_classes(rng(), n=5)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: wilson(3, 2), "3 of 2"),
        (lambda: wilson(1, 2, level=95), "level"),
        (lambda: share_interval([0, 2]), "booleans"),
        (lambda: share_interval([0, 1], ["a", "a"]), "share one cluster"),
        (lambda: bootstrap_mean([1.0], seed=0), "at least 2 clusters"),
        (lambda: bootstrap_mean(np.arange(20.0), seed=0, n_resamples=10), "n_resamples"),
        (lambda: bootstrap_mean(np.arange(20.0), np.arange(19), seed=0), "one label per row"),
        (lambda: jackknife_interval(0.0, [1.0, 2, 3], strata=[0, 0, 1]), "single cluster"),
        (lambda: agreement_interval(np.eye(2)), "at least 3"),
        (lambda: separability_interval(few_rows[0], few_rows[1], np.arange(5), seed=0), "at least 2"),
        (lambda: simultaneous_level(0.95, 0), "k is 0"),
    ],
)
def test_bad_input_is_an_input_error_that_says_what(call, word):
    with pytest.raises(InputError, match=word):
        call()
