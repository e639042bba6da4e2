"""The main direction of the differences."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from trimtab.steering.edits import Additive
from trimtab.steering.methods.sides import Sides, SidesMethod, as_long_as_the_difference, stacked


@dataclass(frozen=True)
class PCA(SidesMethod):
    """First principal component of the differences of pairs, whose signs are random, so that their mean is 0.

    With random signs the covariance is that of the differences about 0: the component is their first right singular
    vector, without drawing any signs. It points to the positive side.
    """

    name: ClassVar[str] = "pca"
    source: ClassVar[str] = (
        "RepE, Zou et al. 2310.01405. Assumed: length such that strength 1 moves as far along it as the classes lie "
        "apart (the paper leaves the scale to the user); unpaired rows are matched at random."
    )

    def edit(self, sides: Mapping[str, Sides], seed: int) -> Additive:
        """One component for each attribute."""
        return Additive(stacked([self._component(side, seed) for side in sides.values()]))

    def _component(self, side: Sides, seed: int) -> torch.Tensor:
        first = torch.linalg.svd(side.differences(seed), full_matrices=False).Vh[0]
        return as_long_as_the_difference(first, side)
