"""Activations of any number of texts, written to memory-mapped files as they come; resumes after an interruption."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from trimtab.interventions import Site
from trimtab.models.capture import Captured, Read, capture, check_readable
from trimtab.models.encoding import Encoder, encoded
from trimtab.models.journal import CaptureJournal, origin, stem
from trimtab.models.text import Encoded
from trimtab.storage.arrays import Column, alone
from trimtab.texts import Rendered

if TYPE_CHECKING:
    from trimtab.models.model import Model

WINDOW_BYTES = 1 << 26  # of activations held in memory at a time
MIN_TEXTS, MAX_TEXTS = 256, 4096  # texts of a window


def window(width: int, n_sites: int) -> int:
    """Texts that are run at a time, and lost at most when the work is interrupted."""
    return max(MIN_TEXTS, min(MAX_TEXTS, WINDOW_BYTES // (4 * width * n_sites)))


def capture_into(
    model: "Model", texts: Iterable[str | Rendered], sites: Sequence[Site], read: Read, encoder: Encoder, folder: Path
) -> Captured:
    """Like `capture`, with the activations in a folder; memory does not grow with the number of texts.

    The folder gets `SITE.npy`, float32 `[n, d_model]` (of heads as wide as these are), and `SITE.norms.npy`, `[n]`,
    which numpy can map, and `capture.jsonl`, which says how far the work is. Called again with the same texts it
    continues where it stopped.

    Raises:
        InputError: the folder cannot be written, another process writes to it, or it holds something else: files of
            another origin, the activations of another model, other texts or sites.
    """
    check_readable(model, sites, read)
    n, size = 0, window(max(map(model.anatomy.width, sites)), len(sites))
    settings = {**origin(model, sites, read), "chat template": encoder.chat_template}
    with alone(folder):
        journal = CaptureJournal(folder, settings, list(_columns(model, sites)), adds=("massive",))
        rows = encoded(texts, encoder, size)
        for k, some in enumerate(iter(lambda: list(islice(rows, size)), [])):
            if not journal.has(k, some):
                _append(journal, some, capture(model, some, sites, read, first=n + 1))
            n += len(some)
        journal.finish(n)
        return _mapped(journal, sites)


def _columns(model: "Model", sites: Sequence[Site]) -> Iterator[Column]:
    for site in sites:
        yield Column(stem(site), "<f4", (model.anatomy.width(site),))
        yield Column(f"{stem(site)}.norms", "<f4")


def _append(journal: CaptureJournal, rows: Sequence[Encoded], captured: Captured) -> None:
    arrays = {stem(s): h.cpu().numpy() for s, h in captured.activations.items()}
    arrays |= {f"{stem(s)}.norms": norms.cpu().numpy() for s, norms in captured.norms.items()}
    journal.append(rows, arrays, captured.sharing, {"massive": {str(s): m for s, m in captured.n_massive.items()}})


def _mapped(journal: CaptureJournal, sites: Sequence[Site]) -> Captured:
    columns, counts = journal.mapped(), [w["massive"] for w in journal.files.windows]
    return Captured(
        {s: columns[stem(s)] for s in sites},
        {s: columns[f"{stem(s)}.norms"] for s in sites},
        {s: None if counts[0][str(s)] is None else sum(int(c[str(s)]) for c in counts) for s in sites},
        journal.sharing,
    )
