"""Contrasts over the examples of a part."""

from dataclasses import dataclass, replace
from typing import Literal

from trimtab.experiment.instrument import SIDES, Floats, Propensity
from trimtab.statistics import steering_effect
from trimtab.statistics.contrast import Contrast, Flags


@dataclass(frozen=True)
class ContrastMaker:
    """Contrasts over the same examples.

    Args:
        clusters: cluster of each example.
        arbitrary: whether the two texts of an example are paired at random.
        seed: of resampling.
        level: of intervals.
        acting: where the steering acts, by side, as `Contrast` takes it; None: everywhere.
    """

    clusters: tuple[str, ...]
    arbitrary: bool
    seed: int
    level: float = 0.95
    acting: tuple[Flags, Flags] | None = None

    def __call__(self, positive: Floats, negative: Floats) -> Contrast:
        pairing: Literal["natural", "random"] = "random" if self.arbitrary else "natural"
        return Contrast(positive, negative, self.clusters, pairing, self.seed, self.level, self.acting)

    def change(self, before: Propensity, after: Propensity) -> Contrast:
        """Δ from one measurement to another."""
        return self(*(steering_effect(getattr(before, side), getattr(after, side)) for side in SIDES))

    def first(self, n: int) -> "ContrastMaker":
        """The same over the first n examples."""
        acting = None if self.acting is None else (self.acting[0][:n], self.acting[1][:n])
        return replace(self, clusters=self.clusters[:n], acting=acting)
