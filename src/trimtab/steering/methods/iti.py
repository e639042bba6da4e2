"""Inference-time intervention: the attention heads whose probes do best, each shifted along its own direction."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from trimtab.errors import InputError
from trimtab.steering.methods.heads import HeadShift, balanced
from trimtab.steering.methods.probe import probe
from trimtab.steering.methods.sides import Sides


@dataclass(frozen=True)
class InferenceTimeIntervention(HeadShift):
    """Shifts the heads whose logistic probes separate the sides best on held-out rows, by σ of their projections.

    Args:
        share: fraction of all sites' heads that are shifted; at least one head is.
        alpha: shift at strength 1, in σ.
        direction: `mean`, from the negative to the positive side's mean, or `probe`, perpendicular to the probe's
            boundary.
        c: scikit-learn's inverse of the probes' ridge penalty.
    """

    name: ClassVar[str] = "iti"
    source: ClassVar[str] = (
        "Inference-time intervention, Li et al. 2306.03341: 48 of 1,024 heads of a 7B model, alpha 15, the direction "
        "of the means. Assumed: a fifth of the rows, drawn by the seed, is held out to rank the heads; ties go to the "
        "lower block."
    )
    direction: Literal["mean", "probe"] = "mean"
    c: float = 1.0

    def check(self) -> None:
        """Check the hyperparameters.

        Raises:
            InputError: one is out of range.
        """
        if self.direction not in ("mean", "probe"):
            raise InputError(
                f"direction {self.direction!r} must be mean or probe", code="unknown-choice", field="options.direction"
            )
        super().check()

    def accuracy(self, fitting: Sides, held: Sides, seed: int) -> float:
        """Balanced accuracy on the held-out rows of a logistic regression fitted to the others."""
        weights, bias = probe(fitting, self.c)
        return balanced(held.positive @ weights + bias, held.negative @ weights + bias)

    def direction_of(self, side: Sides) -> Tensor:
        """The direction of one head, `[head width]` of any length."""
        return super().direction_of(side) if self.direction == "mean" else probe(side, self.c)[0]
