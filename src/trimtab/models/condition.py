"""When an attribute acts on a prompt."""

from dataclasses import dataclass
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.models.sites import Site


@dataclass(frozen=True, eq=False)
class Condition:
    """When an attribute acts on a prompt: where the prompt's mean activation points.

    After CAST (Lee et al. 2409.05907), with the signed cosine in place of the similarity to a projection.

    Args:
        site: where the prompt is read.
        direction: `[d_model]`; copied, so what is done to it later changes nothing.
        threshold: cosine between −1 and 1.
        above: the attribute acts where the cosine is above the threshold, else where it is below.

    Raises:
        InputError: a direction that is no vector, or without length; a threshold that is no cosine.
    """

    site: Site
    direction: Tensor
    threshold: float
    above: bool = True

    def __post_init__(self) -> None:
        threshold: Any = self.threshold
        number = isinstance(threshold, Real) and not isinstance(threshold, bool)
        if not number or not -1 <= threshold <= 1:
            raise InputError(f"a condition's threshold is a cosine between -1 and 1, not {threshold!r}")
        if not isinstance(self.above, bool):
            raise InputError(f"a condition's above must be true or false, not {self.above!r}")
        object.__setattr__(self, "site", Site.of(self.site))
        object.__setattr__(self, "direction", _copied(self.direction))
        object.__setattr__(self, "threshold", float(threshold))

    def cosines(self, h: Tensor) -> Tensor:
        """`[n, d_model]` mean activations of prompts to `[n]` cosines with the direction."""
        return torch.cosine_similarity(h.float(), self.direction.to(h.device)[None], dim=1)

    def met(self, h: Tensor) -> Tensor:
        """`[n, d_model]` to `[n]` bool: the prompts on which the attribute acts."""
        cosines = self.cosines(h)
        return cosines > self.threshold if self.above else cosines < self.threshold


def _copied(direction: Any) -> Tensor:
    """As float32."""
    try:
        given = torch.as_tensor(direction)
    except (TypeError, ValueError, RuntimeError):
        given = torch.empty(0)
    own = given.detach().to(torch.float32, copy=True) if not given.is_complex() else torch.empty(0)
    if own.ndim != 1 or not bool(torch.isfinite(own).all()) or not bool(own.any()):
        raise InputError("a condition's direction is a finite vector [d_model] that is not 0")
    return own
