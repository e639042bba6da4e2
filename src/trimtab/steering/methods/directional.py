"""The mean difference as a direction: ablated, clamped, or rotated toward."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, radians
from typing import ClassVar

import torch

from trimtab.errors import InputError
from trimtab.steering.edits import Ablation, Clamp, Rotation
from trimtab.steering.edits.clamp import Side
from trimtab.steering.methods.sides import Sides, SidesMethod, stacked


@dataclass(frozen=True)
class DirectionalAblation(SidesMethod):
    """Removes the direction of the mean difference from every token: the behavior can be removed, not increased."""

    name: ClassVar[str] = "ablation"
    source: ClassVar[str] = (
        "Arditi et al. 2406.11717, who take one direction out at every block; here at the sites that are given, each "
        "with its own direction."
    )

    def edit(self, sides: Mapping[str, Sides], seed: int) -> Ablation:
        """One direction for each attribute."""
        return Ablation(stacked([side.axis for side in sides.values()]))


@dataclass(frozen=True)
class ProjectionClamp(SidesMethod):
    """Raises tokens whose projection on the mean difference lies below the positive side's mean to that mean.

    Args:
        side: which tokens are moved: those `below` the value, `above` it, or `both`.
    """

    name: ClassVar[str] = "clamp"
    source: ClassVar[str] = (
        "Feature clamping, Templeton et al. 2024 (Scaling Monosemanticity), on the mean difference in place of a "
        "feature of a sparse autoencoder. Assumed: the value is the mean projection of the positive side."
    )
    side: Side = "below"

    def edit(self, sides: Mapping[str, Sides], seed: int) -> Clamp:
        """One direction and value for each attribute."""
        directions = [side.axis for side in sides.values()]
        values = [float((s.positive @ v).mean()) for s, v in zip(sides.values(), directions, strict=True)]
        return Clamp(stacked(directions), torch.tensor(values), side=self.side)


@dataclass(frozen=True)
class Angular(SidesMethod):
    """Rotates tokens, in a plane that contains the mean difference, to an angle from it; their length stays.

    Args:
        degrees: target angle: 0 is the positive side, 180 the negative one.
    """

    name: ClassVar[str] = "angular"
    source: ClassVar[str] = (
        "Angular Steering, 2510.26243. Its second axis is the first principal component of the mean differences of all "
        "blocks; here, so that one site is enough, that of the activations of both sides after removing the "
        "first axis."
    )
    degrees: float = 0.0

    def edit(self, sides: Mapping[str, Sides], seed: int) -> Rotation:
        """One plane for each attribute."""
        if not isfinite(self.degrees):
            raise InputError(
                f"degrees {self.degrees} must be a finite number", code="out-of-range", field="options.degrees"
            )
        first, second = [], []
        for side in sides.values():
            axis = side.axis
            rows = torch.cat([side.positive, side.negative])
            rows = rows - rows.mean(dim=0)
            across = rows - (rows @ axis)[:, None] * axis
            first.append(axis)
            second.append(torch.linalg.svd(across, full_matrices=False).Vh[0])
        return Rotation(stacked(first), stacked(second), torch.full((len(sides),), radians(self.degrees)))
