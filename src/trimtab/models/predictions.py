"""What hidden states in front of the head predict next, few rows at a time: no `[tokens, vocabulary]` table is held.

The unsteered hidden state h and a steered one h' have logits that differ by d = W (h' - h). Where the head W is of a
lower precision than float32 and a divergence is asked for, only the unsteered logits are computed in float32; d is
computed in W's own precision, in half the time. Its error is relative to d, not to the logits: nothing large cancels.
Scores take the plain way: they would change by up to as much as they do with the batch's shape.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from trimtab.interventions import Site
from trimtab.models.greedy_head import low_head
from trimtab.models.plan import Plan
from trimtab.models.text import Encoded, collate

if TYPE_CHECKING:
    from trimtab.models.model import Model

CPU_ROWS = 128  # of one product with the head: fewer take longer to read the weights, more leave the caches
CACHED_ROWS = 8  # of one log-softmax on a CPU
OTHER_ROWS = 1024  # of either on other devices


@dataclass(frozen=True)
class Prediction:
    """What one variant predicts at some positions.

    Args:
        variant: its index.
        rows: the positions.
        log_probs: `[n, V]` nats, of every token of the vocabulary.
        of_tokens: `[n, k]` nats, of the tokens asked for; by exact logits also where `log_probs` are of shifted ones.
    """

    variant: int
    rows: slice
    log_probs: Tensor
    of_tokens: Tensor


def pieces(hidden: Tensor) -> Iterator[slice]:
    """Positions `[N, d_model]` in pieces of like length that `predictions` takes."""
    n, most = len(hidden), _rows_at_once(hidden)
    count = -(-n // most)
    for i in range(count):
        yield slice(n * i // count, n * (i + 1) // count)


def predictions(
    model: "Model",
    hidden: Sequence[Tensor],
    tokens: Tensor,
    piece: slice,
    temperatures: Sequence[float] | None = None,
    base: int | None = None,
) -> Iterator[Prediction]:
    """Predictions of several variants at a piece of the same positions; to be called inside `model.tail.in_float32`.

    Args:
        model: the model.
        hidden: of each variant `[N, d_model]` in front of the head, as a plan without head gives them; variants that
            share one tensor share its logits.
        tokens: `[N, k]` tokens whose log-probabilities are asked for, where the hidden states lie.
        piece: one of `pieces`.
        temperatures: of each variant, what its logits are divided by; None for 1.
        base: the variant that the logits of all others may be computed from; None computes each by itself.

    Yields:
        The base first, and of every variant its positions in order.
    """
    shared: dict[int, list[int]] = {}
    for variant in sorted(range(len(hidden)), key=lambda v: v != base):
        shared.setdefault(id(hidden[variant]), []).append(variant)
    of = [hidden[same[0]][piece] for same in shared.values()]
    head = low_head(model.anatomy.head, of[0].device) if base is not None and _bare(model) else None
    step = CACHED_ROWS if of[0].device.type == "cpu" else len(of[0])
    for same, h, (logits, shift) in zip(shared.values(), of, _tables(model, head, of), strict=True):
        exact = None if head is None else _logits_of(head, h, tokens[piece])
        for variant in same:
            heat = 1.0 if temperatures is None else temperatures[variant]
            for first in range(0, len(h), step):
                rows = slice(first, min(first + step, len(h)))
                where = slice(piece.start + rows.start, piece.start + rows.stop)
                part = logits[rows] if shift is None else shift[rows].float().add_(logits[rows])  # (m, V)
                part = part if heat == 1.0 else part / heat
                log_probs = part.log_softmax(dim=1)
                of_tokens = log_probs.gather(1, tokens[where])
                if exact is not None:
                    of_tokens += exact[rows] / heat - part.gather(1, tokens[where])
                yield Prediction(variant, where, log_probs, of_tokens)


def logits_of(model: "Model", hidden: Tensor) -> Tensor:
    """Logits `[n, V]`, float32, of few hidden states `[n, d_model]`, as a plan without head gives them."""
    head = model.anatomy.head
    if head is None:
        return hidden.float()
    with torch.no_grad(), model.tail.in_float32(begins=True):
        if model.anatomy.bare_head:
            out: Tensor = head(hidden)
            return out.to(hidden.device, torch.float32)
        # what the model does behind its head, it does in a pass of one token through no block at all
        handle = head.register_forward_pre_hook(lambda *_: ((hidden,), {}), with_kwargs=True, prepend=True)
        try:
            batch = collate([Encoded((model.pad,), 1)], model.pad, model.device)
            above = Site(model.n_blocks - 1), torch.zeros(1, 1, model.d_model, dtype=model.anatomy.dtype)
            logits = model.forward(batch, Plan(logits="all", resume=above), nested=False).logits
        finally:
            handle.remove()
    assert logits is not None
    return logits.to(hidden.device)


def _rows_at_once(hidden: Tensor) -> int:
    return CPU_ROWS if hidden.device.type == "cpu" else OTHER_ROWS


def _tables(model: "Model", head: nn.Linear | None, hidden: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Of each of `hidden`, in order, float32 logits `[n, V]`; with a head those of the first and d `[n, V]`."""
    n, first = len(hidden[0]), hidden[0]
    at_once = max(1, _rows_at_once(first) // n)
    groups = [hidden[i : i + at_once] for i in range(head is not None, len(hidden), at_once)]
    if head is None:
        for some in groups:
            yield from ((logits, None) for logits in logits_of(model, torch.cat([*some])).view(len(some), n, -1))
        return
    base = logits_of(model, first)
    yield base, None
    for some in groups:
        moved = torch.cat([h - first for h in some]).to(head.weight.dtype)
        yield from ((base, shift) for shift in functional.linear(moved, head.weight.detach()).view(len(some), n, -1))


def _bare(model: "Model") -> bool:
    """Whether the model's logits are what its head returns, in float32."""
    return model.anatomy.bare_head and not model.tail.not_float32


def _logits_of(head: nn.Linear, hidden: Tensor, tokens: Tensor) -> Tensor:
    """Float32 logits of some tokens only, `[n, k]`."""
    weight = head.weight.detach()[tokens].float()  # (n, k, d)
    logits = (weight * hidden.float()[:, None]).sum(dim=2)
    return logits if head.bias is None else logits + head.bias.detach()[tokens].float()
