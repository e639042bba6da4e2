"""How likely the model finds an answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.models.batches import in_batches
from trimtab.models.plan import Batch, Logits, Plan, Steer, Trace
from trimtab.models.sites import Site
from trimtab.models.text import Encoded, collate, fork, pad_token

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


Variant = tuple[Steer, ...]


def score(model: "Model", rows: Sequence[Encoded], steers: Variant = ()) -> Scores:
    """Log-probability of every row's answer tokens; results in input order, float32, on the model's device.

    Raises:
        InputError: a row without answer tokens; or a log-probability that is not finite.
    """
    return score_variants(model, rows, [steers])[0]


def score_variants(model: "Model", rows: Sequence[Encoded], variants: Sequence[Variant]) -> list[Scores]:
    """`score` under several edits, each or none; what lies below an edit's site is run once for all of them.

    Raises:
        InputError: as `score`.
    """
    for i, row in enumerate(rows):
        if len(row.ids) <= row.prompt_len:
            raise InputError(f"text {i + 1} has no answer tokens to score")
        if row.prompt_len < 1:
            raise InputError(f"text {i + 1}: a token without context is never scored")
    totals = torch.zeros(len(variants), len(rows), device=model.device)

    def take(k: int, group: Tensor, batch: Batch, trace: Trace) -> None:
        totals[k, group.to(model.device)] = _answer_logprobs(batch, trace).to(model.device)

    _sweep(model, rows, variants, "answer", take)
    n_tokens = torch.tensor([len(r.ids) - r.prompt_len for r in rows], device=model.device)
    for total in totals:
        _refuse_non_finite(total, model)
    return [Scores(total, total / n_tokens, n_tokens) for total in totals]


def logit_differences(
    model: "Model", positive: Sequence[Encoded], negative: Sequence[Encoded], steers: Variant = ()
) -> Tensor:
    """`logit(positive) - logit(negative)` of the first token that tells the two apart, `[n]` float32.

    Raises:
        InputError: one answer is the beginning of the other; or a logit that is not finite.
    """
    return logit_difference_variants(model, positive, negative, [steers])[0]


def logit_difference_variants(
    model: "Model", positive: Sequence[Encoded], negative: Sequence[Encoded], variants: Sequence[Variant]
) -> list[Tensor]:
    """`logit_differences` under several edits; what lies below an edit's site is run once for all of them.

    Raises:
        InputError: as `logit_differences`.
    """
    forks = [fork(p, q) for p, q in zip(positive, negative, strict=True)]
    rows = [row for row, _, _ in forks]
    tokens = torch.tensor([[p, q] for _, p, q in forks], device=model.device)  # (n, 2)
    out = torch.zeros(len(variants), len(rows), device=model.device)

    def take(k: int, group: Tensor, batch: Batch, trace: Trace) -> None:
        assert trace.logits is not None
        where = group.to(model.device)
        pair = trace.logits.to(model.device).gather(1, tokens[where])  # (B, 2)
        out[k, where] = pair[:, 0] - pair[:, 1]

    _sweep(model, rows, variants, "last", take)
    for values in out:
        _refuse_non_finite(values, model)
    return list(out)


def _answer_logprobs(batch: Batch, trace: Trace) -> Tensor:
    """`[B]` log-probability of each row's answer, from the packed logits of its tokens."""
    assert trace.logits is not None
    assert trace.predicts is not None
    at = trace.predicts.to(trace.logits.device)
    following = batch.ids.roll(-1, dims=1).to(at.device)[at]  # (N,)
    logprob = trace.logits.gather(1, following[:, None])[:, 0] - trace.logits.logsumexp(dim=1)
    of_row = torch.arange(len(at), device=at.device)[:, None].expand_as(at)[at]  # (N,)
    return torch.zeros(len(at), device=at.device).index_add_(0, of_row, logprob)


def _sweep(
    model: "Model",
    rows: Sequence[Encoded],
    variants: Sequence[Variant],
    logits: Logits,
    take: Callable[[int, Tensor, Batch, Trace], None],
) -> None:
    """Hand over every batch under every variant: variant's index, rows, batch, trace.

    With several variants one unsteered pass reads the residuals that their lowest edits start from, and
    each variant resumes there.
    """
    together = tuple(s for v in variants for s in v)

    def work(group: Tensor, chosen: Variant) -> None:
        batch = collate([rows[i] for i in group.tolist()], pad_token(model.tokenizer), model.device)
        opened, own = chosen[: len(chosen) - len(together)], iter(chosen[len(chosen) - len(together) :])
        plans = [Plan(steers=(*opened, *(next(own) for _ in v)), logits=logits) for v in variants]
        active = [tuple(s for s in plan.steers if s.active) for plan in plans]
        reads = frozenset(site for steers in active if (site := _start(steers)) is not None) if len(plans) > 1 else None
        below = model.forward(batch, Plan(read=reads), nested=False).activations if reads else {}
        for k, (plan, steers) in enumerate(zip(plans, active, strict=True)):
            start = (_start(steers) if steers else max(below)) if below else None
            resumed = plan if start is None else replace(plan, resume=(start, below[start]))
            take(k, group, batch, model.forward(batch, resumed, nested=False))

    in_batches(model, rows, together, work)


def _start(steers: tuple[Steer, ...]) -> Site | None:
    """The last residual that no edit has touched; None where there is none below a term of block 0."""
    sites = (site for s in steers for site in s.edits)
    block = min((site.block if site.component == "residual" else site.block - 1 for site in sites), default=-1)
    return Site(block) if block >= 0 else None


def _refuse_non_finite(values: Tensor, model: "Model") -> None:
    bad = (~torch.isfinite(values)).nonzero().flatten().tolist()
    if bad:
        raise InputError(
            f"{len(bad)} of {len(values)} scores are NaN or infinite (the first is text {bad[0] + 1}, dtype "
            f"{str(model.dtype).removeprefix('torch.')}); try a smaller strength or --dtype float32"
        )
