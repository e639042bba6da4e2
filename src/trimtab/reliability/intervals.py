"""How sure the numbers are: intervals that resample or delete whole units, never rows.

Every function takes `units`, the question or template of each row [n] (default: every row its own), and a `level`; the
random ones take a seed. `this-vector` intervals hold the vector fixed and resample the evaluation (`share_interval`,
`bootstrap_mean`, `bootstrap_two_sample`); `this-behavior` intervals refit it (`agreement_interval`,
`separability_interval`, by deleting one unit at a time: a bootstrap would put copies of row i into its own s_{−i}).
Sources: Wilson 1927; Korn and Graubard 1998 for shares of clustered rows; Efron 1987 for BCa; Hesterberg 2015 for its
small-sample widening; Efron and Stein 1981 for the jackknife. Bad shapes, NaN, too few units: `InputError`.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri, stdtrit
from scipy.stats import rankdata

from trimtab.errors import InputError
from trimtab.reliability.effects import anti_steerable_unpaired
from trimtab.reliability.geometry import (
    CrossFitted,
    Floats,
    Ints,
    as_rows,
    as_vector,
    auroc,
    cross_fitted,
    directional_agreement_loo,
    separability,
    unit_codes,
    unit_folds,
)

_FEW = 10  # with fewer units the bootstrap's tails are guesswork, and Student's t takes over


@dataclass(frozen=True)
class Interval:
    """An estimate and the two ends of its interval, in the estimate's units."""

    value: float
    low: float
    high: float


def simultaneous_level(level: float, k: int) -> float:
    """The level each of `k` intervals needs so that all hold together at `level` (Bonferroni): 1 − (1 − level)/k."""
    if k < 1:
        raise InputError(f"k is {k}; give the number of intervals, at least 1")
    return 1.0 - 2.0 * _tail(level) / k


def wilson(k: float, n: float, level: float = 0.95) -> Interval:
    """Wilson's score interval for `k` of `n` independent rows; for a share of natural pairs."""
    if not (0 <= k <= n and 0 < n < np.inf):
        raise InputError(f"{k} of {n} is no share; k must lie in 0…n and n be above 0")
    return _score(k / n, n, -float(ndtri(_tail(level))))


def share_interval(flags: ArrayLike, units: ArrayLike | None = None, level: float = 0.95) -> Interval:
    """Interval for the share of true `flags` [n], such as anti-steerable examples.

    Wilson where all units differ. Where several rows share a unit, Wilson with Korn and Graubard's effective n: the n
    that gives the between-unit variance of the share, at most n, with Student's t for U − 1. If all rows agree the
    share has no variance to measure and the effective n is the number of units, the cautious end.
    """
    hits = as_vector(flags, "flags")
    if not np.isin(hits, (0.0, 1.0)).all():
        raise InputError("flags: values other than 0 and 1; give booleans")
    code = unit_codes(units, len(hits), 1)
    n, u, share = len(hits), int(code.max()) + 1, float(hits.mean())
    if u == n:
        return wilson(float(hits.sum()), n, level)
    if u < 2:
        raise InputError("units: all rows share one unit, so the spread between units is not measured; add units")
    variance = float((_sums(hits - share, code) ** 2).sum() * u / (u - 1) / n**2)
    effective = n if variance == 0.0 else min(n, share * (1 - share) / variance)
    return _score(share, u if share in (0.0, 1.0) else effective, _student(level, u - 1))


def bootstrap_mean(
    values: ArrayLike, units: ArrayLike | None = None, *, n_resamples: int = 2000, seed: int, level: float = 0.95
) -> Interval:
    """Interval for the mean of `values` [n] (a mean over rows, units resampled whole).

    BCa, widened for small samples; with fewer than 10 units Student's t on the units' contributions.
    """
    x = as_vector(values, "values")
    sums, sizes = _by_unit(x, units, "units")
    u, mean = len(sums), float(x.mean())
    influence = (sums - mean * sizes) / len(x)  # [U], how each unit pulls the mean
    if u < _FEW:
        return _linear(mean, [influence], u - 1, level)
    counts = _counts(u, n_resamples, np.random.default_rng(seed))  # [B, U]
    return _bca((counts @ sums) / (counts @ sizes), mean, influence, _widened(level, u - 1, u))


def bootstrap_two_sample(
    positive: ArrayLike,
    negative: ArrayLike,
    units_positive: ArrayLike | None = None,
    units_negative: ArrayLike | None = None,
    *,
    statistic: Literal["mean", "anti"] = "mean",
    n_resamples: int = 2000,
    seed: int,
    level: float = 0.95,
) -> Interval:
    """Interval for unpaired effects; the two sides are resampled independently, each by its own units.

    Args:
        positive, negative: effects per text, Δ+ [n] and Δ− [m].
        units_positive, units_negative: their units; the same label on both sides is *not* taken for one unit.
        statistic: `mean` for mean Δ+ − mean Δ− (BCa; Student's t with fewer than 10 units on a side), `anti` for the
            share P(Δ+ − Δ− < 0), ties half (Wilson with the n that gives the bootstrap variance, at most twice the
            units of the smaller side, which is also used at a share of 0 or 1).
        n_resamples, seed, level: resamples, their seed, the level.
    """
    up, down = as_vector(positive, "positive"), as_vector(negative, "negative")
    sums_p, sizes_p = _by_unit(up, units_positive, "units_positive")
    sums_n, sizes_n = _by_unit(down, units_negative, "units_negative")
    u, v, rng = len(sums_p), len(sums_n), np.random.default_rng(seed)
    counts_p, counts_n = _counts(u, n_resamples, rng), _counts(v, n_resamples, rng)
    rows_p, rows_n = counts_p @ sizes_p, counts_n @ sizes_n  # [B] rows in each resample
    few = min(u, v)
    if statistic == "mean":
        pull_p = (sums_p - up.mean() * sizes_p) / len(up)
        pull_n = -(sums_n - down.mean() * sizes_n) / len(down)
        value = float(up.mean() - down.mean())
        if few < _FEW:
            return _linear(value, [pull_p, pull_n], few - 1, level)
        resampled = counts_p @ sums_p / rows_p - counts_n @ sums_n / rows_n
        return _bca(resampled, value, np.concatenate([pull_p, pull_n]), _widened(level, u + v - 2, few))
    below = (up[:, None] < down) + 0.5 * (up[:, None] == down)  # [n, m]
    wins = _sums(_sums(below, unit_codes(units_positive, len(up), 2)).T, unit_codes(units_negative, len(down), 2)).T
    resampled = ((counts_p @ wins) * counts_n).sum(axis=1) / (rows_p * rows_n)
    variance = float(resampled.var(ddof=1)) * few / (few - 1)
    share = anti_steerable_unpaired(up, down, 0.0).anti
    return _score(share, _effective(share, variance, 2 * few), _student(level, u + v - 2))


def jackknife_interval(
    value: float, deleted: ArrayLike, *, strata: ArrayLike | None = None, level: float = 0.95
) -> Interval:
    """`value` ± Student's t times the delete-one-unit jackknife's standard error.

    Args:
        value: the statistic on all units.
        deleted: the statistic without unit u, [U], everything refitted.
        strata: label of each unit's stratum (fixed fold, side), [U]; the variances of strata add. Default: one.
        level: the level.
    """
    variance, df = _jackknife_variance(as_vector(deleted, "deleted", 2), strata)
    half = _student(level, df) * float(np.sqrt(variance))
    return Interval(value, value - half, value + half)


def agreement_interval(differences: ArrayLike, units: ArrayLike | None = None, level: float = 0.95) -> Interval:
    """Leave-one-out directional agreement, mean over rows of cos(d_i, s_{−i}), with its jackknife interval.

    Args:
        differences: d_i, [n, d_model]; at least three units.
        units, level: as for the room.
    """
    d = as_rows(differences, "differences", 3)
    code = unit_codes(units, len(d), 3)
    value = float(directional_agreement_loo(d, code).mean())
    interval = jackknife_interval(value, _agreement_without_each_unit(d, code), level=level)
    return Interval(value, max(interval.low, -1.0), min(interval.high, 1.0))


def _agreement_without_each_unit(d: Floats, code: Ints) -> Floats:
    """The mean of cos(d_i, s_{−i}) with unit v deleted, for every v: [U]. From the Gram matrices alone, O(n U d_model)."""
    by_unit, own = _sums(d, code), np.arange(len(d))
    total = by_unit.sum(axis=0)
    row_unit, unit_unit, unit_total = d @ by_unit.T, by_unit @ by_unit.T, by_unit @ total  # [n, U], [U, U], [U]
    square = np.diag(unit_unit)
    dots = (d @ total)[:, None] - row_unit - row_unit[own, code][:, None]  # d_i · (S − S_v − S_u(i)), [n, U]
    gone = square - 2 * unit_total  # [U]
    lengths2 = total @ total + (gone[:, None] + gone + 2 * unit_unit)[code]  # ‖S − S_v − S_u(i)‖², [n, U]
    norms = np.linalg.norm(d, axis=1)
    ok = (lengths2 > 1e-14 * norms.sum() ** 2) & (norms > 0)[:, None]
    cosines = np.divide(dots, norms[:, None] * np.sqrt(np.where(ok, lengths2, 1.0)), out=np.zeros_like(dots), where=ok)
    cosines[code[:, None] == np.arange(len(by_unit))] = 0.0
    return np.asarray(cosines.sum(axis=0) / (len(d) - np.bincount(code)))


@dataclass(frozen=True)
class SeparabilityInterval:
    """Intervals of the cross-fitted d′ and AUROC."""

    separability: Interval
    auroc: Interval


def separability_interval(
    positive: ArrayLike,
    negative: ArrayLike,
    units: ArrayLike,
    units_negative: ArrayLike | None = None,
    *,
    n_folds: int = 2,
    seed: int,
    level: float = 0.95,
) -> SeparabilityInterval:
    """`cross_fitted` d′ and AUROC (same arguments) with jackknife intervals, folds fixed, directions refitted.

    d′ ± t · standard error; AUROC by Wilson with the n that gives its jackknife variance, at most twice the units of
    the smaller side, which is also used at an AUROC of 0 or 1.

    Raises:
        InputError: some fold has under two rows of a class left when its largest unit is gone, or under two units.
    """
    a, b = as_rows(positive, "positive"), as_rows(negative, "negative")
    fitted = cross_fitted(a, b, units, units_negative, n_folds=n_folds, seed=seed)
    codes_p, codes_n, fold = unit_folds((len(a), len(b)), units, units_negative, n_folds, seed)
    _check_folds(codes_p, codes_n, fold)
    deleted = np.zeros((len(fold), 2))
    for k in range(n_folds):
        deleted[fold != k] += _without_training_unit(a, b, codes_p, codes_n, fold, k) / n_folds
        deleted[fold == k] += _without_held_out_unit(fitted, codes_p, codes_n, fold, k) / n_folds
    strata = 2 * fold + np.isin(np.arange(len(fold)), codes_p)
    few = min(len(np.unique(codes_p)), len(np.unique(codes_n)))
    variance, df = _jackknife_variance(deleted[:, 1], strata)
    area = _score(fitted.auroc, _effective(fitted.auroc, variance, 2 * few), _student(level, df))
    return SeparabilityInterval(
        jackknife_interval(fitted.separability, deleted[:, 0], strata=strata, level=level), area
    )


def _without_training_unit(a: Floats, b: Floats, codes_p: Ints, codes_n: Ints, fold: Ints, k: int) -> Floats:
    """d′ and AUROC within fold k for each unit outside it deleted from the direction: [V, 2]."""
    u, outside = len(fold), fold != k
    direction = np.zeros((int(outside.sum()), a.shape[1]))  # [V, d_model]
    for rows, codes, sign in ((a, codes_p, 1.0), (b, codes_n, -1.0)):
        sums = _sums(rows, codes, u)[outside]  # [V, d_model]
        sizes = np.bincount(codes, minlength=u)[outside]
        direction += sign * (sums.sum(axis=0) - sums) / (sizes.sum() - sizes)[:, None]
    projected = [a[fold[codes_p] == k] @ direction.T, b[fold[codes_n] == k] @ direction.T]  # [h, V] each
    spread = np.sqrt(sum(x.var(axis=0, ddof=1) for x in projected) / 2)
    dprime = (projected[0].mean(axis=0) - projected[1].mean(axis=0)) / spread
    n, m = len(projected[0]), len(projected[1])
    area = (rankdata(np.concatenate(projected), axis=0)[:n].mean(axis=0) - (n + 1) / 2) / m
    return np.stack([dprime, area], axis=1)


def _without_held_out_unit(fitted: CrossFitted, codes_p: Ints, codes_n: Ints, fold: Ints, k: int) -> Floats:
    """d′ and AUROC within fold k for each unit inside it deleted from the measurement: [W, 2]."""
    inside_p, inside_n = fitted.fold_positive == k, fitted.fold_negative == k
    out = []
    for unit in np.flatnonzero(fold == k):
        kappas = (
            fitted.kappa_positive[inside_p & (codes_p != unit)],
            fitted.kappa_negative[inside_n & (codes_n != unit)],
        )
        out.append((separability(*kappas), auroc(*kappas)))
    return np.array(out)


def _check_folds(codes_p: Ints, codes_n: Ints, fold: Ints) -> None:
    for codes in (codes_p, codes_n):
        sizes = np.bincount(codes, minlength=len(fold))  # [U] rows of this class in each unit
        for k in range(int(fold.max()) + 1):
            if sizes[fold == k].sum() - sizes[fold == k].max() < 2:
                raise InputError(f"fold {k} has under 2 rows of a class without its largest unit; give more units")


def _jackknife_variance(deleted: Floats, strata: ArrayLike | None) -> tuple[float, int]:
    code = np.zeros(len(deleted), dtype=np.int64) if strata is None else unit_codes(strata, len(deleted), 1)
    variance = 0.0
    for stratum in range(int(code.max()) + 1):
        values = deleted[code == stratum]
        if len(values) < 2:
            raise InputError("strata: one holds a single unit, so its spread is not measured; give more units")
        variance += float(((values - values.mean()) ** 2).sum() * (len(values) - 1) / len(values))
    return variance, len(deleted) - int(code.max()) - 1


def _by_unit(values: Floats, units: ArrayLike | None, name: str) -> tuple[Floats, Floats]:
    """Sums and row counts of each unit, [U] each; at least two units."""
    code = unit_codes(units, len(values), 2)
    return _sums(values, code), np.bincount(code).astype(np.float64)


def _sums(values: Floats, codes: Ints, n_units: int | None = None) -> Floats:
    """Sums of the rows of `values` [n, …] over each unit: [U, …]."""
    out = np.zeros((int(codes.max()) + 1 if n_units is None else n_units, *values.shape[1:]))
    np.add.at(out, codes, values)
    return out


def _counts(n_units: int, n_resamples: int, rng: np.random.Generator) -> Floats:
    """How often each resample draws each unit: [B, U], rows summing to U."""
    if n_resamples < 100:
        raise InputError(f"n_resamples is {n_resamples}; the ends of an interval need at least 100, better 2000")
    draws = rng.integers(n_units, size=(n_resamples, n_units)) + n_units * np.arange(n_resamples)[:, None]
    return np.bincount(draws.ravel(), minlength=n_resamples * n_units).reshape(n_resamples, n_units).astype(np.float64)


def _bca(resampled: Floats, value: float, influence: Floats, quantile: float) -> Interval:
    """BCa (Efron 1987, eq. for α[1], α[2]) with acceleration from the units' influence."""
    squares = float((influence**2).sum())
    if squares == 0.0:
        return Interval(value, value, value)
    below = float((resampled < value).mean() + 0.5 * (resampled == value).mean())
    bias = float(ndtri(np.clip(below, 1 / len(resampled), 1 - 1 / len(resampled))))
    acceleration = float((influence**3).sum()) / (6 * squares**1.5)
    z = bias + np.array([-quantile, quantile])
    low, high = np.quantile(resampled, ndtr(bias + z / np.maximum(1 - acceleration * z, 0.1)))
    return Interval(value, float(low), float(high))


def _linear(value: float, influences: list[Floats], df: int, level: float) -> Interval:
    half = _student(level, df) * float(np.sqrt(sum((x**2).sum() * len(x) / (len(x) - 1) for x in influences)))
    return Interval(value, value - half, value + half)


def _score(share: float, n: float, quantile: float) -> Interval:
    """Wilson's interval at the given normal or Student quantile."""
    shrink = 1 + quantile**2 / n
    centre = (share + quantile**2 / (2 * n)) / shrink
    half = quantile / shrink * float(np.sqrt(share * (1 - share) / n + quantile**2 / (4 * n**2)))
    return Interval(share, min(max(centre - half, 0.0), share), max(min(centre + half, 1.0), share))


def _effective(share: float, variance: float, most: float) -> float:
    return most if variance == 0.0 else min(most, share * (1 - share) / variance) or most


def _widened(level: float, df: int, n_units: int) -> float:
    """Student's quantile times √(U/(U−1)): a bootstrap of U units is too narrow by both (Hesterberg 2015)."""
    return _student(level, df) * float(np.sqrt(n_units / (n_units - 1)))


def _student(level: float, df: int) -> float:
    return -float(stdtrit(df, _tail(level)))


def _tail(level: float) -> float:
    if not 0.0 < level < 1.0:
        raise InputError(f"level is {level}; give a number between 0 and 1, such as 0.95")
    return (1.0 - level) / 2.0
