"""Means over rows that are grouped in two ways at once, such as questions that several seeds have measured.

A question's rows are alike in every seed, and a seed's rows are alike since it made the steering. The variance of the
mean adds up both and takes off what was counted twice, V = V_seeds + V_clusters − V_both (Cameron, Gelbach and Miller
2011, Journal of Business & Economic Statistics 29), each part with its factor K/(K − 1); at least the larger of the
two. Student's t with the smaller number of groups less one. With five seeds a bootstrap over seeds would be too narrow.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike as Array
from scipy.stats import t as student

from trimtab.errors import InputError
from trimtab.statistics.inputs import Floats, Ints, as_vector, cluster_codes
from trimtab.statistics.intervals import Interval


@dataclass(frozen=True)
class CrossedMean:
    """A mean with its interval, and the p-value of "it is 0", two-sided.

    Args:
        interval: in the values' units.
        p: two-sided; 1 where neither mean nor spread is above 0.
        n_seeds, n_clusters: behind it.

    Example:
        >>> from trimtab.statistics import CrossedMean, Interval
        >>> CrossedMean(Interval(0.3, 0.1, 0.5), p=0.01, n_seeds=5, n_clusters=40).interval.low > 0
        True
    """

    interval: Interval
    p: float
    n_seeds: int
    n_clusters: int


def crossed_mean(
    values: Array, seeds: Array, clusters: Array, groups: Array | None = None, *, level: float = 0.95
) -> CrossedMean:
    """Mean of `values` over rows that seeds and clusters cross; of several groups the mean of their means.

    Args:
        values: `[n]`.
        seeds: `[n]` the seed of each row; with one seed only the clusters' spread is in the interval.
        clusters: `[n]` question or template of each row, the same label in every seed; other groups' labels are
            others.
        groups: `[n]` such as tasks, which count equally however many rows they have; None for one.
        level: of confidence.

    Raises:
        InputError: values that are not finite, labels that do not match, fewer than two clusters.

    Example:
        >>> from trimtab.statistics import crossed_mean
        >>> mean = crossed_mean([0.2, 0.4, 0.3, 0.5], seeds=[0, 0, 1, 1], clusters=["a", "b", "a", "b"])
        >>> round(mean.interval.value, 2), mean.n_seeds, mean.n_clusters
        (0.35, 2, 2)
    """
    x = as_vector(values, "values", 2)
    seed, group = cluster_codes(seeds, len(x), 1), cluster_codes(groups, len(x), 1) if groups is not None else None
    group = np.zeros(len(x), dtype=np.int64) if group is None else group
    cluster = _pairs(group, cluster_codes(clusters, len(x), 1))
    size = np.bincount(group)
    means = np.bincount(group, weights=x) / size
    share = (x - means[group]) / (size[group] * len(size))  # each row's part of the estimate's error
    value = float(means.mean())
    by_cluster, n_clusters = _variance(share, cluster)
    by_seed, n_seeds = _variance(share, seed)
    if n_clusters < 2:
        raise InputError("clusters: all rows share one, so the spread between clusters is not measured; add clusters")
    total, smaller = by_cluster, n_clusters
    if n_seeds > 1:
        both, _ = _variance(share, _pairs(seed, cluster))
        total, smaller = max(by_seed + by_cluster - both, by_seed, by_cluster), min(n_seeds, n_clusters)
    error = sqrt(total)
    half = float(student.ppf((1 + level) / 2, smaller - 1)) * error
    p = 2 * float(student.sf(abs(value) / error, smaller - 1)) if error > 0 else float(value == 0)
    return CrossedMean(Interval(value, value - half, value + half), p, n_seeds, n_clusters)


def _pairs(first: Ints, second: Ints) -> Ints:
    """A code for each pair of labels that occurs."""
    _, codes = np.unique(first * (int(second.max()) + 1) + second, return_inverse=True)
    return np.asarray(codes, dtype=np.int64)


def _variance(share: Floats, codes: Ints) -> tuple[float, int]:
    """Of the sum of the shares where whole groups are drawn, and the number of groups."""
    n = int(codes.max()) + 1
    sums = np.bincount(codes, weights=share)
    return float(sums @ sums) * n / max(1, n - 1), n


def holm_adjusted(p: Array) -> Floats:
    """p-values `[k]` adjusted by Holm's rule (1979): the smallest times k, the next times k − 1, …, never decreasing.

    Example:
        >>> from trimtab.statistics import holm_adjusted
        >>> holm_adjusted([0.01, 0.04, 0.03]).round(3).tolist()
        [0.03, 0.06, 0.06]
    """
    values = as_vector(p, "p")
    if ((values < 0) | (values > 1)).any():
        raise InputError("p: values outside 0…1")
    order = np.argsort(values, kind="stable")
    steps = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    out = np.empty(len(values))
    out[order] = np.minimum(steps, 1.0)
    return out
