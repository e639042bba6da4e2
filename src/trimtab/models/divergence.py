"""How far edits move what the model predicts next, token by token: Kullback–Leibler divergence and log-probability."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.models.packing import Packed
from trimtab.models.plan import Batch, Trace
from trimtab.models.scoring import Variant, refuse_unscorable, sweep
from trimtab.models.text import Encoded

if TYPE_CHECKING:
    from trimtab.models.model import Model


@dataclass(frozen=True)
class Divergence:
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


def divergences(model: "Model", rows: Sequence[Encoded], variants: Sequence[Variant]) -> list[Divergence]:
    """Divergence from the unsteered model under several edits; the whole next-token distributions are compared.

    Raises:
        InputError: a row without answer tokens or without a token before them; or a figure that is not finite.
    """
    refuse_unscorable(rows)
    kl = torch.zeros(len(variants) + 1, len(rows), device=model.device)
    log_prob = torch.zeros_like(kl)
    base: list[tuple[Tensor, Tensor]] = []  # of the batch at hand: probabilities [N, V] and minus entropy [N]

    def take(some: Sequence[int], packed: Packed, batch: Batch, trace: Trace) -> None:
        assert trace.logits is not None
        assert trace.predicts is not None
        at = trace.predicts.to(trace.logits.device)
        text = batch.text_of.to(at.device)[at]  # (N k,): text t under the j-th variant of `some` is t k + j
        following = batch.ids.roll(-1, dims=1).to(at.device)[at]
        for j, variant in enumerate(some):
            mine = (text % len(some) == j).nonzero()[:, 0]
            logits = trace.logits[mine]
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
        raise InputError("a divergence is NaN or infinite; try a smaller strength or --dtype float32")
    n = torch.tensor([len(r.ids) - r.prompt_len for r in rows], device=model.device)
    return [
        Divergence((k / n).clamp(min=0), lp, log_prob[0], n) for k, lp in zip(kl[1:], log_prob[1:], strict=True)
    ]  # rounding may leave a sum just below 0
