"""Is there a direction, is there only one, and does a random one do as well? Permutation tests.

The tests are exact up to Monte Carlo error: under the null the labels they permute are exchangeable. Whole clusters
(questions, templates) are permuted, never rows of one. Invalid input is an `InputError`, as everywhere in this package.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike as Array

from trimtab.errors import InputError
from trimtab.statistics.inputs import Floats, Ints, as_rows, as_vector, cluster_codes, cluster_means, same_width

_N_COMPONENTS = 3  # principal components of the contexts by which the examples are divided
_MIN_CLUSTERS = 4  # clusters in each half
_MAX_SHOWN = 3  # rows named of each half


def permutation_test(
    positive: Array,
    negative: Array,
    clusters: Array | None = None,
    *,
    pairing: Literal["natural", "random"],
    seed: int,
    n_permutations: int = 2000,
) -> float:
    """p-value of the hypothesis that the two sides do not differ in any direction.

    Natural pairs: the two sides of a cluster are exchanged at random, which turns the sign of its differences; the
    statistic is the sum of the dot products of differences from different clusters. Unpaired texts: the labels of the
    clusters are permuted; the statistic is the squared distance of the class means.

    Args:
        positive, negative: activations, [n, d_model] each.
        clusters: cluster of each row, [n]; for unpaired texts row i of either side is a cluster of its own side.
        pairing: whether row i of both sides belong together.
        seed: of the permutations.
        n_permutations: how many are drawn; the smallest possible p is 1 / (n_permutations + 1).
    """
    a, b, code = _sides(positive, negative, clusters, 2)
    if n_permutations < 99:
        raise InputError(f"n_permutations is {n_permutations}; give at least 99")
    rng, n_clusters = np.random.default_rng(seed), int(code.max()) + 1
    if pairing == "natural":
        d = np.zeros((n_clusters, a.shape[1]))
        np.add.at(d, code, a - b)
        gram = d @ d.T
        np.fill_diagonal(gram, 0.0)  # only pairs of different clusters are evidence of a common direction
        signs = np.vstack([np.ones(n_clusters), rng.choice([-1.0, 1.0], size=(n_permutations, n_clusters))])
        statistics = np.einsum("bu,bu->b", signs @ gram, signs)
    else:
        sums = np.zeros((2 * n_clusters, a.shape[1]))
        np.add.at(sums, np.concatenate([code, code + n_clusters]), np.concatenate([a, b]))
        sizes = np.tile(np.bincount(code), 2).astype(np.float64)
        plus = np.zeros((n_permutations + 1, 2 * n_clusters))
        plus[0, :n_clusters] = 1.0
        plus[1:] = rng.permuted(np.tile(plus[0], (n_permutations, 1)), axis=1)
        count = plus @ sizes
        weights = plus / count[:, None] - (1 - plus) / (sizes.sum() - count)[:, None]  # [B, 2U]
        statistics = np.einsum("bu,bu->b", weights @ (sums @ sums.T), weights)
    return _upper_p(statistics)


@dataclass(frozen=True)
class Heterogeneity:
    """Whether one direction serves all examples.

    Args:
        cosine: between the directions of the two halves that differ most.
        expected: the mean cosine of random halves.
        p_value: of the hypothesis that the direction does not depend on the context, corrected for the components.
        component: which principal component of the contexts (from 1) separates the halves.
        ends: rows from the far ends of the two halves, the farthest first; of unpaired texts those of the first side.
    """

    cosine: float
    expected: float
    p_value: float
    component: int
    ends: tuple[tuple[int, ...], tuple[int, ...]]


def heterogeneity(
    positive: Array,
    negative: Array,
    clusters: Array | None = None,
    *,
    pairing: Literal["natural", "random"],
    seed: int,
    n_permutations: int = 500,
) -> Heterogeneity:
    """Test for more than one direction: does the direction depend on what the example is about?

    The examples are divided at the median of a principal component of their contexts: of (a+ + a−)/2 for natural pairs,
    of the activations without their class mean for unpaired texts. The cosine of the two halves' mean differences is
    compared with that of random halves. Three components are tried; the smallest p is multiplied by three (Bonferroni).

    Args:
        positive, negative, clusters, pairing, seed: see `permutation_test`; at least 8 clusters.
        n_permutations: random halves for each component.
    """
    a, b, code = _sides(positive, negative, clusters, 2 * _MIN_CLUSTERS)
    if n_permutations < 99:
        raise InputError(f"n_permutations is {n_permutations}; give at least 99")
    rng, n_clusters = np.random.default_rng(seed), int(code.max()) + 1
    paired = pairing == "natural"
    contexts = cluster_means((a + b) / 2, code) if paired else np.vstack(
        [cluster_means(side - side.mean(axis=0), code) for side in (a, b)]
    )  # fmt: skip
    centred = contexts - contexts.mean(axis=0)
    components = np.linalg.svd(centred, full_matrices=False)[2][:_N_COMPONENTS]
    best: Heterogeneity | None = None
    for k, component in enumerate(components):
        scores = centred @ component  # [U] or [2U]
        halves = [scores] if paired else [scores[:n_clusters], scores[n_clusters:]]
        groups = [_upper_half(s) for s in halves]
        shuffled = [np.vstack([g, rng.permuted(np.tile(g, (n_permutations, 1)), axis=1)]) for g in groups]
        of_a = shuffled[0][:, code]  # [B + 1, n] bool
        of_b = of_a if paired else shuffled[1][:, code]
        cosines = _half_cosines(a, b, of_a, of_b)
        p = min(1.0, len(components) * _upper_p(-cosines))
        if best is None or p < best.p_value:
            ends = _ends(scores[:n_clusters], code)
            best = Heterogeneity(float(cosines[0]), float(cosines[1:].mean()), p, k + 1, ends)
    assert best is not None
    return best


def _ends(scores: Floats, code: Ints) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The first rows of the clusters with the lowest and the highest scores `[U]`."""
    order = np.argsort(scores, kind="stable")
    first = np.unique(code, return_index=True)[1]
    low, high = (tuple(int(first[u]) for u in some) for some in (order[:_MAX_SHOWN], order[::-1][:_MAX_SHOWN]))
    return low, high


def random_directions(vector: Array, k: int, seed: int) -> Floats:
    """`k` random directions of the norm of `vector` [d_model], isotropic: [k, d_model]."""
    v = as_vector(vector, "vector")
    if k < 1:
        raise InputError(f"k is {k}; give at least 1 direction")
    g = np.random.default_rng(seed).standard_normal((k, len(v)))
    return np.asarray(g / np.linalg.norm(g, axis=1, keepdims=True) * np.linalg.norm(v))


def _sides(positive: Array, negative: Array, clusters: Array | None, minimum: int) -> tuple[Floats, Floats, Ints]:
    a, b = as_rows(positive, "positive", 2), as_rows(negative, "negative", 2)
    same_width(a, b)
    if len(a) != len(b):
        raise InputError(f"{len(a)} positive, {len(b)} negative rows; give the same number of both")
    return a, b, cluster_codes(clusters, len(a), minimum)


def _upper_half(scores: Floats) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    upper = np.zeros(len(scores), dtype=bool)
    upper[np.argsort(scores, kind="stable")[len(scores) // 2 :]] = True
    return upper


def _half_cosines(
    a: Floats,
    b: Floats,
    of_a: np.ndarray[tuple[int, int], np.dtype[np.bool_]],
    of_b: np.ndarray[tuple[int, int], np.dtype[np.bool_]],
) -> Floats:
    """Cosines [B] between the mean differences of the rows in `of_a`, `of_b` [B, n] and of those that are not."""
    directions = []
    for upper_a, upper_b in ((of_a, of_b), (~of_a, ~of_b)):
        means = [w @ rows / w.sum(axis=1, keepdims=True) for w, rows in ((upper_a, a), (upper_b, b))]
        directions.append(means[0] - means[1])
    dots = np.einsum("bd,bd->b", *directions)
    lengths = np.linalg.norm(directions[0], axis=1) * np.linalg.norm(directions[1], axis=1)
    return np.asarray(np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 0))


def _upper_p(statistics: Floats) -> float:
    """Share of `statistics` [B + 1] that reach the first, itself among them; equal up to rounding counts as reached."""
    return float((statistics >= statistics[0] - 1e-9 * max(1e-300, np.abs(statistics).max())).mean())
