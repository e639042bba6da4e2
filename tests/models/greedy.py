"""Greedy generation as a loop of forward passes: slow, and what everything faster is judged by."""

import torch

from trimtab.models import Encoded, Model, Plan, Steer
from trimtab.models.direct import step_batch
from trimtab.texts import Rendered

PROMPTS = ["The sky is", "She said hello to the world in", "Is the grass", "A trim tab is the small"]
BOUND = 5e-3  # float32 logits across batch shapes
END = 2


def row_of(model: Model, prompt: str) -> Encoded:
    """A prompt without an answer, as tokens."""
    return model.encoder().encode([Rendered("", prompt, "")])[0]


def greedy(model: Model, prompt: str, n: int, steers: tuple[Steer, ...] = ()) -> tuple[list[int], list[float]]:
    """Alone and without a cache, one forward pass a token: the tokens, and by how much each won."""
    row = row_of(model, prompt)
    ids, gaps = list(row.ids), []
    for _ in range(n):
        batch = step_batch(torch.tensor([ids]), None, None, torch.tensor([row.prompt_len]))
        logits = model.forward(batch, Plan(steers, logits="last")).logits
        assert logits is not None
        top = logits[0].topk(2)
        gaps.append(float(top.values[0] - top.values[1]))
        ids.append(int(top.indices[0]))
        if ids[-1] == END:
            break
    return ids[row.prompt_len :], gaps


def until_close(ids: list[int], gaps: list[float]) -> list[int]:
    """The tokens that no rounding can change."""
    close = [i for i, gap in enumerate(gaps) if gap < BOUND]
    return ids[: close[0]] if close else ids
