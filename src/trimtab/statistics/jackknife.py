"""What a statistic becomes without a cluster, or without two of them, and the variance that follows.

Sources: Tukey's jackknife; Efron and Stein 1981 for its bias. In their decomposition of a statistic's variance into the
parts that single clusters, pairs and so on contribute, the jackknife counts the part of pairs twice. A held-out figure
has much of it: the direction of one fold meets the noise of the other. Without clusters u and v that part is measured,
as the analysis of variance measures an interaction, by Q(u, v) = θ − θ₋ᵤ − θ₋ᵥ + θ₋ᵤᵥ, and subtracted once.
"""

import numpy as np
from numpy.typing import ArrayLike as Array
from scipy.stats import rankdata

from trimtab.errors import InputError
from trimtab.statistics.inputs import Floats, Ints, cluster_codes

_MAX_PAIRED = 200  # clusters whose pairs are looked at
_ROUNDING = 1e-12  # a variance this much smaller than that of all rows is rounding


def jackknife_variance(deleted: Floats, strata: Array | None = None) -> tuple[float, int]:
    """Variance from the statistic without each cluster, [U], and its degrees of freedom; variances of strata add."""
    code = np.zeros(len(deleted), dtype=np.int64) if strata is None else cluster_codes(strata, len(deleted), 1)
    variance = 0.0
    for stratum in range(int(code.max()) + 1):
        values = deleted[code == stratum]
        if len(values) < 2:
            raise InputError("strata: one holds a single cluster, so its spread is not measured; give more clusters")
        variance += float(((values - values.mean()) ** 2).sum() * (len(values) - 1) / len(values))
    return variance, len(deleted) - int(code.max()) - 1


def pair_variance(pairs: Floats, strata: Ints) -> float:
    """Variance that pairs from different strata contribute, from their Q [U, U]; 0 where a Q is 0 throughout."""
    members, variance = [np.flatnonzero(strata == s) for s in np.unique(strata)], 0.0
    for i, first in enumerate(members):
        for second in members[i + 1 :]:
            q = pairs[np.ix_(first, second)]
            q = q - q.mean(axis=0) - q.mean(axis=1, keepdims=True) + q.mean()
            variance += float((q**2).sum() * (len(first) - 1) * (len(second) - 1) / q.size)
    return variance


class Agreement:
    """Sums behind the mean of cos(d_i, s_{−i}) without a cluster or two, from Gram matrices: O(n U d_model).

    Args:
        d: differences, [n, d_model].
        code: cluster of each row.
    """

    def __init__(self, d: Floats, code: Ints) -> None:
        by_cluster, own, total = cluster_sums(d, code), np.arange(len(d)), d.sum(axis=0)
        self.code, self.sizes = code, np.bincount(code)
        self.row_cluster, self.cluster_pair = d @ by_cluster.T, by_cluster @ by_cluster.T  # [n, U], [U, U]
        self.dots = d @ total - self.row_cluster[own, code]  # d_i · (S − S_u(i)), [n]
        self.gone = np.diag(self.cluster_pair) - 2 * by_cluster @ total  # ‖S − S_v‖² − ‖S‖², [U]
        self.norms, self.total2 = np.linalg.norm(d, axis=1), float(total @ total)

    def without(self, u: int | None = None) -> Floats:
        """The statistic without cluster v, for every v, [U]; and without `u` too, where v = u takes out u alone."""
        dots = self.dots[:, None] - self.row_cluster  # [n, U]
        lengths2 = self.total2 + self.gone[self.code][:, None] + self.gone + 2 * self.cluster_pair[self.code]
        left = np.ones(dots.shape) - (self.code[:, None] == np.arange(len(self.sizes)))
        if u is not None:
            others = np.arange(len(self.sizes)) != u
            dots -= self.row_cluster[:, [u]] * others
            lengths2 += (
                self.gone[u] + 2 * self.cluster_pair[self.code, u][:, None] + 2 * self.cluster_pair[u]
            ) * others
            left[self.code == u] = 0.0
        ok = (lengths2 > 1e-14 * self.norms.sum() ** 2) & (self.norms > 0)[:, None] & (left > 0)
        scale = self.norms[:, None] * np.sqrt(np.where(ok, lengths2, 1.0))
        cosines = np.divide(dots, scale, out=np.zeros_like(dots), where=ok)
        return np.asarray(cosines.sum(axis=0) / left.sum(axis=0))

    def pair_variance(self, value: float) -> float:
        """Variance that pairs of clusters contribute, by Q(u, v) of the head of this file; `value` is the statistic.

        Of at most 200 clusters u, evenly spread, with all v.
        """
        n = len(self.sizes)
        deleted, some = self.without(), np.unique(np.linspace(0, n - 1, min(n, _MAX_PAIRED)).round().astype(np.int64))
        q = np.stack([value - deleted[u] - deleted + self.without(int(u)) for u in some])  # [clusters u, U]
        other = np.arange(n) != some[:, None]
        rows = (q * other).sum(axis=1) / (n - 1)
        columns = (q * other).sum(axis=0) / np.maximum(other.sum(axis=0), 1)
        centred = (q - rows[:, None] - columns + (q * other).sum() / other.sum()) * other
        return float((centred**2).sum() * n / len(some) / 2 * ((n - 1) / n) ** 2)


def held_out_without_clusters(a: Floats, b: Floats, codes: tuple[Ints, Ints], fold: Ints) -> tuple[Floats, Floats]:
    """Held-out d′ and AUROC, mean over folds, without each cluster, [U, 2], and Q of two of unlike folds, [U, U, 2].

    Args:
        a, b: activations of both sides, [n, d_model] and [m, d_model].
        codes: cluster of each row of either side.
        fold: of each cluster, fixed.

    Raises:
        InputError: a fold has fewer than two rows of a class, or no variance, without one of its clusters.
    """
    n_folds, n_clusters = int(fold.max()) + 1, len(fold)
    for of_side in codes:
        largest = np.zeros(n_folds)
        np.maximum.at(largest, fold, np.bincount(of_side, minlength=n_clusters))
        if (np.bincount(fold[of_side], minlength=n_folds) - largest).min() < 2:
            raise InputError(
                "a fold holds under 2 rows of a class without one of its clusters; give at least 2 more clusters"
            )
    deleted, pairs = np.zeros((n_clusters, 2)), np.zeros((n_clusters, n_clusters, 2))
    for k in range(n_folds):
        inside, outside = np.flatnonzero(fold == k), np.flatnonzero(fold != k)
        values = _one_fold(a, b, codes, fold, k) / n_folds  # [1 + W, 1 + V, 2]
        deleted[inside] += values[1:, 0]
        deleted[outside] += values[0, 1:]
        q = values[0, 0] - values[1:, :1] - values[:1, 1:] + values[1:, 1:]
        pairs[np.ix_(inside, outside)] += q
        pairs[np.ix_(outside, inside)] += q.swapaxes(0, 1)
    return deleted, pairs


def _one_fold(a: Floats, b: Floats, codes: tuple[Ints, Ints], fold: Ints, k: int) -> Floats:
    """d′ and AUROC within fold k without its cluster w and cluster v of the direction: [1 + W, 1 + V, 2]; 0: all."""
    inside, outside = np.flatnonzero(fold == k), np.flatnonzero(fold != k)
    direction, held_out = np.zeros((1 + len(outside), a.shape[1])), []
    for rows, code, sign in ((a, codes[0], 1.0), (b, codes[1], -1.0)):
        out = fold[code] != k
        kept, left = _without_each(rows[out], np.searchsorted(outside, code[out]), len(outside))
        direction += sign * kept / left[:, None]
        held_out.append((rows[~out], np.searchsorted(inside, code[~out])))
    (p, code_p), (q, code_n) = ((rows @ direction.T, code) for rows, code in held_out)  # [h, 1 + V], [h]
    mean_p, variance_p, left_p = _moments_without_each(p, code_p, len(inside))
    mean_n, variance_n, left_n = _moments_without_each(q, code_n, len(inside))
    variance = (variance_p + variance_n) / 2
    if (variance <= _ROUNDING * variance[0]).any():
        raise InputError(
            "without one of a fold's clusters neither class has variance, so d′ is not measured; add clusters"
        )
    area = _wins_without_each(p, q, code_p, code_n, len(inside)) / (left_p * left_n)[:, None]
    return np.stack([(mean_p - mean_n) / np.sqrt(variance), area], axis=2)


def _moments_without_each(x: Floats, code: Ints, n_clusters: int) -> tuple[Floats, Floats, Floats]:
    """Mean and variance of `x` [h, V] without each cluster, [1 + W, V], and how many rows are left, [1 + W]."""
    centre = x.mean(axis=0)
    first, left = _without_each(x - centre, code, n_clusters)
    second, _ = _without_each((x - centre) ** 2, code, n_clusters)
    return first / left[:, None] + centre, (second - first**2 / left[:, None]) / (left[:, None] - 1), left


def _wins_without_each(p: Floats, q: Floats, code_p: Ints, code_n: Ints, n_clusters: int) -> Floats:
    """Pairs with `p` [h, V] above `q` [g, V], ties half, without each cluster's rows on both sides: [1 + W, V]."""
    ranks = rankdata(np.concatenate([p, q]), axis=0)
    of_p = ranks[: len(p)] - rankdata(p, axis=0)
    of_q = len(p) - ranks[len(p) :] + rankdata(q, axis=0)
    i, j = np.nonzero(code_p[:, None] == code_n)  # pairs within a cluster go once, not twice
    within = (p[i] > q[j]) + 0.5 * (p[i] == q[j])
    wins, _ = _without_each(of_p, code_p, n_clusters)
    wins[1:] -= cluster_sums(of_q, code_n, n_clusters) - cluster_sums(within, code_p[i], n_clusters)
    return wins


def _without_each(values: Floats, code: Ints, n_clusters: int) -> tuple[Floats, Floats]:
    """Sum of the rows of `values` [n, …] and their number, of all and without each cluster: [1 + U, …], [1 + U]."""
    by_cluster, size = cluster_sums(values, code, n_clusters), np.bincount(code, minlength=n_clusters)
    none = np.zeros_like(by_cluster[:1])
    return values.sum(axis=0) - np.concatenate([none, by_cluster]), len(values) - np.concatenate([[0.0], size])


def cluster_sums(values: Floats, codes: Ints, n_clusters: int | None = None) -> Floats:
    """Sums of the rows of `values` [n, …] over each cluster: [U, …]."""
    out = np.zeros((int(codes.max()) + 1 if n_clusters is None else n_clusters, *values.shape[1:]))
    np.add.at(out, codes, values)
    return out
