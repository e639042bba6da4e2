"""Directions of linear probes, and vectors gated by them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.steering.edits import Additive, Gated
from trimtab.steering.methods.sides import Sides, SidesMethod, as_long_as_the_difference, stacked


@dataclass(frozen=True)
class LogisticProbe(SidesMethod):
    """The direction of a logistic regression that separates the sides, in standardised activations.

    Args:
        c: scikit-learn's inverse of the ridge penalty.
    """

    name: ClassVar[str] = "logistic-probe"
    source: ClassVar[str] = (
        "Alain and Bengio 1610.01644; as a steering vector in Li et al. 2306.03341 and Marks and Tegmark 2310.06824. "
        "Assumed: length as of `pca`."
    )
    candidates: ClassVar[tuple[Mapping[str, Any], ...]] = tuple({"c": c} for c in (1.0, 0.1, 0.01, 0.001))
    c: float = 1.0

    def edit(self, sides: Mapping[str, Sides], seed: int) -> Additive:
        """One direction for each attribute."""
        directions = [as_long_as_the_difference(probe(side, self.c)[0], side) for side in sides.values()]
        return Additive(stacked(directions))


@dataclass(frozen=True)
class ProbeGated(SidesMethod):
    """Mean differences, each behind a gate that a logistic probe opens on tokens of the negative side.

    Args:
        c: scikit-learn's inverse of the ridge penalty.
        threshold: gates below it are 0, so that their tokens stay bit-equal.
        keep_norm: restore each token's length.
    """

    name: ClassVar[str] = "probe-gated"
    source: ClassVar[str] = (
        "The gate of MAT-Steer (2502.12446, equation 3) without its objective: weights and bias are a probe's, the "
        "vector is the mean difference."
    )
    candidates: ClassVar[tuple[Mapping[str, Any], ...]] = tuple({"c": c} for c in (1.0, 0.1, 0.01, 0.001))
    c: float = 1.0
    threshold: float = 0.0
    keep_norm: bool = True

    def edit(self, sides: Mapping[str, Sides], seed: int) -> Gated:
        """One vector and one gate for each attribute."""
        probes = [probe(side, self.c) for side in sides.values()]
        vectors = stacked([side.mean_difference for side in sides.values()])
        weights, bias = stacked([-w for w, _ in probes]), torch.tensor([-b for _, b in probes])
        return Gated(vectors, weights, bias, threshold=self.threshold, keep_norm=self.keep_norm)


def probe(side: Sides, c: float) -> tuple[Tensor, float]:
    """Weights `[d_model]` and bias of the log-odds of the positive side, for unscaled activations.

    Raises:
        InputError: c is not above 0, or a side has fewer than two rows.
    """
    if min(len(side.positive), len(side.negative)) < 2:
        raise InputError("a probe needs at least two rows of either side", code="too-few-examples", field="data")
    labels = torch.tensor([1, 0]).repeat_interleave(torch.tensor([len(side.positive), len(side.negative)]))
    return logistic(torch.cat([side.positive, side.negative]), labels, c)


def logistic(rows: Tensor, labels: Tensor, c: float, weight: Tensor | None = None) -> tuple[Tensor, float]:
    """Weights `[d]` and bias of the log-odds of label 1, for unscaled rows.

    Args:
        rows: `[n, d]`; they are standardised for the ridge penalty.
        labels: `[n]`, 1 or 0.
        c: scikit-learn's inverse of the penalty.
        weight: `[n]`, weight of each row; None for 1.

    Raises:
        InputError: c is not above 0.
    """
    from sklearn.linear_model import LogisticRegression

    if not (c > 0 and np.isfinite(c)):
        raise InputError(f"c {c} must be above 0", code="out-of-range", field="options.c")
    mean, scale = rows.mean(dim=0), rows.std(dim=0)
    scale = torch.where(scale > 0, scale, 1.0)
    regression = LogisticRegression(C=c, max_iter=1000).fit(
        ((rows - mean) / scale).cpu().numpy(), labels.numpy(), None if weight is None else weight.numpy()
    )
    weights = torch.from_numpy(regression.coef_[0]).to(rows) / scale
    return weights, float(regression.intercept_[0] - mean @ weights)
