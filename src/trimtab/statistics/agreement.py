"""How far raters agree beyond chance, with intervals over clusters.

Both figures are 1 − D_o / D_e: the disagreement that is observed over the one that chance would give; 1 is perfect, 0
is chance, below 0 is worse. Sources: Cohen 1960 and 1968 (κ, weighted κ), Krippendorff 2004, chapter 11 (α).

The interval has the outer ends of two: the delete-one-cluster jackknife, and `share_interval` of the units that
disagree with D_e held fixed. The first has no width where nobody disagrees, which a few units do not show; the second
knows nothing of D_e's own error.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike as Array

from trimtab.errors import InputError
from trimtab.statistics.inputs import Floats, as_vector, cluster_codes
from trimtab.statistics.intervals import Interval, jackknife_interval, share_interval

Metric = Literal["nominal", "interval"]
_Statistic = Callable[[Floats, Floats], tuple[Floats, Floats]]


def cohens_kappa(
    first: Array, second: Array, clusters: Array | None = None, *, metric: Metric = "nominal", level: float = 0.95
) -> Interval | None:
    """Cohen's κ of two raters: each keeps its own shares of the categories in what chance would give.

    Args:
        first, second: the raters' values on the same units, [n].
        clusters: question or template of each unit, [n]; default: every unit its own.
        metric: `nominal`, any two categories differ alike; `interval`, by the square of their difference
            (quadratic weights).
        level: of confidence.

    Returns:
        κ and its interval; None where chance could give no disagreement, as both raters use one category only.

    Raises:
        InputError: values that are not finite, or do not fit together; fewer than 2 clusters.

    Example:
        >>> from trimtab.statistics import cohens_kappa
        >>> kappa = cohens_kappa([1, 1, 1, 2, 2, 2], [1, 1, 2, 2, 2, 1])
        >>> round(kappa.value, 3), kappa.low < 0 < kappa.high
        (0.333, True)
    """
    a, b = as_vector(first, "first"), as_vector(second, "second")
    if len(a) != len(b):
        raise InputError(f"{len(a)} values of the first rater and {len(b)} of the second; give the same units")
    categories, codes = np.unique(np.concatenate([a, b]), return_inverse=True)
    units = np.zeros((len(a), len(categories), len(categories)))
    units[np.arange(len(a)), codes[: len(a)], codes[len(a) :]] = 1.0  # [n, k, k]
    return _figure(units, cluster_codes(clusters, len(a), 2), _distances(categories, metric), _of_two, level)


def krippendorffs_alpha(
    ratings: Array, clusters: Array | None = None, *, metric: Metric = "nominal", level: float = 0.95
) -> Interval | None:
    """Krippendorff's α of any number of raters, of whom some may be missing.

    Args:
        ratings: a row for each unit and a column for each rater, [n, m]; NaN where a rater has none. A unit that fewer
            than two have rated says nothing and is left out.
        clusters: question or template of each unit, [n]; default: every unit its own.
        metric: `nominal` or `interval`, see `cohens_kappa`.
        level: of confidence.

    Returns:
        α and its interval; None where chance could give no disagreement, as only one value was given.

    Raises:
        InputError: not an array of two dimensions, infinite values, or fewer than 2 clusters that two have rated.

    Example:
        >>> from trimtab.statistics import krippendorffs_alpha
        >>> nobody = float("nan")
        >>> alpha = krippendorffs_alpha([[1, 1], [2, 2], [1, nobody], [2, 2], [1, 2], [1, 1]])
        >>> round(alpha.value, 2)
        0.64
    """
    values = np.asarray(ratings, dtype=np.float64)
    if values.ndim != 2 or np.isinf(values).any():
        raise InputError("ratings: give finite numbers, one row a unit and one column a rater; NaN for none")
    rated = (~np.isnan(values)).sum(axis=1) >= 2
    code = cluster_codes(None if clusters is None else np.asarray(clusters)[rated], int(rated.sum()), 2)
    values = values[rated]
    categories = np.unique(values[~np.isnan(values)])
    counts = (values[:, :, None] == categories).sum(axis=1).astype(np.float64)  # [n, k]
    pairs = counts[:, :, None] * counts[:, None, :]
    pairs -= counts[:, :, None] * np.eye(len(categories))  # a rating is not paired with itself
    units = pairs / (counts.sum(axis=1) - 1)[:, None, None]  # the coincidences of each unit, [n, k, k]
    return _figure(units, code, _distances(categories, metric), _of_many, level)


def _distances(categories: Floats, metric: Metric) -> Floats:
    """δ², [k, k]."""
    if metric not in ("nominal", "interval"):
        raise InputError(f"metric {metric!r}: give nominal or interval", code="unknown-choice", field="metric")
    difference = categories[:, None] - categories
    return np.asarray(difference**2 if metric == "interval" else (difference != 0).astype(np.float64))


def _of_two(counts: Floats, distances: Floats) -> tuple[Floats, Floats]:
    """Observed and expected disagreement from counts of pairs of values [..., k, k]; chance by each rater's shares."""
    n = counts.sum(axis=(-2, -1))
    expected = np.einsum("...i,...j,ij->...", counts.sum(axis=-1), counts.sum(axis=-2), distances)
    return (counts * distances).sum(axis=(-2, -1)) / n, expected / n**2


def _of_many(counts: Floats, distances: Floats) -> tuple[Floats, Floats]:
    """The same from coincidences; chance by the shares of all values, drawn without putting back."""
    n, shares = counts.sum(axis=(-2, -1)), counts.sum(axis=-1)
    expected = np.einsum("...i,...j,ij->...", shares, shares, distances)
    return (counts * distances).sum(axis=(-2, -1)) / n, expected / (n * (n - 1))


def _figure(units: Floats, code: Array, distances: Floats, of: _Statistic, level: float) -> Interval | None:
    codes = np.asarray(code)
    clusters = np.zeros((int(codes.max()) + 1, *distances.shape))
    np.add.at(clusters, codes, units)
    total = clusters.sum(axis=0)
    observed, expected = of(total, distances)
    if expected <= 0:
        return None
    value = float(1 - observed / expected)
    without = of(total - clusters, distances)
    usable = without[1] > 0
    deleted = np.where(usable, 1 - without[0] / np.where(usable, without[1], 1.0), value)
    jackknife = jackknife_interval(value, deleted, level=level)
    own = (units * distances).sum(axis=(1, 2)) / units.sum(axis=(1, 2))  # disagreement within each unit, [n]
    share = share_interval(own > 0, codes, level)
    size = float(own[own > 0].mean()) if (own > 0).any() else float(distances.max())
    low, high = (1 - end * size / float(expected) for end in (share.high, share.low))
    return Interval(value, min(jackknife.low, low, value), min(1.0, max(jackknife.high, high, value)))
