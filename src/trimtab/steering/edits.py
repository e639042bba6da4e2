"""What is done to an activation."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from trimtab.errors import InputError


@dataclass(frozen=True, eq=False)
class Additive:
    """Adds `strength · vectors` to every token in scope: `f(h) = h + Σ_a λ_a v_a`.

    Args:
        vectors: `[A, d_model]` float32, one per attribute.
    """

    vectors: Tensor
    _placed: dict[tuple[torch.device, torch.dtype], Tensor] = field(default_factory=dict, init=False, repr=False)

    def __call__(self, h: Tensor, strength: Tensor) -> Tensor:
        """`h [B, T, d_model]`, `strength [B or 1, A]` to `[B, T, d_model]`, in h's dtype.

        Raises:
            InputError: h has another width.
        """
        if self.vectors.shape[1] != h.shape[-1]:
            raise InputError(
                f"the steering's vectors are {self.vectors.shape[1]} wide and the model's activations {h.shape[-1]}; "
                "was the steering made for another model?"
            )
        delta = strength @ self._on(h.device)  # (B, d), float32
        return h + delta.to(h.dtype)[:, None, :]

    def _on(self, device: torch.device) -> Tensor:
        """The vectors where the module is; copied there once."""
        key = (device, self.vectors.dtype)
        if key not in self._placed:
            self._placed[key] = self.vectors.to(device)
        return self._placed[key]
