"""Every kind of edit and every option that changes what it computes, for the tiny models: two attributes each."""

from collections.abc import Callable
from typing import Any

import torch
from tests.models.conftest import WIDTH
from torch import Tensor

from trimtab.steering import Steering
from trimtab.steering.edits import Ablation, Additive, Clamp, ClassifierGradient, Gated, Rotation, Stack

A = 2
SITES = ("1", "attention:2")


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _gated(**options: float) -> Gated:
    return Gated(rand(A, WIDTH), rand(A, WIDTH, seed=1) / 4, rand(A, seed=2), **options)  # type: ignore[arg-type]


def _classifier() -> ClassifierGradient:
    return ClassifierGradient(
        rand(WIDTH) / 4, rand(WIDTH, seed=3).abs() + 0.5, rand(8, WIDTH, seed=4) / 4, rand(8, seed=5),
        rand(A, 8, seed=6), rand(A, seed=7), step=0.3, steps=3, decay=0.5,
    )  # fmt: skip


def _stack() -> Stack:
    """Clamp and rotation on one attribute each, then gates on both."""
    clamp = Clamp(rand(1, WIDTH, seed=8), torch.tensor([1.5]), side="below")
    turn = Rotation(rand(1, WIDTH, seed=9), rand(1, WIDTH, seed=10), torch.tensor([2.0]))
    return Stack(((clamp, (1,)), (turn, (0,)), (_gated(threshold=0.3), (0, 1))))


EDITS: dict[str, Callable[[], Any]] = {
    "additive": lambda: Additive(rand(A, WIDTH)),
    "additive, norm kept": lambda: Additive(rand(A, WIDTH), keep_norm=True),
    "gated": _gated,
    "gated, threshold": lambda: _gated(threshold=0.5, keep_norm=False),
    "ablation": lambda: Ablation(rand(A, WIDTH)),
    "rotation": lambda: Rotation(rand(A, WIDTH), rand(A, WIDTH, seed=1), rand(A, seed=2)),
    "clamp": lambda: Clamp(rand(A, WIDTH), 2 * rand(A, seed=2)),
    "clamp, above": lambda: Clamp(rand(A, WIDTH), -3 * rand(A, seed=2).abs(), side="above"),
    "classifier gradient": _classifier,
    "stack": _stack,
}


def steering_of(name: str, *sites: str) -> Steering:
    """The edit at these sites (by default at a residual and an attention site), attributes `a` and `b` at 1."""
    return Steering({site: EDITS[name]() for site in sites or SITES}, {"a": 1.0, "b": 1.0})
