"""Put texts with the same beginning into one row: the beginning once, then the rest of each text."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from trimtab.models.plan import Batch
from trimtab.models.text import Encoded, collate, common_prefix

MIN_SHARED = 4  # tokens in common; fewer are not worth a wider row
MAX_WIDTH = 256  # tokens of a row of several texts; attention grows with the square


@dataclass(frozen=True)
class Pack:
    """Texts of one row.

    Args:
        texts: their indices.
        shared: tokens that they have in common and that are run once.
        width: tokens of the row.
    """

    texts: tuple[int, ...]
    shared: int
    width: int


@dataclass(frozen=True)
class PackedBatch:
    """A batch of packs, and where each text lies in it.

    Args:
        batch: the packed rows.
        texts: `[N]` indices of the texts, in the order of the rows.
        separate: the same texts, each in a row of its own `[N, W]`; not to be run.
        row: `[N]` the packed row that a text lies in.
        column: `[N, W]` where each of its tokens lies there.
    """

    batch: Batch
    texts: Tensor
    separate: Batch
    row: Tensor
    column: Tensor

    def unpacked(self, values: Tensor) -> Tensor:
        """`[B, T, …]` by token of the packed rows to `[N, W, …]` by token of each text."""
        return values if self.separate is self.batch else values[self.row[:, None], self.column]


def pack(rows: Sequence[Encoded], may_share: Sequence[int], cached: int = 0) -> list[Pack]:
    """Which texts go into one row, so that few tokens are run twice.

    Args:
        rows: the texts.
        may_share: of each text, how many tokens may be run together with another text's.
        cached: first tokens of every text that are not run at all.
    """
    packs: list[Pack] = []
    group: list[int] = []
    shared = width = 0
    for i in sorted(range(len(rows)), key=lambda i: (rows[i].prompt_len, rows[i].ids)):
        own = len(rows[i].ids) - cached
        if group and rows[group[0]].prompt_len == rows[i].prompt_len:
            common = min(shared, may_share[i] - cached, common_prefix(rows[group[0]].ids, rows[i].ids) - cached)
            wider = width + (shared - common) * (len(group) - 1) + own - common
            worth = common >= MIN_SHARED and common * len(group) > shared * (len(group) - 1)
            if worth and wider <= MAX_WIDTH:
                group, shared, width = [*group, i], common, wider
                continue
        if group:
            packs.append(_pack_of(group, shared, width))
        group, shared, width = [i], may_share[i] - cached, own
    return [*packs, _pack_of(group, shared, width)] if group else packs


def one_per_row(rows: Sequence[Encoded], cached: int = 0) -> list[Pack]:
    """Every text in a row of its own."""
    return [Pack((i,), 0, len(r.ids) - cached) for i, r in enumerate(rows)]


def _pack_of(texts: Sequence[int], shared: int, width: int) -> Pack:
    return Pack(tuple(sorted(texts)), shared if len(texts) > 1 else 0, width)


def collate_packs(
    packs: Sequence[Pack], rows: Sequence[Encoded], pad: int, device: torch.device, cached: int = 0
) -> PackedBatch:
    """Packs to one padded batch; the first `cached` tokens of every text are left out."""
    texts = torch.tensor([t for p in packs for t in p.texts])
    plain = collate([rows[t] for t in texts.tolist()], pad, device, cached=cached)
    if len(texts) == len(packs):
        every = torch.arange(len(texts), device=device)
        return PackedBatch(plain, texts, plain, every, torch.arange(plain.ids.shape[1], device=device)[None])
    batch = collate([_joined(p, rows, cached) for p in packs], pad, device, cached=cached)
    row = torch.tensor([b for b, p in enumerate(packs) for _ in p.texts])
    column = torch.zeros(plain.ids.shape, dtype=torch.int64)
    position = torch.zeros(batch.ids.shape, dtype=torch.int64)
    text = torch.full(batch.ids.shape, -1)
    n = 0
    for b, p in enumerate(packs):
        position[b, : p.shared] = torch.arange(cached, cached + p.shared)
        end = p.shared
        for t in p.texts:
            start, end = end, end + len(rows[t].ids) - cached - p.shared
            position[b, start:end] = torch.arange(cached + p.shared, len(rows[t].ids))
            text[b, start:end] = n
            column[n, : p.shared] = torch.arange(p.shared)
            column[n, p.shared : p.shared + end - start] = torch.arange(start, end)
            n += 1
    batch = replace(batch, position=position.to(device), text=text.to(device))
    return PackedBatch(batch, texts, plain, row.to(device), column.to(device))


def _joined(pack: Pack, rows: Sequence[Encoded], cached: int) -> Encoded:
    """All tokens of a packed row, those that are cached too."""
    first, begins = rows[pack.texts[0]], cached + pack.shared
    own = (token for t in pack.texts for token in rows[t].ids[begins:])
    return Encoded((*first.ids[:begins], *own), first.prompt_len)
