"""Rotating within a plane."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.steering.edits.base import StoredEdit, shaped, unit

_TURN = 2 * torch.pi


@dataclass(frozen=True, eq=False)
class Rotation(StoredEdit):
    """Angular steering (2510.26243): rotates the part of h in a plane toward an angle; its length and the rest of h
    stay.

    λ is the share of the way, along the shorter arc, from a token's angle to the target: λ = 1 is the paper's rotation
    to a fixed angle. Attributes rotate one after the other.

    Args:
        first, second: `[A, d_model]` each, the plane's axes; `second` is made orthogonal to `first`.
        angle: `[A]` target in radians from `first` toward `second`.
    """

    kind: ClassVar[str] = "rotation"
    directions_in: ClassVar[tuple[str, ...]] = ("first", "second")
    first: Tensor
    second: Tensor
    angle: Tensor

    def __post_init__(self) -> None:
        super().__post_init__()
        shaped(self.kind, "first", self.first, "attributes", "d_model")
        like = {"attributes": self.n_attributes, "d_model": self.width}
        shaped(self.kind, "second", self.second, "attributes", "d_model", like=like)
        shaped(self.kind, "angle", self.angle, "attributes", like=like)
        flat = self._across(self.first, self.second).norm(dim=1) <= 1e-5
        if bool(flat.any()) or not bool((self.first != 0).any(dim=1).all()):
            raise InputError(
                "rotation: the two axes of a plane are parallel, or one is all zeros",
                code="no-direction",
                field="planes",
            )

    @staticmethod
    def _across(first: Tensor, second: Tensor) -> Tensor:
        """The part of `second`, at length 1, that is orthogonal to `first`."""
        axis, other = unit(first), unit(second)
        return other - (other * axis).sum(dim=1, keepdim=True) * axis

    def prepared(self, at: dict[str, Tensor]) -> dict[str, Tensor]:
        """Axes at length 1 and orthogonal."""
        second = unit(self._across(at["first"], at["second"]))
        return {**at, "first": unit(at["first"]), "second": second}

    def edited(self, h: Tensor, strength: Tensor, at: Mapping[str, Tensor]) -> Tensor:
        """In float32."""
        out = h.float()
        for a in range(self.n_attributes):
            first, second = at["first"][a], at["second"][a]
            x, y = out @ first, out @ second  # [B, T]
            now = torch.atan2(y, x)
            way = torch.remainder(at["angle"][a] - now + torch.pi, _TURN) - torch.pi
            share = strength[:, a, None]  # [B or 1, 1]
            new, length = now + share * way, torch.hypot(x, y)
            there = out + (length * new.cos() - x)[..., None] * first + (length * new.sin() - y)[..., None] * second
            out = torch.where(share[..., None] != 0, there, out)  # cos(atan2(y, x)) gives x back only up to rounding
        return out.to(h.dtype)
