"""Edits along one direction for each attribute."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from trimtab.errors import InputError
from trimtab.steering.edits.base import StoredEdit, shaped, unit


@dataclass(frozen=True, eq=False)
class Directed(StoredEdit):
    """Base of edits that depend only on where directions point, not on their length.

    Args:
        directions: `[A, d_model]`, of any length except 0.
    """

    directions_in: ClassVar[tuple[str, ...]] = ("directions",)
    directions: Tensor

    def __post_init__(self) -> None:
        super().__post_init__()
        shaped(self.kind, "directions", self.directions, "attributes", "d_model")
        if not bool((self.directions != 0).any(dim=1).all()):
            raise InputError(
                f"{self.kind}: a direction is all zeros; leave its attribute out",
                code="no-direction",
                field="directions",
            )

    def prepared(self, at: dict[str, Tensor]) -> dict[str, Tensor]:
        """Directions at length 1."""
        return {**at, "directions": unit(at["directions"])}
