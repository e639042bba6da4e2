"""The difference of the class means: the simplest steering vector."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from trimtab.interventions import Place, Site
from trimtab.steering.edits import Additive
from trimtab.steering.methods.sides import Sides, SidesMethod, as_long_as_the_difference, stacked
from trimtab.steering.steering import Steering


@dataclass(frozen=True)
class MeanDifference(SidesMethod):
    """`s = mean_i a(x_i, +) − mean_j a(x_j, −)`, not normalised; for pairs the mean of the differences d_i.

    Sides that know directions beforehand are shrunk toward these (`trimtab.statistics.shrinkage`).
    """

    name: ClassVar[str] = "mean-difference"
    source: ClassVar[str] = "CAA, Rimsky et al. 2312.06681; Braun et al. 2505.22637"

    def edit(self, sides: Mapping[str, Sides], seed: int) -> Additive:
        """Vectors as they are, or shrunk toward what is known beforehand, with the length that they have along it."""
        return Additive(stacked([_vector(side) for side in sides.values()]))


def _vector(side: Sides) -> Tensor:
    if not side.known:
        return side.mean_difference
    direction = torch.from_numpy(side.shrunk.vector).to(side.positive.device)
    return as_long_as_the_difference(direction, side)


def mean_difference(positive: Tensor, negative: Tensor, site: Place, name: str = "vector") -> Steering:
    """A steering by the difference of the class means, for one attribute at one site.

    Args:
        positive: `[n, d_model]` activations of the positive side.
        negative: `[m, d_model]` of the negative side.
        site: where they were read, and where the vector is added.
        name: the attribute's name.

    Raises:
        InputError: an empty side, different widths, or sides with the same mean.

    Example:
        >>> import torch
        >>> from trimtab.steering import mean_difference
        >>> positive, negative = torch.tensor([[3.0, 0.0], [5.0, 2.0]]), torch.tensor([[1.0, 1.0]])
        >>> mean_difference(positive, negative, site=14, name="warm").vector(14)
        tensor([3., 0.])
    """
    return MeanDifference().fit({name: {Site.of(site): Sides(positive, negative, paired=False)}})
