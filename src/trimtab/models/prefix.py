"""What all rows begin with is run once: instruction and shots, or the frame of a question."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from trimtab.models.plan import Plan, Steer
from trimtab.models.sites import Site
from trimtab.models.text import Encoded, collate, pad_token

if TYPE_CHECKING:
    from trimtab.models.model import Model

LEAST = 16  # tokens; a shorter prefix costs more in copies of the cache than it saves


@dataclass(frozen=True)
class Prefix:
    """Tokens that all rows begin with, and what running them left.

    Args:
        row: the tokens.
        norms: by site, `[P]` norm of each token's activation.
        kept: the KV cache of one row; never extended itself.
    """

    row: Encoded
    norms: Mapping[Site, Tensor]
    kept: Any

    def __len__(self) -> int:
        return len(self.row.ids)

    def cache(self, rows: int) -> Any:
        """A cache for so many rows. Keys and values are views until the model appends to them."""
        cache = copy.copy(self.kept)
        cache.layers = [copy.copy(layer) for layer in self.kept.layers]
        for layer in cache.layers:
            if layer.is_initialized:
                layer.keys = layer.keys.expand(rows, -1, -1, -1)
                layer.values = layer.values.expand(rows, -1, -1, -1)
        return cache


def shared_prefix(
    model: "Model", rows: Sequence[Encoded], sites: Sequence[Site], read: str, steers: tuple[Steer, ...]
) -> Prefix | None:
    """Run what all rows begin with, up to the deepest site.

    Returns:
        None where rows share little, where tokens that are read are among them, where anything is steered
        (edits may differ by row), or where the architecture keeps something else than keys and values.
    """
    from transformers import DynamicCache

    if len(rows) < 2 or steers or model.open_edits or not model.caches_keys:
        return None
    shared = common_length(rows)
    own = (r.prompt_len if read == "mean" else len(r.ids) - 1 for r in rows)
    shared = min(shared, *own)
    if shared < LEAST:
        return None
    row = Encoded(rows[0].ids[:shared], shared)
    cache = DynamicCache(config=model.hf.config)
    batch = collate([row], pad_token(model.tokenizer), model.device)
    trace = model.forward(batch, Plan(read=frozenset(sites)), cache)
    norms = {site: h[0].float().norm(dim=-1).to(model.device) for site, h in trace.activations.items()}
    return Prefix(row, norms, cache)


def common_length(rows: Sequence[Encoded]) -> int:
    """Number of tokens that all rows have in common at the beginning."""
    first, last = min(r.ids for r in rows), max(r.ids for r in rows)  # in lexical order they differ the most
    n = 0
    while n < min(len(first), len(last)) and first[n] == last[n]:
        n += 1
    return n
