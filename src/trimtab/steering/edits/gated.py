"""Vectors behind gates that decide token by token."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.steering.edits.base import StoredEdit, number, shaped, with_norm_of


@dataclass(frozen=True, eq=False)
class Gated(StoredEdit):
    """`f(h) = h + Σ_a λ_a g_a(h) v_a` with `g_a(h) = σ(w_a · h + b_a)`; MAT-Steer (2502.12446), equations 3, 4 and 9.

    Args:
        vectors: `[A, d_model]`, v.
        weights: `[A, d_model]`, w.
        bias: `[A]`, b.
        threshold: gates below it are 0, so that their tokens stay bit-equal; 0 keeps all.
        keep_norm: give f(h) the length of h; a token whose sum is 0 stays as it is.
    """

    kind: ClassVar[str] = "gated"
    directions_in: ClassVar[tuple[str, ...]] = ("vectors",)
    vectors: Tensor
    weights: Tensor
    bias: Tensor
    threshold: float = 0.0
    keep_norm: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        shaped(self.kind, "vectors", self.vectors, "attributes", "d_model")
        like = {"attributes": self.n_attributes, "d_model": self.width}
        shaped(self.kind, "weights", self.weights, "attributes", "d_model", like=like)
        shaped(self.kind, "bias", self.bias, "attributes", like=like)
        threshold = number(self.kind, "threshold", self.threshold, "0 or more and below 1", lambda x: 0 <= x < 1)
        object.__setattr__(self, "threshold", threshold)
        if not isinstance(self.keep_norm, bool):
            raise InputError(
                f"gated: keep_norm {self.keep_norm!r} must be true or false", code="wrong-type", field="keep_norm"
            )

    def gates(self, h: Tensor) -> Tensor:
        """How far each attribute's gate is open for each token: `[…, d_model]` to `[…, A]` in 0…1."""
        return self._gates(h.float(), self.on(h.device))

    def shown(self, h: Tensor) -> Tensor:
        """The gates."""
        return self.gates(h)

    def _gates(self, h: Tensor, at: Mapping[str, Tensor]) -> Tensor:
        open_ = torch.sigmoid(h @ at["weights"].T + at["bias"])
        return torch.where(open_ < self.threshold, 0.0, open_) if self.threshold else open_

    def edited(self, h: Tensor, strength: Tensor, at: Mapping[str, Tensor]) -> Tensor:
        """In float32; tokens whose gates are all 0 are returned unchanged."""
        plain = h.float()
        pull = strength[:, None, :] * self._gates(plain, at)  # [B, T, A]
        moved = plain + pull @ at["vectors"]
        if self.keep_norm:
            moved = with_norm_of(moved, plain)
        return torch.where((pull != 0).any(dim=-1, keepdim=True), moved.to(h.dtype), h)
