"""Has a live stream moved away from a reference sample? One test for the whole stream, with an honest reference.

Bins are cut at order statistics of the reference. For values of one distribution the chances of such bins are
themselves random, with a Dirichlet law that is known exactly (of uniform spacings: Wilks 1962), so that while nothing
has changed the next value falls into a bin with the chance (reference + live values there so far) over all so far: a
Pólya urn. Nothing is estimated, so a small reference makes the test slower, never wrong. Bets on what the chances would
be if the values had moved or spread, on the scale of a normal distribution, are settled against the urn (the idea of
conformal test martingales, Vovk, Gammerman and Shafer 2005) and mixed over kinds and beginnings. Assumed: values that
are exchangeable with the reference while there is no drift, so one value for a unit or a conversation, not one for
every token.
"""

import numpy as np
from numpy.typing import ArrayLike as Array
from scipy.special import ndtr, ndtri

from trimtab.errors import InputError
from trimtab.statistics.inputs import Floats, Ints, as_vector
from trimtab.statistics.sequential.asymptotic import check_alpha
from trimtab.statistics.sequential.changes import ChangeEvidence

_SHIFTS = (-1.5, -0.75, -0.4, -0.2, 0.0, 0.2, 0.4, 0.75, 1.5)  # of the mean, in standard deviations
_SCALES = (0.6, 1.0, 1.6)  # of the standard deviation
_KINDS = [(shift, scale) for scale in _SCALES for shift in _SHIFTS if (shift, scale) != (0.0, 1.0)]
_MIN_REFERENCE = 20
_BLOCK = 2000  # live values worked on together; more do not fit into a processor's cache


class DriftTest:
    """A live stream against a reference sample.

    Args:
        reference: values from before, `[m]`, at least 20: of projections, gates or sizes of edits on a check's
        examples. alpha: chance of a false alarm over the whole stream, however long.
        bins: at most as many; each holds the same number of reference values, at least 4.
        seed: of the draws that break ties (values that are equal to a reference value).

    Raises:
        InputError: fewer than 20 values, or values that are not finite.

    Example:
        >>> import numpy as np
        >>> from trimtab.statistics.sequential import DriftTest
        >>> rng = np.random.default_rng(0)
        >>> test = DriftTest(rng.normal(size=500), seed=0)
        >>> _ = test.add_many(rng.normal(size=2000))
        >>> before = test.alarm
        >>> _ = test.add_many(rng.normal(0.5, size=2000))
        >>> before, test.alarm, 2000 < test.alarm_at < 2200
        (False, True, True)
    """

    def __init__(self, reference: Array, alpha: float = 0.05, *, bins: int = 50, seed: int = 0) -> None:
        values = as_vector(reference, "reference", _MIN_REFERENCE)
        if bins < 2:
            raise InputError(f"bins is {bins}; give at least 2", code="out-of-range", field="bins")
        self.alpha = check_alpha(alpha)
        self._rng = np.random.default_rng(seed)
        m = len(values)
        edges = np.unique(np.linspace(0, m + 1, min(bins, m // 4) + 1).round().astype(np.int64))[1:-1]  # ranks from 1
        ties = self._rng.random(m)
        order = np.lexsort((ties, values))[edges - 1]
        self._edges, self._ties = values[order], ties[order]
        ranks = np.array([0, *edges, m + 1])
        self.expected = np.diff(ranks).astype(np.float64)  # parameters of the Dirichlet law, [K]
        self.counts = np.zeros(len(self.expected), dtype=np.int64)  # live values by bin, [K]
        self._odds = _odds(ranks / (m + 1))  # [kinds, K]
        self._urn = self._odds @ self.expected  # [kinds]; over m + 1 + n it is the mean of a bet's odds
        self._evidence = ChangeEvidence(len(_KINDS))
        self.largest = 0.0
        self.alarm_at: int | None = None

    @property
    def n(self) -> int:
        """Live values so far."""
        return self._evidence.steps

    @property
    def alarm(self) -> bool:
        """Whether the evidence has ever reached 1/alpha; an alarm stays."""
        return self.alarm_at is not None

    @property
    def log_e_value(self) -> float:
        """Logarithm of the evidence now; that of all looks together is `largest`."""
        return self._evidence.log_e_value

    @property
    def p_value(self) -> float:
        """One over the largest evidence so far: may be looked at at any time."""
        return float(np.exp(-self.largest))

    def add(self, value: float) -> bool:
        """One more live value; whether there is an alarm."""
        self.add_many(np.array([value]))
        return self.alarm

    def add_many(self, values: Array) -> Floats:
        """Live values in their order.

        Returns:
            Logarithm of the evidence after each, `[T]`.
        """
        if np.size(values) == 0:
            return np.zeros(0)
        bins = self._bins(as_vector(values, "values"))
        return np.concatenate([self._add_bins(bins[k : k + _BLOCK]) for k in range(0, len(bins), _BLOCK)])

    def _add_bins(self, bins: Ints) -> Floats:
        odds = self._odds[:, bins]  # [kinds, T]
        n = self.n + np.arange(len(bins))
        before = self._urn[:, None] + np.cumsum(odds, axis=1) - odds  # of the urn before each draw
        path = self._evidence.add_many(np.log(odds) + np.log(self.expected.sum() + n) - np.log(before))
        self._urn = self._urn + odds.sum(axis=1)
        self.counts += np.bincount(bins, minlength=len(self.counts))
        over = np.flatnonzero(path >= -np.log(self.alpha))
        if self.alarm_at is None and len(over):
            self.alarm_at = int(n[over[0]]) + 1
        self.largest = max(self.largest, float(path.max()))
        return path

    def _bins(self, values: Floats) -> Ints:
        """Bin of each value; one that equals edges is put between them by chance, as their own ties were."""
        low, high = (np.searchsorted(self._edges, values, side=side) for side in ("left", "right"))
        for k in np.flatnonzero(low < high):
            low[k] += np.searchsorted(self._ties[low[k] : high[k]], self._rng.random())
        return np.asarray(low, dtype=np.int64)


def _odds(quantiles: Floats) -> Floats:
    """What each bet pays in each bin: the bin's chance after a move or spread over the one before, `[kinds, K]`."""
    z = ndtri(quantiles)
    with np.errstate(invalid="ignore"):
        moved = np.array([np.diff(ndtr((z - shift) / scale)) for shift, scale in _KINDS])
    return np.maximum(moved / np.diff(quantiles), 1e-12)
