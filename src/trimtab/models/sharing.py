"""Which tokens of many texts are run once: what many begin with, and what a few have in common."""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trimtab.interventions import Site
from trimtab.models.batches import in_batches
from trimtab.models.linear import quick_linears
from trimtab.models.packing import Pack, PackedBatch, collate_packs, one_per_row, pack
from trimtab.models.plan import Steer
from trimtab.models.prefix import Prefix, common_length, run_prefix
from trimtab.models.text import Encoded

if TYPE_CHECKING:
    from trimtab.models.model import Model

MIN_PREFIX = 8  # tokens; keeping the keys and values of fewer costs more than it saves
CACHED_PER_TOKEN = 16  # tokens in a cache that count as one that is run, where batches are made
MIN_TEXTS = 8  # a prefix is kept for at least this many rows, and for at least one in so many


@dataclass(frozen=True)
class Sharing:
    """How many tokens were run once for several texts.

    Args:
        given: tokens of all texts.
        run: tokens that went through the blocks, padding and repetitions for several edits left out.
        plain: why texts with the same beginning were run separately all the same; empty if none were.
    """

    given: int
    run: int
    plain: tuple[str, ...] = ()


@dataclass(frozen=True)
class Portion:
    """Texts that are run in batches, behind one prefix.

    Args:
        texts: where they stand among all texts.
        rows: the texts.
        packs: the rows of the batches to come, by index into `rows`.
        prefix: first tokens of all of them, not in the packs.
    """

    texts: Sequence[int]
    rows: Sequence[Encoded]
    packs: Sequence[Pack]
    prefix: Encoded | None

    @property
    def cached(self) -> int:
        """Tokens of the prefix."""
        return 0 if self.prefix is None else len(self.prefix.ids)

    @property
    def tokens(self) -> int:
        """Tokens that are run for it."""
        return self.cached + sum(p.width for p in self.packs)

    def collate(self, chosen: Tensor, model: "Model") -> PackedBatch:
        """Some of the packs as a batch; its texts are numbered as they stand among all texts."""
        some = [self.packs[i] for i in chosen.tolist()]
        packed = collate_packs(some, self.rows, model.pad, model.device, self.cached)
        return replace(packed, texts=torch.tensor([self.texts[t] for t in packed.texts.tolist()]))


Work = Callable[[PackedBatch, tuple[Steer, ...], Prefix | None], None]


def in_shared_batches(
    model: "Model",
    rows: Sequence[Encoded],
    may_share: Sequence[int],
    sites: Collection[Site],
    steers: tuple[Steer, ...],
    work: Work,
    *,
    packing: bool = True,
) -> Sharing:
    """Do the work on all texts, batch by batch, with what they begin with run once where that is possible.

    Args:
        model: the model.
        rows: all texts.
        may_share: of each text, how many of its first tokens may be run together with those of other texts.
        sites: where a prefix's norms are read; without any, a prefix is run through all blocks.
        steers: edits for all texts.
        work: is handed a batch of texts, their edits (with those of an open `with model.steered(…)` in front), and
            the prefix that is not in the batch. It may be called twice for a text, when memory runs out.
        packing: False where the work needs every text in a row of its own.

    Raises:
        InputError: the number of strengths or scopes does not match the texts.
        TrimtabError: a single row does not fit into memory.
    """
    portions, sharing = _portions(model, rows, may_share, (*model.open_edits, *steers), packing)
    with quick_linears(model.anatomy.heavy_modules):
        for portion in portions:
            prefix = None if portion.prefix is None else run_prefix(model, portion.prefix, sites)

            def step(
                group: Tensor, edits: tuple[Steer, ...], portion: Portion = portion, prefix: Prefix | None = prefix
            ) -> None:
                work(portion.collate(group, model), edits, prefix)

            # a long prefix lies in every row's cache, so it counts a little too
            widths = [max(p.width, (portion.cached + p.width) // CACHED_PER_TOKEN) for p in portion.packs]
            in_batches(model, widths, steers, step)
    return sharing


def tokens_to_run(rows: Sequence[Encoded]) -> int:
    """Tokens that go through the blocks for texts whose last token is asked for, where all is shared that can be."""
    return sum(p.tokens for p in _split(rows, [len(r.ids) - 1 for r in rows], True, True))


def _portions(
    model: "Model", rows: Sequence[Encoded], may_share: Sequence[int], steers: tuple[Steer, ...], packing: bool
) -> tuple[list[Portion], Sharing]:
    ideal = _split(rows, may_share, True, packing)
    plain = []
    by_row, steered = any(s.rows > 1 for s in steers), any(s.active for s in steers)
    keeps = model.can_cache_prefix and not steered
    packing = packing and not by_row and model.packs
    if any(p.prefix for p in ideal) and not keeps:
        reason = "edits are active" if steered else f"{type(model.hf).__name__}'s cache holds more than keys and values"
        plain.append(f"a prefix is run for every text: {reason}")
    if any(len(k.texts) > 1 for p in ideal for k in p.packs) and not packing:
        not_apart = f"{type(model.hf).__name__} does not separate them by mask and position"
        reason = "edits differ by row" if by_row else not_apart
        plain.append(f"texts with the same beginning are run in rows of their own: {reason}")
    portions = _split(rows, may_share, keeps and not by_row, packing) if plain or by_row else ideal
    return portions, Sharing(sum(len(r.ids) for r in rows), sum(p.tokens for p in portions), tuple(plain))


def _split(rows: Sequence[Encoded], may_share: Sequence[int], prefixes: bool, packing: bool) -> list[Portion]:
    """Large groups of texts, each behind the prefix of its own, and the others."""
    groups, others = (
        _groups(range(len(rows)), rows, may_share, max(MIN_TEXTS, len(rows) / MIN_TEXTS))
        if prefixes
        else ([], range(len(rows)))
    )
    portions = [_portion(group, rows, may_share, length, packing) for group, length in groups]
    return [*portions, *([_portion(others, rows, may_share, 0, packing)] if others else [])]


def _groups(
    texts: Sequence[int], rows: Sequence[Encoded], may_share: Sequence[int], min_texts: float
) -> tuple[list[tuple[Sequence[int], int]], Sequence[int]]:
    """Groups of texts with the length of what each begins with, as long as groups are large; and the texts in none."""
    if not texts:
        return [], []
    length = min(common_length([rows[i] for i in texts]), *(may_share[i] for i in texts))
    by_next: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for i in texts:
        by_next[rows[i].ids[length : length + MIN_PREFIX] if may_share[i] >= length + MIN_PREFIX else ()].append(i)
    large = [group for key, group in by_next.items() if key and min_texts <= len(group) < len(texts)]
    within = [_groups(group, rows, may_share, min_texts) for group in large]
    inner = [g for groups, _ in within for g in groups]
    grouped = {i for group, _ in inner for i in group}
    rest = [i for i in texts if i not in grouped]
    if length >= MIN_PREFIX and len(rest) >= min_texts:
        return [*inner, (rest, length)], []
    return inner, rest


def _portion(
    texts: Sequence[int], rows: Sequence[Encoded], may_share: Sequence[int], length: int, packing: bool
) -> Portion:
    chosen, bounds = [rows[i] for i in texts], [may_share[i] for i in texts]
    packs = pack(chosen, bounds, length) if packing else one_per_row(chosen, length)
    return Portion(texts, chosen, packs, Encoded(chosen[0].ids[:length], length) if length else None)
