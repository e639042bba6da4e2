"""What the activations alone say about a steering vector: agreement, separability, convergence.

Sources: [R] Braun et al. 2025 (2505.22637), Tan et al. 2024 (2407.12404). Letters as there: d_i = a(x_i, +) − a(x_i, −)
the activation differences [n, d_model]; s their mean, the steering vector; κ the projection. Everything is float64
inside, whatever float type comes in. Input that is not finite, has the wrong shape or is too little: `InputError`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike as Array
from scipy.stats import rankdata

from trimtab.errors import InputError
from trimtab.phrases import Phrase
from trimtab.statistics.inputs import Floats as Floats
from trimtab.statistics.inputs import Ints as Ints
from trimtab.statistics.inputs import as_rows, as_vector, cluster_codes, same_width

_ROUNDING = 1e-10  # a leave-one-out sum this much shorter than what went into it is rounding, not a direction


def directional_agreement(differences: Array) -> float:
    """Mean over i of cos(d_i, s), the paper's directional agreement ([R]); biased up by about 1/√n.

    Args:
        differences: d_i, [n, d_model]. A row without length has no direction and counts as cosine 0; where all rows
            are zero the two contexts were the same text, nothing was measured: `InputError`.

    Example:
        >>> from trimtab.statistics import directional_agreement

        >>> round(directional_agreement([[1, 0], [1, 0], [0, 1]]), 3)  # s = [2/3, 1/3]
        0.745
    """
    d = _differences(differences, 1)
    s = d.mean(axis=0)
    return float(_cosines(d @ s, np.linalg.norm(d, axis=1) * np.linalg.norm(s)).mean())


def directional_agreement_loo(differences: Array, clusters: Array | None = None) -> Floats:
    """Leave-one-out agreement per example, cos(d_i, s_{−i}), [n]; its mean is 0 where the differences are noise.

    Args:
        differences: d_i, [n, d_model]; a row without length counts as cosine 0, and so does an s_{−i} without length.
        clusters: the question or template of each row, [n]. s_{−i} leaves out *all* rows of row i's cluster, so copies
            drawn by a bootstrap, or variants of one question, do not count as evidence for each other. Default: every
            row is its own. Fewer than two clusters, or only rows of zeros, are an `InputError`.

    Example:
        >>> from trimtab.statistics import directional_agreement_loo
        >>> directional_agreement_loo([[1, 0], [2, 0], [0, 1]]).round(2).tolist()
        [0.89, 0.71, 0.0]
    """
    d = _differences(differences, 2)
    code = cluster_codes(clusters, len(d), 2)
    rest = np.tile(d.sum(axis=0), (code.max() + 1, 1))  # [U, d_model]
    np.subtract.at(rest, code, d)  # now parallel to the s_{−u} of every cluster u
    length = np.linalg.norm(rest, axis=1)
    length[length <= _ROUNDING * np.linalg.norm(d, axis=1).sum()] = 0.0
    return _cosines(np.einsum("nd,nd->n", d, rest[code]), np.linalg.norm(d, axis=1) * length[code])


def rematched_agreement(positive: Array, negative: Array, seed: int, n_matchings: int = 50) -> tuple[float, float]:
    """Leave-one-out agreement of unpaired texts: mean and standard deviation over random re-matchings.

    Each matching pairs min(n, m) rows of `positive` [n, d_model] and `negative` [m, d_model], each row once at most.
    The rows must be different texts. The spread measures how arbitrary the matching is; it is no confidence interval.

    Example:
        >>> from trimtab.statistics import rematched_agreement
        >>> mean, sd = rematched_agreement([[2, 0], [3, 0], [4, 0]], [[0, 0], [1, 0], [1, 0]], seed=0)
        >>> round(mean, 6), round(sd, 6)  # all differences point the same way, however rows are matched
        (1.0, 0.0)
    """
    a, b = as_rows(positive, "positive", 2), as_rows(negative, "negative", 2)
    same_width(a, b)
    if n_matchings < 2:
        raise InputError(f"n_matchings is {n_matchings}; give at least 2, or there is no spread")
    rng, k = np.random.default_rng(seed), min(len(a), len(b))
    matchings = ((rng.permutation(len(a))[:k], rng.permutation(len(b))[:k]) for _ in range(n_matchings))
    means = [directional_agreement_loo(a[i] - b[j]).mean() for i, j in matchings]
    return float(np.mean(means)), float(np.std(means, ddof=1))


def projection(activations: Array, positive_mean: Array, negative_mean: Array) -> Floats:
    """κ(a) = 2 (a − μ_c)·s / ‖s‖² with μ_c = (μ+ + μ−)/2 and s = μ+ − μ−: class means at ±1 ([R], projection).

    `activations` [n, d_model], the class means [d_model]; returns [n], without clusters. Equal means: `InputError`.

    Example:
        >>> from trimtab.statistics import projection
        >>> projection([[1, 0], [0, 5], [-2, 1]], positive_mean=[1, 0], negative_mean=[-1, 0]).tolist()
        [1.0, 0.0, -2.0]
    """
    a = as_rows(activations, "activations")
    mu_p, mu_n = as_vector(positive_mean, "positive_mean"), as_vector(negative_mean, "negative_mean")
    same_width(a, mu_p, mu_n)
    s = mu_p - mu_n
    if not s.any():
        raise InputError(
            Phrase("the two class means are equal, so there is no direction; are both sides the same texts?")
        )
    return np.asarray(2.0 * ((a - (mu_p + mu_n) / 2) @ s) / (s @ s))


def separability(positive: Array, negative: Array) -> float:
    """d′ = (μ+ − μ−) / √((σ+² + σ−²)/2) of the projections `positive` [n] and `negative` [m] ([R], discriminability).

    Variances with n − 1. Raises `InputError` where neither class varies: d′ would be infinite and meaningless.

    Example:
        >>> from trimtab.statistics import separability
        >>> separability([1, 2, 3], [-3, -2, -1])
        4.0
    """
    a, b = as_vector(positive, "positive", 2), as_vector(negative, "negative", 2)
    spread = np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2)
    if spread == 0.0:
        raise InputError(
            Phrase("neither class has variance, so d′ is not measured; the rows must differ within a class")
        )
    return float((a.mean() - b.mean()) / spread)


def auroc(positive: Array, negative: Array) -> float:
    """P(positive > negative) over all pairs of `positive` [n] and `negative` [m], ties half, by ranks.

    Example:
        >>> from trimtab.statistics import auroc
        >>> auroc([2, 3], [1, 2])  # 3 of 4 pairs in order, one tie
        0.875
    """
    a, b = as_vector(positive, "positive"), as_vector(negative, "negative")
    ranks = rankdata(np.concatenate([a, b]))[: len(a)]
    return float((ranks.mean() - (len(a) + 1) / 2) / len(b))


def overlap(positive: Array, negative: Array, bins: int = 50) -> float:
    """Shared area of the two normalised histograms over the common range ([R], 50 bins): 0 apart, 1 the same.

    Example:
        >>> from trimtab.statistics import overlap
        >>> overlap([0, 1], [0, 1]), overlap([0, 1], [5, 6])
        (1.0, 0.0)
    """
    a, b = as_vector(positive, "positive"), as_vector(negative, "negative")
    if bins < 1:
        raise InputError(f"bins is {bins}; give at least 1")
    edges = np.histogram_bin_edges(np.concatenate([a, b]), bins)
    return float(np.minimum(np.histogram(a, edges)[0] / len(a), np.histogram(b, edges)[0] / len(b)).sum())


def cluster_folds(
    rows: tuple[int, int], clusters_positive: Array, clusters_negative: Array | None, n_folds: int, seed: int
) -> tuple[Ints, Ints, Ints]:
    """Fixed folds that keep a cluster together: `(codes_positive [n], codes_negative [m], fold [U])`, `rows` = (n, m).

    The fold of positive row i is `fold[codes_positive[i]]`. A label on both sides is one cluster; `clusters_negative`
    None means paired rows. Clusters are shuffled by `seed` and dealt in turn, those of the positive side first.

    Example:
        >>> from trimtab.statistics import cluster_folds
        >>> codes, _, fold = cluster_folds((4, 4), ["a", "a", "b", "b"], None, n_folds=2, seed=0)
        >>> codes.tolist(), sorted(fold.tolist())  # two clusters, each in a fold of its own
        ([0, 0, 1, 1], [0, 1])
    """
    n, m = rows
    if n_folds < 2:
        raise InputError(f"n_folds is {n_folds}; give at least 2, one to fit on and one to measure on")
    if clusters_negative is None and n != m:
        raise InputError(f"{n} positive, {m} negative rows: paired data need the same number of rows on both sides")
    p = np.asarray(clusters_positive)
    q = p if clusters_negative is None else np.asarray(clusters_negative)
    cluster_codes(p, n, 1), cluster_codes(q, m, 1)
    codes = cluster_codes(np.concatenate([p, q]), n + m, n_folds)
    rng, fold = np.random.default_rng(seed), np.empty(codes.max() + 1, dtype=np.int64)
    for members in (np.unique(codes[:n]), np.setdiff1d(codes[n:], codes[:n])):
        fold[rng.permutation(members)] = np.arange(len(members)) % n_folds
    return codes[:n], codes[n:], fold


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """Held-out d′ and AUROC, averaged over folds; each row's κ and fold. κ has its own scale per fold: never pool."""

    separability: float
    auroc: float
    kappa_positive: Floats
    kappa_negative: Floats
    fold_positive: Ints
    fold_negative: Ints


def cross_fitted(
    positive: Array,
    negative: Array,
    clusters: Array,
    clusters_negative: Array | None = None,
    *,
    n_folds: int = 2,
    seed: int,
) -> CrossFitted:
    """d′ and AUROC with direction and midpoint from the other folds, within each held-out fold, averaged.

    Args:
        positive, negative: activations, [n, d_model] and [m, d_model].
        clusters: question or template of each positive row, [n]; a cluster's rows share a fold.
        clusters_negative: the same for the negative rows, [m]. Default: paired data, row i of both sides is one
            example.
        n_folds: at 2, half the rows give the direction; with more, more rows give it and a fold's d′ has fewer.
            A fold with under 2 rows of a class, no variance, or unequal paired sides: `InputError`.

    Example:
        >>> from trimtab.statistics import cross_fitted
        >>> positive, negative = [[3, 1], [4, 0], [3, 0], [5, 1]], [[0, 0], [1, 1], [0, 1], [1, 0]]
        >>> cross_fitted(positive, negative, clusters=["a", "b", "c", "d"], seed=0).auroc
        1.0
    """
    a, b = as_rows(positive, "positive", 2), as_rows(negative, "negative", 2)
    same_width(a, b)
    codes_p, codes_n, fold = cluster_folds((len(a), len(b)), clusters, clusters_negative, n_folds, seed)
    fold_p, fold_n = fold[codes_p], fold[codes_n]
    if min(np.bincount(fold_p, minlength=n_folds).min(), np.bincount(fold_n, minlength=n_folds).min()) < 2:
        raise InputError(
            f"a fold holds fewer than 2 rows of a class; give more clusters or fewer than {n_folds} n_folds"
        )
    kappa_p, kappa_n = np.empty(len(a)), np.empty(len(b))
    values = np.empty((n_folds, 2))
    for k in range(n_folds):
        held_p, held_n = fold_p == k, fold_n == k
        means = a[~held_p].mean(axis=0), b[~held_n].mean(axis=0)
        kappa_p[held_p], kappa_n[held_n] = projection(a[held_p], *means), projection(b[held_n], *means)
        kappas = kappa_p[held_p], kappa_n[held_n]
        values[k] = separability(*kappas), auroc(*kappas)
    return CrossFitted(float(values[:, 0].mean()), float(values[:, 1].mean()), kappa_p, kappa_n, fold_p, fold_n)


def convergence(differences: Array, sizes: Array, seed: int, repeats: int) -> Floats:
    """cos(s_n, s_all) of `differences` [N, d_model] for each n in `sizes` [k]: [k, repeats], one shuffle a column.

    The small samples are part of the whole, so this ends at 1 by construction; see `expected_cosine` for new data.

    Example:
        >>> from trimtab.statistics import convergence
        >>> cosines = convergence([[1, 0], [0, 1], [1, 1]], sizes=[1, 3], seed=0, repeats=4)
        >>> cosines.shape, cosines[-1].round(6).tolist()
        ((2, 4), [1.0, 1.0, 1.0, 1.0])
    """
    d, ns = _differences(differences, 1), as_vector(sizes, "sizes").astype(np.int64)
    if ns.min() < 1 or ns.max() > len(d) or repeats < 1:
        raise InputError(f"sizes must lie in 1…{len(d)} (the number of rows) and repeats be at least 1")
    rng, s, out = np.random.default_rng(seed), d.mean(axis=0), np.empty((len(ns), repeats))
    for r in range(repeats):
        partial = np.cumsum(d[rng.permutation(len(d))], axis=0)[ns - 1]  # [k, d_model]
        out[:, r] = _cosines(partial @ s, np.linalg.norm(partial, axis=1) * np.linalg.norm(s))
    return out


def _cosines(dots: Floats, lengths: Floats) -> Floats:
    """`dots` [n] over the products of norms `lengths` [n]; 0 where a vector has no length."""
    return np.asarray(np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 0).clip(-1.0, 1.0))


def _differences(differences: Array, minimum: int) -> Floats:
    d = as_rows(differences, "differences", minimum)
    if not d.any():
        raise InputError(
            Phrase("differences: every row is zero, so there is no direction; are both contexts the same text?")
        )
    return d
