"""Removing directions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from trimtab.steering.edits.directed import Directed


@dataclass(frozen=True, eq=False)
class Ablation(Directed):
    """Directional ablation (Arditi et al. 2406.11717): `f(h) = h − Σ_a λ_a c_a v_a`, at λ = 1 with nothing along v.

    `c` are the coefficients of h's projection onto the span of the directions whose λ is not 0, so that λ = 1
    removes several directions completely even if they are not orthogonal.

    Args:
        directions: `[A, d_model]`, of any length except 0.
    """

    kind: ClassVar[str] = "ablation"

    @property
    def is_odd(self) -> bool:
        """True: −λ adds what λ removes."""
        return True

    def edited(self, h: Tensor, strength: Tensor, at: Mapping[str, Tensor]) -> Tensor:
        """In float32."""
        plain, v = h.float(), at["directions"]
        along = plain @ v.T  # [B, T, A]
        if self.n_attributes > 1:
            on = (strength != 0).to(v.dtype)  # [B or 1, A]
            gram = on[:, :, None] * (v @ v.T) * on[:, None, :]
            along = (along * on[:, None, :]) @ torch.linalg.pinv(gram, hermitian=True)
        return (plain - (strength[:, None, :] * along) @ v).to(h.dtype)
