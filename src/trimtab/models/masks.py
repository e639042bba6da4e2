"""Attention masks for rows that hold several texts."""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from trimtab.errors import PlanError
from trimtab.interventions import Site
from trimtab.models.batches import single_row
from trimtab.models.blocks import embedding_table
from trimtab.models.packing import Pack, collate_packs
from trimtab.models.plan import Batch, Plan
from trimtab.models.text import Encoded

if TYPE_CHECKING:
    from trimtab.models.model import Model


@contextmanager
def texts_apart(blocks: Sequence[nn.Module], batch: Batch) -> Iterator[None]:
    """In here no text of a packed row attends to another: each block's own mask is looked up by position.

    So windows of attention stay what they are, whatever the block.

    Raises:
        PlanError: a block gets no mask that can be rewritten; see `packs`.
    """
    masks: dict[int, tuple[Any, Tensor]] = {}
    packed = blocks if batch.text is not None else ()
    places = {kind: _mask_place(kind) for kind in {type(block) for block in packed}}

    def before(block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]] | None:
        place = places[type(block)]
        mask = kwargs.get("attention_mask") if place is None or place >= len(args) else args[place]
        if id(mask) not in masks:
            masks[id(mask)] = (mask, _by_position(mask, batch))
        mask = masks[id(mask)][1]
        if place is None or place >= len(args):
            return args, {**kwargs, "attention_mask": mask}
        return (*args[:place], mask, *args[place + 1 :]), kwargs

    with ExitStack() as stack:
        for block in packed:
            handle = block.register_forward_pre_hook(before, with_kwargs=True)
            stack.callback(handle.remove)
        yield


def _mask_place(kind: type[nn.Module]) -> int | None:
    names = list(inspect.signature(kind.forward).parameters)
    return names.index("attention_mask") - 1 if "attention_mask" in names else None


def _by_position(mask: Any, batch: Batch) -> Tensor:
    """A block's mask `[B or 1, h, T, P + T]` for rows in their order, looked up for tokens that stand elsewhere."""
    assert batch.text is not None
    past = 0 if batch.past is None else batch.past.shape[1]
    allowed = (batch.text[:, None, :] < 0) | (batch.text[:, None, :] == batch.text[:, :, None])  # (B, T, T)
    allowed = allowed & batch.real[:, None, :] | torch.eye(batch.ids.shape[1], dtype=torch.bool, device=allowed.device)
    query = (batch.position - past).clamp(min=0)[:, :, None]  # (B, T, 1) row of the block's mask
    if mask is None and not past:
        return (allowed & (batch.position[:, None, :] <= batch.position[:, :, None]))[:, None]
    if not isinstance(mask, Tensor) or mask.ndim != 4:
        raise PlanError(f"the blocks get {type(mask).__name__} as attention mask, so a row cannot hold several texts")
    kept = mask.shape[-1] - batch.ids.shape[1]  # a window may have dropped the first of the cached tokens
    cached = torch.arange(kept, device=mask.device).expand(len(allowed), -1)
    key = torch.cat([cached, query[..., 0].to(mask.device) + kept], dim=1)[:, None, :]  # (B, 1, K)
    looked_up = mask[0][:, query.to(mask.device), key].transpose(0, 1)  # (B, h, T, K)
    before = torch.ones(*allowed.shape[:2], kept, dtype=torch.bool, device=allowed.device)
    open_ = torch.cat([before, allowed], dim=2)[:, None].to(mask.device)
    if mask.dtype == torch.bool:
        return looked_up & open_
    return looked_up.masked_fill(~open_, torch.finfo(mask.dtype).min)


def packs(model: "Model") -> bool:
    """Whether a text in a row with others comes out as it does alone: tried on tiny batches, not looked up by name.

    Only for attention that takes a mask `[B, 1, T, T]`. The text must come out the same whatever stands beside it, and
    as alone; in low precision also much nearer to that than at the positions of its columns.
    """
    if getattr(model.hf.config, "_attn_implementation", None) not in ("sdpa", "eager"):
        return False
    vocabulary = embedding_table(model.hf).shape[0]
    ids = [(7 * i + 3) % vocabulary for i in range(16)]
    text, others = Encoded((*ids[:3], *ids[8:12]), 1), [Encoded((*ids[:3], *own), 1) for own in (ids[3:8], ids[11:])]
    both = [Pack((0, 1), 3, 12)]
    try:
        with single_row(12):
            alone = _last_block(model, [text], [Pack((0,), 0, 7)])[0]
            one, two, misplaced = (
                _last_block(model, [others[k], text], both, misplaced=wrong)[1, :7]
                for k, wrong in ((0, False), (1, False), (0, True))
            )
    except (PlanError, RuntimeError, TypeError, ValueError, IndexError, AttributeError):
        return False
    scale = alone.norm(dim=-1)
    error, wrong = (one - alone).norm(dim=-1), (misplaced - alone).norm(dim=-1)
    apart_from_others = bool(((one - two).norm(dim=-1) <= 1e-3 * scale).all())
    if model.dtype == torch.float32:
        return apart_from_others and bool((error <= 1e-3 * scale).all())
    return apart_from_others and bool((error <= 0.1 * scale).all()) and bool(2 * error.sum() <= wrong.sum())


def _last_block(model: "Model", rows: Sequence[Encoded], layout: Sequence[Pack], misplaced: bool = False) -> Tensor:
    packed = collate_packs(layout, rows, 0, model.device)
    batch, site = packed.batch, Site(model.n_blocks - 1)
    if misplaced:
        batch = replace(batch, position=torch.arange(batch.ids.shape[1], device=batch.ids.device)[None])
    trace = model.forward(batch, Plan(read=frozenset([site])), nested=False)
    return packed.unpacked(trace.activations[site]).float()
