"""Greedy answers as the one forward pass of this project gives them, a token at a time and without a cache."""

from collections.abc import Sequence

import trimtab as tt
from trimtab.models import Encoded, Plan, collate, steer

BOUND = 5e-3
"""Logits of float32 agree within this across shapes of a batch (docs/serving.md)."""


def greedy(
    model: tt.Model, ids: Sequence[int], steering: tt.Steering | None, strength: float, scope: str, n: int
) -> tuple[list[int], list[float]]:
    """The answer's tokens, and by how much the logit of each was above the next one."""
    steers = () if steering is None else (steer(steering, strength, scope),)
    tokens, gaps = list(ids), []
    for _ in range(n):
        batch = collate([Encoded(tuple(tokens), len(ids))], model.pad, model.device)
        logits = model.forward(batch, Plan(steers, logits="last")).logits
        assert logits is not None
        top = logits[0].topk(2)
        tokens.append(int(top.indices[0]))
        gaps.append(float(top.values[0] - top.values[1]))
    return tokens[len(ids) :], gaps


def agree(got: Sequence[int], wanted: tuple[list[int], list[float]]) -> bool:
    """Whether an answer is the wanted one, up to a token where the model could hardly tell two apart."""
    for token, other, gap in zip(got, *wanted, strict=True):
        if token != other:
            return gap < BOUND
    return True
