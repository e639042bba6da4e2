"""How far edits move what the model predicts next, token by token: Kullback–Leibler divergence and log-probability.

With p the unsteered probabilities and d the steered minus the unsteered logits it is log Σ p eᵈ - Σ p d, over the whole
vocabulary. It is exact where the head is float32. Where blocks and head are of a lower precision, d is computed in it
(see `predictions.py`): on SmolLM2-135M a text's divergence is then within 1 % of the exact one, be it 0.001 or 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trimtab.errors import InputError, NotFiniteError
from trimtab.models.conditions import decided
from trimtab.models.packing import PackedBatch
from trimtab.models.plan import Plan
from trimtab.models.predictions import pieces, predictions
from trimtab.models.scoring import Variant, check_scorable, sweep
from trimtab.models.text import Encoded, collate, common_prefix
from trimtab.models.unsteered import Unsteered
from trimtab.phrases import Phrase

if TYPE_CHECKING:
    from trimtab.models.model import Model

MIN_SAMPLED = 8  # tokens of a text


@dataclass(frozen=True)
class AnswerDivergence:
    """What edits did to the predictions over each text's answer tokens (for a text without prompt: all but the first).

    Args:
        kl: `[n]` nats per token, mean over tokens of KL(unsteered ‖ steered).
        log_prob: `[n]` nats, the log-probability of the compared tokens under the edits.
        base_log_prob: `[n]` nats, the same without them.
        n_tokens: `[n]` tokens that were compared: of each answer all, or the share asked for.
    """

    kl: Tensor
    log_prob: Tensor
    base_log_prob: Tensor
    n_tokens: Tensor


def divergences(
    model: "Model",
    rows: Sequence[Encoded],
    variants: Sequence[Variant],
    temperatures: Sequence[float] | None = None,
    *,
    share: float = 1.0,
    seed: int = 0,
    unsteered: Unsteered | None = None,
) -> list[AnswerDivergence]:
    """Divergence from the unsteered model under several edits; the whole next-token distributions are compared.

    Args:
        model: the model.
        rows: texts with answers.
        variants: edits, each or none.
        temperatures: of each variant, what its logits are divided by; None for 1.
        share: of each text's answer tokens that are compared, more than 0 and at most 1, but 8 tokens at least. They
            are spread evenly from a random start, so that all are as likely, and their mean estimates that over all
            without bias.
        seed: of the start.
        unsteered: what earlier calls with the same texts left behind, so that only what edits change is run.

    Raises:
        InputError: a row without answer tokens or without a token before them; a share out of range; or a figure that
            is not finite.
    """
    check_scorable(rows)
    chosen = _sampled([len(r.ids) - r.prompt_len for r in rows], share, seed)
    n_tokens = chosen.sum(dim=1).to(model.device)
    heat = [1.0, *(temperatures or [1.0] * len(variants))]
    sums = torch.zeros(2, len(variants) + 1, len(rows), device=model.device)  # of KL, of log-probabilities

    def take(packed: PackedBatch, hidden: Sequence[Tensor]) -> None:
        text, following = packed.batch.answers  # (N,) each
        kept = chosen[packed.texts[text.cpu()], packed.batch.answer_places.cpu()].to(hidden[0].device)
        some = {id(h): h[kept] for h in hidden}  # by tensor, since variants without edits share one
        each = _compared(model, [some[id(h)] for h in hidden], following.to(kept.device)[kept], heat)
        own = torch.zeros(2, len(hidden), len(packed.texts), device=each.device)
        sums[:, :, packed.texts] = own.index_add_(2, text.to(each.device)[kept], each).to(model.device)

    sweep(model, rows, [r.prompt_len - 1 for r in rows], [(), *variants], "answer", take, unsteered)
    _check_finite(sums)
    kl, log_prob = sums
    return [
        AnswerDivergence((k / n_tokens).clamp(min=0), lp, log_prob[0], n_tokens)
        for k, lp in zip(kl[1:], log_prob[1:], strict=True)
    ]  # rounding may leave a sum just below 0


def divergence_behind(
    model: "Model",
    rows: Sequence[Encoded],
    behind: Sequence[Encoded],
    steers: Variant = (),
    *,
    share: float = 1.0,
    seed: int = 0,
) -> AnswerDivergence:
    """Divergence from the plain model where the same texts stand behind more text, under edits or none.

    Args:
        model: the model.
        rows: texts.
        behind: the same texts behind more; compared are the tokens that both end in, at most those of the answers.
        steers: edits of the texts that stand behind more.
        share: as `divergences` takes it.
        seed: likewise.

    Raises:
        InputError: a row does not end in the same tokens as its longer version; a share out of range; or a figure that
            is not finite.
    """
    lengths = []
    for i, (row, other) in enumerate(zip(rows, behind, strict=True)):
        n = common_prefix(row.ids[::-1], other.ids[::-1])
        lengths.append(min(n, len(row.ids) - row.prompt_len, len(other.ids) - 1))
        if lengths[-1] < 1:
            raise InputError(f"text {i + 1} does not end in the same tokens when more text stands in front of it")
    chosen = _sampled(lengths, share, seed)
    sums = torch.zeros(2, 2, len(rows), device=model.device)
    with model.tail.in_float32(begins=True):
        for i, (row, other, n) in enumerate(zip(rows, behind, lengths, strict=True)):
            (treated,) = decided(model, [other], [steers])
            both = [_hidden(model, Encoded(r.ids, len(r.ids) - n), s) for r, s in ((row, ()), (other, treated))]
            kept = chosen[i, :n].to(both[0].device)
            following = torch.tensor(row.ids[-n:], device=kept.device)[kept]
            sums[:, :, i] = _compared(model, [h[kept] for h in both], following).sum(dim=2).to(model.device)
    _check_finite(sums)
    n_tokens = chosen.sum(dim=1).to(model.device)
    (_, kl), (base, log_prob) = sums
    return AnswerDivergence((kl / n_tokens).clamp(min=0), log_prob, base, n_tokens)


def _compared(
    model: "Model", hidden: Sequence[Tensor], following: Tensor, temperatures: Sequence[float] | None = None
) -> Tensor:
    """Of every variant's `[N, d_model]`: KL(first ‖ it), and the log-probability of the token that follows, nats.

    Returns:
        `[2, variants, N]` float32.
    """
    out = torch.zeros(2, len(hidden), len(following), device=hidden[0].device)
    for piece in pieces(hidden[0]):
        of_base: dict[int, tuple[Tensor, Tensor]] = {}  # by first row, p [n, V] and Σ p log p [n]
        for found in predictions(model, hidden, following[:, None], piece, temperatures, base=0):
            first, log_q = found.rows.start, found.log_probs
            if found.variant == 0:
                p = log_q.exp()
                of_base[first] = p, torch.linalg.vecdot(p, log_q)
            p, minus_entropy = of_base[first]
            out[0, found.variant, found.rows] = minus_entropy - torch.linalg.vecdot(p, log_q)
            out[1, found.variant, found.rows] = found.of_tokens[:, 0]
    return out


def _hidden(model: "Model", row: Encoded, steers: Variant) -> Tensor:
    """`[n, d_model]` in front of the head, at the positions that predict the answer."""
    plan = Plan(steers, logits="answer", head=False)
    hidden = model.forward(collate([row], 0, model.device), plan).hidden
    assert hidden is not None
    return hidden


def _sampled(lengths: Sequence[int], share: float, seed: int) -> Tensor:
    """`[texts, longest]` bool: the tokens that are compared of answers of these lengths."""
    if not 0 < share <= 1:
        raise InputError(f"a share of {share} of the tokens; give more than 0 and at most 1")
    starts = torch.rand(len(lengths), dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    chosen = torch.zeros(len(lengths), max(lengths, default=0), dtype=torch.bool)
    for i, (n, start) in enumerate(zip(lengths, starts, strict=True)):
        k = min(n, max(MIN_SAMPLED, ceil(share * n)))
        chosen[i, ((torch.arange(k) + start) * (n / k)).long().clamp(max=n - 1)] = True
    return chosen


def _check_finite(sums: Tensor) -> None:
    if not bool(torch.isfinite(sums).all()):
        raise NotFiniteError(
            Phrase("a divergence is NaN or infinite; try a smaller strength or dtype float32"), field="dtype"
        )
