"""Folders to write into before the result takes its place; those of processes that were killed are swept away."""

import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trimtab.errors import InputError

LONGEST = 200  # bytes of a name: 255 of most disks, less what names of scratch folders add


@contextmanager
def scratch(folder: Path, name: str) -> Iterator[Path]:
    """A fresh folder inside `folder`, gone afterwards.

    Args:
        folder: on the disk that the result goes to.
        name: tells this kind of work from others; leftovers of it are removed if their process is no more.

    Raises:
        OSError: it cannot be written.
    """
    prefix = f".{name}-"
    for left in folder.glob(f"{glob.escape(prefix)}[0-9]*-*"):
        if not _alive(left.name.removeprefix(prefix).split("-")[0]):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{prefix}{os.getpid()}-", dir=folder) as made:
        yield Path(made)


@contextmanager
def whole(file: Path) -> Iterator[Path]:
    """A path to write to, which takes the file's place if nothing was raised; folders above it are made.

    Raises:
        InputError: it would lie in a steering.
        OSError: it cannot be written, or a folder lies there.
    """
    outside_steerings(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    with scratch(file.parent, file.name) as work:
        yield work / file.name
        os.replace(work / file.name, file)


def fault(target: Path) -> str:
    """Why nothing could be written at a path, folders above it made where they are missing; empty if it can.

    Asked before long work; leaves nothing behind.
    """
    if target.name in ("", ".."):
        return "is the folder one stands in, or above it"
    if "\0" in str(target):
        return "holds a NUL"
    if any(len(os.fsencode(part)) > LONGEST for part in target.parts):
        return f"has a name of more than {LONGEST} bytes"
    try:
        above = next(folder for folder in target.parents if os.path.lexists(folder))
        with scratch(above, "try"):
            return ""
    except OSError as error:
        return f"cannot be written: {error.strerror}"


def _alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except OSError:  # somebody else's
        return True
    return True


def output_path(path: str | Path) -> Path:
    """The file or folder that results are to go to, asked before long work.

    Raises:
        InputError: an empty name; it is, or lies in, a steering.
    """
    if not str(path).strip():
        raise InputError(f"the place to write to, {str(path)!r}, is empty; give a name such as out/mine")
    if "\0" in str(path):
        raise InputError(f"the place to write to, {str(path)!r}, holds a NUL character; remove it")
    target = Path(path)
    outside_steerings(target)
    return target


def outside_steerings(place: Path) -> None:
    """Refuse to write into the folder of a steering, whose manifest names all that may lie there.

    Raises:
        InputError: the place is, or lies in, a steering.
    """
    target = place.resolve()
    for folder in (target, *target.parents):
        if all(os.path.isfile(folder / name) for name in ("steering.json", "MANIFEST")):  # no name is too long for it
            raise InputError(
                f"{place} belongs to the steering {folder}, which stays as it is; give a folder of its own"
            )
