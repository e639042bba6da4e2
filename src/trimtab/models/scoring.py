"""How likely the model finds an answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.models.generate import pad_token
from trimtab.models.plan import Plan, Steer
from trimtab.models.text import Encoded, collate, fork

if TYPE_CHECKING:
    from trimtab.models.model import Model


@dataclass(frozen=True)
class Scores:
    """Log-probabilities of answers given their prompts.

    Args:
        total: `[n]` sum over the answer's tokens, nats.
        mean: `[n]` nats per token.
        n_tokens: `[n]` tokens of each answer.
    """

    total: Tensor
    mean: Tensor
    n_tokens: Tensor


def score(model: "Model", rows: Sequence[Encoded], steers: tuple[Steer, ...] = ()) -> Scores:
    """Log-probability of every row's answer tokens; results in input order, float32, on the model's device.

    Raises:
        InputError: a row without answer tokens; or a log-probability that is not finite.
    """
    for i, row in enumerate(rows):
        if len(row.ids) <= row.prompt_len:
            raise InputError(f"text {i + 1} has no answer tokens to score")
        if row.prompt_len < 1:
            raise InputError(f"text {i + 1}: a token without context is never scored")
    total = torch.zeros(len(rows), device=model.device)
    for group, chosen in model.batches(rows, steers):
        batch = collate([rows[i] for i in group.tolist()], pad_token(model), model.device)
        trace = model.forward(batch, Plan(steers=chosen, logits="answer"), nested=False)
        assert trace.logits is not None
        assert trace.predicts is not None
        at = trace.predicts.to(trace.logits.device)
        following = batch.ids.roll(-1, dims=1).to(at.device)[at]  # (N,)
        logprob = trace.logits.gather(1, following[:, None])[:, 0] - trace.logits.logsumexp(dim=1)
        of_row = torch.arange(len(group), device=at.device)[:, None].expand_as(at)[at]  # (N,)
        sums = torch.zeros(len(group), device=at.device).index_add_(0, of_row, logprob)
        total[group.to(model.device)] = sums.to(model.device)
    n_tokens = torch.tensor([len(r.ids) - r.prompt_len for r in rows], device=model.device)
    _refuse_non_finite(total, model)
    return Scores(total, total / n_tokens, n_tokens)


def logit_differences(
    model: "Model", positive: Sequence[Encoded], negative: Sequence[Encoded], steers: tuple[Steer, ...] = ()
) -> Tensor:
    """`logit(positive) - logit(negative)` of the first token that tells the two apart, `[n]` float32.

    Raises:
        InputError: one answer is the beginning of the other; or a logit that is not finite.
    """
    forks = [fork(p, q) for p, q in zip(positive, negative, strict=True)]
    rows = [row for row, _, _ in forks]
    tokens = torch.tensor([[p, q] for _, p, q in forks], device=model.device)  # (n, 2)
    out = torch.zeros(len(rows), device=model.device)
    for group, chosen in model.batches(rows, steers):
        batch = collate([rows[i] for i in group.tolist()], pad_token(model), model.device)
        trace = model.forward(batch, Plan(steers=chosen, logits="last"), nested=False)
        assert trace.logits is not None
        where = group.to(model.device)
        pair = trace.logits.to(model.device).gather(1, tokens[where])  # (B, 2)
        out[where] = pair[:, 0] - pair[:, 1]
    _refuse_non_finite(out, model)
    return out


def _refuse_non_finite(values: Tensor, model: "Model") -> None:
    bad = (~torch.isfinite(values)).nonzero().flatten().tolist()
    if bad:
        raise InputError(
            f"{len(bad)} of {len(values)} scores are NaN or infinite (the first is text {bad[0] + 1}, dtype "
            f"{str(model.dtype).removeprefix('torch.')}); try a smaller strength or --dtype float32"
        )
