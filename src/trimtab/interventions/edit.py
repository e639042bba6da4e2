"""What is done to an activation."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor  # the name of a type alone: nothing here loads torch


class Edit(Protocol):
    """A function of the activations at one site: a vector added, gates, an ablation, a rotation."""

    def __call__(self, h: "Tensor", strength: "Tensor") -> "Tensor":
        """Map `h [B, T, d_model]` and `strength [B, A]` (or `[1, A]`) to the edited `[B, T, d_model]`."""
        ...
