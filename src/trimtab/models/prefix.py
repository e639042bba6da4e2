"""Run once what many rows begin with: instruction and solved examples, or the frame of a question."""

import copy
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from trimtab.interventions import Site
from trimtab.models.batches import single_row
from trimtab.models.plan import Plan
from trimtab.models.text import Encoded, collate, common_prefix

if TYPE_CHECKING:
    from trimtab.models.model import Model


@dataclass(frozen=True)
class Prefix:
    """Tokens that rows begin with, and what running them left.

    Args:
        row: the tokens.
        activations: by site, `[P, d_model]`.
        norms: by site, `[P]` norm of each token's activation.
        kv_cache: the KV cache of one row; never extended itself.
    """

    row: Encoded
    activations: Mapping[Site, Tensor]
    norms: Mapping[Site, Tensor]
    kv_cache: Any

    def __len__(self) -> int:
        return len(self.row.ids)

    def cache(self, rows: int) -> Any:
        """A cache for so many rows. Keys and values are views until the model appends to them."""
        cache = copy.copy(self.kv_cache)
        cache.layers = [copy.copy(layer) for layer in self.kv_cache.layers]
        for layer in cache.layers:
            if layer.is_initialized:
                layer.keys = layer.keys.expand(rows, -1, -1, -1)
                layer.values = layer.values.expand(rows, -1, -1, -1)
        return cache


def run_prefix(model: "Model", row: Encoded, sites: Collection[Site]) -> Prefix:
    """Run a row up to the deepest site, or through all blocks where there is none, and keep its cache."""
    from transformers import DynamicCache

    cache = DynamicCache(config=model.hf.config)
    batch = collate([row], model.pad, model.device)
    plan = Plan(read=frozenset(sites), logits="none" if sites else "last")
    with single_row(len(row.ids)):
        trace = model.forward(batch, plan, cache, nested=False)
    read = {site: h[0].to(model.device) for site, h in trace.activations.items()}
    return Prefix(row, read, {site: h.float().norm(dim=-1) for site, h in read.items()}, cache)


def can_cache_prefix(hf: Any) -> bool:
    """Whether a prefix can be run by itself: its cache is plain keys and values, rotations go by position alone."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    default = getattr(hf, "_supports_default_dynamic_cache", lambda: True)
    if getattr(hf, "_is_stateful", False) or not default():
        return False
    rope = getattr(hf.config.get_text_config(), "rope_parameters", None) or {}
    kinds = [rope.get("rope_type")] + [r.get("rope_type") for r in rope.values() if isinstance(r, dict)]
    if {"dynamic", "longrope"} & set(kinds):  # these go by the longest text of a call
        return False
    return all(
        type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in DynamicCache(config=hf.config).layers
    )


def common_length(rows: Sequence[Encoded]) -> int:
    """Number of tokens that all rows have in common at the beginning."""
    return common_prefix(min(r.ids for r in rows), max(r.ids for r in rows))  # in lexical order they differ the most
