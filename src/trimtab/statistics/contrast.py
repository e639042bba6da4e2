"""Means and anti-steerable shares of differences, whether the two answers of a row belong together or not."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from trimtab.statistics.effects import Shares, anti_steerable, anti_steerable_unpaired
from trimtab.statistics.inputs import Floats
from trimtab.statistics.intervals import (
    Interval,
    bootstrap_mean,
    bootstrap_two_sample,
    share_interval,
    two_sample_share,
)


@dataclass(frozen=True, eq=False)
class Contrast:
    """A quantity of the positive minus the same of the negative answers, such as the change under steering.

    Args:
        positive: `[n]` of the positive answers.
        negative: `[n]` of the negative answers; zeros where a row has one figure only, as choices have.
        clusters: `[n]` question or template of each row; these are resampled.
        pairing: `natural`: row i of both belong together. `random`: the matching is arbitrary, so the two
            sides are two samples and shares are U-statistics over all pairs.
        seed: of the resampling.
        level: of intervals, where none is asked for.
    """

    positive: Floats
    negative: Floats
    clusters: tuple[str, ...]
    pairing: Literal["natural", "random"]
    seed: int = 0
    level: float = 0.95

    @property
    def rows(self) -> Floats:
        """`[n]` difference of each row; of an arbitrary pair, if the pairing is random."""
        return self.positive - self.negative

    @property
    def n_clusters(self) -> int:
        """Number of independent clusters."""
        return len(set(self.clusters))

    @property
    def sd(self) -> float:
        """Standard deviation of the difference, of matched rows or of two independent texts."""
        if self.pairing == "natural":
            return float(self.rows.std(ddof=1))
        return float(np.sqrt(self.positive.var(ddof=1) + self.negative.var(ddof=1)))

    @property
    def standardised(self) -> float | None:
        """Mean difference in standard deviations; None where nothing varies."""
        return float(self.rows.mean()) / self.sd if self.sd > 0 else None

    def mean(self, level: float | None = None) -> Interval:
        """Mean difference with its interval over clusters."""
        if self.pairing == "natural":
            return bootstrap_mean(self.rows, self._labels, seed=self.seed, level=level or self.level)
        sides = self.positive, self.negative, self._labels, self._labels
        return bootstrap_two_sample(*sides, seed=self.seed, level=level or self.level)

    def below_zero(self, level: float | None = None) -> Interval:
        """Share of rows (of all pairs, if random) whose difference is below 0, with its interval."""
        if self.pairing == "natural":
            return share_interval(self.rows < 0, self._labels, level or self.level)
        return two_sample_share(self.positive, self.negative, self._labels, self._labels, level=level or self.level)

    def side(self, which: Literal["positive", "negative"], level: float | None = None) -> Interval:
        """Mean of one side, such as the change of the desired answers under steering (Δ+), with its interval."""
        return bootstrap_mean(getattr(self, which), self._labels, seed=self.seed, level=level or self.level)

    def side_below_zero(self, which: Literal["positive", "negative"], level: float | None = None) -> Interval:
        """Share of one side's answers whose figure is below 0, with its interval."""
        return share_interval(getattr(self, which) < 0, self._labels, level or self.level)

    def shares(self, noise: float) -> Shares:
        """Shares by sign, with what is within the numerical noise apart."""
        if self.pairing == "natural":
            return anti_steerable(self.rows, noise)
        return anti_steerable_unpaired(self.positive, self.negative, noise)

    @property
    def _labels(self) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
        return np.array(self.clusters)
