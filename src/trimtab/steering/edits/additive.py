"""Adding vectors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from trimtab.errors import InputError
from trimtab.steering.edits.base import StoredEdit, shaped, with_norm_of


@dataclass(frozen=True, eq=False)
class Additive(StoredEdit):
    """Adds `strength · vectors` to every token in scope: `f(h) = h + Σ_a λ_a v_a`.

    Args:
        vectors: `[A, d_model]`, one per attribute.
        keep_norm: give f(h) the length of h; a token whose sum is 0 stays as it is.

    Example:
        >>> import torch
        >>> from trimtab.steering import Additive
        >>> edit = Additive(torch.tensor([[1.0, 0.0, -1.0]]))
        >>> edit(torch.zeros(1, 1, 3), strength=torch.tensor([[2.0]])).tolist()
        [[[2.0, 0.0, -2.0]]]
    """

    kind: ClassVar[str] = "additive"
    directions_in: ClassVar[tuple[str, ...]] = ("vectors",)
    vectors: Tensor
    keep_norm: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        shaped(self.kind, "vectors", self.vectors, "attributes", "d_model")
        if not isinstance(self.keep_norm, bool):
            raise InputError(
                f"additive: keep_norm {self.keep_norm!r} must be true or false", code="wrong-type", field="keep_norm"
            )

    @property
    def is_odd(self) -> bool:
        """Whether it only adds, without restoring the norm."""
        return not self.keep_norm

    def edited(self, h: Tensor, strength: Tensor, at: Mapping[str, Tensor]) -> Tensor:
        """`h + λ V`; computed in float32 to keep the norm, otherwise added in h's dtype."""
        pull = (strength @ at["vectors"])[:, None, :]
        if not self.keep_norm:
            return h + pull.to(h.dtype)
        plain = h.float()
        return with_norm_of(plain + pull, plain).to(h.dtype)
