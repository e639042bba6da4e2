"""Activations of texts, one vector per text and site."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.interventions import Site
from trimtab.models.packing import PackedBatch
from trimtab.models.plan import Batch, Plan, Steer
from trimtab.models.prefix import Prefix
from trimtab.models.sharing import Sharing, in_shared_batches
from trimtab.models.text import Encoded

if TYPE_CHECKING:
    from trimtab.models.model import Model

Read = Literal["last", "prompt", "mean"]
# A token whose norm exceeds this many times the median of its row is a massive activation, not content.
MASSIVE = 10.0


@dataclass(frozen=True)
class Captured:
    """Activations of texts, as `Model.capture` gives them.

    Args:
        activations: `[n, d_model]` float32 by `Site`, however the sites were named when asked for.
        norms: `[n]` by site: median norm of each text's tokens, position 0 left out.
        n_massive: by site, answer tokens left out of means because their norm exceeds 10 times their row's median;
            None where no mean was taken.
        sharing: how many tokens were run once for several texts.

    Example:
        >>> import trimtab as tt
        >>> captured = tt.load("smollm2").capture(["The sky is blue."], ["14", "heads:3"])
        >>> {str(site): tuple(h.shape) for site, h in captured.activations.items()}
        {'14': (1, 576), 'heads:3': (1, 576)}
        >>> captured.sharing.given
        6
    """

    activations: Mapping[Site, Tensor]
    norms: Mapping[Site, Tensor]
    n_massive: Mapping[Site, int | None]
    sharing: Sharing


def capture(
    model: "Model",
    rows: Sequence[Encoded],
    sites: Sequence[Site],
    read: Read,
    steers: tuple[Steer, ...] = (),
    *,
    first: int = 1,
) -> Captured:
    """Run rows and keep one vector per row and site; never more than one batch of tokens in memory.

    Args:
        model: the model.
        rows: texts.
        sites: where to read.
        read: which tokens.
        steers: edits.
        first: number of the first text, for messages.

    Raises:
        InputError: an unknown `read`, a row without answer tokens to average, a NaN or an infinite activation.
    """
    check_readable(model, sites, read)
    for i, row in enumerate(rows, start=first):
        if read == "mean" and len(row.ids) <= max(row.prompt_len, 1):
            raise InputError(f"text {i} has no answer tokens to average; read its last token instead")
    if read == "prompt":
        rows = [r.prompt for r in rows]
    n, device = len(rows), model.device
    vectors = {s: torch.zeros(n, model.anatomy.width(s), device=device) for s in sites}
    norms = {s: torch.zeros(n, device=device) for s in sites}
    massive = {s: torch.zeros(n, dtype=torch.int64, device=device) for s in sites}

    def work(packed: PackedBatch, chosen: tuple[Steer, ...], prefix: Prefix | None) -> None:
        cache = None if prefix is None else prefix.cache(len(packed.batch.ids))
        where, plan = packed.texts.to(device), Plan(steers=chosen, read=frozenset(sites))
        for site, h in model.forward(packed.batch, plan, cache, nested=False).activations.items():
            prefix_norms = None if prefix is None else prefix.norms[site]
            pooled = _pool(h.to(device).float(), packed, read, prefix_norms)
            vectors[site][where], norms[site][where], massive[site][where] = pooled

    may_share = [min(r.prompt_len, len(r.ids) - 1) if read == "mean" else len(r.ids) - 1 for r in rows]
    sharing = in_shared_batches(model, rows, may_share, sites, steers, work)
    for site, values in vectors.items():
        if read == "mean":
            _check_not_all_massive(site, massive[site], rows, first)
        check_finite(site, torch.isfinite(values).all(dim=1), range(first, first + n), model)
    n_massive = {s: int(m.sum()) if read == "mean" else None for s, m in massive.items()}
    return Captured(vectors, norms, n_massive, sharing)


def _pool(h: Tensor, packed: PackedBatch, read: Read, prefix_norms: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """`[B, T, d]` to one vector a text `[N, d]`, median token norm `[N]`, massive answer tokens `[N]`.

    `prefix_norms [P]` are the norms of the tokens that all texts begin with, where those are in the cache.
    """
    texts = packed.separate
    norm = packed.unpacked(h.norm(dim=-1))  # (N, W)
    content = texts.real & (texts.position > 0)
    median = median_norm(norm, texts, prefix_norms)
    if read != "mean":
        column = packed.column.expand(len(norm), -1).gather(1, texts.last[:, None])[:, 0]
        return h[packed.row, column], median, torch.zeros_like(packed.row)
    answer = content & (texts.position >= texts.prompt_len[:, None])
    massive = answer & (norm > MASSIVE * median[:, None])
    weight = (answer & ~massive).to(h.dtype)  # (N, W)
    total = weight.sum(dim=1, keepdim=True)
    mean = torch.einsum("nw,nwd->nd", weight, packed.unpacked(h).masked_fill(~answer[..., None], 0.0)) / total
    return mean, median, massive.sum(dim=1)


def median_norm(norm: Tensor, texts: Batch, prefix_norms: Tensor | None) -> Tensor:
    """`[N]` median of each text's token norms `[N, W]`, position 0 left out.

    `prefix_norms [P]` are the norms of the tokens that all texts begin with, where those are in the cache.
    """
    every = norm.masked_fill(~texts.real | (texts.position == 0), float("nan"))
    if prefix_norms is not None:
        every = torch.cat([prefix_norms[1:].to(every).expand(len(every), -1), every], dim=1)  # (N, P - 1 + W)
    return every.nanmedian(dim=1).values


def check_readable(model: "Model", sites: Sequence[Site], read: str) -> None:
    """Check, before any work, that `read` and the sites are valid.

    Raises:
        InputError: an unknown `read`, no site, or one that the model does not have.
    """
    if read not in get_args(Read):
        raise InputError(f"unknown read {read!r}; one of {', '.join(get_args(Read))}")
    check_sites(model, sites)


def check_sites(model: "Model", sites: Sequence[Site]) -> None:
    """Check, before any work, that the model has these sites.

    Raises:
        InputError: no site, or one that the model does not have.
    """
    if not sites:
        raise InputError("name at least one site to read, such as 14 or attention:14")
    for site in sites:
        model.anatomy.module(site)


def _check_not_all_massive(site: Site, massive: Tensor, rows: Sequence[Encoded], first: int) -> None:
    for i, (n, row) in enumerate(zip(massive.tolist(), rows, strict=True), start=first):
        if n == len(row.ids) - max(row.prompt_len, 1):  # position 0 is no answer token
            raise InputError(
                f"text {i}: every answer token is a massive activation at site {site}, so nothing is left for a "
                "mean; read its last token or another site"
            )


def check_finite(site: Site, finite: Tensor, numbers: Sequence[int] | Tensor, model: "Model") -> None:
    """Check that all activations are finite.

    Args:
        site: where they were read.
        finite: `[n]` bool, whether each is finite.
        numbers: of each, the number of its text.
        model: the model.

    Raises:
        InputError: one is not.
    """
    bad = (~finite).nonzero().flatten().tolist()
    if bad:
        raise InputError(
            f"{len(bad)} of {len(finite)} activations at site {site} are NaN or infinite (the first is text "
            f"{int(numbers[bad[0]])}, dtype {str(model.dtype).removeprefix('torch.')}); try dtype float32, and check "
            "the model's weights",
            code="not-finite",
            field="dtype",
        )
