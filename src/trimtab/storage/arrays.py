"""Arrays in a folder that grow by windows of rows; windows that the journal lists are complete, even after a crash."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedRandom, BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.lib.format import write_array_header_1_0
from numpy.typing import NDArray

from trimtab.errors import InputError
from trimtab.storage.atomic import whole
from trimtab.storage.keys import check_same_settings
from trimtab.storage.lines import Lines

HEADER = 128  # bytes; numpy leaves room in it for any number of rows
JOURNAL, LOCK = "capture.jsonl", ".lock"
_FORMER = "capture.json"  # the former format of the journal: one document


@dataclass(frozen=True)
class Column:
    """A file `NAME.npy`.

    Args:
        name: of the file, without its ending.
        dtype: of its values, as numpy's headers say it, such as `<f4`.
        shape: of a row; `()` for a number.
        table: columns of one table have the same number of rows, which the entry of a window has under `rows`; columns
            of none have as many as the entry says under `n`.
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


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """While inside, no other process writes to the folder.

    Raises:
        InputError: another one does, or the folder cannot be written.
    """
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK, timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise InputError(
                f"another process is writing to {folder}; wait for it, or give another folder",
                code="busy",
                field="folder",
            ) from error
    try:
        yield
    finally:
        lock.release()


class ArrayFolder:
    """Files of a folder, and one entry for every window of rows that lies on disk completely.

    Starts a folder, or resumes one. To be used by one process at a time, see `alone`.

    Args:
        folder: a new one, an empty one, or one of the same settings.
        settings: what determines the figures.
        columns: the files.
        check: of an entry; raises KeyError, TypeError or ValueError if it lacks what the caller put there.

    Raises:
        InputError: it cannot be read or written, or holds something else.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, Any], columns: Sequence[Column], check: Callable[[Any], None]
    ) -> None:
        self.folder, self.columns = folder, columns
        _convert(folder)
        self._journal = Lines(folder / JOURNAL)
        if not self._journal.entries:
            self._check_foreign_files()
            with _writing(folder):
                self._journal.append({"settings": settings})
        head, *windows = self._journal.entries
        if not isinstance(head.get("settings"), dict):
            raise _damaged(folder, "no settings in its first line")
        check_same_settings(f"{folder} holds a capture", head["settings"], settings)
        self.windows: list[dict[str, Any]] = windows
        try:
            for window in windows:
                self._check(window)
                check(window)
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(folder, error) from error
        self._check_files()

    @property
    def n(self) -> int:
        """Rows of columns without a table."""
        return sum(w["n"] for w in self.windows)

    def rows(self, column: Column) -> int:
        """Rows on disk."""
        return self.n if column.table is None else sum(w["rows"][column.table] for w in self.windows)

    def append(self, arrays: Mapping[str, NDArray[Any]], entry: Mapping[str, Any]) -> None:
        """Write a window behind those before it, the journal last: rows that it does not list are overwritten.

        Args:
            arrays: the new rows of every column, by its name.
            entry: numbers of rows under `n` and `rows`, and whatever else describes the window.

        Raises:
            InputError: it cannot be written.
        """
        with _writing(self.folder):
            for column in self.columns:
                with _open(self.folder / column.file) as file:
                    file.truncate(file.seek(self._end(column)))
                    file.write(np.ascontiguousarray(arrays[column.name], column.dtype).data)
                    file.flush()
                    os.fsync(file.fileno())
            self._journal.append(entry)
        self.windows.append(dict(entry))

    def finish(self) -> None:
        """Put the number of rows into the files' headers, where it is not there yet.

        Raises:
            InputError: it cannot be written.
        """
        for column in self.columns:
            path, header = self.folder / column.file, BytesIO()
            shape = (self.rows(column), *column.shape)
            write_array_header_1_0(header, {"descr": column.dtype, "fortran_order": False, "shape": shape})
            assert header.tell() == HEADER
            with path.open("rb") as file:
                done = file.read(HEADER) == header.getvalue() and path.stat().st_size == self._end(column)
            if not done:
                with _writing(self.folder), _open(path) as file:
                    file.truncate(self._end(column))
                    file.write(header.getvalue())

    def mapped(self) -> dict[str, NDArray[Any]]:
        """The files by column, `[rows, *shape]`, read when looked at; writing to the arrays changes no file."""
        return {c.name: np.load(self.folder / c.file, mmap_mode="c", allow_pickle=False) for c in self.columns}

    def _check_foreign_files(self) -> None:
        for column in self.columns:
            if (self.folder / column.file).exists():
                if self._journal.torn:
                    raise _damaged(self.folder, "its first line is cut off")
                raise InputError(
                    f"{self.folder} holds a file {column.file} of another origin; give an empty folder",
                    code="other-settings",
                    field="folder",
                )

    def _check(self, window: Mapping[str, Any]) -> None:
        tables = {c.table for c in self.columns if c.table is not None}
        for number in (window["n"], *(window["rows"][table] for table in tables)):
            if not isinstance(number, int) or number < 0:
                raise ValueError("a window without a number of rows")

    def _check_files(self) -> None:
        for column in self.columns:
            path = self.folder / column.file
            if self.windows and (not path.is_file() or path.stat().st_size < self._end(column)):
                raise InputError(
                    f"{path} is shorter than {self.folder / JOURNAL} says; remove the folder to start again",
                    code="damaged-file",
                    field="folder",
                )

    def _end(self, column: Column) -> int:
        """Bytes of a file that holds all windows."""
        return HEADER + self.rows(column) * column.row_bytes


def _convert(folder: Path) -> None:
    """Convert a journal of the former format, one document, to lines."""
    former = folder / _FORMER
    if not former.exists() or (folder / JOURNAL).exists():
        return
    try:
        document = json.loads(former.read_text(encoding="utf-8"))
        lines = [{"settings": document["settings"]}, *document["windows"]]
    except OSError as error:
        raise InputError(
            f"cannot read {former}: {error.strerror}; give another folder", code="unreadable-file", field="folder"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{former} is damaged ({error}); remove the folder to start again", code="damaged-file", field="folder"
        ) from error
    with _writing(folder):
        with whole(folder / JOURNAL) as work:
            work.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8", newline="\n")
        former.unlink()


def _damaged(folder: Path, error: Exception | str) -> InputError:
    return InputError(
        f"{folder / JOURNAL} is damaged ({error}); remove the folder to start again",
        code="damaged-file",
        field="folder",
    )


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"cannot write to the folder {folder}: {error.strerror}; give another",
            code="unwritable-file",
            field="folder",
        ) from error


def _open(path: Path) -> BufferedRandom:
    return path.open("r+b" if path.exists() else "w+b")
