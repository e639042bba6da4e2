"""What a gated edit does to tokens: gates, relative edit sizes, touched tokens, and whether the gates stayed shut."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor

from trimtab.errors import InputError
from trimtab.steering.edits import Gated, StoredEdit
from trimtab.steering.mat_steer.data import CPU, TokenData, TokenRows, samples
from trimtab.steering.mat_steer.kernels import kernel_named, mmd2

Floats = NDArray[np.float64]
MIN_OPEN = 0.02  # mean gate
MIN_EDIT = 0.001  # mean relative edit
TOUCHED = 0.01
_MMD_ROWS = 1024


class GateCollapse(InputError):  # noqa: N818 - the name says what happened
    """Trained gates stay shut on the tokens that they should open on, or let almost nothing through."""


@dataclass(frozen=True)
class TokenStatistics:
    """What one attribute, alone and at strength 1, does to a group of tokens.

    Args:
        n: tokens.
        gate: mean of G_t.
        edit_size_ratio: mean of ‖f(a) − a‖ / ‖a‖.
        touched: share of tokens whose relative edit exceeds the bound.
        touched_per_text: mean number of such tokens in a text.
    """

    n: int
    gate: float
    edit_size_ratio: float
    touched: float
    touched_per_text: float


@dataclass(frozen=True)
class GateStatistics:
    """An attribute's gate and edit.

    Args:
        positive: on the desired side, which it should leave alone.
        negative: on the other side, which it should move.
        others: on both sides of the other attributes; None if there are none.
        auroc: of the gate as a classifier of negative against positive tokens; ½ is chance.
        mmd2_before: squared MMD (multi-bandwidth kernel) between the sides, up to 1,024 tokens of each.
        mmd2_after: the same with the negatives steered by all attributes.
    """

    positive: TokenStatistics
    negative: TokenStatistics
    others: TokenStatistics | None
    auroc: float
    mmd2_before: float
    mmd2_after: float


def edit_size_ratio(edit: StoredEdit, h: Tensor, strength: Tensor) -> Tensor:
    """‖f(a) − a‖ / ‖a‖ of every token; 0 for a token that is 0.

    The per-token form of `trimtab.measurements.edit_size_ratio`, which divides the median of ‖f(a) − a‖ over tokens by
    the median of ‖a‖ at the site where that ratio is largest.

    Args:
        edit: the f.
        h: `[n, d]`.
        strength: `[T]`, λ.

    Returns:
        `[n]`.
    """
    moved: Tensor = (edit(h[None], strength[None])[0] - h).norm(dim=-1)
    length = h.norm(dim=-1)
    return torch.where(length > 0, moved / length.clamp_min(torch.finfo(h.dtype).tiny), 0.0)


def gate_statistics(
    edit: Gated, data: TokenData, *, touched: float = TOUCHED, seed: int = 0, device: torch.device = CPU
) -> dict[str, GateStatistics]:
    """Statistics of every attribute on all tokens, read once from front to back.

    Args:
        edit: with the data's attributes, in their order.
        data: tokens by attribute; held-out ones give unbiased figures.
        touched: a token counts as touched if its relative edit exceeds this.
        seed: of the tokens drawn for the MMD.
        device: where the edit is applied.

    Raises:
        InputError: the edit has another number of attributes.
    """
    if edit.n_attributes != len(data):
        raise InputError(
            f"the edit has {edit.n_attributes} attributes and the data {len(data)}", code="wrong-shape", field="data"
        )
    measured = [
        (_token_gates(edit, sides.positive, device), _token_gates(edit, sides.negative, device))
        for sides in data.values()
    ]
    drawn = samples(data, _MMD_ROWS, seed).to(device)
    before, after = _mmd2(edit, drawn)
    statistics = {}
    for t, name in enumerate(data):
        others = [tokens for i, both in enumerate(measured) if i != t for tokens in both]
        p, n = measured[t]
        statistics[name] = GateStatistics(
            p.of(t, touched), n.of(t, touched), _TokenGates.joined(others).of(t, touched) if others else None,
            _auroc(n.gates[:, t], p.gates[:, t]), before[t], after[t],
        )  # fmt: skip
    return statistics


def check_not_collapsed(
    statistics: Mapping[str, GateStatistics], advice: str = "lower lambda_sparsity, raise share"
) -> None:
    """Raise if an attribute's gate stays shut on its own negatives.

    Args:
        statistics: of every attribute.
        advice: what to try, for the message.

    Raises:
        GateCollapse: a mean gate below 0.02, or a mean relative edit below 0.1 %.
    """
    shut = [
        f"{name} (gate {s.negative.gate:.3f}, relative edit {s.negative.edit_size_ratio:.2%})"
        for name, s in statistics.items()
        if s.negative.gate < MIN_OPEN or s.negative.edit_size_ratio < MIN_EDIT
    ]
    if shut:
        raise GateCollapse(
            f"the gates stay shut on the tokens they should open on: {', '.join(shut)}; {advice}, or leave out tokens "
            "that are the same on both sides (such as the prompt's)"
        )


@dataclass(frozen=True)
class _TokenGates:
    """Gates and relative edits `[n, T]` of tokens, and the number of texts that they come from."""

    gates: Floats
    edits: Floats
    texts: int

    @classmethod
    def joined(cls, parts: "list[_TokenGates]") -> "_TokenGates":
        gates, edits = (np.concatenate([getattr(p, name) for p in parts]) for name in ("gates", "edits"))
        return cls(gates, edits, sum(p.texts for p in parts))

    def of(self, t: int, touched: float) -> TokenStatistics:
        moved = self.edits[:, t] > touched
        means = float(self.gates[:, t].mean()), float(self.edits[:, t].mean()), float(moved.mean())
        return TokenStatistics(len(moved), *means, float(moved.sum()) / self.texts)


def _token_gates(edit: Gated, tokens: TokenRows, device: torch.device) -> _TokenGates:
    alone = torch.eye(edit.n_attributes, device=device)
    gates, edits = [], []
    with torch.no_grad():
        for block in tokens.blocks():
            h = block.to(device)
            gates.append(edit.gates(h).double().cpu().numpy())
            edits.append(torch.stack([edit_size_ratio(edit, h, one) for one in alone], dim=1).double().cpu().numpy())
    return _TokenGates(np.concatenate(gates), np.concatenate(edits), len(np.unique(tokens.text)))


def _auroc(opened: Floats, shut: Floats) -> float:
    """P(opened > shut), ties half."""
    ranks = rankdata(np.concatenate([opened, shut]))[: len(opened)]
    return float((ranks.mean() - (len(opened) + 1) / 2) / len(shut))


def _mmd2(edit: Gated, drawn: Tensor) -> tuple[list[float], list[float]]:
    """Squared MMD of each attribute before and after the edit: `[T, 2, n, d]`."""
    positive, negative = drawn.unbind(1)
    kernel = kernel_named("multi", positive, negative)
    with torch.no_grad():
        steered = edit(negative, torch.ones(1, edit.n_attributes, device=negative.device))
        return mmd2(positive, negative, kernel).tolist(), mmd2(positive, steered, kernel).tolist()
