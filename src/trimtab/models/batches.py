"""Rows in batches that fit into memory."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from trimtab.errors import InputError, TrimtabError
from trimtab.models.blocks import embedding_table, input_device
from trimtab.models.plan import Steer
from trimtab.models.text import grouped
from trimtab.models.unsteered import forget

if TYPE_CHECKING:
    from trimtab.models.model import Model

CPU_TOKENS = 512  # so that a block's activations stay in the caches; larger batches are slower
MAX_TOKENS = 65536


def fitting_tokens(hf: Any) -> int:
    """Tokens of a batch that suit the device: by its memory, never by a timing, so that results repeat.

    A quarter of a GPU's memory is for one batch: every token may need its logits three times over in float32.
    """
    device = input_device(hf)
    if device.type != "cuda":
        return CPU_TOKENS if device.type == "cpu" else 8 * CPU_TOKENS
    vocabulary, d_model = embedding_table(hf).shape
    fits = torch.cuda.get_device_properties(device).total_memory // 4 // (12 * vocabulary + 64 * d_model)
    return int(min(MAX_TOKENS, 1 << max(9, int(fits).bit_length() - 1)))


Work = Callable[[Tensor, tuple[Steer, ...]], None]


def in_batches(
    model: "Model", widths: Sequence[int], steers: tuple[Steer, ...], work: Work, *, same_length: bool = False
) -> None:
    """Group rows by length and do the work on each group, longest rows first.

    When memory runs out, batches are halved, for later calls too, and the work is done again.

    Args:
        model: its `batch_tokens` bound a batch, and shrink when memory runs out.
        widths: tokens of each row.
        steers: edits for all rows.
        work: is handed the indices of some rows and the edits for these rows, open `with model.steered(…)` first.
            It may be called twice for a row, if the first call ran out of memory.
        same_length: rows of a batch must have the same length.

    Raises:
        InputError: the number of strengths or scopes does not match the rows.
        TrimtabError: a single row does not fit into memory.
    """
    edits = (*model.open_edits, *steers)
    for s in edits:
        if s.rows not in (1, len(widths)):
            raise InputError(f"{s.rows} strengths or scopes for {len(widths)} texts; give one, or one per text")
    remaining = list(range(len(widths)))
    while remaining:
        group = next(grouped([widths[i] for i in remaining], model.batch_tokens)).tolist()
        if same_length:
            group = [k for k in group if widths[remaining[k]] == widths[remaining[group[0]]]]
        indices = torch.tensor([remaining[k] for k in group])
        try:
            work(indices, tuple(s.select(indices) for s in edits))
        except RuntimeError as error:
            if not _out_of_memory(error):
                raise
            longest = max(widths[i] for i in indices.tolist())
            if len(group) == 1 and model.batch_tokens <= longest:
                raise _one_row_does_not_fit(longest) from error
            # the work may hold every row several times over, so the size of the batch alone does not say what fits
            model.batch_tokens = max(longest, model.batch_tokens // 2)
        else:
            done = set(group)
            remaining = [i for k, i in enumerate(remaining) if k not in done]
            continue
        forget()  # outside the handler, which would keep the failed batch alive
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


@contextmanager
def single_row(tokens: int) -> Iterator[None]:
    """Work on one row, which cannot be halved when memory runs out.

    Raises:
        TrimtabError: it does not fit.
    """
    try:
        yield
    except RuntimeError as error:
        if _out_of_memory(error):
            raise _one_row_does_not_fit(tokens) from error
        raise


def _one_row_does_not_fit(tokens: int) -> TrimtabError:
    return TrimtabError(
        f"out of memory with a single text of {tokens} tokens; shorten it, load the model in bfloat16, or spread it "
        "with device_map"
    )


def _out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
