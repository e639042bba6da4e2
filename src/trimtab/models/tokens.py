"""Activations of texts, one vector per token and site, in memory or in a folder; resumes after an interruption."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from numpy.typing import NDArray
from torch import Tensor

from trimtab.errors import InputError
from trimtab.interventions import Site
from trimtab.models.capture import MASSIVE, check_finite, check_sites, median_norm
from trimtab.models.journal import CaptureJournal, origin, stem
from trimtab.models.packing import PackedBatch
from trimtab.models.plan import Plan, Steer
from trimtab.models.prefix import Prefix
from trimtab.models.sharing import Sharing, in_shared_batches
from trimtab.models.text import Encoded, common_prefix
from trimtab.storage.arrays import Column, alone

if TYPE_CHECKING:
    from trimtab.models.model import Model

TokenSelection = Literal["response", "all", "last"]
WINDOW_BYTES = 1 << 28  # of activations held in memory at a time, and lost at most when the work is interrupted
MIN_TOKENS = 1 << 12  # tokens that a window may hold whatever their size
MAX_TEXTS = 4096  # texts that a window may hold at most
# numpy has no bfloat16, so its bits are written as unsigned integers
_STORED = {torch.float32: "<f4", torch.float16: "<f2", torch.bfloat16: "<u2"}


def window(row_bytes: int, n_sites: int) -> int:
    """Tokens that are run at a time, where one takes so many bytes at a site."""
    return max(MIN_TOKENS, WINDOW_BYTES // (row_bytes * n_sites))


@dataclass(frozen=True)
class TokenActivations:
    """Activations by token, in the order of texts and of tokens in them.

    Sites differ in their number of tokens where massive activations do; which tokens a site has does not depend on the
    sites that were read with it.

    Args:
        activations: `[N, d_model]` by `Site`, on the CPU, in the dtype of the blocks if that is float16 or bfloat16,
            else float32: nothing is rounded, and half-precision models take half the room.
        text: `[N]` int64 by site: index of the text that a token belongs to.
        position: `[N]` int64 by site: the token's position in its text; 0, an attention sink, never occurs.
        n_massive: by site, tokens left out because their norm exceeds 10 times the median of their text.
        n_identical: tokens asked for that a text and its twin begin with; they are left out if that was wanted.
        sharing: how many tokens were run once for several texts.

    Example:
        >>> import trimtab as tt
        >>> tokens = tt.load("smollm2").capture_tokens(["The sky is blue.", "No."], [14], tokens="last")
        >>> site = tt.Site(14)
        >>> tokens.activations[site].shape, tokens.text[site].tolist(), tokens.position[site].tolist()
        (torch.Size([2, 576]), [0, 1], [5, 2])
    """

    activations: Mapping[Site, Tensor]
    text: Mapping[Site, Tensor]
    position: Mapping[Site, Tensor]
    n_massive: Mapping[Site, int]
    n_identical: int
    sharing: Sharing


def capture_tokens(
    model: "Model",
    rows: Iterable[Encoded],
    sites: Sequence[Site],
    tokens: TokenSelection = "response",
    into: Path | None = None,
    *,
    twins: Sequence[int | None] | None = None,
    drop_identical: bool = False,
) -> TokenActivations:
    """Run rows and keep the activations of their tokens, without position 0 and without massive activations.

    A folder gets `SITE.npy` `[N, d_model]` (float32 or float16; bfloat16 as its bits, uint16), `SITE.text.npy` and
    `SITE.position.npy` `[N]` int64, which numpy can map, and `capture.jsonl`, which says how far the work is. Called
    again with the same rows it continues where it stopped, to the same bytes. Only one window of activations is in
    memory.

    Args:
        model: the model, unsteered.
        rows: texts; any iterable unless there are twins.
        sites: where to read; all in one pass.
        tokens: those of the `response` (from `prompt_len` on), `all`, or the `last` of each text.
        into: a folder; the results are then memory-mapped.
        twins: for each row the index of its counterpart on the other side, or None. What both begin with has the same
            activations in a causal model, and does not help to separate the two sides.
        drop_identical: leave out what a row and its twin begin with.

    Raises:
        InputError: a row without such a token, no token left at a site, twins that do not match the rows, an activation
            that is not finite, an open `with model.steered(…)`, an unknown site, a bad folder (see `capture_into`).
    """
    if tokens not in get_args(TokenSelection):
        raise InputError(f"unknown tokens {tokens!r}; one of {', '.join(get_args(TokenSelection))}")
    if model.open_edits:
        raise InputError("captures of tokens are unsteered; leave the `with model.steered(…)` first")
    sites = list(dict.fromkeys(sites))
    check_sites(model, sites)
    spans = _spans(rows, tokens, twins, drop_identical)
    if into is not None:
        read = f"{tokens} tokens" + (" unlike the twin's" if drop_identical else "")
        return _capture_into(model, spans, sites, read, into)
    every = list(spans)
    if not every:
        raise InputError("there are no texts to capture", code="missing-value", field="texts")
    result = _run(model, every, sites, 0)
    _check_not_empty({s: len(text) for s, text in result.text.items()})
    return result


@dataclass(frozen=True)
class _Span:
    """The tokens of a text that are kept: those from `begin` on."""

    row: Encoded
    begin: int
    identical: int

    @property
    def n(self) -> int:
        return len(self.row.ids) - self.begin


def _spans(
    rows: Iterable[Encoded], tokens: TokenSelection, twins: Sequence[int | None] | None, drop_identical: bool
) -> Iterator[_Span]:
    if twins is not None:
        rows = list(rows)
        _check_twins(twins, len(rows))
    elif drop_identical:
        raise InputError("drop_identical needs twins=…: it leaves out the tokens that a text and its twin begin with")
    for i, row in enumerate(rows):
        n = len(row.ids)
        begin = {"response": max(row.prompt_len, 1), "all": 1, "last": max(n - 1, 1)}[tokens]
        if begin >= n:
            raise InputError(
                f"text {i + 1} has no answer tokens; capture all of its tokens instead, or drop it"
                if n > 1 and tokens == "response"
                else f"text {i + 1} has no token after its first, which is an attention sink; drop it"
            )
        twin = None if twins is None else twins[i]
        common = 0 if twin is None else common_prefix(row.ids, rows[twin].ids)  # type: ignore[index]
        yield _Span(row, max(begin, common) if drop_identical else begin, max(0, common - begin))


def _check_twins(twins: Sequence[int | None], n: int) -> None:
    if len(twins) != n:
        raise InputError(f"{len(twins)} twins for {n} texts; give one per text, None for a text without")
    for i, twin in enumerate(twins):
        if twin is not None and not 0 <= twin < n:
            raise InputError(f"the twin of text {i + 1} has the index {twin}; there are the texts 0 to {n - 1}")


def _run(model: "Model", spans: Sequence[_Span], sites: Sequence[Site], first: int) -> TokenActivations:
    """Run some texts; the first of them has the index `first`."""
    store = _Store(model, spans, sites)
    rows = [s.row for s in spans]
    sharing = in_shared_batches(model, rows, [len(r.ids) - 1 for r in rows], sites, (), store.take)
    activations, text, position, massive = {}, {}, {}, {}
    for site in sites:
        values, norm, median = store.values.pop(site), store.norm[site], store.median[site]
        finite = torch.isfinite(norm)
        finite[~finite] = torch.isfinite(values[~finite]).all(dim=1)  # squares may exceed float32 where values do not
        check_finite(site, finite, store.text + (first + 1), model)
        kept = norm <= MASSIVE * median[store.text]
        massive[site] = int((~kept).sum())
        activations[site] = values[kept] if massive[site] else values
        text[site], position[site] = store.text[kept] + first, store.position[kept]
    return TokenActivations(activations, text, position, massive, sum(s.identical for s in spans), sharing)


class _Store:
    """Where the kept tokens of a window go, whatever the order in which their texts are run."""

    def __init__(self, model: "Model", spans: Sequence[_Span], sites: Sequence[Site]) -> None:
        self.model, self.sites = model, frozenset(sites)
        n = torch.tensor([s.n for s in spans])
        self.begin = torch.tensor([s.begin for s in spans])  # [texts]
        self.start = n.cumsum(0) - n  # [texts] where a text's tokens begin
        self.text = torch.arange(len(spans)).repeat_interleave(n)  # [N]
        self.position = torch.arange(len(self.text)) - (self.start - self.begin)[self.text]  # [N]
        dtype = _dtype(model)
        width = model.anatomy.width
        self.values = {s: torch.empty(len(self.text), width(s), dtype=dtype) for s in sites}  # [N, d]
        self.norm = {s: torch.zeros(len(self.text)) for s in sites}  # [N]
        self.median = {s: torch.zeros(len(spans)) for s in sites}  # [texts]

    def take(self, packed: PackedBatch, steers: tuple[Steer, ...], prefix: Prefix | None) -> None:
        """Run a batch and keep what is asked for, of its tokens and of the prefix's."""
        model, texts = self.model, packed.separate
        begin = self.begin[packed.texts].to(model.device)
        n, w = (texts.real & (texts.position >= begin[:, None])).nonzero(as_tuple=True)  # (K,) texts, their tokens
        row, column = packed.row[n], packed.column.expand(texts.ids.shape)[n, w]
        where = (self.start - self.begin)[packed.texts][n.cpu()] + texts.position[n, w].cpu()
        cache = None if prefix is None else prefix.cache(len(packed.batch.ids))
        trace = model.forward(packed.batch, Plan(steers=steers, read=self.sites), cache, nested=False)
        for site, on_its_device in trace.activations.items():
            h = on_its_device.to(model.device)  # (B, T, d)
            norm = torch.linalg.vector_norm(h, dim=-1, dtype=torch.float32)  # (B, T)
            prefix_norms = None if prefix is None else prefix.norms[site]
            self.median[site][packed.texts] = median_norm(packed.unpacked(norm), texts, prefix_norms).cpu()
            self.norm[site][where] = norm[row, column].cpu()
            self.values[site].index_copy_(0, where, h[row, column].to(self.values[site]))
            if prefix is not None:
                self._take_prefix(site, packed.texts.tolist(), prefix)

    def _take_prefix(self, site: Site, texts: Sequence[int], prefix: Prefix) -> None:
        wanted = [t for t in texts if self.begin[t] < len(prefix)]
        if wanted:
            values, norm = prefix.activations[site].to(self.values[site]), prefix.norms[site].cpu()
            for t in wanted:
                begin, start = int(self.begin[t]), int(self.start[t])
                self.values[site][start : start + len(prefix) - begin] = values[begin:]
                self.norm[site][start : start + len(prefix) - begin] = norm[begin:]


def _capture_into(
    model: "Model", spans: Iterable[_Span], sites: Sequence[Site], read: str, folder: Path
) -> TokenActivations:
    dtype = _dtype(model)
    size = window(dtype.itemsize * max(map(model.anatomy.width, sites)), len(sites))
    n, adds = 0, ("massive", "identical", "rows")
    with alone(folder):
        journal = CaptureJournal(folder, origin(model, sites, read), list(_columns(model, sites)), adds)
        for k, some in enumerate(_windows(spans, size)):
            rows = [Encoded(s.row.ids, s.begin) for s in some]  # ids and the first token kept decide the figures
            if not journal.has(k, rows):
                result = _run(model, some, sites, n)
                journal.append(rows, _arrays(result), result.sharing, _counts(result))
            n += len(some)
        if n:
            _check_not_empty(
                {s: journal.files.rows(c) for s in sites for c in journal.files.columns if c.name == stem(s)}
            )
        journal.finish(n)
        return _mapped(journal, sites, dtype)


def _windows(spans: Iterable[_Span], size: int) -> Iterator[list[_Span]]:
    """Texts that hold so many tokens together; a text that holds more travels alone."""
    some: list[_Span] = []
    n_tokens = 0
    for span in spans:
        if some and (len(some) == MAX_TEXTS or n_tokens + span.n > size):
            yield some
            some, n_tokens = [], 0
        some.append(span)
        n_tokens += span.n
    if some:
        yield some


def _columns(model: "Model", sites: Sequence[Site]) -> Iterator[Column]:
    for site in sites:
        yield Column(stem(site), _STORED[_dtype(model)], (model.anatomy.width(site),), str(site))
        yield Column(f"{stem(site)}.text", "<i8", (), str(site))
        yield Column(f"{stem(site)}.position", "<i8", (), str(site))


def _arrays(result: TokenActivations) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    for site, h in result.activations.items():
        arrays[stem(site)] = (h.view(torch.uint16) if h.dtype == torch.bfloat16 else h).numpy()
        arrays[f"{stem(site)}.text"] = result.text[site].numpy()
        arrays[f"{stem(site)}.position"] = result.position[site].numpy()
    return arrays


def _counts(result: TokenActivations) -> dict[str, Any]:
    massive = {str(s): m for s, m in result.n_massive.items()}
    rows = {str(s): len(text) for s, text in result.text.items()}
    return {"massive": massive, "identical": result.n_identical, "rows": rows}


def _mapped(journal: CaptureJournal, sites: Sequence[Site], dtype: torch.dtype) -> TokenActivations:
    columns, windows = journal.mapped(), journal.files.windows
    return TokenActivations(
        {s: columns[stem(s)].view(dtype) for s in sites},
        {s: columns[f"{stem(s)}.text"] for s in sites},
        {s: columns[f"{stem(s)}.position"] for s in sites},
        {s: sum(w["massive"][str(s)] for w in windows) for s in sites},
        sum(w["identical"] for w in windows),
        journal.sharing,
    )


def _dtype(model: "Model") -> torch.dtype:
    """In which activations are kept: that of the blocks, or float32 where numpy and torch share none with them."""
    return model.dtype if model.dtype in _STORED else torch.float32


def _check_not_empty(rows: Mapping[Site, int]) -> None:
    for site, n in rows.items():
        if n == 0:
            raise InputError(
                f"no token is left at site {site}: each has a massive activation or belongs to the beginning that "
                "its text shares with the twin; read another site, or leave out drop_identical"
            )
