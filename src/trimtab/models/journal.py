"""Arrays in a folder that grow by windows of texts; what a journal names is complete, whatever happened afterwards."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from io import BufferedRandom, BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers
from filelock import FileLock, Timeout
from numpy.lib.format import write_array_header_1_0
from numpy.typing import NDArray
from torch import Tensor

from trimtab.errors import InputError
from trimtab.interventions import Site
from trimtab.models.sharing import Sharing
from trimtab.models.text import Encoded

if TYPE_CHECKING:
    from trimtab.models.model import Model

HEADER = 128  # bytes; numpy leaves room in it for any number of rows
JOURNAL, LOCK = "capture.json", ".lock"


@dataclass(frozen=True)
class Column:
    """A file `NAME.npy`.

    Args:
        name: of the file, without its ending.
        dtype: of its values, as numpy's headers say it, such as `<f4`.
        shape: of a row; `()` for a number.
        table: columns of one table have the same number of rows, which the entry of a window has under `rows`; columns
            of none have one row a text.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] = ()
    table: str | None = None

    @property
    def file(self) -> str:
        """Name of the file."""
        return f"{self.name}.npy"

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return np.dtype(self.dtype).itemsize * int(np.prod(self.shape))


def stem(site: Site) -> str:
    """What the names of a site's files begin with."""
    return str(site).replace(":", "-")


def origin(model: "Model", sites: Sequence[Site], read: str) -> dict[str, Any]:
    """Everything but the texts that decides the figures, by a name that a message can use."""
    return {
        "model": model.digest,
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": model.device.type,
        "d_model": model.d_model,
        "sites": [str(s) for s in sites],
        "read": read,
        "attention": getattr(model.hf.config, "_attn_implementation", None),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """In here no other process writes to the folder.

    Raises:
        InputError: another one does, or the folder cannot be written.
    """
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


@dataclass
class Journal:
    """What a folder holds: the settings, and one entry for every window that lies on disk completely.

    Args:
        folder: where the files are.
        settings: what decides the figures, see `origin`.
        columns: the files.
        windows: their entries: texts, a digest of them, tokens given and run, and what the capture adds.
    """

    folder: Path
    settings: dict[str, Any]
    columns: Sequence[Column]
    windows: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def open(
        cls, folder: Path, settings: dict[str, Any], columns: Sequence[Column], adds: tuple[str, ...] = ()
    ) -> "Journal":
        """Begin a folder, or go on with one.

        Args:
            folder: a new one, an empty one, or one of the same settings.
            settings: what decides the figures.
            columns: the files.
            adds: what the capture adds to the entry of a window.

        Raises:
            InputError: it cannot be read or written, or holds something else.
        """
        if not (folder / JOURNAL).exists():
            for column in columns:
                if (folder / column.file).exists():
                    raise InputError(f"{folder} holds a file {column.file} of another origin; give an empty folder")
            new = cls(folder, settings, columns)
            new._write()
            return new
        try:
            kept = json.loads((folder / JOURNAL).read_text(encoding="utf-8"))
            before, journal = dict(kept["settings"]), cls(folder, settings, columns, kept["windows"])
            journal._check_entries(("texts", "plain"))
        except OSError as error:
            raise InputError(f"cannot read {folder / JOURNAL}: {error.strerror}; give another folder") from error
        except (ValueError, KeyError, TypeError) as error:
            raise _damaged(folder, error) from error
        for name, value in settings.items():
            if before.get(name) != value:
                raise InputError(
                    f"{folder} holds a capture with another {name} ({before.get(name)}, not {value}); give another "
                    "folder, or remove it"
                )
        try:  # only now, since another capture adds something else
            journal._check_entries(adds, {c.table for c in columns if c.table is not None})
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(folder, error) from error
        journal._check_files()
        return journal

    @property
    def n(self) -> int:
        """Texts on disk."""
        return sum(w["n"] for w in self.windows)

    @property
    def sharing(self) -> Sharing:
        """How much of the work on all windows was done once."""
        plain = tuple(dict.fromkeys(reason for w in self.windows for reason in w["plain"]))
        return Sharing(sum(w["given"] for w in self.windows), sum(w["run"] for w in self.windows), plain)

    def rows(self, column: Column) -> int:
        """Rows on disk."""
        return self.n if column.table is None else sum(w["rows"][column.table] for w in self.windows)

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

    def append(
        self, rows: Sequence[Encoded], arrays: Mapping[str, NDArray[Any]], sharing: Sharing, adds: Mapping[str, Any]
    ) -> None:
        """Write a window behind those before it, the journal last: what it does not name is written anew.

        Args:
            rows: the texts.
            arrays: the new rows of every column, by its name.
            sharing: how much of the work was done once.
            adds: what else goes into the window's entry.
        """
        for column in self.columns:
            with _writing(self.folder), _opened(self.folder / column.file) as file:
                file.truncate(file.seek(self._end(column)))
                file.write(np.ascontiguousarray(arrays[column.name], column.dtype).data)
                file.flush()
                os.fsync(file.fileno())
        entry = {"n": len(rows), "texts": _digest(rows), "given": sharing.given, "run": sharing.run}
        self.windows.append({**entry, "plain": sharing.plain, **adds})
        self._write()

    def finish(self, n: int) -> None:
        """Put the number of rows into the files' headers, where it is not there yet.

        Raises:
            InputError: there are no texts, or not so many as on disk.
        """
        if n == 0:
            raise InputError("there are no texts to capture")
        if n != self.n:
            raise InputError(f"{self.folder} holds {self.n} texts and these are {n}; give another folder for them")
        for column in self.columns:
            path, header = self.folder / column.file, BytesIO()
            shape = (self.rows(column), *column.shape)
            write_array_header_1_0(header, {"descr": column.dtype, "fortran_order": False, "shape": shape})
            assert header.tell() == HEADER
            with path.open("rb") as file:
                done = file.read(HEADER) == header.getvalue() and path.stat().st_size == self._end(column)
            if not done:
                with _writing(self.folder), _opened(path) as file:
                    file.truncate(self._end(column))
                    file.write(header.getvalue())

    def mapped(self) -> dict[str, Tensor]:
        """The files as tensors that are read when looked at, by column; writing to them changes no file."""
        return {
            c.name: torch.from_numpy(np.load(self.folder / c.file, mmap_mode="c", allow_pickle=False))
            for c in self.columns
        }

    def _check_entries(self, names: Iterable[str], tables: Iterable[str] = ()) -> None:
        for w in self.windows:
            numbers = [w[name] for name in ("n", "given", "run")] + [w["rows"][table] for table in tables]
            if not all(isinstance(number, int) and number >= 0 for number in numbers):
                raise ValueError("a window without a number of texts or tokens")
            for name in names:
                w[name]

    def _check_files(self) -> None:
        for column in self.columns:
            path = self.folder / column.file
            if self.n and (not path.is_file() or path.stat().st_size < self._end(column)):
                raise InputError(
                    f"{path} is shorter than {self.folder / JOURNAL} says; remove the folder to begin anew"
                )

    def _end(self, column: Column) -> int:
        """Bytes of a file that holds all windows."""
        return HEADER + self.rows(column) * column.row_bytes

    def _write(self) -> None:
        scratch = self.folder / f"{JOURNAL}.new"  # one name, so that a killed process leaves nothing for long
        content: Mapping[str, Any] = {"settings": self.settings, "windows": self.windows}
        with _writing(self.folder):
            with scratch.open("w", encoding="utf-8") as file:
                json.dump(content, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(scratch, self.folder / JOURNAL)


def _damaged(folder: Path, error: Exception) -> InputError:
    return InputError(f"{folder / JOURNAL} is damaged ({error}); remove the folder to begin anew")


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot write to the folder {folder}: {error.strerror}; give another") from error


def _opened(path: Path) -> BufferedRandom:
    return path.open("r+b" if path.exists() else "w+b")


def _digest(rows: Sequence[Encoded]) -> str:
    """Of token ids and prompt lengths."""
    digest = sha256()
    for row in rows:
        digest.update(np.array([row.prompt_len, len(row.ids), *row.ids], dtype=np.int64).tobytes())
    return digest.hexdigest()
