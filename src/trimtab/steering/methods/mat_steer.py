"""MAT-Steer as a method like the others."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from trimtab.steering.mat_steer import Options, Trained, train
from trimtab.steering.mat_steer.data import TokenSides
from trimtab.steering.mat_steer.training import Progress
from trimtab.steering.methods.tokens import TokenMethod


@dataclass(frozen=True)
class MATSteer(Options, TokenMethod):
    """Gates and vectors for several attributes, trained together; every option of `mat_steer.Options` is one here."""

    name: ClassVar[str] = "mat-steer"
    source: ClassVar[str] = (
        "MAT-Steer, Nguyen et al. 2502.12446. Assumed, where the paper is silent or does not work as written: means in "
        "place of sums, λ of 0.3 for 0.9, a kernel as wide as the activations lie apart, the length of θ held, gates "
        "held shut on other attributes' tokens, a start from mean differences; each is an option."
    )
    candidates: ClassVar[tuple[Mapping[str, Any], ...]] = tuple(
        {"lambda_positives": weight, "lambda_sparsity": weight} for weight in (0.3, 0.1, 0.9, 0.0)
    )

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        TokenMethod.__post_init__(self)

    def at_site(
        self,
        data: Mapping[str, TokenSides],
        dev: Mapping[str, TokenSides] | None,
        seed: int,
        checkpoint: Path | None,
        progress: Progress | None,
        device: torch.device,
    ) -> Trained:
        """Equations 3 to 10."""
        return train(data, self, dev=dev, seed=seed, checkpoint=checkpoint, progress=progress, device=device)
