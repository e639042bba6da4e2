"""Contrasts over the examples of a part."""

from dataclasses import dataclass

from trimtab.experiment.instrument import SIDES, Floats, Propensity
from trimtab.statistics import steering_effect
from trimtab.statistics.contrast import Contrast


@dataclass(frozen=True)
class ContrastMaker:
    """Contrasts over the same examples.

    Args:
        clusters: cluster of each example.
        arbitrary: whether the two texts of an example are paired at random.
        seed: of resampling.
        level: of intervals.
    """

    clusters: tuple[str, ...]
    arbitrary: bool
    seed: int
    level: float = 0.95

    def __call__(self, positive: Floats, negative: Floats) -> Contrast:
        return Contrast(
            positive, negative, self.clusters, "random" if self.arbitrary else "natural", self.seed, self.level
        )

    def change(self, before: Propensity, after: Propensity) -> Contrast:
        """Δ from one measurement to another."""
        return self(*(steering_effect(getattr(before, side), getattr(after, side)) for side in SIDES))

    def first(self, n: int) -> "ContrastMaker":
        """The same over the first n examples."""
        return ContrastMaker(self.clusters[:n], self.arbitrary, self.seed, self.level)
