"""What is done to an activation."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor  # the name of a type alone: nothing here loads torch


class Edit(Protocol):
    """A function of the activations at one site: a vector added, gates, an ablation, a rotation.

    Any callable with this signature is one; those in `trimtab.steering.edits` can also be saved.

    Example:
        >>> import torch
        >>> import trimtab as tt
        >>> def halve(h, strength):
        ...     return h * 0.5 ** strength[:, None, :1]
        >>> steering = tt.Steering({14: halve}, {"halve": 1.0})
        >>> steering.edits[tt.Site(14)](torch.ones(1, 2, 3), torch.ones(1, 1)).tolist()
        [[[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]]]
    """

    def __call__(self, h: "Tensor", strength: "Tensor") -> "Tensor":
        """Map `h [B, T, d_model]` and `strength [B, A]` (or `[1, A]`) to the edited `[B, T, d_model]`."""
        ...
