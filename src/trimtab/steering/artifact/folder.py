"""The files of an artifact: their names and sizes, and reading them with every digest verified."""

import os
import re
import stat
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final

from trimtab.errors import InputError

STEERING, TENSORS, REPORT, CARD, MANIFEST = (
    "steering.json",
    "steering.safetensors",
    "report.json",
    "README.md",
    "MANIFEST",
)
MAX_BYTES: Final[Mapping[str, int]] = {
    STEERING: 4 << 20,
    TENSORS: 4 << 30,
    REPORT: 64 << 20,
    CARD: 1 << 20,
    MANIFEST: 64 << 10,
}
"""The files of an artifact, and the maximum size of each."""

NEEDED: Final = (STEERING, TENSORS)
_LINE: Final = re.compile(r"([0-9a-f]{64})  ([A-Za-z.]+)")


def verified(folder: Path) -> dict[str, bytes]:
    """Every file's content, with its digest verified; other files are allowed only if their names begin with a dot.

    Each file is opened and read once, so that the verified content is the content used.

    Raises:
        InputError: a file that is missing, changed, too large, not a regular file, or does not belong there.
        OSError: the folder cannot be read.
    """
    lines = _content(folder, MANIFEST).decode("ascii", "replace").split("\n")
    listed: dict[str, str] = {}
    for i, line in enumerate(lines[:-1], start=1):
        match = _LINE.fullmatch(line)
        if not match or match.group(2) not in MAX_BYTES or match.group(2) in (MANIFEST, *listed):
            raise InputError(
                f"{MANIFEST}, line {i}: {line[:80]!r} is not the digest of a file that belongs here",
                code="damaged-file",
                field=MANIFEST,
            )
        listed[match.group(2)] = match.group(1)
    if lines[-1] or not set(NEEDED) <= set(listed):
        raise InputError(
            f"{MANIFEST} is cut off or does not list {' or '.join(NEEDED)}", code="damaged-file", field=MANIFEST
        )
    strangers = sorted(n for n in os.listdir(folder) if n not in {*listed, MANIFEST} and not n.startswith("."))
    if strangers:
        raise InputError(
            f"{strangers[0]!r} does not belong to the steering: {MANIFEST} does not list it; move it elsewhere",
            code="wrong-file",
            field="steering",
        )
    files = {}
    for name, digest in listed.items():
        files[name] = _content(folder, name)
        if sha256(files[name]).hexdigest() != digest:
            raise InputError(
                f"{name} was changed after it was written: its digest is not the one in {MANIFEST}",
                code="damaged-file",
                field=name,
            )
    return files


def _content(folder: Path, name: str) -> bytes:
    """A regular file's content, read once; links are not followed and oversized files not read."""
    try:
        handle = os.open(folder / name, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise InputError(f"{name} is not a regular file", code="wrong-file", field=name)
            if status.st_size > MAX_BYTES[name]:
                raise InputError(
                    f"{name} has {status.st_size:,} bytes; at most {MAX_BYTES[name]:,} are read",
                    code="out-of-range",
                    field=name,
                )
            return file.read(MAX_BYTES[name] + 1)
    except FileNotFoundError as error:
        raise InputError(
            f"there is no {name}; give a folder that trimtab saved a steering to", code="no-such-file", field="steering"
        ) from error
    except OSError as error:
        raise InputError(
            f"{name} cannot be read (links are not followed): {error.strerror}", code="unreadable-file", field=name
        ) from error


def sealed(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files, and the MANIFEST of their digests.

    Raises:
        InputError: one would be too large to be read back.
    """
    lines = "".join(f"{sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    whole = {**files, MANIFEST: lines.encode()}
    for name, content in whole.items():
        if len(content) > MAX_BYTES[name]:
            raise InputError(
                f"{name} would have {len(content):,} bytes; at most {MAX_BYTES[name]:,} can be read back",
                code="out-of-range",
                field=name,
            )
    return whole
