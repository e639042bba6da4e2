"""Intervals of held-out figures, whose vector is fitted anew without each cluster in turn.

A bootstrap would put copies of row i into its own s_{−i}, so one cluster at a time is deleted. The jackknife counts
twice what pairs of clusters contribute, which is much where noise rules the direction (Efron and Stein 1981); that is
subtracted once, as `jackknife.py` says. Invalid input is an `InputError`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike as Array

from trimtab.statistics.geometry import cluster_folds, cross_fitted, directional_agreement_loo
from trimtab.statistics.inputs import as_rows, cluster_codes
from trimtab.statistics.intervals import Interval, score_by_variance, student_quantile
from trimtab.statistics.jackknife import Agreement, held_out_without_clusters, jackknife_variance, pair_variance


def agreement_interval(differences: Array, clusters: Array | None = None, level: float = 0.95) -> Interval:
    """Mean over rows of cos(d_i, s_{−i}) for `differences` [n, d_model] of at least 3 clusters, with its jackknife.

    Less two thirds of what Q says that pairs of clusters contribute, since Q also holds what triples do: the jackknife
    counts pairs twice and triples three times, Q pairs once and triples three times. And no less than as much.

    Example:
        >>> from trimtab.statistics import agreement_interval
        >>> interval = agreement_interval([[1, 0], [1, 0.1], [1, -0.1], [1, 0.2]])
        >>> round(interval.value, 2), interval.low > 0.9
        (0.99, True)
    """
    d = as_rows(differences, "differences", 3)
    code = cluster_codes(clusters, len(d), 3)
    value = float(directional_agreement_loo(d, code).mean())
    parts = Agreement(d, code)
    variance, df = jackknife_variance(parts.without())
    twice = 2 / 3 * parts.pair_variance(value)
    half = student_quantile(level, df) * float(np.sqrt(max(variance - twice, twice)))
    return Interval(value, max(value - half, -1.0), min(value + half, 1.0))


@dataclass(frozen=True)
class SeparabilityInterval:
    """Intervals of the cross-fitted d′ and AUROC.

    Example:
        >>> from trimtab.statistics import separability_interval
        >>> p = [[5, 0], [6, 1], [7, 1], [5, 1], [6, 0], [7, 2], [5, 2], [6, 2]]
        >>> n = [[0, 1], [1, 0], [2, 1], [0, 0]] * 2
        >>> separability_interval(p, n, clusters=range(8), seed=0).auroc.value
        1.0
    """

    separability: Interval
    auroc: Interval


def separability_interval(
    positive: Array,
    negative: Array,
    clusters: Array,
    clusters_negative: Array | None = None,
    *,
    n_folds: int = 2,
    seed: int,
    level: float = 0.95,
) -> SeparabilityInterval:
    """`cross_fitted` d′ and AUROC (same arguments) with jackknife intervals, folds fixed, directions refitted.

    The variance is the jackknife's, less what pairs of a held-out and a training cluster contribute, which it counts
    twice, but no less than that. d′ ± t · standard error; AUROC by Wilson with the n that gives its variance (at 0 or 1
    twice the clusters of the smaller side). A fold with under two rows of a class once a cluster is deleted, or one
    cluster, is an `InputError`.

    Example:
        >>> from trimtab.statistics import separability_interval
        >>> p = [[5, 0], [6, 1], [7, 1], [5, 1], [6, 0], [7, 2], [5, 2], [6, 2]]
        >>> n = [[0, 1], [1, 0], [2, 1], [0, 0]] * 2
        >>> intervals = separability_interval(p, n, clusters=range(8), seed=0)
        >>> intervals.auroc.value, intervals.separability.value > 3
        (1.0, True)
    """
    a, b = as_rows(positive, "positive"), as_rows(negative, "negative")
    fitted = cross_fitted(a, b, clusters, clusters_negative, n_folds=n_folds, seed=seed)
    codes_p, codes_n, fold = cluster_folds((len(a), len(b)), clusters, clusters_negative, n_folds, seed)
    deleted, pairs = held_out_without_clusters(a, b, (codes_p, codes_n), fold)
    strata = 2 * fold + np.isin(np.arange(len(fold)), codes_p)
    smaller_side = min(len(a), len(b)), min(len(np.unique(codes_p)), len(np.unique(codes_n)))
    variances = []
    for figure in range(2):
        variance, df = jackknife_variance(deleted[:, figure], strata)
        twice = pair_variance(pairs[:, :, figure], strata)
        variances.append(max(variance - twice, twice))  # single clusters' part is at least 0
    half = student_quantile(level, df) * float(np.sqrt(variances[0]))
    dprime = Interval(fitted.separability, fitted.separability - half, fitted.separability + half)
    area = score_by_variance(fitted.auroc, variances[1], df, smaller_side, level)
    return SeparabilityInterval(dprime, area)
