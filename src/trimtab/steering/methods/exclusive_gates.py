"""Mean differences of several attributes, each behind a gate that is shut on the text of all the others."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.steering.edits import Gated
from trimtab.steering.mat_steer import Trained, gate_statistics
from trimtab.steering.mat_steer.data import TokenSides, drawn_sides
from trimtab.steering.mat_steer.diagnostics import check_not_collapsed
from trimtab.steering.mat_steer.training import Progress
from trimtab.steering.methods.probe import logistic
from trimtab.steering.methods.sides import SAME, Sides, stacked
from trimtab.steering.methods.tokens import TokenMethod

MAX_ROWS = 8192  # tokens of a side that are used


@dataclass(frozen=True)
class ExclusiveGates(TokenMethod):
    """Mean differences over tokens, each behind a logistic probe that detects its own attribute's undesired side.

    A probe opens on tokens of its attribute's negative side and stays shut on those of the positive side and on both
    sides of every other attribute. Nothing else is trained. With one attribute it is `probe-gated` on tokens.
    """

    name: ClassVar[str] = "exclusive-gates"
    source: ClassVar[str] = (
        "The gate of MAT-Steer (2502.12446, equation 3) without its objective: weights and bias are a logistic probe's "
        "that is shut on the other attributes' text too, the vector is the mean difference of the tokens. Ours."
    )
    candidates: ClassVar[tuple[Mapping[str, Any], ...]] = tuple({"c": c} for c in (0.1, 0.01, 1.0, 0.001))
    c: float = 0.1
    """scikit-learn's inverse of the ridge penalty, in standardised activations; the best of 1, 0.1, 0.01 and 0.001 on
    the dev set of a pilot (docs/results/mat-steer.md)."""
    balanced: bool = False
    """True: the tokens that a gate should open on weigh as much as all others together, so that gates open wider.
    False: each side of each attribute weighs the same."""
    threshold: float = 0.0
    """Gates below it are 0, so that their tokens stay bit-equal."""
    keep_norm: bool = True
    """Restore each token's length."""
    touched: float = 0.01
    """A token counts as touched if its relative edit exceeds this; for the statistics."""

    def at_site(
        self,
        data: Mapping[str, TokenSides],
        dev: Mapping[str, TokenSides] | None,
        seed: int,
        checkpoint: Path | None,
        progress: Progress | None,
        device: torch.device,
    ) -> Trained:
        """One vector and one gate for each attribute; it takes seconds, so no state is kept."""
        rows = [some.to(device) for some in drawn_sides(data, MAX_ROWS, seed)]
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
        """Weights `[d]` and bias of the log-odds that a token belongs to the side to open on."""
        n = sum(map(len, rows))
        shares = [1 / (2 * (len(rows) - 1)) if self.balanced else 1 / len(rows)] * len(rows)
        shares[opened] = 1 - sum(share for i, share in enumerate(shares) if i != opened)
        labels = torch.cat([torch.full((len(some),), int(i == opened)) for i, some in enumerate(rows)])
        weight = torch.cat(
            [torch.full((len(some),), n * share / len(some)) for some, share in zip(rows, shares, strict=True)]
        )
        return logistic(torch.cat(rows), labels, self.c, weight)
