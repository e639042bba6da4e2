"""What a statistic becomes without a unit, or without two of them, and the variance that follows.

Sources: Tukey's jackknife; Efron and Stein 1981 for its bias. In their decomposition of a statistic's variance into the
parts that single units, pairs and so on contribute, the jackknife counts the part of pairs twice. A held-out figure has
much of it: the direction of one fold meets the noise of the other. Without units u and v that part is measured, as the
analysis of variance measures an interaction, by Q(u, v) = θ − θ₋ᵤ − θ₋ᵥ + θ₋ᵤᵥ, and taken off once.
"""

import numpy as np
from numpy.typing import ArrayLike as Array
from scipy.stats import rankdata

from trimtab.errors import InputError
from trimtab.statistics import geometry as geo
from trimtab.statistics.geometry import Floats, Ints

_PAIRED = 200  # units whose pairs are looked at
_NOTHING = 1e-12  # a variance this much smaller than that of all rows is rounding


def jackknife_variance(deleted: Floats, strata: Array | None = None) -> tuple[float, int]:
    """Variance from the statistic without each unit, [U], and its degrees of freedom; variances of strata add."""
    code = np.zeros(len(deleted), dtype=np.int64) if strata is None else geo.unit_codes(strata, len(deleted), 1)
    variance = 0.0
    for stratum in range(int(code.max()) + 1):
        values = deleted[code == stratum]
        if len(values) < 2:
            raise InputError("strata: one holds a single unit, so its spread is not measured; give more units")
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
    """Sums behind the mean of cos(d_i, s_{−i}) without a unit or two, from Gram matrices: O(n U d_model).

    Args:
        d: differences, [n, d_model].
        code: unit of each row.
    """

    def __init__(self, d: Floats, code: Ints) -> None:
        by_unit, own, total = unit_sums(d, code), np.arange(len(d)), d.sum(axis=0)
        self.code, self.sizes = code, np.bincount(code)
        self.row_unit, self.unit_unit = d @ by_unit.T, by_unit @ by_unit.T  # [n, U], [U, U]
        self.dots = d @ total - self.row_unit[own, code]  # d_i · (S − S_u(i)), [n]
        self.gone = np.diag(self.unit_unit) - 2 * by_unit @ total  # ‖S − S_v‖² − ‖S‖², [U]
        self.norms, self.total2 = np.linalg.norm(d, axis=1), float(total @ total)

    def without(self, u: int | None = None) -> Floats:
        """The statistic without unit v, for every v, [U]; and without unit `u` too, where v = u takes out u alone."""
        dots = self.dots[:, None] - self.row_unit  # [n, U]
        lengths2 = self.total2 + self.gone[self.code][:, None] + self.gone + 2 * self.unit_unit[self.code]
        left = np.ones(dots.shape) - (self.code[:, None] == np.arange(len(self.sizes)))
        if u is not None:
            others = np.arange(len(self.sizes)) != u
            dots -= self.row_unit[:, [u]] * others
            lengths2 += (self.gone[u] + 2 * self.unit_unit[self.code, u][:, None] + 2 * self.unit_unit[u]) * others
            left[self.code == u] = 0.0
        ok = (lengths2 > 1e-14 * self.norms.sum() ** 2) & (self.norms > 0)[:, None] & (left > 0)
        scale = self.norms[:, None] * np.sqrt(np.where(ok, lengths2, 1.0))
        cosines = np.divide(dots, scale, out=np.zeros_like(dots), where=ok)
        return np.asarray(cosines.sum(axis=0) / left.sum(axis=0))

    def pair_variance(self, value: float) -> float:
        """Variance that pairs of units contribute, by Q(u, v) of the head of this file; `value` is the statistic.

        Of at most 200 units u, evenly spread, with all v.
        """
        n = len(self.sizes)
        deleted, some = self.without(), np.unique(np.linspace(0, n - 1, min(n, _PAIRED)).round().astype(np.int64))
        q = np.stack([value - deleted[u] - deleted + self.without(int(u)) for u in some])  # [units u, U]
        other = np.arange(n) != some[:, None]
        rows = (q * other).sum(axis=1) / (n - 1)
        columns = (q * other).sum(axis=0) / np.maximum(other.sum(axis=0), 1)
        centred = (q - rows[:, None] - columns + (q * other).sum() / other.sum()) * other
        return float((centred**2).sum() * n / len(some) / 2 * ((n - 1) / n) ** 2)


def held_out_without_units(a: Floats, b: Floats, codes: tuple[Ints, Ints], fold: Ints) -> tuple[Floats, Floats]:
    """Held-out d′ and AUROC, averaged over folds, without each unit, [U, 2], and Q of two of unlike folds, [U, U, 2].

    Args:
        a, b: activations of both sides, [n, d_model] and [m, d_model].
        codes: unit of each row of either side.
        fold: of each unit, fixed.

    Raises:
        InputError: a fold has fewer than two rows of a class, or no variance, without one of its units.
    """
    n_folds, n_units = int(fold.max()) + 1, len(fold)
    for of_side in codes:
        largest = np.zeros(n_folds)
        np.maximum.at(largest, fold, np.bincount(of_side, minlength=n_units))
        if (np.bincount(fold[of_side], minlength=n_folds) - largest).min() < 2:
            raise InputError(
                "a fold holds under 2 rows of a class without one of its units; give at least 2 more units"
            )
    deleted, pairs = np.zeros((n_units, 2)), np.zeros((n_units, n_units, 2))
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
    """d′ and AUROC within fold k without its unit w and unit v of the direction: [1 + W, 1 + V, 2]; 0 is none."""
    inside, outside = np.flatnonzero(fold == k), np.flatnonzero(fold != k)
    direction, held = np.zeros((1 + len(outside), a.shape[1])), []
    for rows, code, sign in ((a, codes[0], 1.0), (b, codes[1], -1.0)):
        out = fold[code] != k
        kept, left = _without_each(rows[out], np.searchsorted(outside, code[out]), len(outside))
        direction += sign * kept / left[:, None]
        held.append((rows[~out], np.searchsorted(inside, code[~out])))
    (p, code_p), (q, code_n) = ((rows @ direction.T, code) for rows, code in held)  # [h, 1 + V], [h]
    mean_p, variance_p, left_p = _moments_without_each(p, code_p, len(inside))
    mean_n, variance_n, left_n = _moments_without_each(q, code_n, len(inside))
    variance = (variance_p + variance_n) / 2
    if (variance <= _NOTHING * variance[0]).any():
        raise InputError("without one of a fold's units neither class has variance, so d′ is not measured; add units")
    area = _wins_without_each(p, q, code_p, code_n, len(inside)) / (left_p * left_n)[:, None]
    return np.stack([(mean_p - mean_n) / np.sqrt(variance), area], axis=2)


def _moments_without_each(x: Floats, code: Ints, n_units: int) -> tuple[Floats, Floats, Floats]:
    """Mean and variance of `x` [h, V] without each unit, [1 + W, V], and how many rows are left, [1 + W]."""
    centre = x.mean(axis=0)
    first, left = _without_each(x - centre, code, n_units)
    second, _ = _without_each((x - centre) ** 2, code, n_units)
    return first / left[:, None] + centre, (second - first**2 / left[:, None]) / (left[:, None] - 1), left


def _wins_without_each(p: Floats, q: Floats, code_p: Ints, code_n: Ints, n_units: int) -> Floats:
    """Pairs with `p` [h, V] above `q` [g, V], ties half, without each unit's rows on both sides: [1 + W, V]."""
    ranks = rankdata(np.concatenate([p, q]), axis=0)
    of_p = ranks[: len(p)] - rankdata(p, axis=0)
    of_q = len(p) - ranks[len(p) :] + rankdata(q, axis=0)
    i, j = np.nonzero(code_p[:, None] == code_n)  # pairs within a unit go once, not twice
    within = (p[i] > q[j]) + 0.5 * (p[i] == q[j])
    wins, _ = _without_each(of_p, code_p, n_units)
    wins[1:] -= unit_sums(of_q, code_n, n_units) - unit_sums(within, code_p[i], n_units)
    return wins


def _without_each(values: Floats, code: Ints, n_units: int) -> tuple[Floats, Floats]:
    """Sum of the rows of `values` [n, …] and their number, of all and without each unit: [1 + U, …], [1 + U]."""
    by_unit, size = unit_sums(values, code, n_units), np.bincount(code, minlength=n_units)
    none = np.zeros_like(by_unit[:1])
    return values.sum(axis=0) - np.concatenate([none, by_unit]), len(values) - np.concatenate([[0.0], size])


def unit_sums(values: Floats, codes: Ints, n_units: int | None = None) -> Floats:
    """Sums of the rows of `values` [n, …] over each unit: [U, …]."""
    out = np.zeros((int(codes.max()) + 1 if n_units is None else n_units, *values.shape[1:]))
    np.add.at(out, codes, values)
    return out
