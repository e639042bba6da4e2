"""Writing a folder atomically, in place of an older one."""

import glob
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from trimtab.errors import InputError
from trimtab.steering.artifact.folder import MANIFEST, MAX_BYTES, NEEDED
from trimtab.storage.atomic import scratch


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files into the folder, replacing the steering that may be there.

    Args:
        folder: created if it does not exist.
        files: contents of all its files by name.

    Raises:
        InputError: as for `check_artifact_folder`, or it cannot be written.
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
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        raise _unwritable(folder, error) from error


def check_artifact_folder(folder: Path) -> None:
    """Check that `write` may replace a folder; call it before long work.

    Raises:
        InputError: it holds other files, is a file or a link, or is the current folder or one above it.
    """
    if folder.name in ("", ".."):
        raise InputError(
            f"{str(folder)!r} is the current folder or one above it and cannot be replaced; give a folder by its name",
            code="file-exists",
            field="folder",
        )
    try:
        recover(folder)
        _check_replaceable(folder)
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        raise _unwritable(folder, error) from error


def recover(folder: Path) -> None:
    """Restore an older steering that a killed process had moved aside before the new one was in place."""
    if not os.path.lexists(folder):
        for old in sorted(folder.parent.glob(f".{glob.escape(_work(folder))}-*/old")):
            with suppress(OSError):
                os.rename(old, folder)
                return


def _exchanged(folder: Path, new: Path, old: Path) -> None:
    """Move the new folder into place; if that fails, put the older one back."""
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
    """Only an empty folder, or an older steering without other files, may be replaced."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise InputError(f"{folder} is a file or a link; give a folder of its own", code="file-exists", field="folder")
    names = {p.name for p in folder.iterdir()} if folder.exists() else set()
    strangers = sorted(names - set(MAX_BYTES))
    if strangers:
        raise InputError(
            f"{folder} holds another file, {strangers[0]!r}; give a folder of its own",
            code="file-exists",
            field="folder",
        )
    if names and not all((folder / name).is_file() for name in (*NEEDED, MANIFEST)):
        raise InputError(
            f"{folder} holds no steering that trimtab saved; give a folder of its own",
            code="file-exists",
            field="folder",
        )


def _unwritable(folder: Path, error: OSError | ValueError) -> InputError:
    why = getattr(error, "strerror", None) or error
    return InputError(f"cannot write the steering to {folder}: {why}", code="unwritable-file", field="folder")


def _write(file: Path, content: bytes) -> None:
    with file.open("xb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
