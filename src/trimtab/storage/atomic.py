"""Files and folders that are there whole or not at all, even if the process is killed. Nothing else renames files."""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from platform import node
from typing import Final
from uuid import getnode

from trimtab.errors import InputError

MAX_NAME: Final = 200  # bytes of a name: 255 of most disks, less what names of scratch folders add
# Seconds without any change after which a scratch folder of another machine, or of a writer that cannot be
# checked, counts as abandoned: the longest work in one, a conversion, takes minutes, and no clock or stalled disk is
# off by a week.
ABANDONED: Final = 7 * 24 * 3600.0
# What follows the name of the work: host, process, its start if known. In the former format, the process alone.
_OWNER: Final = re.compile(r"(?:(?P<host>[0-9a-f]{8})-(?P<process>\d+)-(?P<start>\d*)|\d+)-[a-z0-9_]{8}")


@contextmanager
def scratch(folder: Path, name: str, *, sweep: bool = True) -> Iterator[Path]:
    """A fresh folder inside `folder`, gone afterwards; its name contains host and process of the writer.

    Leftovers of the same kind of work are removed: those of this host whose process has ended, even if another process
    has its number now; those of other hosts, whose processes cannot be checked, when nothing in them has changed for a
    week by the clock of the disk. A folder that several machines share is safe.

    Args:
        folder: on the disk that the result goes to.
        name: of this kind of work.
        sweep: whether to look for leftovers, which lists the folder; not where many files are written into a folder
            that is removed as a whole, leftovers and all.

    Raises:
        OSError: it cannot be written.
    """
    owner = f"{_host()}-{os.getpid()}-{_start(os.getpid()) or ''}"
    with tempfile.TemporaryDirectory(prefix=f".{name}-{owner}-", dir=folder) as temporary:
        work = Path(temporary)
        if sweep:
            _sweep(work, name)
        yield work


@contextmanager
def whole(file: Path, *, sweep: bool = True) -> Iterator[Path]:
    """A path to write to, which takes the file's place if nothing was raised; folders above it are made.

    Args:
        file: where it goes.
        sweep: as in `scratch`.

    Raises:
        InputError: it is inside the folder of a steering.
        OSError: it cannot be written, or a folder is there.
    """
    outside_steerings(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    with scratch(file.parent, file.name, sweep=sweep) as work:
        yield work / file.name
        into_place(work, file.parent, (file.name,))


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """An empty folder to fill, which appears under its name if nothing was raised; the folder above it must be there.

    Raises:
        OSError: it cannot be written, or something is there already.
    """
    with scratch(folder.parent, folder.name) as work:
        new = work / "new"
        new.mkdir()
        yield new
        for file in new.rglob("*"):
            if file.is_file():
                _to_disk(file)
        os.rename(new, folder)
        _to_disk(folder.parent)


def into_place(work: Path, folder: Path, names: Sequence[str]) -> None:
    """Files written in `work` take the places of those in `folder`, in this order.

    Each is on the disk before it has its name, so that a reader who finds the last of them finds all.

    Raises:
        OSError: it cannot be written, or a folder is there.
    """
    for name in names:
        _to_disk(work / name)
    for name in names:
        os.replace(work / name, folder / name)
    _to_disk(folder)


def save_texts(folder: str | Path, name: str, files: Mapping[str, str]) -> Path:
    """Write texts into a folder, made if need be; each file appears whole, in the order given.

    Args:
        folder: where they go.
        name: of this kind of work.
        files: texts by the files' names.

    Returns:
        The folder.

    Raises:
        InputError: the folder cannot be written, or belongs to a steering.
    """
    folder = output_path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with scratch(folder, name) as work:
            for file, text in files.items():
                (work / file).write_text(text, encoding="utf-8")
            into_place(work, folder, tuple(files))
    except OSError as error:
        raise InputError(
            f"cannot write to {folder}: {error.strerror}; give another folder", code="unwritable-file", field="folder"
        ) from error
    return folder


def remove(folder: Path) -> None:
    """Remove finished or useless work, as far as possible."""
    shutil.rmtree(folder, ignore_errors=True)


def fault(target: Path) -> str:
    """Why nothing could be written at a path, where missing folders above it would be created; empty if it can.

    Called before long work; leaves nothing behind.
    """
    if target.name in ("", ".."):
        return "is the current folder, or one above it"
    if "\0" in str(target):
        return "contains a null character"
    if any(len(os.fsencode(part)) > MAX_NAME for part in target.parts):
        return f"has a name of more than {MAX_NAME} bytes"
    try:
        above = next(folder for folder in target.parents if os.path.lexists(folder))
        with scratch(above, "try"):
            return ""
    except OSError as error:
        return f"cannot be written: {error.strerror}"


def output_path(path: str | Path) -> Path:
    """The file or folder that results are to go to, checked before long work.

    Raises:
        InputError: an empty name; it is, or is inside, the folder of a steering.
    """
    if not str(path).strip():
        raise InputError(
            f"the place to write to, {str(path)!r}, is empty; give a name such as out/mine",
            code="missing-value",
            field="folder",
        )
    if "\0" in str(path):
        raise InputError(
            f"the place to write to, {str(path)!r}, contains a null character; remove it",
            code="unwritable-file",
            field="folder",
        )
    target = Path(path)
    outside_steerings(target)
    return target


def outside_steerings(place: Path) -> None:
    """Check that a path is outside of folders of steerings, whose manifest lists all files that may be there.

    Raises:
        InputError: the path is, or is inside, the folder of a steering.
    """
    target = place.resolve()
    for folder in (target, *target.parents):
        if all(os.path.isfile(folder / name) for name in ("steering.json", "MANIFEST")):  # no name is too long for it
            raise InputError(
                f"{place} belongs to the steering {folder}, to which nothing may be added; give another folder",
                code="file-exists",
                field="folder",
            )


def _sweep(own: Path, name: str) -> None:
    """Remove leftovers beside a scratch folder, which was made just now."""
    prefix, host = f".{name}-", _host()
    with suppress(OSError):  # a folder that can be written to but not listed
        for left in os.listdir(own.parent):
            if left != own.name and left.startswith(prefix):
                owner = _OWNER.fullmatch(left.removeprefix(prefix))
                if owner and _dead(owner, host, own.parent / left, own):
                    remove(own.parent / left)


def _dead(owner: re.Match[str], host: str, left: Path, own: Path) -> bool:
    if owner["host"] == host and sys.platform != "win32":  # on Windows signal 0 would end the process
        process = int(owner["process"])
        if not _runs(process):
            return True
        start = _start(process)
        if owner["start"] and start is not None:
            return owner["start"] != start
    return _changed(own) - _changed(left) > ABANDONED


def _host() -> str:
    """Identifies the machine, its boot and the container: where a process number means one process."""
    parts = [node()]
    try:
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
        parts.append(os.readlink("/proc/self/ns/pid"))
    except OSError:  # not Linux: the name and the address of the network card
        parts.append(str(getnode()))
    return sha256("\n".join(parts).encode()).hexdigest()[:8]


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # another user's
        return True
    return True


def _start(process: int) -> str | None:
    """When a process began, in ticks since the machine did; None where it cannot be known."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return stat.rpartition(")")[2].split()[19]  # the name before it may contain anything


def _changed(folder: Path) -> float:
    """When anything in a folder was last changed, by the clock of its disk; now, if it cannot be seen."""
    try:
        return max(path.stat(follow_symlinks=False).st_mtime for path in (folder, *folder.rglob("*")))
    except OSError:
        return float("inf")


def _to_disk(path: Path) -> None:
    """Wait until a file's content, or the names in a folder, are safe from a loss of power."""
    if path.is_dir():
        if os.name == "posix":
            descriptor = os.open(path, os.O_RDONLY)
            try:
                with suppress(OSError):  # some disks cannot do it for folders
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
        return
    with path.open("r+b") as file:
        os.fsync(file.fileno())
