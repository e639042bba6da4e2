"""A folder that is written whole or not at all, and takes the place of an older one."""

import glob
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from trimtab.errors import InputError
from trimtab.steering.artifact.folder import MANIFEST, MAX_BYTES, NEEDED
from trimtab.storage.atomic import scratch


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files into the folder, in place of the steering that may be there.

    Args:
        folder: made if it is not there.
        files: every one that it shall hold.

    Raises:
        InputError: as `check_artifact_folder`, or it cannot be written.
    """
    check_artifact_folder(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with scratch(folder.parent, _work(folder)) as work:
            new = work / "new"
            new.mkdir()
            for name, content in files.items():
                _write(new / name, content)
            _exchanged(folder, new, work / "old")
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        why = getattr(error, "strerror", None) or error
        raise InputError(f"cannot write the steering to {folder}: {why}") from error


def check_artifact_folder(folder: Path) -> None:
    """Refuse a folder that `write` would not replace; to be asked before long work.

    Raises:
        InputError: it holds something else, is a file or a link, or has no name of its own.
    """
    if folder.name in ("", ".."):
        raise InputError(f"{str(folder)!r} cannot be replaced from inside; give the folder by its name")
    try:
        recover(folder)
        _check_replaceable(folder)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        raise InputError(
            f"cannot write the steering to {folder}: {getattr(error, 'strerror', None) or error}"
        ) from error


def recover(folder: Path) -> None:
    """Put an older steering back that a killed process had moved aside before the new one was in place."""
    if not os.path.lexists(folder):
        for old in sorted(folder.parent.glob(f".{glob.escape(_work(folder))}-*/old")):
            with suppress(OSError):
                os.rename(old, folder)
                return


def _exchanged(folder: Path, new: Path, old: Path) -> None:
    """The new folder takes its place; if that cannot be, the older one is back where it was."""
    try:
        if folder.exists():
            os.rename(folder, old)
        os.rename(new, folder)
    finally:
        if old.exists() and not folder.exists():
            os.rename(old, folder)


def _work(folder: Path) -> str:
    return f"{folder.name}.steering"


def _check_replaceable(folder: Path) -> None:
    """Only an older steering and nothing beside it, or an empty folder, is replaced."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise InputError(f"{folder} is a file or a link; give a folder of its own", code="file-exists", field="folder")
    held = {p.name for p in folder.iterdir()} if folder.exists() else set()
    strangers = sorted(held - set(MAX_BYTES))
    if strangers:
        raise InputError(
            f"{folder} holds something else, {strangers[0]!r}; give a folder of its own",
            code="file-exists",
            field="folder",
        )
    if held and not all((folder / name).is_file() for name in (*NEEDED, MANIFEST)):
        raise InputError(
            f"{folder} holds no steering that trimtab saved; give a folder of its own",
            code="file-exists",
            field="folder",
        )


def _write(file: Path, content: bytes) -> None:
    with file.open("xb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
