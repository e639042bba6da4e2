"""Arrays as they are worked on: `InputError` for values that are not finite, wrong shapes, too few rows; clusters."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike as Array
from numpy.typing import NDArray

from trimtab.errors import InputError
from trimtab.phrases import Phrase

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def as_rows(values: Array, name: str, minimum: int = 1, ndim: int = 2) -> Floats:
    """`values` as finite float64 [n, d_model] (`ndim` 1: [n]), with n at least `minimum`; else `InputError`."""
    shape = "[n, d_model]" if ndim == 2 else "[n]"
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: not an array of real numbers ({error}); give floats of shape {shape}") from error
    if array.ndim != ndim or 0 in array.shape[1:]:
        raise InputError(f"{name}: shape {array.shape}; give {shape}")
    if len(array) < minimum:
        raise InputError(f"{name}: {len(array)} rows; give at least {minimum}")
    invalid = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))
    if len(invalid):
        raise InputError(
            f"{name}: NaN or infinity in {len(invalid)} rows, first in row {invalid[0]}; drop or recompute them"
        )
    return array


def as_vector(values: Array, name: str, minimum: int = 1) -> Floats:
    """`values` as finite float64 [n], with n at least `minimum`; else `InputError`."""
    return as_rows(values, name, minimum, ndim=1)


def same_width(*arrays: Floats) -> None:
    """Raise unless all arrays have the same d_model."""
    if len(widths := {a.shape[-1] for a in arrays}) > 1:
        raise InputError(
            f"arrays of different width {sorted(widths)}; d_model must be the same: take one site, one model"
        )


def label_codes(labels: Sequence[str]) -> Ints:
    """Texts [n] as the ranks of the different ones; an array of texts would give each the length of the longest."""
    ranks = {label: rank for rank, label in enumerate(sorted(set(labels)))}
    return np.array([ranks[label] for label in labels], dtype=np.int64)


def cluster_codes(clusters: Array | None, n: int, minimum: int) -> Ints:
    """Labels [n] (ints or strings) as codes 0…U−1, with U at least `minimum`; None makes every row its own cluster."""
    labels = np.arange(n) if clusters is None else np.asarray(clusters)
    if labels.shape != (n,) or labels.dtype.kind not in "iubUS":
        raise InputError(
            f"clusters: shape {labels.shape} of {labels.dtype}; give one label per row, {n} ints or strings"
        )
    distinct, codes = np.unique(labels, return_inverse=True)
    if len(distinct) < minimum:
        raise InputError(
            Phrase(
                "clusters: {n} different labels; at least {least} clusters are needed", n=len(distinct), least=minimum
            )
        )
    return np.asarray(codes, dtype=np.int64)


def folds_by_cluster(clusters: Sequence[str], n_folds: int, seed: int) -> Ints:
    """Fold of each row, [n] in 0…n_folds − 1: clusters are dealt out whole, as evenly as their number allows.

    Example:
        >>> from trimtab.statistics.inputs import folds_by_cluster
        >>> fold = folds_by_cluster(["a", "b", "a", "c"], 2, seed=0)
        >>> bool(fold[0] == fold[2]), sorted(set(fold.tolist()))
        (True, [0, 1])
    """
    code = cluster_codes(clusters, len(clusters), 1)
    dealt = np.random.default_rng(seed).permutation(int(code.max()) + 1) % n_folds
    return np.asarray(dealt[code])


def cluster_means(rows: Floats, code: Ints) -> Floats:
    """Mean of each cluster's rows, `[U, d_model]`, of rows `[n, d_model]` and their clusters' codes `[n]`."""
    sums = np.zeros((int(code.max()) + 1, rows.shape[1]))
    np.add.at(sums, code, rows)
    return np.asarray(sums / np.bincount(code)[:, None])


def at_length_1(rows: Floats) -> Floats:
    """Rows `[n, d_model]` at length 1; zeros stay."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float64).tiny))
