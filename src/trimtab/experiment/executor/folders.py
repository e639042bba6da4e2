"""A folder of results as a worker elsewhere sees it: the same, on a disk that both share, or one of its own.

Tasks name places below the folder by `Path`s. They are sent without what is above it, so that they mean the worker's
own folder where it does not see the one that is meant; what it wrote there is brought back after each task.
"""

import os
import pickle
import secrets
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from trimtab.errors import TrimtabError
from trimtab.storage.atomic import into_place, scratch

_SEEN_WITHIN: Final = 3.0  # seconds until a file that was made on one machine is seen on another that shares the disk
_BELOW: Final = "below"
_LAST: Final = "MANIFEST"  # of a folder's files: who finds it finds all others

Files = Mapping[str, bytes]
"""Content by place below a folder."""


class _Receiving(pickle.Unpickler):
    def __init__(self, file: BytesIO, folder: Path) -> None:
        super().__init__(file)
        self._folder = folder

    def persistent_load(self, pid: Any) -> Any:
        kind, place = pid
        if kind != _BELOW:
            raise pickle.UnpicklingError(f"unknown reference {kind!r}")
        return self._folder / place


def packed(given: object, folder: Path, pickler: type[pickle.Pickler] = pickle.Pickler) -> bytes:
    """Anything that can be pickled, places below the folder by what is below it.

    Args:
        given: is sent.
        folder: absolute.
        pickler: one that sends more than Python's does.
    """

    class Sending(pickler):  # type: ignore[valid-type, misc]
        def persistent_id(self, obj: Any) -> Any:
            if isinstance(obj, Path):
                place = Path(os.path.abspath(obj))
                if place.is_relative_to(folder):
                    return _BELOW, str(place.relative_to(folder))
            return None

    file = BytesIO()
    Sending(file, protocol=pickle.HIGHEST_PROTOCOL).dump(given)
    return file.getvalue()


def unpacked(sent: bytes, folder: Path) -> Any:
    """What was packed by this installation, its places below another folder."""
    return _Receiving(BytesIO(sent), folder).load()


@contextmanager
def marked(folder: Path) -> Iterator[str]:
    """The name of a file in the folder while inside, by which workers know that they see the same folder."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f".seen-{secrets.token_hex(8)}"
    (folder / name).touch()
    try:
        yield name
    finally:
        (folder / name).unlink(missing_ok=True)


def seen(folder: Path, mark: str) -> bool:
    """Whether the folder of this name is the one that was marked; a disk that is slow to tell is waited for."""
    end = time.monotonic() + _SEEN_WITHIN
    while not (folder / mark).exists():
        if not folder.is_dir() or time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


class News:
    """What is new in a folder.

    Args:
        folder: empty, or there is nothing yet that is new.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, tuple[int, int, int]] = {}

    def take(self) -> Files:
        """Files that were written since the last time."""
        found = {}
        for file in sorted(p for p in self._folder.rglob("*") if p.is_file()):
            place, stat = str(file.relative_to(self._folder)), file.stat()
            state = stat.st_ino, stat.st_mtime_ns, stat.st_size
            if self._known.get(place) != state:
                self._known[place] = state
                found[place] = file.read_bytes()
        return found


def write(files: Files, folder: Path) -> None:
    """Write files to their places below a folder, each whole; the manifest of a folder is the last of it.

    Raises:
        TrimtabError: they cannot be written.
    """
    by_folder: dict[Path, dict[str, bytes]] = defaultdict(dict)
    for place, content in files.items():
        file = folder / place
        by_folder[file.parent][file.name] = content
    try:
        for home, own in by_folder.items():
            home.mkdir(parents=True, exist_ok=True)
            names = sorted(own, key=lambda name: (name == _LAST, name))
            with scratch(home, names[-1]) as work:
                for name in names:
                    (work / name).write_bytes(own[name])
                into_place(work, home, names)
    except OSError as error:
        raise TrimtabError(
            f"cannot write what a worker brought to {folder}: {error}; is the disk full?",
            code="unwritable-file",
            field="folder",
        ) from error
