"""Whether prompts meet conditions (CAST, Lee et al. 2409.05907): decided row by row, before a steered pass."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trimtab.interventions import Condition
from trimtab.models.capture import capture
from trimtab.models.plan import Steer
from trimtab.models.text import Encoded

if TYPE_CHECKING:
    from trimtab.models.model import Model


def cosines(condition: Condition, h: Tensor) -> Tensor:
    """`[n, d_model]` mean activations of prompts to `[n]` cosines with the condition's direction."""
    direction = torch.tensor(condition.direction, device=h.device)
    return torch.cosine_similarity(h.float(), direction[None], dim=1)


def met(condition: Condition, h: Tensor) -> Tensor:
    """`[n, d_model]` mean activations to `[n]` bool: the prompts on which the attribute acts."""
    cosine = cosines(condition, h)
    return cosine > condition.threshold if condition.above else cosine < condition.threshold


def decided(model: "Model", rows: Sequence[Encoded], variants: Sequence[tuple[Steer, ...]]) -> list[tuple[Steer, ...]]:
    """The same edits without conditions: strengths are 0 in the rows whose prompts do not meet them.

    A prompt's activation is the mean over its tokens, position 0 and massive activations left out, as the model has it
    without these edits. A row without a prompt is read whole.

    Args:
        model: the model; edits of an open `with model.steered(…)` apply.
        rows: texts with their prompt lengths.
        variants: edits for all rows.
    """
    conditions = {id(c): c for v in variants for s in v if s.active for several in s.conditions for c in several}
    if not conditions:
        return list(variants)
    sites = list(dict.fromkeys(c.site for c in conditions.values()))
    activations = capture(model, [prompt_alone(row) for row in rows], sites, "mean").activations
    held = {key: met(c, activations[c.site]).cpu() for key, c in conditions.items()}
    return [tuple(_decided(s, held, len(rows)) for s in v) for v in variants]


def acts(model: "Model", rows: Sequence[Encoded], steer: Steer) -> Tensor:
    """`[n]` bool: the rows that edits act on at all, with any of their attributes.

    Args:
        model: the model.
        rows: texts with their prompt lengths.
        steer: edits for all rows.
    """
    ((own,),) = decided(model, rows, [(steer,)])
    return own.on[:, 0].cpu().expand(len(rows))


def not_met(before: Steer, after: Steer) -> list[int]:
    """Columns of the strengths that the decision on a single row has set to 0.

    Args:
        before: one row with its conditions.
        after: the same, decided.
    """
    both = zip(before.strength[0].tolist(), after.strength[0].tolist(), strict=True)
    return [column for column, (was, left) in enumerate(both) if was and not left]


def _decided(steer: Steer, held: dict[int, Tensor], n: int) -> Steer:
    if not steer.undecided:
        return steer
    always = torch.ones(n, dtype=torch.bool)
    table = torch.stack(
        [torch.stack([always, *(held[id(c)] for c in several)]).all(dim=0) for several in steer.conditions], dim=1
    )  # [n, A]
    strength = torch.where(table.to(steer.strength.device), steer.strength, 0.0)
    return replace(steer, strength=strength, conditions=())


def prompt_alone(row: Encoded) -> Encoded:
    """The prompt as a text of which all tokens but the first are read."""
    return Encoded(row.ids[: row.prompt_len] if row.prompt_len > 1 else row.ids, 1)
