"""Mean differences of several attributes, each behind a gate that is shut on the text of all the others."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.steering.edits import Gated
from trimtab.steering.mat_steer import Trained, gate_statistics
from trimtab.steering.mat_steer.data import TokenSides, drawn_sides
from trimtab.steering.mat_steer.diagnostics import check_not_collapsed
from trimtab.steering.mat_steer.training import PromptMaterial
from trimtab.steering.methods.probe import logistic
from trimtab.steering.methods.sides import SAME, Sides, stacked
from trimtab.steering.methods.tokens import TokenMethod

ROWS = 8192  # tokens of a side that are looked at


@dataclass(frozen=True)
class ExclusiveGates(TokenMethod):
    """Mean differences over tokens, each behind a logistic probe that knows its own attribute's undesired side.

    A probe is open on tokens of its attribute's negative side; shut on those of the positive side, and on both sides of
    every other attribute. Nothing besides is trained. With one attribute it is `probe-gated` on tokens.
    """

    name: ClassVar[str] = "exclusive-gates"
    source: ClassVar[str] = (
        "The gate of MAT-Steer (2502.12446, equation 3) without its objective: weights and bias are a logistic probe's "
        "that is shut on the other attributes' text too, the vector is the mean difference of the tokens. Ours."
    )
    c: float = 0.1
    """scikit-learn's inverse of the ridge penalty, in standardised activations; of 1, 0.1, 0.01 and 0.001 the best on
    dev of a pilot (docs/results/mat-steer.md)."""
    balanced: bool = False
    """True: tokens to open on weigh as much as all that it is shut on together, so that gates open wider. False: each
    side of each attribute weighs the same."""
    threshold: float = 0.0
    """Gates below it are 0, so that their tokens stay bit-equal."""
    keep_norm: bool = True
    """Restore each token's length."""
    touched: float = 0.01
    """A token is touched if its relative edit exceeds this; for the statistics."""

    def at_site(
        self,
        data: Mapping[str, TokenSides],
        dev: Mapping[str, TokenSides] | None,
        seed: int,
        checkpoint: Path | None,
        progress: PromptMaterial | None,
        device: torch.device,
    ) -> Trained:
        """One vector and one gate for each attribute; it takes seconds, so that there is no state to keep."""
        rows = [some.to(device) for some in drawn_sides(data, ROWS, seed)]
        vectors, weights, bias = [], [], []
        for t, name in enumerate(data):
            own = Sides(rows[2 * t].cpu(), rows[2 * t + 1].cpu(), paired=False)
            if own.same_mean:
                raise InputError(f"attribute {name!r}: {SAME}", code="no-direction", field="data")
            w, b = self._gate(rows, 2 * t + 1)
            vectors.append(own.mean_difference)
            weights.append(w.cpu())
            bias.append(b)
        edit = Gated(stacked(vectors), stacked(weights), torch.tensor(bias), self.threshold, self.keep_norm)
        statistics = gate_statistics(edit, dev or data, touched=self.touched, seed=seed, device=device)
        check_not_collapsed(statistics, "lower threshold, or set balanced to true")
        return Trained(edit, {}, None, 0, statistics)

    def _gate(self, rows: list[Tensor], opened: int) -> tuple[Tensor, float]:
        """Weights `[d]` and bias of the log-odds that a token is of the side to open on."""
        n = sum(map(len, rows))
        shares = [1 / (2 * (len(rows) - 1)) if self.balanced else 1 / len(rows)] * len(rows)
        shares[opened] = 1 - sum(share for i, share in enumerate(shares) if i != opened)
        labels = torch.cat([torch.full((len(some),), int(i == opened)) for i, some in enumerate(rows)])
        weight = torch.cat(
            [torch.full((len(some),), n * share / len(some)) for some, share in zip(rows, shares, strict=True)]
        )
        return logistic(torch.cat(rows), labels, self.c, weight)
