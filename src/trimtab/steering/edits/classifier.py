"""Following the gradient of a classifier."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.steering.edits.base import StoredEdit, number, shaped


@dataclass(frozen=True, eq=False)
class ClassifierGradient(StoredEdit):
    """K-Steering (2505.24535): steps up the gradient of `Σ_a λ_a z_a(h)`, z the logits of a two-layer classifier.

    `z(x) = V relu(W (x − m)/s + c) + e`. Each of `steps` steps adds `step` times the gradient with respect to h, which
    is `1/s` times that with respect to the standardised activation; each step is `decay` times as long as the last.

    Args:
        mean, scale: `[d_model]` each, m and s.
        hidden: `[width, d_model]`, W.
        hidden_bias: `[width]`, c.
        output: `[A, width]`, V.
        output_bias: `[A]`, e; used for the logits only, the gradient does not need it.
        step: length of a step, in units of the activation per unit of the logit's slope.
        steps: number of steps.
        decay: factor from one step to the next, at most 1.
    """

    kind: ClassVar[str] = "classifier-gradient"
    directions_in: ClassVar[tuple[str, ...]] = ("hidden",)
    mean: Tensor
    scale: Tensor
    hidden: Tensor
    hidden_bias: Tensor
    output: Tensor
    output_bias: Tensor
    step: float = 1.0
    steps: int = 1
    decay: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        shaped(self.kind, "hidden", self.hidden, "units", "d_model")
        like = {"units": self.hidden.shape[0], "d_model": self.width}
        for name in ("mean", "scale"):
            shaped(self.kind, name, getattr(self, name), "d_model", like=like)
        shaped(self.kind, "hidden_bias", self.hidden_bias, "units", like=like)
        shaped(self.kind, "output", self.output, "attributes", "units", like=like)
        shaped(self.kind, "output_bias", self.output_bias, "attributes", like={"attributes": self.n_attributes})
        if not bool((self.scale > 0).all()):
            raise InputError(f"{self.kind}: scale must be above 0 everywhere", code="out-of-range", field="scale")
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or not 1 <= self.steps <= 100:
            raise InputError(
                f"{self.kind}: steps {self.steps!r} must be a whole number from 1 to 100",
                code="out-of-range",
                field="steps",
            )
        step = number(self.kind, "step", self.step, "above 0 and below a million", lambda x: 0 < x < 1e6)
        decay = number(self.kind, "decay", self.decay, "above 0 and at most 1", lambda x: 0 < x <= 1)
        object.__setattr__(self, "step", step)
        object.__setattr__(self, "decay", decay)

    @property
    def n_attributes(self) -> int:
        """A: the number of strengths that it takes."""
        return self.output.shape[0]

    @property
    def axes(self) -> Tensor:
        """The direction that each unit moves a token along, `W/s`, in the space of unscaled activations."""
        return self.hidden / self.scale

    def along(self, axes: Tensor) -> Self:
        """The same edit with other axes, which also change the classifier: `W = axes · s`."""
        return replace(self, hidden=axes * self.scale)

    def logits(self, h: Tensor) -> Tensor:
        """The classifier's logits, `[…, d_model]` to `[…, A]`."""
        at = self.on(h.device)
        return torch.relu(self._units(h.float(), at)) @ at["output"].T + at["output_bias"]

    def shown(self, h: Tensor) -> Tensor:
        """The classifier's probabilities."""
        return torch.sigmoid(self.logits(h))

    def _units(self, h: Tensor, at: Mapping[str, Tensor]) -> Tensor:
        return ((h - at["mean"]) / at["scale"]) @ at["hidden"].T + at["hidden_bias"]

    def edited(self, h: Tensor, strength: Tensor, at: Mapping[str, Tensor]) -> Tensor:
        """In float32, with the gradient written out."""
        out, length = h.float(), self.step
        wanted = (strength @ at["output"])[:, None, :]  # [B or 1, 1, units]
        for _ in range(self.steps):
            slope = torch.where(self._units(out, at) > 0, wanted, 0.0) @ at["hidden"] / at["scale"]
            out, length = out + length * slope, length * self.decay
        return out.to(h.dtype)
