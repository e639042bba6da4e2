"""How sure the numbers are: intervals that resample or delete whole clusters, never rows.

Every function takes `clusters`, the question or template of each row [n] (default: every row its own), and a `level`;
invalid input is an `InputError`. The intervals in this file hold the vector fixed and resample the evaluation; those
in `refitted.py` refit the vector too. Sources: Wilson 1927, Korn and Graubard 1998 (clustered shares), Efron 1987
(BCa), Hesterberg 2015 (its widening).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike as Array
from scipy.special import ndtr, ndtri, stdtrit

from trimtab.errors import InputError
from trimtab.statistics.inputs import Floats, as_vector, cluster_codes
from trimtab.statistics.jackknife import cluster_sums, jackknife_variance

_EXTRA_CLUSTERS = (
    0.25  # of a cluster; with it 42 simulated populations are covered in 92.3–98.3 % (docs/results/coverage.md)
)
_MIN_CLUSTERS = 10  # with fewer clusters the bootstrap's tails are guesswork, and Student's t takes over


@dataclass(frozen=True)
class Interval:
    """An estimate and the two ends of its interval, in the estimate's units.

    Example:
        >>> from trimtab.statistics import Interval
        >>> interval = Interval(0.4, low=0.3, high=0.5)
        >>> interval.low > 0
        True
    """

    value: float
    low: float
    high: float


def simultaneous_level(level: float, k: int) -> float:
    """The level each of `k` intervals needs so that all hold together at `level` (Bonferroni): 1 − (1 − level)/k.

    Example:
        >>> from trimtab.statistics import simultaneous_level
        >>> round(simultaneous_level(0.95, 5), 4)
        0.99
    """
    if k < 1:
        raise InputError(f"k is {k}; give the number of intervals, at least 1")
    return 1.0 - 2.0 * _tail(level) / k


def wilson(k: float, n: float, level: float = 0.95) -> Interval:
    """Wilson's score interval for `k` of `n` independent rows; for a share of natural pairs.

    Example:
        >>> from trimtab.statistics import wilson
        >>> interval = wilson(7, 10)
        >>> round(interval.value, 3), round(interval.low, 3), round(interval.high, 3)
        (0.7, 0.397, 0.892)
    """
    if not (0 <= k <= n and 0 < n < np.inf):
        raise InputError(f"{k} of {n} is no share; k must lie in 0…n and n be above 0")
    return _score(k / n, n, -float(ndtri(_tail(level))))


def share_interval(flags: Array, clusters: Array | None = None, level: float = 0.95) -> Interval:
    """Interval for the share of true `flags` [n], such as anti-steerable examples.

    Wilson where all clusters differ; else Wilson with Korn and Graubard's effective n, the n that gives the variance
    between clusters, at most n, and Student's t for U − 1. That variance is taken with one more cluster all true and
    one all false (as Agresti and Coull add two rows of each), since a few true flags hardly show how alike the rows of
    a cluster are. If all rows agree the effective n is the number of clusters.

    Example:
        >>> from trimtab.statistics import share_interval
        >>> flags = [True] * 6 + [False] * 4
        >>> rows = share_interval(flags)
        >>> questions = share_interval(flags, ["a"] * 6 + ["b", "c", "d", "e"])
        >>> questions.high - questions.low > rows.high - rows.low  # one question gave all the true flags
        True
    """
    hits = as_vector(flags, "flags")
    if not np.isin(hits, (0.0, 1.0)).all():
        raise InputError("flags: values other than 0 and 1; give booleans")
    code = cluster_codes(clusters, len(hits), 1)
    n, u, share = len(hits), int(code.max()) + 1, float(hits.mean())
    if u == n:
        return wilson(float(hits.sum()), n, level)
    if u < 2:
        raise InputError(
            "clusters: all rows share one cluster, so the spread between clusters is not measured; add clusters"
        )
    true, size, mean = cluster_sums(hits, code), np.bincount(code), n / u  # rows, [U], and of a cluster on average
    middle = (hits.sum() + mean) / (n + 2 * mean)  # the share with the two
    spread = ((np.append(true, [mean, 0.0]) - middle * np.append(size, [mean, mean])) ** 2).sum() * (u + 2) / (u + 1)
    effective = min(n, float(middle * (1 - middle) * n * (n + 2 * mean) / spread))
    return _score(share, u if share in (0.0, 1.0) else effective, student_quantile(level, u - 1))


def bootstrap_mean(
    values: Array, clusters: Array | None = None, *, n_resamples: int = 2000, seed: int, level: float = 0.95
) -> Interval:
    """Interval for the mean of `values` [n] (a mean over rows, clusters resampled whole).

    The outer ends of widened BCa and of Student's t on the clusters' contributions; with fewer than 10 clusters t
    alone.

    Example:
        >>> from trimtab.statistics import bootstrap_mean
        >>> interval = bootstrap_mean([0.1, 0.4, 0.3, 0.6, 0.2, 0.5], seed=0)
        >>> round(interval.value, 2), interval.low > 0
        (0.35, True)
    """
    x = as_vector(values, "values")
    code = cluster_codes(clusters, len(x), 2)
    sums, sizes, mean = cluster_sums(x, code), np.bincount(code), float(x.mean())
    counts = _counts(len(sums), n_resamples, np.random.default_rng(seed))  # [B, U]
    return _bca((counts @ sums) / (counts @ sizes), mean, [(sums - mean * sizes) / len(x)], level)


def bootstrap_two_sample(
    positive: Array,
    negative: Array,
    clusters_positive: Array | None = None,
    clusters_negative: Array | None = None,
    *,
    n_resamples: int = 2000,
    seed: int,
    level: float = 0.95,
) -> Interval:
    """Interval for mean Δ+ − mean Δ−, as in `bootstrap_mean`; the sides are resampled apart, each by its clusters.

    Args:
        positive, negative: effects per text, Δ+ [n] and Δ− [m].
        clusters_positive, clusters_negative: their clusters; the same label on both sides is *not* taken for one
            cluster.

    Example:
        >>> from trimtab.statistics import bootstrap_two_sample
        >>> interval = bootstrap_two_sample([0.5, 0.7, 0.9], [0.1, 0.2, 0.0, 0.1], seed=0)
        >>> round(interval.value, 2)
        0.6
    """
    up, down = as_vector(positive, "positive"), as_vector(negative, "negative")
    codes = cluster_codes(clusters_positive, len(up), 2), cluster_codes(clusters_negative, len(down), 2)
    rng = np.random.default_rng(seed)
    counts = _counts(codes[0].max() + 1, n_resamples, rng), _counts(codes[1].max() + 1, n_resamples, rng)
    rows = [count @ np.bincount(code) for count, code in zip(counts, codes, strict=True)]  # [B] each
    resampled = counts[0] @ cluster_sums(up, codes[0]) / rows[0] - counts[1] @ cluster_sums(down, codes[1]) / rows[1]
    pulls = [cluster_sums(x - x.mean(), code) / len(x) for x, code in ((up, codes[0]), (-down, codes[1]))]
    return _bca(resampled, float(up.mean() - down.mean()), pulls, level)


def two_sample_share(
    positive: Array,
    negative: Array,
    clusters_positive: Array | None = None,
    clusters_negative: Array | None = None,
    *,
    level: float = 0.95,
) -> Interval:
    """Interval for the share P(Δ+ − Δ− < 0) of all pairs of a text of either side, ties half.

    Wilson with the n that gives the share the variance between clusters of its two placements (DeLong et al. 1988, by
    clusters as Obuchowski 1997), and Student's t. That variance is taken with a quarter of a cluster all below and one
    all above on either side, as in `share_interval`, since a small share hardly shows how unlike the clusters are. At
    0 or 1 the n is twice the clusters of the smaller side.

    Args:
        positive, negative, clusters_positive, clusters_negative: as in `bootstrap_two_sample`.
        level: of confidence.

    Example:
        >>> from trimtab.statistics import two_sample_share
        >>> two_sample_share([1, 2, 3, 4], [0, 0, 1.5, 2.5]).value  # 3 of 16 pairs
        0.1875
    """
    up, down = as_vector(positive, "positive"), as_vector(negative, "negative")
    codes = cluster_codes(clusters_positive, len(up), 2), cluster_codes(clusters_negative, len(down), 2)
    below = (up[:, None] < down) + 0.5 * (up[:, None] == down)  # [n, m]
    middles, variance = [], 0.0
    for placements, code in ((below.mean(axis=1), codes[0]), (below.mean(axis=0), codes[1])):
        n, u = len(placements), int(code.max()) + 1
        extra = _EXTRA_CLUSTERS * n / u  # rows of each of the two
        middle = (placements.sum() + extra) / (n + 2 * extra)
        true, size = np.append(cluster_sums(placements, code), [extra, 0.0]), np.append(np.bincount(code), [extra] * 2)
        variance += float(((true - middle * size) ** 2).sum() * (u + 2) / (u + 1)) / (n + 2 * extra) ** 2
        middles.append(middle)
    clusters, middle = [int(code.max()) + 1 for code in codes], float(np.mean(middles))
    scaled = variance * below.mean() * (1 - below.mean()) / (middle * (1 - middle))
    return score_by_variance(float(below.mean()), scaled, sum(clusters) - 2, (min(below.shape), min(clusters)), level)


def jackknife_interval(value: float, deleted: Array, *, strata: Array | None = None, level: float = 0.95) -> Interval:
    """`value` ± Student's t times the delete-one-cluster jackknife's standard error.

    Args:
        value, deleted: the statistic on all clusters, and without cluster u, everything refitted, [U].
        strata: label of each cluster's stratum (fixed fold, side), [U]; the variances of strata add. Default: one.

    Example:
        >>> from trimtab.statistics import jackknife_interval
        >>> interval = jackknife_interval(2.0, [2.5, 2.0, 1.5])  # the mean of 1, 2, 3, and without each
        >>> round(interval.low, 2), round(interval.high, 2)
        (-0.48, 4.48)
    """
    variance, df = jackknife_variance(as_vector(deleted, "deleted", 2), strata)
    half = student_quantile(level, df) * float(np.sqrt(variance))
    return Interval(value, value - half, value + half)


def _counts(n_clusters: int, n_resamples: int, rng: np.random.Generator) -> Floats:
    """How often each resample draws each cluster: [B, U], rows summing to U."""
    if n_resamples < 100:
        raise InputError(f"n_resamples is {n_resamples}; the ends of an interval need at least 100, better 2000")
    draws = rng.integers(n_clusters, size=(n_resamples, n_clusters)) + n_clusters * np.arange(n_resamples)[:, None]
    return (
        np.bincount(draws.ravel(), minlength=n_resamples * n_clusters)
        .reshape(n_resamples, n_clusters)
        .astype(np.float64)
    )


def _bca(resampled: Floats, value: float, pulls: list[Floats], level: float) -> Interval:
    """Outer ends of BCa and Student's t, for a mean or a difference of two, by each cluster's pull on it, [U] a sample.

    t misses on the long side of a skewed population; BCa takes a few far clusters of a symmetric one for skewness,
    where t is safe (Efron 1969). For few clusters t alone. BCa's level is widened by Student's quantile and √(U/(U−1)).
    """
    n_clusters, all_pulls = min(map(len, pulls)), np.concatenate(pulls)
    student = student_quantile(level, n_clusters - 1 if n_clusters < _MIN_CLUSTERS else len(all_pulls) - len(pulls))
    half = student * float(np.sqrt(sum((x**2).sum() * len(x) / (len(x) - 1) for x in pulls)))
    if n_clusters < _MIN_CLUSTERS or half == 0.0:
        return Interval(value, value - half, value + half)
    quantile = student * float(np.sqrt(n_clusters / (n_clusters - 1)))
    below = float((resampled < value).mean() + 0.5 * (resampled == value).mean())
    bias = float(ndtri(np.clip(below, 1 / len(resampled), 1 - 1 / len(resampled))))
    acceleration = float((all_pulls**3).sum()) / (6 * float((all_pulls**2).sum()) ** 1.5)
    z = bias + np.array([-quantile, quantile])
    low, high = np.quantile(resampled, ndtr(bias + z / np.maximum(1 - acceleration * z, 0.1)))
    return Interval(value, min(float(low), value - half), max(float(high), value + half))


def _score(share: float, n: float, quantile: float) -> Interval:
    """Wilson's interval at the given normal or Student quantile."""
    shrink = 1 + quantile**2 / n
    centre = (share + quantile**2 / (2 * n)) / shrink
    half = quantile / shrink * float(np.sqrt(share * (1 - share) / n + quantile**2 / (4 * n**2)))
    return Interval(share, min(max(centre - half, 0.0), share), max(min(centre + half, 1.0), share))


def score_by_variance(share: float, variance: float, df: int, smaller_side: tuple[int, int], level: float) -> Interval:
    """Wilson's interval for a share over pairs, at the n that has this variance; `smaller_side` = (rows, clusters).

    For independent classes that n nears 2 · rows as the share nears 1, for pairs with common noise about twice that, so
    4 · rows is its maximum: a share just short of 1 has too small a variance. At 0 and 1 it has none: 2 · clusters.
    """
    rows, clusters = smaller_side
    n = share * (1 - share) / variance if variance > 0 else 0.0
    return _score(share, min(n, 4.0 * rows) or 2.0 * clusters, student_quantile(level, df))


def student_quantile(level: float, df: int) -> float:
    """Student's t that the upper tail of an interval of this level begins at."""
    return -float(stdtrit(df, _tail(level)))


def _tail(level: float) -> float:
    if not 0.0 < level < 1.0:
        raise InputError(f"level is {level}; give a number between 0 and 1, such as 0.95")
    return (1.0 - level) / 2.0
