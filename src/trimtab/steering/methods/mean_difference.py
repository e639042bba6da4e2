"""The difference of the class means: the simplest steering vector."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.interventions import Place, Site
from trimtab.statistics import ShrunkDifference, shrunk_difference
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
    direction = torch.from_numpy(shrunk(side).vector).to(side.positive.device)
    return as_long_as_the_difference(direction, side)


def shrunk(side: Sides) -> ShrunkDifference:
    """The mean difference of two sides, shrunk toward the directions that are known beforehand.

    Raises:
        InputError: fewer than two rows or clusters, sides of different number, a direction without length.
    """
    known = np.stack([row.double().cpu().numpy() for row in side.known.values()])
    clusters = None if side.clusters is None else np.array(side.clusters)
    try:
        return shrunk_difference(
            side.positive.cpu().numpy(), side.negative.cpu().numpy(), known, clusters,
            pairing="natural" if side.paired else "random",
        )  # fmt: skip
    except InputError as error:
        raise error.at(f"shrinking toward {', '.join(side.known)}") from error


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
