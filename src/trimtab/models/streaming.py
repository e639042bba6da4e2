"""Activations of any number of texts, written to memory-mapped files as they come; resumes after an interruption."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from io import BufferedRandom, BytesIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers
from filelock import FileLock, Timeout
from numpy.lib.format import write_array_header_1_0
from torch import Tensor

from trimtab.behaviors.prompt_types import Rendered
from trimtab.errors import InputError
from trimtab.models.capture import Captured, Read, capture, refuse_unreadable
from trimtab.models.sharing import Sharing
from trimtab.models.sites import Site
from trimtab.models.text import Encoded, Encoder

if TYPE_CHECKING:
    from trimtab.models.model import Model

WINDOW_BYTES = 1 << 26  # of activations held in memory at a time
FEWEST, MOST = 256, 4096  # texts of a window
HEADER = 128  # bytes; numpy leaves room in it for any number of rows
JOURNAL, LOCK = "capture.json", ".lock"


def window(d_model: int, n_sites: int) -> int:
    """Texts that are run at a time, and lost at most when the work is interrupted."""
    return max(FEWEST, min(MOST, WINDOW_BYTES // (4 * d_model * n_sites)))


def capture_into(
    model: "Model", texts: Iterable[str | Rendered], sites: Sequence[Site], read: Read, encoder: Encoder, folder: Path
) -> Captured:
    """Like `capture`, with the activations in a folder; texts and activations take no more memory the more they are.

    The folder gets `SITE.npy`, float32 `[n, d_model]`, and `SITE.norms.npy`, `[n]`, which numpy can map, and
    `capture.json`, which says how far the work is. Called again with the same texts it goes on where it stopped.

    Raises:
        InputError: the folder cannot be written, another process is at it, or it holds something else: files of another
            origin, the activations of another model, other texts or sites.
    """
    refuse_unreadable(model, sites, read)
    n, size = 0, window(model.d_model, len(sites))
    with _alone(folder):
        journal = _Journal.open(folder, _settings(model, sites, read, encoder))
        for k, some in enumerate(_windows(texts, size)):
            rows = encoder.encode([t if isinstance(t, Rendered) else Rendered("", "", t) for t in some])
            if not journal.has(k, rows):
                journal.append(rows, capture(model, rows, sites, read, first=n + 1))
            n += len(rows)
        if n == 0:
            raise InputError("there are no texts to capture")
        if n != journal.n:
            raise InputError(f"{folder} holds {journal.n} texts and these are {n}; give another folder for them")
        journal.finish()
        return journal.mapped(sites)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """In here no other process writes to the folder."""
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK, timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise InputError(f"another process is writing to {folder}; wait for it, or give another folder") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot write to the folder {folder}: {error.strerror}; give another") from error


def _windows(texts: Iterable[str | Rendered], size: int) -> Iterator[list[str | Rendered]]:
    rest = iter(texts)
    while some := list(islice(rest, size)):
        yield some


def _settings(model: "Model", sites: Sequence[Site], read: Read, encoder: Encoder) -> dict[str, Any]:
    """Everything that decides the figures, by a name that a message can use."""
    return {
        "model": model.digest,
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": model.device.type,
        "d_model": model.d_model,
        "sites": [str(s) for s in sites],
        "read": read,
        "chat template": encoder.chat_template,
        "attention": getattr(model.hf.config, "_attn_implementation", None),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


@dataclass
class _Journal:
    """What a folder holds: the settings, and one entry for every window that lies on disk completely."""

    folder: Path
    settings: dict[str, Any]
    windows: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def open(cls, folder: Path, settings: dict[str, Any]) -> "_Journal":
        """Begin a folder, or go on with one.

        Raises:
            InputError: it cannot be read or written, or holds something else.
        """
        if not (folder / JOURNAL).exists():
            new = cls(folder, settings)
            for name, *_ in new._files():
                if (folder / name).exists():
                    raise InputError(f"{folder} holds a file {name} of another origin; give an empty folder")
            new._write()
            return new
        try:
            kept = json.loads((folder / JOURNAL).read_text(encoding="utf-8"))
            before, journal = dict(kept["settings"]), cls(folder, settings, [_entry(w) for w in kept["windows"]])
        except OSError as error:
            raise InputError(f"cannot read {folder / JOURNAL}: {error.strerror}; give another folder") from error
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{folder / JOURNAL} is damaged ({error}); remove the folder to begin anew") from error
        for name, value in settings.items():
            if before.get(name) != value:
                raise InputError(
                    f"{folder} holds a capture with another {name} ({before.get(name)}, not {value}); give another "
                    "folder, or remove it"
                )
        for name, _, shape in journal._files():
            path = folder / name
            if journal.n and (not path.is_file() or path.stat().st_size < journal._end(shape)):
                raise InputError(f"{path} is shorter than {folder / JOURNAL} says; remove the folder to begin anew")
        return journal

    @property
    def n(self) -> int:
        """Texts on disk."""
        return sum(int(w["n"]) for w in self.windows)

    def has(self, k: int, rows: Sequence[Encoded]) -> bool:
        """Whether the k-th window is on disk.

        Raises:
            InputError: other texts are there in its place.
        """
        if k >= len(self.windows):
            return False
        if self.windows[k]["texts"] != _digest(rows):
            raise InputError(f"{self.folder} holds the activations of other texts; give another folder, or remove it")
        return True

    def append(self, rows: Sequence[Encoded], captured: Captured) -> None:
        """Write a window behind those before it, the journal last: what it does not name is written anew."""
        for name, site, shape in self._files():
            values = captured.activations[site] if len(shape) == 2 else captured.norms[site]
            with _writing(self.folder), _opened(self.folder / name) as file:
                file.truncate(file.seek(self._end(shape)))
                file.write(values.float().cpu().numpy().tobytes())
                file.flush()
                os.fsync(file.fileno())
        sharing = captured.sharing
        entry = {"n": len(rows), "texts": _digest(rows), "given": sharing.given, "run": sharing.run}
        entry |= {"plain": sharing.plain, "massive": {str(s): m for s, m in captured.n_massive.items()}}
        self.windows.append(entry)
        self._write()

    def finish(self) -> None:
        """Put the number of rows into the files' headers, where it is not there yet."""
        for name, _, shape in self._files():
            path, header = self.folder / name, BytesIO()
            write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (self.n, *shape[1:])})
            assert header.tell() == HEADER
            with path.open("rb") as file:
                done = file.read(HEADER) == header.getvalue() and path.stat().st_size == self._end(shape)
            if not done:
                with _writing(self.folder), _opened(path) as file:
                    file.truncate(self._end(shape))
                    file.write(header.getvalue())

    def mapped(self, sites: Sequence[Site]) -> Captured:
        """The files as tensors that are read when looked at; writing to them changes no file."""
        found: dict[str, Tensor] = {
            name: torch.from_numpy(np.load(self.folder / name, mmap_mode="c", allow_pickle=False))
            for name, *_ in self._files()
        }
        counts = [w["massive"] for w in self.windows]
        massive = {s: None if counts[0][str(s)] is None else sum(int(c[str(s)]) for c in counts) for s in sites}
        plain = tuple(dict.fromkeys(reason for w in self.windows for reason in w["plain"]))
        sharing = Sharing(sum(w["given"] for w in self.windows), sum(w["run"] for w in self.windows), plain)
        names = {s: _name(s) for s in sites}
        return Captured(
            {s: found[f"{name}.npy"] for s, name in names.items()},
            {s: found[f"{name}.norms.npy"] for s, name in names.items()},
            massive,
            sharing,
        )

    def _files(self) -> Iterator[tuple[str, Site, tuple[int, ...]]]:
        for site in map(Site.parse, self.settings["sites"]):
            yield f"{_name(site)}.npy", site, (0, self.settings["d_model"])
            yield f"{_name(site)}.norms.npy", site, (0,)

    def _end(self, shape: tuple[int, ...]) -> int:
        """Bytes of a file that holds all windows."""
        return HEADER + self.n * 4 * int(np.prod(shape[1:]))

    def _write(self) -> None:
        scratch = self.folder / f"{JOURNAL}.{os.getpid()}"
        content: Mapping[str, Any] = {"settings": self.settings, "windows": self.windows}
        with _writing(self.folder):
            with scratch.open("w", encoding="utf-8") as file:
                json.dump(content, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(scratch, self.folder / JOURNAL)


def _entry(window: Mapping[str, Any]) -> dict[str, Any]:
    """A window's entry in the journal, read back."""
    entry = {name: window[name] for name in ("n", "texts", "given", "run", "plain", "massive")}
    if not all(isinstance(entry[name], int) and entry[name] >= 0 for name in ("n", "given", "run")):
        raise ValueError("a window without a number of texts or tokens")
    return entry


def _name(site: Site) -> str:
    return str(site).replace(":", "-")


def _opened(path: Path) -> BufferedRandom:
    return path.open("r+b" if path.exists() else "w+b")


def _digest(rows: Sequence[Encoded]) -> str:
    """Of token ids and prompt lengths."""
    digest = sha256()
    for row in rows:
        digest.update(np.array([row.prompt_len, len(row.ids), *row.ids], dtype=np.int64).tobytes())
    return digest.hexdigest()
