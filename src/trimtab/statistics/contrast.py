"""Means and anti-steerable shares of differences, whether the two answers of a row belong together or not."""

from dataclasses import dataclass, replace
from itertools import compress
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from trimtab.statistics.effects import Shares, anti_steerable, anti_steerable_unpaired
from trimtab.statistics.inputs import Floats
from trimtab.statistics.intervals import (
    Interval,
    bootstrap_mean,
    bootstrap_two_sample,
    share_interval,
    two_sample_share,
)

Flags = NDArray[np.bool_]
Labels = NDArray[np.str_]
SIDES: Final = ("positive", "negative")


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
        acting: `[n]` of the positive and of the negative answers: where the steering acts, which leaves other prompts
            alone; None: everywhere. Shares by sign are those among these; means are over all rows, so that what is
            left alone counts as unchanged.
    """

    positive: Floats
    negative: Floats
    clusters: tuple[str, ...]
    pairing: Literal["natural", "random"]
    seed: int = 0
    level: float = 0.95
    acting: tuple[Flags, Flags] | None = None

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

    def among(self, rows: Flags) -> "Contrast":
        """The same of some of the rows `[n]` alone."""
        acting = None if self.acting is None else (self.acting[0][rows], self.acting[1][rows])
        clusters = tuple(compress(self.clusters, rows))
        return replace(
            self, positive=self.positive[rows], negative=self.negative[rows], clusters=clusters, acting=acting
        )

    def mean(self, level: float | None = None) -> Interval:
        """Mean difference with its interval over clusters."""
        return self._mean((self.positive, self.negative), (self._labels, self._labels), level)

    def acts(self, level: float | None = None) -> Interval | None:
        """Share of the answers that the steering acts on, with its interval; None where it acts on all."""
        if self.acting is None:
            return None
        if self.pairing == "natural":
            return share_interval(self.acted_on[0], self._labels, level or self.level)
        return share_interval(np.concatenate(self.acting), np.tile(self._labels, 2), level or self.level)

    @property
    def n_acting(self) -> int:
        """Number of independent clusters with an answer that the steering acts on."""
        return len({*self._labels[self.acted_on[0]], *self._labels[self.acted_on[1]]})

    @property
    def n_below_zero(self) -> int:
        """Number of clusters of natural pairs of which any that the steering acts on has a difference below 0."""
        up, down = self._sides
        return len(set(self._side_labels[0][up < down]))

    def mean_acting(self, level: float | None = None) -> Interval | None:
        """Mean difference among those that the steering acts on; None where they have fewer than two clusters."""
        return self._mean(self._sides, self._side_labels, level) if self._enough else None

    def below_zero(self, level: float | None = None) -> Interval:
        """Share of rows (of all pairs, if random) whose difference is below 0, of those that the steering acts on.

        A row of natural pairs that does not change is not below 0. Of random pairs, which nobody matched, two texts
        that change alike count half: without a difference between the sides the share is one half, ties or not. Its
        interval is 0 to 1 where these are fewer than two clusters a side.
        """
        (up, down), (of_up, of_down) = self._sides, self._side_labels
        if not self._enough:
            return Interval(self.shares(0.0).anti, 0.0, 1.0)
        if self.pairing == "natural":
            return share_interval(up - down < 0, of_up, level or self.level)
        return two_sample_share(up, down, of_up, of_down, level=level or self.level)

    def side(self, which: Literal["positive", "negative"], level: float | None = None) -> Interval:
        """Mean of one side, such as the change of the desired answers under steering (Δ+), with its interval."""
        return bootstrap_mean(getattr(self, which), self._labels, seed=self.seed, level=level or self.level)

    def side_below_zero(self, which: Literal["positive", "negative"], level: float | None = None) -> Interval:
        """Share of one side's answers whose figure is below 0, of those that the steering acts on."""
        one = SIDES.index(which)
        flags = self._sides[one] < 0
        if not self._enough:
            return Interval(float(flags.mean()) if len(flags) else 0.0, 0.0, 1.0)
        return share_interval(flags, self._side_labels[one], level or self.level)

    def shares(self, noise: float) -> Shares:
        """Shares by sign of those that the steering acts on, with what is within the numerical noise apart."""
        up, down = self._sides
        if not len(up) or not len(down):
            return Shares(0.0, 0.0, 0.0, 0.0)
        if self.pairing == "natural":
            return anti_steerable(up - down, noise)
        return anti_steerable_unpaired(up, down, noise)

    @property
    def acted_on(self) -> tuple[Flags, Flags]:
        """`[n]` of either side, where the steering acts; both answers of a natural pair count, or neither."""
        if self.acting is None:
            every = np.ones(len(self.positive), np.bool_)
            return every, every
        if self.pairing == "natural":
            both = self.acting[0] & self.acting[1]
            return both, both
        return self.acting

    def _mean(self, sides: tuple[Floats, Floats], labels: tuple[Labels, Labels], level: float | None) -> Interval:
        (up, down), level = sides, level or self.level
        if self.pairing == "natural":
            return bootstrap_mean(up - down, labels[0], seed=self.seed, level=level)
        return bootstrap_two_sample(up, down, *labels, seed=self.seed, level=level)

    @property
    def _sides(self) -> tuple[Floats, Floats]:
        """Figures of either side where the steering acts."""
        return self.positive[self.acted_on[0]], self.negative[self.acted_on[1]]

    @property
    def _side_labels(self) -> tuple[Labels, Labels]:
        """Clusters of these."""
        return self._labels[self.acted_on[0]], self._labels[self.acted_on[1]]

    @property
    def _enough(self) -> bool:
        """Whether there are clusters to take an interval over, after some were left alone."""
        return self.acting is None or min(len(set(labels)) for labels in self._side_labels) > 1

    @property
    def _labels(self) -> Labels:
        return np.array(self.clusters)
