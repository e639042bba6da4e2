"""Adding vectors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from trimtab.steering.edits.base import StoredEdit, shaped


@dataclass(frozen=True, eq=False)
class Additive(StoredEdit):
    """Adds `strength · vectors` to every token in scope: `f(h) = h + Σ_a λ_a v_a`.

    Args:
        vectors: `[A, d_model]`, one per attribute.
    """

    kind: ClassVar[str] = "additive"
    directions_in: ClassVar[tuple[str, ...]] = ("vectors",)
    odd: ClassVar[bool] = True
    vectors: Tensor

    def __post_init__(self) -> None:
        super().__post_init__()
        shaped(self.kind, "vectors", self.vectors, "attributes", "d_model")

    @property
    def n_attributes(self) -> int:
        """A."""
        return self.vectors.shape[0]

    @property
    def width(self) -> int:
        """d_model."""
        return self.vectors.shape[1]

    def edited(self, h: Tensor, strength: Tensor, at: Mapping[str, Tensor]) -> Tensor:
        """`h + λ V`; only the sum is taken in h's dtype."""
        return h + (strength @ at["vectors"]).to(h.dtype)[:, None, :]
