"""How far edits move what the model predicts next, token by token: Kullback–Leibler divergence and log-probability."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trimtab.errors import InputError, NotFiniteError
from trimtab.models.conditions import decided
from trimtab.models.packing import PackedBatch
from trimtab.models.plan import Batch, Plan, Trace
from trimtab.models.scoring import Variant, check_scorable, sweep
from trimtab.models.text import Encoded, collate, common_prefix

if TYPE_CHECKING:
    from trimtab.models.model import Model


@dataclass(frozen=True)
class AnswerDivergence:
    """What edits did to the predictions over each text's answer tokens (for a text without prompt: all but the first).

    Args:
        kl: `[n]` nats per token, mean over tokens of KL(unsteered ‖ steered).
        log_prob: `[n]` nats, the answer's log-probability under the edits.
        base_log_prob: `[n]` nats, the same without them.
        n_tokens: `[n]` tokens of each answer.
    """

    kl: Tensor
    log_prob: Tensor
    base_log_prob: Tensor
    n_tokens: Tensor


def divergences(
    model: "Model", rows: Sequence[Encoded], variants: Sequence[Variant], temperatures: Sequence[float] | None = None
) -> list[AnswerDivergence]:
    """Divergence from the unsteered model under several edits; the whole next-token distributions are compared.

    Args:
        model: the model.
        rows: texts with answers.
        variants: edits, each or none.
        temperatures: of each variant, what its logits are divided by; None for 1.

    Raises:
        InputError: a row without answer tokens or without a token before them; or a figure that is not finite.
    """
    check_scorable(rows)
    heat = [1.0, *(temperatures or [1.0] * len(variants))]
    kl = torch.zeros(len(variants) + 1, len(rows), device=model.device)
    log_prob = torch.zeros_like(kl)
    base: list[tuple[Tensor, Tensor]] = []  # of the batch at hand: probabilities [N, V] and minus entropy [N]

    def take(some: Sequence[int], packed: PackedBatch, batch: Batch, trace: Trace) -> None:
        assert trace.logits is not None
        assert trace.predicts is not None
        at = trace.predicts.to(trace.logits.device)
        text = batch.text_of.to(at.device)[at]  # (N k,): text t under the j-th variant of `some` is t k + j
        following = batch.ids.roll(-1, dims=1).to(at.device)[at]
        for j, variant in enumerate(some):
            mine = (text % len(some) == j).nonzero()[:, 0]
            logits = trace.logits[mine].div_(heat[variant])
            total = logits.logsumexp(dim=1)
            if variant == 0:  # comes first: it is the first of its group, and its group the first
                p = (logits - total[:, None]).exp_()
                base[:] = [(p, torch.einsum("nv,nv->n", p, logits) - total)]
            p, minus_entropy = base[0]
            each = minus_entropy - (torch.einsum("nv,nv->n", p, logits) - total)
            logged = logits.gather(1, following[mine][:, None])[:, 0] - total
            for table, values in ((kl, each), (log_prob, logged)):
                own = torch.zeros(len(packed.texts), device=values.device)
                own.index_add_(0, text[mine] // len(some), values)
                table[variant, packed.texts] = own.to(table.device)

    sweep(model, rows, [r.prompt_len - 1 for r in rows], [(), *variants], "answer", take)
    if not bool(torch.isfinite(kl).all() and torch.isfinite(log_prob).all()):
        raise NotFiniteError("a divergence is NaN or infinite; try a smaller strength or dtype float32", field="dtype")
    n = torch.tensor([len(r.ids) - r.prompt_len for r in rows], device=model.device)
    return [
        AnswerDivergence((k / n).clamp(min=0), lp, log_prob[0], n) for k, lp in zip(kl[1:], log_prob[1:], strict=True)
    ]  # rounding may leave a sum just below 0


def divergence_behind(
    model: "Model", rows: Sequence[Encoded], behind: Sequence[Encoded], steers: Variant = ()
) -> AnswerDivergence:
    """Divergence from the plain model where the same texts stand behind more text, under edits or none.

    Args:
        model: the model.
        rows: texts.
        behind: the same texts behind more; compared are the tokens that both end in, at most those of the answers.
        steers: edits of the texts that stand behind more.

    Raises:
        InputError: a row does not end in the same tokens as its longer version; or a figure that is not finite.
    """
    kl, log_prob, base, n_tokens = (torch.zeros(len(rows), device=model.device) for _ in range(4))
    for i, (row, other) in enumerate(zip(rows, behind, strict=True)):
        n = common_prefix(row.ids[::-1], other.ids[::-1])
        n = min(n, len(row.ids) - row.prompt_len, len(other.ids) - 1)
        if n < 1:
            raise InputError(f"text {i + 1} does not end in the same tokens when more text stands in front of it")
        (treated,) = decided(model, [other], [steers])
        p, q = (
            _next_tokens(model, Encoded(r.ids, len(r.ids) - n), s) for r, s in ((row, ()), (other, treated))
        )  # [n, V] log-probabilities
        answer = torch.tensor(row.ids[-n:], device=p.device)[:, None]
        kl[i] = torch.nn.functional.kl_div(q, p, log_target=True, reduction="sum").to(kl.device) / n
        base[i], log_prob[i], n_tokens[i] = p.gather(1, answer).sum(), q.gather(1, answer).sum(), n
    if not bool(torch.isfinite(kl).all() and torch.isfinite(log_prob).all()):
        raise NotFiniteError("a divergence is NaN or infinite; try a smaller strength or dtype float32", field="dtype")
    return AnswerDivergence(kl.clamp(min=0), log_prob, base, n_tokens)


def _next_tokens(model: "Model", row: Encoded, steers: Variant) -> Tensor:
    batch = collate([row], 0, model.device)
    trace = model.forward(batch, Plan(steers, logits="answer"))
    assert trace.logits is not None
    return trace.logits.log_softmax(dim=1)
