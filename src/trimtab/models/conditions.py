"""Conditions are decided from the prompts, row by row, before a steered pass (CAST, Lee et al. 2409.05907)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trimtab.models.capture import capture
from trimtab.models.plan import Steer
from trimtab.models.text import Encoded

if TYPE_CHECKING:
    from trimtab.models.model import Model


def decided(model: "Model", rows: Sequence[Encoded], variants: Sequence[tuple[Steer, ...]]) -> list[tuple[Steer, ...]]:
    """The same edits without conditions: strengths are 0 in the rows whose prompts do not meet them.

    A prompt's activation is the mean over its tokens, position 0 and massive activations left out, as the model has it
    without these edits. A row without a prompt is read whole.

    Args:
        model: the model; edits of an open `with model.steered(…)` are at work.
        rows: texts with their prompt lengths.
        variants: edits for all rows.
    """
    asked = {id(c): c for v in variants for s in v if s.active for c in s.conditions if c is not None}
    if not asked:
        return list(variants)
    sites = list(dict.fromkeys(c.site for c in asked.values()))
    found = capture(model, [_prompt(row) for row in rows], sites, "mean").activations
    met = {key: c.met(found[c.site]).cpu() for key, c in asked.items()}
    return [tuple(_decided(s, met, len(rows)) for s in v) for v in variants]


def _decided(steer: Steer, met: dict[int, Tensor], n: int) -> Steer:
    if not steer.active or not any(steer.conditions):
        return steer
    always = torch.ones(n, dtype=torch.bool)
    on = torch.stack([always if c is None else met[id(c)] for c in steer.conditions], dim=1)  # [n, A]
    strength = torch.where(on.to(steer.strength.device), steer.strength, 0.0)
    return replace(steer, strength=strength, conditions=())


def _prompt(row: Encoded) -> Encoded:
    """The prompt as a text whose tokens but the first are all read."""
    return Encoded(row.ids[: row.prompt_len] if row.prompt_len > 1 else row.ids, 1)
