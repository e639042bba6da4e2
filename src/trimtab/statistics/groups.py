"""Examples in groups by what they are about: k-means on directions, and whether each group has a mean of its own.

A group is a set of examples. A cluster is, as everywhere, a question with its near-duplicates: it is in one group as a
whole, since copies of one question would make a group of their own look alike. Invalid input is an `InputError`.
"""

import warnings
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike as Array

from trimtab.errors import InputError
from trimtab.statistics.inputs import Floats, Ints, as_rows, at_length_1, cluster_codes, cluster_means, same_width

NUMBERS: Final = (2, 3, 4)  # of groups that are looked for
MIN_CLUSTERS: Final = 8  # in each group; the mean of fewer is mostly noise
_STARTS: Final = 10  # of k-means, of which the tightest is taken
_ALIKE: Final = 1e-5  # distance of directions, below which they differ by rounding


@dataclass(frozen=True, eq=False)
class Groups:
    """Where groups lie, and which rows are in which.

    Args:
        centres: `[k, d_model]` mean of each group's contexts at length 1; the largest group is the first.
        label: `[n]` in 0…k − 1 of the rows that the groups were found on, alike within a cluster.
    """

    centres: Floats
    label: Ints

    @property
    def k(self) -> int:
        """How many."""
        return len(self.centres)

    def of(self, contexts: Array) -> Ints:
        """`[m]`: the group whose centre is nearest to each of the contexts `[m, d_model]`, taken at length 1.

        Raises:
            InputError: contexts of another width, or not finite.
        """
        return np.asarray(self._distances(contexts).argmin(axis=1), dtype=np.int64)

    def nearest(self, contexts: Array, group: int, n: int, clusters: Array | None = None) -> list[int]:
        """The `n` rows of a group that lie nearest to its centre, of different clusters, the nearest first.

        Args:
            contexts: `[n, d_model]` that the groups were found on.
            group: which.
            n: how many at most.
            clusters: as `grouped` takes them.
        """
        code = cluster_codes(clusters, len(self.label), 1)
        order = np.argsort(self._distances(contexts)[:, group], kind="stable")
        own = [int(row) for row in order if self.label[row] == group]
        first = {int(code[row]): row for row in reversed(own)}
        return [row for row in own if first[int(code[row])] == row][:n]

    def _distances(self, contexts: Array) -> Floats:
        """`[m, k]` squared distances."""
        rows = at_length_1(as_rows(contexts, "contexts"))
        same_width(rows, self.centres)
        return np.asarray(((rows[:, None] - self.centres) ** 2).sum(axis=2))


def grouped(contexts: Array, k: int, clusters: Array | None = None, *, seed: int) -> Groups:
    """The rows in k groups: k-means on the clusters' mean contexts at length 1.

    Args:
        contexts: what each example is about, such as the mean activation of its prompt, `[n, d_model]`.
        k: how many groups, at least 2.
        clusters: cluster of each row, `[n]`.
        seed: of the starts.

    Raises:
        InputError: contexts that hardly differ, or a group of fewer than 8 clusters.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    rows = at_length_1(as_rows(contexts, "contexts", 2))
    code = cluster_codes(clusters, len(rows), 2)
    if k < 2:
        raise InputError(f"k is {k}; give at least 2 groups", code="out-of-range", field="k")
    n_clusters = int(code.max()) + 1
    if n_clusters < k * MIN_CLUSTERS:
        raise InputError(
            f"{n_clusters} independent examples are too few for {k} groups of at least {MIN_CLUSTERS}",
            code="too-few-examples",
            field="k",
        )
    means = cluster_means(rows, code)
    if float(np.linalg.norm(means - means[0], axis=1).max()) < _ALIKE:
        raise InputError("the contexts are all alike: nothing tells groups apart", code="unusable-examples", field="k")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different rows than groups: one is too small, below
        found = KMeans(k, n_init=_STARTS, random_state=seed).fit(means)
    sizes = np.bincount(found.labels_, minlength=k)
    if sizes.min() < MIN_CLUSTERS:
        raise InputError(
            f"of {k} groups one holds {sizes.min()} independent examples; it takes {MIN_CLUSTERS} in each",
            code="too-few-examples",
            field="k",
        )
    order = np.argsort(-sizes, kind="stable")
    rank = np.argsort(order)
    label = rank[found.labels_]
    centres = np.stack([means[label == j].mean(axis=0) for j in range(k)])
    return Groups(centres, np.asarray(label[code], dtype=np.int64))


@dataclass(frozen=True)
class MeansDiffer:
    """Whether the mean of some vectors depends on their group.

    Args:
        p_value: permutation test of "the groups have one mean".
        excess: by how many standard deviations the spread between groups exceeds that of groups dealt at random.
    """

    p_value: float
    excess: float


def means_differ(
    rows: Array, label: Array, clusters: Array | None = None, *, seed: int, n_permutations: int = 500
) -> MeansDiffer:
    """Test whether groups have means of their own.

    The statistic is the sum of squares between groups, Σ n_j |m_j − m|²; the groups of whole clusters are permuted.

    Args:
        rows: vectors such as the differences of pairs, `[n, d_model]`.
        label: group of each row, `[n]`, alike within a cluster.
        clusters: cluster of each row, `[n]`.
        seed: of the permutations.
        n_permutations: how many; the smallest possible p is 1 / (n_permutations + 1).

    Raises:
        InputError: one group only, or a cluster in several.
    """
    x, code, of_cluster = _in_groups(rows, label, clusters)
    k, n_clusters = int(of_cluster.max()) + 1, len(of_cluster)
    if n_permutations < 99:
        raise InputError(f"n_permutations is {n_permutations}; give at least 99", code="out-of-range")
    x = x - x.mean(axis=0)
    sums = np.zeros((n_clusters, x.shape[1]))
    np.add.at(sums, code, x)
    gram, sizes = sums @ sums.T, np.bincount(code).astype(np.float64)
    rng = np.random.default_rng(seed)
    labels = np.vstack([of_cluster, rng.permuted(np.tile(of_cluster, (n_permutations, 1)), axis=1)])  # [B + 1, U]
    between = np.zeros(len(labels))
    for j in range(k):
        member = (labels == j).astype(np.float64)
        between += np.einsum("bu,bu->b", member @ gram, member) / (member @ sizes)
    reached = between >= between[0] - 1e-9 * max(1e-300, float(np.abs(between).max()))
    spread = float(between[1:].std())
    excess = float(between[0] - between[1:].mean()) / spread if spread > 0 else 0.0
    return MeansDiffer(float(reached.mean()), excess)


def best_grouped(
    contexts: Array, rows: Array, clusters: Array | None = None, *, seed: int
) -> tuple[Groups, MeansDiffer]:
    """Of 2, 3 and 4 groups those whose means are farthest apart, against groups dealt at random, with that test.

    The excess of `means_differ` says it: two groups that are one add noise to the spread between groups and next to
    nothing else, and two that are put together take away more than the noise of one.

    Args:
        contexts: what each example is about, by which it is put into a group, `[n, d_model]`.
        rows: vectors such as the differences of pairs, whose means are compared, `[n, d_model]`.
        clusters: cluster of each row, `[n]`.
        seed: of the starts and the permutations.

    Returns:
        the groups, and their test; its p holds for all three numbers together (Bonferroni).

    Raises:
        InputError: no number makes groups; the reason of the smallest.
    """
    found: list[tuple[Groups, MeansDiffer]] = []
    refused: list[InputError] = []
    for k in NUMBERS:
        try:
            groups = grouped(contexts, k, clusters, seed=seed)
        except InputError as error:
            refused.append(error)
            continue
        found.append((groups, means_differ(rows, groups.label, clusters, seed=seed)))
    if not found:
        raise refused[0]
    groups, test = max(found, key=lambda one: one[1].excess)
    return groups, replace(test, p_value=min(1.0, len(NUMBERS) * test.p_value))


@dataclass(frozen=True, eq=False)
class GroupMeans:
    """The mean of each group, and the same pulled toward the mean of all.

    Args:
        means: `[k, d_model]`.
        shrunk: `[k, d_model]`, m + w_j (m_j − m).
        weights: `[k]` w_j between 0 (all groups share one mean) and 1.
    """

    means: Floats
    shrunk: Floats
    weights: Floats


def shrunk_means(rows: Array, label: Array, clusters: Array | None = None) -> GroupMeans:
    """Means of groups, each pulled toward the mean of all rows by as much as it is noise.

    Empirical Bayes with normal means (Morris 1983, "Parametric Empirical Bayes Inference", JASA 78): if group j's true
    mean lies about the mean of all with variance τ² and its observed mean about the true one with variance V_j, the
    best guess keeps the share w_j = τ² / (τ² + V_j) of what the group's mean differs by. V_j is the variance of a mean
    over clusters, and τ² the moment estimate Σ |m_j − m̄|² / (k − 1) − mean of V_j, not below 0 (Hedges 1983, "A Random
    Effects Model for Effect Sizes", Psychological Bulletin 93). Both are summed over the coordinates, so that all of
    them are pulled alike.

    Args:
        rows: vectors such as the differences of pairs, `[n, d_model]`.
        label: group of each row, `[n]`, alike within a cluster.
        clusters: cluster of each row, `[n]`.

    Raises:
        InputError: one group only, a cluster in several, or a group of a single cluster.
    """
    x, code, of_cluster = _in_groups(rows, label, clusters)
    k = int(of_cluster.max()) + 1
    of_row = of_cluster[code]
    means = np.stack([x[of_row == j].mean(axis=0) for j in range(k)])
    off = x - means[of_row]
    sums = np.zeros((len(of_cluster), x.shape[1]))
    np.add.at(sums, code, off)
    squares = (sums**2).sum(axis=1)
    noise = np.zeros(k)
    for j in range(k):
        m, n = int((of_cluster == j).sum()), int((of_row == j).sum())
        if m < 2:
            raise InputError(f"group {j} has a single independent example", code="too-few-examples", field="label")
        noise[j] = squares[of_cluster == j].sum() / n**2 * m / (m - 1)
    between = ((means - means.mean(axis=0)) ** 2).sum() / (k - 1)
    tau2 = max(0.0, float(between - noise.mean()))
    weights = np.divide(tau2, tau2 + noise, out=np.zeros(k), where=tau2 + noise > 0)
    pooled = x.mean(axis=0)
    return GroupMeans(means, pooled + weights[:, None] * (means - pooled), weights)


def _in_groups(rows: Array, label: Array, clusters: Array | None) -> tuple[Floats, Ints, Ints]:
    """Rows, the cluster of each, and the group of each cluster."""
    x = as_rows(rows, "rows", 2)
    group, code = cluster_codes(label, len(x), 2), cluster_codes(clusters, len(x), 2)
    of_cluster = np.zeros(int(code.max()) + 1, dtype=np.int64)
    of_cluster[code] = group
    if (of_cluster[code] != group).any():
        raise InputError("a cluster is in several groups", code="conflicting-arguments", field="label")
    return x, code, of_cluster
