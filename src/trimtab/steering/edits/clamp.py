"""Setting projections on directions to a value."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from torch import Tensor

from trimtab.errors import InputError
from trimtab.steering.edits.base import shaped
from trimtab.steering.edits.directed import Directed

Side = Literal["both", "below", "above"]


@dataclass(frozen=True, eq=False)
class Clamp(Directed):
    """Brings the projection of h onto a direction to a value: `f(h) = h + λ (c − h·v̂) v̂`, at λ = 1 exactly to c.

    Attributes act one after the other.

    Args:
        directions: `[A, d_model]`, of any length except 0.
        values: `[A]`, c.
        side: `both` moves every token, `below` only those whose projection is below c, `above` only those above.
    """

    kind: ClassVar[str] = "clamp"
    values: Tensor
    side: Side = "both"

    def __post_init__(self) -> None:
        super().__post_init__()
        shaped(self.kind, "values", self.values, "attributes", like={"attributes": self.n_attributes})
        if self.side not in get_args(Side):
            raise InputError(
                f"clamp: side {self.side!r} must be one of {', '.join(get_args(Side))}",
                code="unknown-choice",
                field="side",
            )

    def edited(self, h: Tensor, strength: Tensor, at: Mapping[str, Tensor]) -> Tensor:
        """In float32."""
        out = h.float()
        for a in range(self.n_attributes):
            way = at["values"][a] - out @ at["directions"][a]  # [B, T]
            if self.side != "both":
                way = way.clamp_min(0.0) if self.side == "below" else way.clamp_max(0.0)
            out = out + (strength[:, a, None] * way)[..., None] * at["directions"][a]
        return out.to(h.dtype)
