"""How likely the model finds an answer."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trimtab.errors import InputError, NotFiniteError
from trimtab.interventions import Site
from trimtab.models.conditions import decided
from trimtab.models.packing import PackedBatch
from trimtab.models.plan import Logits, Plan, Steer, side_by_side
from trimtab.models.predictions import pieces, predictions
from trimtab.models.prefix import Prefix
from trimtab.models.sharing import Sharing, in_shared_batches
from trimtab.models.text import Encoded, fork
from trimtab.models.unsteered import Unsteered
from trimtab.phrases import Phrase

if TYPE_CHECKING:
    from trimtab.models.model import Model


@dataclass(frozen=True)
class AnswerScores:
    """Log-probabilities of answers given their prompts.

    Args:
        total: `[n]` sum over the answer's tokens, nats.
        mean: `[n]` nats per token.
        n_tokens: `[n]` tokens of each answer.
        greedy: `[n]` bool: whether every token of the answer is the likeliest one, so that greedy decoding writes it.
        sharing: how many tokens were run once for several texts.

    Example:
        >>> import trimtab as tt
        >>> scores = tt.load("smollm2").score(["The sky is", "Snow is"], [" blue.", " cold and white."])
        >>> scores.n_tokens.tolist()
        [2, 4]
        >>> bool((scores.mean * scores.n_tokens).allclose(scores.total))
        True
    """

    total: Tensor
    mean: Tensor
    n_tokens: Tensor
    greedy: Tensor
    sharing: Sharing


Variant = tuple[Steer, ...]


def score(
    model: "Model", rows: Sequence[Encoded], steers: Variant = (), *, temperature: float = 1.0,
    unsteered: Unsteered | None = None,
) -> AnswerScores:  # fmt: skip
    """Log-probability of every row's answer tokens; results in input order, float32, on the model's device.

    Args:
        model: the model.
        rows: texts with answers.
        steers: edits.
        temperature: the logits are divided by it: above 1 all next tokens become more alike.
        unsteered: what earlier calls with the same texts left behind, so that only what edits change is run.

    Raises:
        InputError: a row without answer tokens; or a log-probability that is not finite.
    """
    return score_variants(model, rows, [steers], temperature, unsteered)[0]


def score_variants(
    model: "Model", rows: Sequence[Encoded], variants: Sequence[Variant], temperature: float = 1.0,
    unsteered: Unsteered | None = None,
) -> list[AnswerScores]:  # fmt: skip
    """`score` under several edits, each or none; what lies below an edit's site is run once for all of them.

    Raises:
        InputError: as `score`.
    """
    check_scorable(rows)
    heat = [temperature] * len(variants)
    totals = torch.zeros(len(variants), len(rows), device=model.device)
    others = torch.zeros_like(totals)  # tokens that are not the likeliest ones

    def take(packed: PackedBatch, hidden: Sequence[Tensor]) -> None:
        text, following = (each.to(hidden[0].device) for each in packed.batch.answers)  # (N,) each
        own = torch.zeros(2, len(variants), len(packed.texts), device=text.device)
        for piece in pieces(hidden[0]):
            for p in predictions(model, hidden, following[:, None], piece, heat):
                other = p.of_tokens[:, 0] < p.log_probs.amax(dim=1)
                own[0, p.variant].index_add_(0, text[p.rows], p.of_tokens[:, 0])
                own[1, p.variant].index_add_(0, text[p.rows], other.float())
        totals[:, packed.texts], others[:, packed.texts] = own.to(model.device)

    # the token before the answer predicts its first token, so it is each text's own
    sharing = sweep(model, rows, [r.prompt_len - 1 for r in rows], variants, "answer", take, unsteered)
    n_tokens = torch.tensor([len(r.ids) - r.prompt_len for r in rows], device=model.device)
    for total in totals:
        _check_finite(total, model)
    return [
        AnswerScores(t, t / n_tokens, n_tokens, other == 0, sharing) for t, other in zip(totals, others, strict=True)
    ]


def check_scorable(rows: Sequence[Encoded]) -> None:
    """Check that every row has answer tokens, and a token in front of them."""
    for i, row in enumerate(rows):
        if len(row.ids) <= row.prompt_len:
            raise InputError(f"text {i + 1} has no answer tokens to score")
        if row.prompt_len < 1:
            raise InputError(f"text {i + 1}: its first token has no context and cannot be scored; give a prompt")


def logit_differences(
    model: "Model", positive: Sequence[Encoded], negative: Sequence[Encoded], steers: Variant = ()
) -> Tensor:
    """`logit(positive) - logit(negative)` of the first token in which the two differ, `[n]` float32.

    Raises:
        InputError: one answer is the beginning of the other; or a logit that is not finite.
    """
    both = choice_variants(model, positive, negative, [steers])[0]
    return both[:, 0] - both[:, 1]


def choice_variants(
    model: "Model",
    positive: Sequence[Encoded],
    negative: Sequence[Encoded],
    variants: Sequence[Variant],
    temperature: float = 1.0,
    unsteered: Unsteered | None = None,
) -> list[Tensor]:
    """Log-probabilities of the first tokens in which two answers differ, `[n, 2]` float32, under several edits.

    Their difference is that of the logits. What lies below an edit's site is run once for all edits, and not again
    where `unsteered` has it from earlier calls.

    Raises:
        InputError: as `logit_differences`.
    """
    heat = [temperature] * len(variants)
    forks = [fork(p, q) for p, q in zip(positive, negative, strict=True)]
    rows = [row for row, _, _ in forks]
    tokens = torch.tensor([[p, q] for _, p, q in forks], device=model.device)  # (n, 2)
    out = torch.zeros(len(variants), len(rows), 2, device=model.device)

    def take(packed: PackedBatch, hidden: Sequence[Tensor]) -> None:
        both = tokens[packed.texts.to(model.device)].to(hidden[0].device)  # (N, 2)
        for piece in pieces(hidden[0]):
            for p in predictions(model, hidden, both, piece, heat):
                out[p.variant, packed.texts[p.rows]] = p.of_tokens.to(model.device)

    sweep(model, rows, [len(r.ids) - 1 for r in rows], variants, "last", take, unsteered)
    for values in out:
        _check_finite(values[:, 0] - values[:, 1], model)
    return list(out)


Take = Callable[[PackedBatch, Sequence[Tensor]], None]


def sweep(
    model: "Model", rows: Sequence[Encoded], may_share: Sequence[int], variants: Sequence[Variant], logits: Logits,
    take: Take, unsteered: Unsteered | None = None,
) -> Sharing:  # fmt: skip
    """Hand over every batch with the hidden states in front of the head under every variant.

    With several variants one unsteered pass reads the residuals that their lowest edits start from. Variants that
    start at the same one resume there together, as many as a batch holds: each row once per variant, side by side.
    Those without an active edit are run once.

    Args:
        model: the model.
        rows: the texts.
        may_share: of each text, how many of its first tokens may be run together with those of other texts.
        variants: edits, each or none.
        logits: the positions, as in `Plan`.
        take: is handed each batch, and by variant `[N, d_model]` at its positions; one tensor for all variants without
            an active edit.
        unsteered: what an earlier sweep of the same texts, with the same `may_share` and `logits`, left behind; this
            one adds to it. It is not looked at under an open `with model.steered(…)`.
    """
    variants = decided(model, rows, variants)
    together = tuple(s for v in variants for s in v)

    def work(packed: PackedBatch, chosen: Variant, prefix: Prefix | None) -> None:
        outer, own = chosen[: len(chosen) - len(together)], iter(chosen[len(chosen) - len(together) :])
        inner = [tuple(s for s in (next(own) for _ in v) if s.active) for v in variants]
        each = [(*(s for s in outer if s.active), *v) for v in inner]
        kept = None if unsteered is None or any(s.active for s in outer) else unsteered.of(model, rows, packed)
        plain = inner.index(()) if () in inner else None  # variants without an active edit are one
        hidden = {} if kept is None or kept.hidden is None or plain is None else {plain: kept.hidden}
        run = [i for i, v in enumerate(inner) if (v or i == plain) and i not in hidden]
        starts = {i: _start(each[i]) for i in run}
        reads = {s for s in starts.values() if s is not None} if kept is not None or len(run) > 1 else set()
        n = len(packed.batch.ids)
        below = {} if kept is None else dict(kept.residuals)
        if missing := frozenset(reads - below.keys()):
            cache = None if prefix is None else prefix.cache(n)
            below |= model.forward(packed.batch, Plan(read=missing), cache, nested=False).activations
        if kept is not None:
            kept.keep(below, reads)
        at_once = max(1, model.batch_tokens // packed.batch.ids.numel())
        starts |= {i: max(reads, default=None) for i in run if not each[i]}
        for start, some in _together(starts, below, at_once):
            k = len(some)
            resume = None if start is None else (start, below[start].repeat_interleave(k, dim=0))
            cache = None if prefix is None else prefix.cache(n * k)
            plan = Plan(side_by_side([each[i] for i in some], n), logits=logits, head=False, resume=resume)
            batch = packed.batch.repeated(k)
            above = model.forward(batch, plan, cache, nested=False).hidden
            assert above is not None
            row = batch.predicts_answer.nonzero()[:, 0] if logits == "answer" else torch.arange(n * k)
            nth = row.to(above.device) % k  # row r under the j-th of `some` is row r k + j
            hidden |= {i: above[nth == j] for j, i in enumerate(some)}
        if kept is not None and plain is not None:
            kept.hidden = hidden[plain]
        take(packed, [hidden[i if v or plain is None else plain] for i, v in enumerate(inner)])

    with model.tail.in_float32(begins=True):
        return in_shared_batches(model, rows, may_share, (), together, work, packing=logits == "answer")


def _together(
    starts: Mapping[int, Site | None], below: Collection[Site], at_once: int
) -> Iterator[tuple[Site | None, list[int]]]:
    """Variants that begin at the same residual, or at none, so many at a time."""
    groups: dict[Site | None, list[int]] = {}
    for i, start in starts.items():
        groups.setdefault(start if start in below else None, []).append(i)
    for start, group in groups.items():
        for first in range(0, len(group), at_once):
            yield start, group[first : first + at_once]


def _start(steers: tuple[Steer, ...]) -> Site | None:
    """The last residual that no edit has touched; None where there is none below a term of block 0."""
    sites = (site for s in steers for site in s.edits)
    block = min((site.block if site.component == "residual" else site.block - 1 for site in sites), default=-1)
    return Site(block) if block >= 0 else None


def _check_finite(values: Tensor, model: "Model") -> None:
    bad = (~torch.isfinite(values)).nonzero().flatten().tolist()
    if bad:
        raise NotFiniteError(
            Phrase(
                "{n} of {of} scores are NaN or infinite (the first is text {first}, dtype {dtype}); try a smaller "
                "strength or dtype float32",
                n=len(bad),
                of=len(values),
                first=bad[0] + 1,
                dtype=str(model.dtype).removeprefix("torch."),
            ),
            code="not-finite",
            field="dtype",
        )
