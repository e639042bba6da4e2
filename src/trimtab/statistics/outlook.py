"""What more examples would say, if they are like those that were seen: predictive simulation of requirements.

Each simulated future takes a population from what was seen, draws further clusters (questions) from it, and holds the
requirements against the seen and the new ones together, once, at every number of new ones. A population is the seen
clusters under random weights (the Bayesian bootstrap, Rubin 1981), smoothed by a normal kernel that keeps mean and
spread (Silverman and Young 1987), so that what few clusters did not show is not taken for impossible. The weights are
spread as widely as Student's t knows the mean of so few. Predictive probability of success: Spiegelhalter et al. 1986.

Means are judged by Student's t on the clusters, shares by Wilson's interval at the n that gives the variance between
clusters, as in `intervals`, whose bootstrap would take hours here and is the same or a little wider.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike as Array
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from trimtab.errors import InputError
from trimtab.statistics.inputs import Floats, Ints, as_rows, cluster_codes

FUTURES: Final = 200
TIMES: Final = 10  # times the clusters that were seen are looked ahead,
LEAST_NEW, MAX_NEW = 200, 1_000  # never fewer than these and never more
_BUDGET: Final = 1_000_000  # rows that are drawn in all, at most
_COPIES: Final = 16  # of every seen text, smoothed, against which new texts are held where pairs are random
_MIN_CLUSTERS: Final = 10  # with fewer one sample's alone are Student's degrees of freedom, as in `intervals`
_EXTRA: Final = 0.25  # of a cluster, as in `intervals.two_sample_share`

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Needed:
    """A requirement on rows of one experiment.

    Args:
        kind: the `mean` of a difference, or the `share` of rows whose difference is below 0.
        plus, minus: columns of the rows whose difference it is; None for no second one.
        threshold: the bound.
        direction: on which side of it the whole interval must lie.
        must_hold: whether it keeps a success open until it holds; else only its failure counts.
    """

    kind: Literal["mean", "share"]
    plus: int
    minus: int | None
    threshold: float
    direction: Literal["above", "below"]
    must_hold: bool = True


@dataclass(frozen=True, eq=False)
class Outlook:
    """What becomes of requirements with more clusters.

    Args:
        new: `[g]` numbers of new clusters, ascending, from 0.
        passes: `[g]` chance that all requirements hold.
        fails: `[g]` chance that one of them fails.
    """

    new: Ints
    passes: Floats
    fails: Floats

    @property
    def settled(self) -> Floats:
        """`[g]` chance that it is decided, either way."""
        return self.passes + self.fails

    def needed(self, chance: float) -> int | None:
        """The fewest new clusters with which it is decided with this chance; None where none looked at suffice."""
        enough = np.flatnonzero(self.settled >= chance)
        return int(self.new[enough[0]]) if len(enough) else None

    def at(self, new: int | None) -> tuple[float, float]:
        """Chances to pass and to fail with so many new clusters; None: with the most that were looked at."""
        k = len(self.new) - 1 if new is None else int(np.searchsorted(self.new, new))
        return float(self.passes[k]), float(self.fails[k])


def outlook(
    rows: Array,
    clusters: Array | None,
    needs: Sequence[Needed],
    *,
    pairing: Literal["natural", "random"],
    n_requirements: int,
    seed: int,
    level: float = 0.95,
    futures: int = FUTURES,
) -> Outlook:
    """How likely requirements are to hold, and to fail, with more clusters.

    Args:
        rows: `[n, c]` figures of the seen rows, such as Δ+ and Δ−.
        clusters: cluster of each row, [n]; at least three.
        needs: at least one; those of one call are judged on the same futures.
        pairing: whether the columns of a row belong together; else they are two samples.
        n_requirements: of the whole decision, by which failures are corrected (Holm's first step).
        seed: of the futures.
        level: of the intervals.
        futures: how many are simulated.

    Example:
        >>> from trimtab.statistics.outlook import Needed, outlook
        >>> effect = [[0.3], [0.5], [-0.1], [0.2], [0.4], [0.1]]  # six pairs, five of them moved the right way
        >>> found = outlook(effect, None, [Needed("mean", 0, None, 0.05, "above")], pairing="natural",
        ...                 n_requirements=1, seed=0)
        >>> fewest, half, most = (found.needed(chance) for chance in (0.1, 0.5, 0.9))
        >>> passes, fails = found.at(most)
        >>> fewest <= half <= most, passes > 10 * fails
        (True, True)
    """
    seen = as_rows(rows, "rows", 3)
    code = cluster_codes(clusters, len(seen), 3)
    if not needs:
        raise InputError("needs: give at least one requirement")
    future = _futures(seen, code, np.random.default_rng(seed), futures)
    ends = np.unique(np.geomspace(1, future.horizon, 40).round().astype(int))
    new = np.concatenate([[0], ends])
    passes = np.ones((len(future.drawn), len(new)), dtype=bool)
    fails = np.zeros_like(passes)
    for need in needs:
        strict = 1 - (1 - level) / n_requirements
        if need.must_hold:
            passes &= _sides(future, need, pairing, level, new)[0]
        fails |= _sides(future, need, pairing, strict, new)[1]
    return Outlook(new, (passes & ~fails).mean(axis=0), fails.mean(axis=0))


@dataclass(frozen=True, eq=False)
class _Futures:
    """Seen and new clusters.

    Args:
        seen: `[U, w, c]` rows of the seen clusters, padded.
        real: `[U, w]` which are rows.
        drawn: `[B, K]` the seen cluster that each new one is like.
        shifts: `[B, K, c]` and by how much its rows lie beside.
        centre: `[c]` mean of the clusters, toward which rows are drawn by `scale`.
        scale: so that the kernel does not widen the spread.
        reference: `[m, c]` smoothed rows.
    """

    seen: Floats
    real: Flags
    drawn: Ints
    shifts: Floats
    centre: Floats
    scale: float
    reference: Floats

    @property
    def horizon(self) -> int:
        """K, the most new clusters looked at."""
        return int(self.drawn.shape[1])

    def new(self, plus: int, minus: int | None) -> Floats:
        """`[B, K, w]` a difference of columns in the new clusters' rows."""
        old = _difference(self.seen, plus, minus)[self.drawn]  # [B, K, w]
        centre = _difference(self.centre, plus, minus)
        return np.asarray(centre + self.scale * (old - centre + _difference(self.shifts, plus, minus)[..., None]))


def _difference(values: Floats, plus: int, minus: int | None) -> Floats:
    return np.asarray(values[..., plus] - (0.0 if minus is None else values[..., minus]))


def _futures(seen: Floats, code: Ints, rng: np.random.Generator, futures: int) -> _Futures:
    u, c = int(code.max()) + 1, seen.shape[1]
    sizes = np.bincount(code)
    rows, real = np.zeros((u, sizes.max(), c)), np.zeros((u, sizes.max()), dtype=bool)
    order = np.argsort(code, kind="stable")
    place = np.concatenate([np.arange(size) for size in sizes])
    rows[code[order], place], real[code[order], place] = seen[order], True
    horizon = min(max(TIMES * u, LEAST_NEW), MAX_NEW)
    n = max(50, min(futures, _BUDGET // (horizon * int(sizes.max()))))
    means = rows.sum(axis=1) / sizes[:, None]  # [U, c]
    centred = means - means.mean(axis=0)
    width = u**-0.2  # of the kernel, in standard deviations: Silverman's rule
    weights = rng.dirichlet(
        np.full(u, max(u - 4, 1) / u), size=n
    )  # Var of the mean as of Student's t: s²(u−1)/(u(u−3))
    edges = np.cumsum(weights, axis=1)
    drawn = np.stack([np.searchsorted(edge, rng.random(horizon) * edge[-1]) for edge in edges])
    spread = _root(centred.T @ centred / (u - 1))  # [c, c]
    shifts = width * rng.standard_normal((n, horizon, c)) @ spread
    centre, scale = means.mean(axis=0), 1 / np.sqrt(1 + width**2)
    copies = seen[None] + width * rng.standard_normal((_COPIES, len(seen), c)) @ spread
    reference = centre + scale * (copies.reshape(-1, c) - centre)
    return _Futures(rows, real, np.minimum(drawn, u - 1), shifts, centre, float(scale), reference)


def _root(matrix: Floats) -> Floats:
    """The symmetric square root of a covariance."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


def _sides(
    future: _Futures, need: Needed, pairing: Literal["natural", "random"], level: float, new: Ints
) -> tuple[Flags, Flags]:
    """`[B, g]` whether the whole interval lies on the right side, and whether on the wrong one."""
    two = pairing == "random" and need.minus is not None
    if need.kind == "mean":
        low, high = _mean(future, [(need.plus, None), (need.minus, None)] if two else [(need.plus, need.minus)],
                          level, new)  # fmt: skip
    else:
        low, high = (_pairs_share if two else _rows_share)(future, need, level, new)
    if need.direction == "above":
        return low > need.threshold, high < need.threshold
    return high < need.threshold, low > need.threshold


def _tally(seen: Floats, drawn: Floats, new: Ints) -> Floats:
    """Sums `[B, g]` over the seen clusters `[U]` and the first so many new ones of `[B, K]`."""
    sums = np.concatenate([np.zeros((len(drawn), 1)), np.cumsum(drawn, axis=1)], axis=1)
    return np.asarray(seen.sum() + sums[:, new])


@dataclass(frozen=True, eq=False)
class _Moments:
    """Of cluster sums x and sizes w, `[B, g]` each: of w, x, x², xw and w², and the number of clusters `[g]`."""

    w: Floats
    x: Floats
    xx: Floats
    xw: Floats
    ww: Floats
    clusters: Ints

    @staticmethod
    def of(future: _Futures, seen: Floats, drawn: Floats, new: Ints) -> "_Moments":
        """From sums of the seen `[U]` and of the new `[B, K]` clusters."""
        sizes = future.real.sum(axis=1).astype(float)
        of_new = sizes[future.drawn]
        one, w, x = (np.ones_like(sizes), np.ones_like(of_new)), (sizes, of_new), (seen, drawn)
        products = [(w, one), (x, one), (x, x), (x, w), (w, w)]
        w1, x1, xx, xw, ww = (_tally(a[0] * b[0], a[1] * b[1], new) for a, b in products)
        return _Moments(w1, x1, xx, xw, ww, len(sizes) + new)

    def about(self, centre: Floats) -> Floats:
        """Sum over clusters of (x − centre w)²."""
        return np.maximum(self.xx - 2 * centre * self.xw + centre**2 * self.ww, 0.0)


def _mean(
    future: _Futures, columns: Sequence[tuple[int | None, int | None]], level: float, new: Ints
) -> tuple[Floats, Floats]:
    """Student's interval of a mean, or of the difference of two samples' means, `[B, g]`."""
    value, variance = np.zeros((len(future.drawn), len(new))), np.zeros((len(future.drawn), len(new)))
    for sign, (plus, minus) in zip((1.0, -1.0), columns, strict=False):
        assert plus is not None
        seen = (_difference(future.seen, plus, minus) * future.real).sum(axis=1)
        drawn = (future.new(plus, minus) * future.real[future.drawn]).sum(axis=2)
        m = _Moments.of(future, seen, drawn, new)
        mean = m.x / m.w
        value += sign * mean
        variance += m.about(mean) / m.w**2 * m.clusters / (m.clusters - 1)
    few = m.clusters < _MIN_CLUSTERS
    half = _quantile(level, np.where(few, m.clusters - 1, len(columns) * (m.clusters - 1))) * np.sqrt(variance)
    return value - half, value + half


def _rows_share(future: _Futures, need: Needed, level: float, new: Ints) -> tuple[Floats, Floats]:
    """Interval of the share of rows whose difference is below 0, as `intervals.share_interval`, `[B, g]`."""
    seen = ((_difference(future.seen, need.plus, need.minus) < 0) & future.real).sum(axis=1).astype(float)
    drawn = ((future.new(need.plus, need.minus) < 0) & future.real[future.drawn]).sum(axis=2).astype(float)
    m = _Moments.of(future, seen, drawn, new)
    share, mean = m.x / m.w, m.w / m.clusters
    middle = (m.x + mean) / (m.w + 2 * mean)
    spread = (m.about(middle) + ((1 - middle) ** 2 + middle**2) * mean**2) * (m.clusters + 2) / (m.clusters + 1)
    effective = np.minimum(m.w, middle * (1 - middle) * m.w * (m.w + 2 * mean) / spread)
    effective = np.where((share == 0) | (share == 1), m.clusters, effective)
    if future.real.shape[1] == 1:
        return _score(share, m.w, np.full(len(new), -ndtri((1 - level) / 2)))
    return _score(share, effective, _quantile(level, m.clusters - 1))


def _pairs_share(future: _Futures, need: Needed, level: float, new: Ints) -> tuple[Floats, Floats]:
    """Interval of the share of all pairs of two samples below 0, as `intervals.two_sample_share`, `[B, g]`.

    The share is linear in the samples' placements (each text's share of the other side), but for what is small beside
    their spread.
    """
    assert need.minus is not None
    up, down = (np.sort(future.reference[:, column]) for column in (need.plus, need.minus))
    real_up, real_down = (np.sort(future.seen[..., column][future.real]) for column in (need.plus, need.minus))
    value, variance = np.zeros((len(future.drawn), len(new))), np.zeros((len(future.drawn), len(new)))
    for column, others, real_others, above in ((need.plus, down, real_down, True), (need.minus, up, real_up, False)):
        seen = (_placement(future.seen[..., column], real_others, above) * future.real).sum(axis=1)
        placed = _placement(future.new(column, None), others, above) * future.real[future.drawn]
        m = _Moments.of(future, seen, placed.sum(axis=2), new)
        extra = _EXTRA * m.w / m.clusters
        middle = (m.x + extra) / (m.w + 2 * extra)
        spread = m.about(middle) + ((1 - middle) ** 2 + middle**2) * extra**2
        variance += spread * (m.clusters + 2) / (m.clusters + 1) / (m.w + 2 * extra) ** 2
        value += m.x / m.w
        start = float(seen.sum() / future.real.sum())
    share = np.clip(value - start, 0.0, 1.0)
    extra = _EXTRA * m.w / m.clusters
    middle = (share * m.w + extra) / (m.w + 2 * extra)
    effective = np.minimum(middle * (1 - middle) / np.maximum(variance, 1e-300), 4 * m.w)
    effective = np.where((share == 0) | (share == 1), 2.0 * m.clusters, effective)
    return _score(share, effective, _quantile(level, 2 * m.clusters - 2))


def _placement(values: Floats, others: Floats, above: bool) -> Floats:
    """Share of the other side, sorted, that lies above (below) each value; ties count half."""
    left, right = (np.searchsorted(others, values, side) for side in ("left", "right"))
    below = (left + right) / (2 * len(others))
    return np.asarray(1 - below if above else below)


def _quantile(level: float, df: Ints) -> Floats:
    """Student's t `[g]` that the upper tail of an interval of this level begins at."""
    return np.asarray(-stdtrit(df.astype(np.float64), (1 - level) / 2))


def _score(share: Floats, n: Floats, quantile: Floats) -> tuple[Floats, Floats]:
    """Wilson's interval at quantiles `[g]`, `[B, g]`."""
    shrink = 1 + quantile**2 / n
    centre = (share + quantile**2 / (2 * n)) / shrink
    half = quantile / shrink * np.sqrt(share * (1 - share) / n + quantile**2 / (4 * n**2))
    return np.maximum(np.minimum(centre - half, share), 0.0), np.minimum(np.maximum(centre + half, share), 1.0)
