"""The artifact on disk: a folder that is written whole or not at all, and read with suspicion. See docs/format.md."""

import glob
import json
import os
import re
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from math import isfinite
from pathlib import Path
from typing import Any, Final

import torch
from pydantic import ValidationError
from torch import Tensor

from trimtab.errors import InputError
from trimtab.steering.card import card
from trimtab.steering.manifest import Manifest, described, rebuilt
from trimtab.steering.steering import Steering
from trimtab.storage.atomic import scratch
from trimtab.version import __version__

STEERING, TENSORS, REPORT, CARD, MANIFEST = (
    "steering.json",
    "steering.safetensors",
    "report.json",
    "README.md",
    "MANIFEST",
)
# Files of an artifact with the most bytes that each may have.
MOST: Final[Mapping[str, int]] = {
    STEERING: 4 << 20,
    TENSORS: 4 << 30,
    REPORT: 64 << 20,
    CARD: 1 << 20,
    MANIFEST: 64 << 10,
}
NEEDED: Final = (STEERING, TENSORS)
_LINE: Final = re.compile(r"([0-9a-f]{64})  ([A-Za-z.]+)")


@dataclass(frozen=True, eq=False)
class Artifact:
    """What a folder holds.

    Args:
        steering: the steering.
        reliability: the JSON document of `report.json`; None without one.
        versions: of the libraries that wrote it.
    """

    steering: Steering
    reliability: Mapping[str, Any] | None
    versions: Mapping[str, str]


def write(steering: Steering, folder: Path, reliability: Mapping[str, Any] | None = None) -> Path:
    """Write the artifact; see `Steering.save`."""
    from safetensors.torch import save

    manifest, tensors = described(steering, {"trimtab": __version__, "torch": torch.__version__})
    files = {
        STEERING: _document(manifest.model_dump(mode="json")),
        TENSORS: save(
            {name: tensor.clone() for name, tensor in sorted(tensors.items())}
        ),  # one edit may be at two sites
    }
    report: dict[str, Any] = {}
    if reliability is not None:
        files[REPORT] = _reliability(reliability)
        report = json.loads(files[REPORT])
    files[CARD] = card(steering, report).encode()
    files[MANIFEST] = "".join(f"{sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)).encode()
    for name, content in files.items():
        if len(content) > MOST[name]:
            raise InputError(f"{name} would have {len(content):,} bytes; at most {MOST[name]:,} are read back")
    try:
        _understood(files)
    except InputError as error:
        raise InputError(f"this steering could be written but not read back: {error}") from error
    refuse_unfit(folder)
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
    return folder


def refuse_unfit(folder: Path) -> None:
    """Refuse a folder that `write` would not replace; to be asked before long work.

    Raises:
        InputError: it holds something else, is a file or a link, or has no name of its own.
    """
    if folder.name in ("", ".."):
        raise InputError(f"{str(folder)!r} cannot be replaced from inside; give the folder by its name")
    try:
        _recover(folder)
        _refuse_what_is_there(folder)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        raise InputError(
            f"cannot write the steering to {folder}: {getattr(error, 'strerror', None) or error}"
        ) from error


def _exchanged(folder: Path, new: Path, old: Path) -> None:
    """The new folder takes its place; if that cannot be, the older one is back where it was."""
    try:
        if folder.exists():
            os.rename(folder, old)
        os.rename(new, folder)
    finally:
        if old.exists() and not folder.exists():
            os.rename(old, folder)


def read(folder: Path) -> Artifact:
    """Read an artifact; see `Steering.load`.

    Raises:
        InputError: as there; the message names folder, file and what is wrong.
    """
    try:
        _recover(folder)
        if not folder.is_dir():
            raise InputError("this is no folder; give the one that Steering.save wrote")
        return _understood(_verified(folder))
    except InputError as error:
        raise InputError(f"{folder}: {error}") from error
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror}") from error


def _understood(files: Mapping[str, bytes]) -> Artifact:
    _parsed(files[STEERING], STEERING)  # what pydantic would let pass: a name that stands twice
    try:
        manifest = Manifest.model_validate_json(files[STEERING])
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise InputError(f"{STEERING}: {place}: {first['msg']}") from error
    steering = rebuilt(manifest, _tensors(files[TENSORS]))
    report = _parsed(files[REPORT], REPORT) if REPORT in files else None
    return Artifact(steering, report, manifest.versions)


def _verified(folder: Path) -> dict[str, bytes]:
    """Every file's content, each digest compared; nothing else may lie there but names that begin with a dot."""
    lines = _content(folder, MANIFEST).decode("ascii", "replace").split("\n")
    listed: dict[str, str] = {}
    for i, line in enumerate(lines[:-1], start=1):
        found = _LINE.fullmatch(line)
        if not found or found.group(2) not in MOST or found.group(2) in (MANIFEST, *listed):
            raise InputError(f"{MANIFEST}, line {i}: {line[:80]!r} is no digest of a file that belongs here")
        listed[found.group(2)] = found.group(1)
    if lines[-1] or not set(NEEDED) <= set(listed):
        raise InputError(f"{MANIFEST} is cut off or leaves out {' or '.join(NEEDED)}")
    strangers = sorted(n for n in os.listdir(folder) if n not in {*listed, MANIFEST} and not n.startswith("."))
    if strangers:
        raise InputError(f"{strangers[0]!r} does not belong into a steering; {MANIFEST} does not list it")
    files = {}
    for name, digest in listed.items():
        files[name] = _content(folder, name)
        if sha256(files[name]).hexdigest() != digest:
            raise InputError(f"{name} was changed after it was written: its digest is not the one in {MANIFEST}")
    return files


def _content(folder: Path, name: str) -> bytes:
    """A plain file's content, read once; no link is followed and no huge file opened."""
    try:
        handle = os.open(folder / name, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise InputError(f"{name} is no plain file")
            if facts.st_size > MOST[name]:
                raise InputError(f"{name} has {facts.st_size:,} bytes; at most {MOST[name]:,} are read")
            return file.read(MOST[name] + 1)
    except FileNotFoundError as error:
        raise InputError(f"there is no {name}; is it a steering that trimtab saved?") from error
    except OSError as error:
        raise InputError(f"{name} cannot be read (links are not followed): {error.strerror}") from error


def _tensors(content: bytes) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        found: dict[str, Tensor] = load(content)
    except (SafetensorError, ValueError, KeyError, RuntimeError, OverflowError) as error:
        raise InputError(f"{TENSORS} is no safetensors file: {error}") from error
    odd = [name for name, tensor in found.items() if tensor.dtype != torch.float32]
    if odd:
        raise InputError(f"{TENSORS}: {odd[0]!r} is {found[odd[0]].dtype}; this format has float32 only")
    return found


def _parsed(content: bytes, name: str) -> dict[str, Any]:
    """A JSON object without names that stand twice, NaN or infinity."""

    def finite(word: str) -> float:
        if not isfinite(float(word)):
            raise ValueError(f"{word} is no finite number")
        return float(word)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        held = dict(pairs)
        if len(held) < len(pairs):
            raise ValueError("a name stands twice in one object")
        return held

    try:
        told = json.loads(content.decode(), parse_constant=finite, parse_float=finite, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is no JSON that can be read: {error}") from error
    if not isinstance(told, dict):
        raise InputError(f"{name} must hold a JSON object")
    return told


def _reliability(told: Mapping[str, Any]) -> bytes:
    if not isinstance(told, Mapping):
        raise InputError(f"the reliability document must be a JSON object, not a {type(told).__name__}")
    try:
        return _document(dict(told))
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"the reliability document must be JSON: {error}") from error


def _document(told: dict[str, Any]) -> bytes:
    return (json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _work(folder: Path) -> str:
    return f"{folder.name}.steering"


def _recover(folder: Path) -> None:
    """Put an older steering back that a killed process had moved aside before the new one was in place."""
    if not os.path.lexists(folder):
        for old in sorted(folder.parent.glob(f".{glob.escape(_work(folder))}-*/old")):
            with suppress(OSError):
                os.rename(old, folder)
                return


def _refuse_what_is_there(folder: Path) -> None:
    """Only an older steering and nothing beside it, or an empty folder, is replaced."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise InputError(f"{folder} is a file or a link; give a folder of its own")
    held = {p.name for p in folder.iterdir()} if folder.exists() else set()
    strangers = sorted(held - set(MOST))
    if strangers:
        raise InputError(f"{folder} holds something else, {strangers[0]!r}; give a folder of its own")
    if held and not all((folder / name).is_file() for name in (*NEEDED, MANIFEST)):
        raise InputError(f"{folder} holds no steering that trimtab saved; give a folder of its own")


def _write(file: Path, content: bytes) -> None:
    with file.open("xb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
