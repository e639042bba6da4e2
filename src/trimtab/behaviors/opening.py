"""Which file a source names, and its bytes: of regular files only, and within a limit."""

import gzip
import io
import os
import stat
import zlib
from pathlib import Path
from typing import BinaryIO

from trimtab.errors import InputError
from trimtab.texts import shown

MAX_BYTES = 2 << 30  # of a file, and of what a gzip file unpacks to

_CHUNK = 1 << 20
_MAX_SHOWN = 120  # characters of a path in an error


def located(source: str | Path) -> tuple[Path, os.stat_result] | None:
    """The path with `~` expanded, and the status of what is there; None if nothing is.

    Raises:
        InputError: not a valid path: too long, of an unknown user, with a NUL byte, or not accessible.
    """
    where = shown(str(source), _MAX_SHOWN)
    try:
        path = Path(source).expanduser()
    except RuntimeError:
        raise InputError(f"{where}: there is no such user; write the full path") from None
    try:
        return path, path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InputError(f"{where}: cannot be looked up: {error.strerror or error}; check the path") from None
    except ValueError as error:  # a NUL byte, half a surrogate pair
        raise InputError(f"{where}: not a valid path: {error}; check it") from None


def read_file(path: Path, info: os.stat_result) -> bytes:
    """All bytes of a regular file.

    Args:
        path: as `located` gave it.
        info: likewise.

    Raises:
        InputError: a pipe, socket or device; more than `MAX_BYTES`; not readable.
    """
    where = shown(str(path))
    if not stat.S_ISREG(info.st_mode):
        raise InputError(f"{where}: {_kind(info.st_mode)}, not a file; give a file, or save the content as one")
    try:
        with path.open("rb") as stream:
            return _within_limit(stream, f"{where}: the file is")
    except OSError as error:
        raise InputError(f"{where}: cannot be read: {error.strerror or error}") from None


def unzipped(data: bytes, file: str) -> bytes:
    """The content of a gzip file.

    Raises:
        InputError: broken, or more than `MAX_BYTES`.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            return _within_limit(stream, f"{file}: the gzip file unpacks to something")
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{file}: broken gzip file ({error}); pack it again") from None


def _within_limit(stream: BinaryIO | gzip.GzipFile, what: str) -> bytes:
    chunks, size = [], 0
    while chunk := stream.read(_CHUNK):
        size += len(chunk)
        if size > MAX_BYTES:
            raise InputError(f"{what} larger than {MAX_BYTES / 2**30:g} GiB; give a part of its rows")
        chunks.append(chunk)
    return b"".join(chunks)


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    if stat.S_ISFIFO(mode):
        return "a pipe"
    if stat.S_ISSOCK(mode):
        return "a socket"
    return "a device"
