"""The position ids that a model gives to the tokens of a text: found by trying, and used in every pass."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trimtab.models.decoders import logits_of


@dataclass(frozen=True)
class Positions:
    """How a model numbers tokens.

    Args:
        first: the number of a text's first token; None where the model takes no position ids.
        uncounted: a token id that the model itself leaves out of its count, as RoBERTa does with padding.
    """

    first: int | None
    uncounted: int | None = None

    def arguments(self, ids: Tensor, real: Tensor, position: Tensor, behind_cache: bool) -> dict[str, Tensor]:
        """What a pass over tokens is handed: `input_ids`, and `position_ids` unless the model is to count itself.

        Args:
            ids: `[B, T]`.
            real: `[B, T]` bool, False on padding.
            position: `[B, T]` position in the row's own text.
            behind_cache: whether tokens before these are in a cache.
        """
        if self.first is None:
            return {"input_ids": ids}
        if self.uncounted is None or behind_cache:
            return {"input_ids": ids, "position_ids": position + self.first if self.first else position}
        return {"input_ids": torch.where(real, ids, self.uncounted)}

    @contextmanager
    def in_generation(self, hf: Any) -> Iterator[None]:
        """In here the positions that transformers' `generate` counts from 0 are the model's own."""
        handle = None
        if self.first:
            handle = hf.register_forward_pre_hook(_Recount(self.first, self.uncounted), with_kwargs=True)
        try:
            yield
        finally:
            if handle is not None:
                handle.remove()


class _Recount:
    """Corrects `position_ids` of the steps of one generation."""

    def __init__(self, first: int, uncounted: int | None) -> None:
        self._first, self._uncounted = first, uncounted
        self._counted: Tensor | None = None  # [B, 1] of the tokens so far

    def __call__(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]] | None:
        position_ids, ids, mask = (kwargs.get(key) for key in ("position_ids", "input_ids", "attention_mask"))
        if position_ids is None:
            return None
        if self._uncounted is None or ids is None or (mask is not None and mask.ndim != 2):
            return args, {**kwargs, "position_ids": position_ids + self._first}
        counts = ids != self._uncounted
        if mask is not None:  # none is passed where nothing is padding
            counts = counts & mask[:, -ids.shape[1] :].bool()
        behind_cache = mask.shape[1] > ids.shape[1] if mask is not None else bool(position_ids[0, 0] > 0)
        before = self._counted if behind_cache and self._counted is not None else 0
        counted = counts.long().cumsum(dim=1) + before
        self._counted = counted[:, -1:]
        return args, {**kwargs, "position_ids": counted * counts + self._first - 1}


def takes_positions(hf: Any) -> bool:
    """Whether the model's own `forward` takes `position_ids`, however it was wrapped on the instance."""
    return "position_ids" in inspect.signature(type(hf).forward).parameters


def positions_of(hf: Any, ids: Tensor, logits: Tensor) -> Positions:
    """Find the position ids with which the model gives the same logits as without any.

    Most begin at 0; RoBERTa and its relatives begin after the id of their padding token.

    Args:
        hf: the model.
        ids: `[1, T]` tokens.
        logits: `[1, T, V]` what they gave without position ids.
    """
    if not takes_positions(hf):
        return Positions(None)
    pad = getattr(hf.config.get_text_config(), "pad_token_id", None)
    after_pad = [pad + 1] if isinstance(pad, int) and pad >= 0 else []
    steps = torch.arange(ids.shape[1], device=ids.device)[None]
    tolerance = 1e-4 if logits.dtype in (torch.float32, torch.float64) else 2e-2
    differences: dict[int, float] = {}
    for first in dict.fromkeys((0, *after_pad, 1, 2)):
        try:
            shifted = logits_of(hf, ids, position_ids=steps + first)
        except IndexError:  # beyond a small table of positions
            continue
        differences[first] = float((shifted.float() - logits.float()).abs().max() / logits.float().abs().max())
        if differences[first] <= 1e-5:
            break
    best = min(differences, key=lambda first: differences[first], default=None)
    if best is None or differences[best] > tolerance:
        return Positions(None)
    return Positions(best, pad if best and best in after_pad else None)
