"""Reads the steerings that trimtab saves: what they do, to which activations of which model, verified; without torch.

A folder is untrusted input: every file is a plain one within its size, has its digest, and holds what format 1 or 2
(docs/format.md of trimtab) says and nothing else. Nothing in it is run. Needs numpy and safetensors.

    import trimtab_reader

    steering = trimtab_reader.read("my-steering")   # ReadError: what was changed, is missing or does not fit
    steering.id, steering.attributes                # "4a7e…", {"warm": 1.0}
    for edit in steering.edits:
        edit.block, edit.component, edit.kind, edit.attributes, edit.options, edit.tensors["vectors"].shape
"""

import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from math import isfinite
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors

__version__ = "2.0.0"

Floats = NDArray[np.float32]

_MAX_BYTES: Final = {
    "steering.json": 4 << 20,
    "steering.safetensors": 4 << 30,
    "report.json": 64 << 20,
    "README.md": 1 << 20,
    "MANIFEST": 64 << 10,
}
_LINE: Final = re.compile(r"([0-9a-f]{64})  ([A-Za-z.]+)")
_SITE: Final = re.compile(r"(?:(residual|attention|mlp):)?(0|[1-9][0-9]*)")
_KINDS: Final[Mapping[str, tuple[set[str], dict[str, type]]]] = {  # tensors and options by kind
    "additive": ({"vectors"}, {"keep_norm": bool}),
    "gated": ({"vectors", "weights", "bias"}, {"threshold": float, "keep_norm": bool}),
    "ablation": ({"directions"}, {}),
    "rotation": ({"first", "second", "angle"}, {}),
    "clamp": ({"directions", "values"}, {"side": str}),
    "classifier-gradient": (
        {"mean", "scale", "hidden", "hidden_bias", "output", "output_bias"},
        {"step": float, "steps": int, "decay": float},
    ),
}
_MODEL: Final[Mapping[str, type | tuple[type, ...]]] = {
    "id": str, "revision": (str, type(None)), "architecture": str, "d_model": int, "n_blocks": int, "digest": str,
    "shapes": str,
}  # fmt: skip
_MAX_NAME: Final = 200
_MAX_TEXT: Final = 100_000
_FIELDS: Final[Mapping[str, type | tuple[type, ...]]] = {
    "format": int, "kind": str, "versions": dict, "model": (dict, type(None)), "attributes": list, "presets": dict,
    "edits": list, "conditions": list, "prompts": dict, "method": str, "hyperparameters": dict,
    "seed": (int, type(None)), "data": dict,
}  # fmt: skip


class ReadError(ValueError):
    """The folder holds no steering of format 1 or 2, or one that was changed."""


@dataclass(frozen=True, eq=False)
class Edit:
    """An edit of the activations at one site.

    Args:
        block: counted from 0.
        component: `residual`, the output of the block; `attention` or `mlp`, what these add to the residual.
        kind: `additive`, `gated`, `ablation`, `rotation`, `clamp` or `classifier-gradient`.
        attributes: names of those whose strengths it takes, in order.
        options: settings of the kind.
        tensors: float32, by name.
    """

    block: int
    component: str
    kind: str
    attributes: tuple[str, ...]
    options: Mapping[str, bool | int | float | str]
    tensors: Mapping[str, Floats]


@dataclass(frozen=True, eq=False)
class Condition:
    """When an attribute acts on a prompt, by the mean activation of its tokens at a site; of several all must hold.

    Args:
        block, component: of the site.
        direction: [d_model].
        threshold: of the cosine with the direction.
        above: whether it acts above the threshold, or below.
    """

    block: int
    component: str
    direction: Floats
    threshold: float
    above: bool


@dataclass(frozen=True, eq=False)
class Steering:
    """A steering as it is stored.

    Args:
        id: of what it does; card, report and versions are no part of it.
        model: what it was made for, if known: `id`, `revision`, `architecture`, `d_model`, `n_blocks`, `digest`,
            `shapes`.
        attributes: default strengths by name, in the order of their columns.
        presets: strengths by name; an attribute that one leaves out keeps its default.
        edits: in order; several at one site act one after the other.
        conditions: by attribute, all that must hold for it to act; in format 1 there is one.
        prompts: by attribute, the text in front of the prompt while its strength is above 0, and while it is below.
        method: how it was made.
        reliability: the document of `report.json`, such as verdicts; None without one.
    """

    id: str
    model: Mapping[str, Any] | None
    attributes: Mapping[str, float]
    presets: Mapping[str, Mapping[str, float]]
    edits: tuple[Edit, ...]
    conditions: Mapping[str, tuple[Condition, ...]]
    prompts: Mapping[str, tuple[str, str]]
    method: str
    reliability: Mapping[str, Any] | None = field(repr=False, default=None)


def read(folder: str | os.PathLike[str]) -> Steering:
    """Read a folder, every digest verified.

    Args:
        folder: that trimtab wrote.

    Raises:
        ReadError: a file that is missing, changed, too large or not a plain one, or content that is of neither
            format.
    """
    try:
        return _read(_verified(Path(folder)))
    except ReadError:
        raise
    except (TypeError, ValueError, OverflowError, RecursionError) as error:  # content that no writer of ours makes
        raise ReadError(f"{folder!s} is not of format 1 or 2: {error}") from error


def _read(files: Mapping[str, bytes]) -> Steering:
    """The steering that verified files hold."""
    said = _parsed(files["steering.json"], "steering.json")
    _check(said, _FIELDS, "steering.json")
    if said["format"] not in (1, 2) or said["kind"] != "steering":
        raise ReadError(f"format {said['format']} of a {said['kind']!r}; this reads formats 1 and 2 of a steering")
    try:
        tensors: dict[str, Floats] = load_tensors(files["steering.safetensors"])
    except (SafetensorError, KeyError, ValueError) as error:
        raise ReadError(f"steering.safetensors: {error}") from error
    for name, tensor in tensors.items():
        if tensor.dtype != np.float32 or not np.isfinite(tensor).all():
            raise ReadError(f"tensor {name!r} is not of finite float32")
        tensor.flags.writeable = False
    for name in ("versions", "data"):
        _check(said[name], dict.fromkeys(said[name], str), name)
    if said["model"] is not None:
        _check(said["model"], _MODEL, "model")
    attributes = _attributes(said["attributes"])
    edits = tuple(_edit(i, entry, attributes, tensors) for i, entry in enumerate(said["edits"]))
    conditions = _conditions(said["conditions"], attributes, tensors)
    if (said["format"] == 2) != any(len(several) > 1 for several in conditions.values()):
        raise ReadError("format 2 is for steerings in which an attribute has several conditions, format 1 for others")
    _check_fit(said["model"], edits, conditions)
    known = {f"{i}.{name}" for i, edit in enumerate(edits) for name in edit.tensors}
    known |= {f"condition.{i}" for i in range(len(said["conditions"]))}
    if strangers := sorted(set(tensors) - known):
        raise ReadError(f"tensor {strangers[0]!r} is in no edit or condition")
    return Steering(
        id=_identity(said, tensors),
        model=said["model"],
        attributes=attributes,
        presets={
            _named(name): _strengths(f"preset {name!r}", own, attributes) for name, own in said["presets"].items()
        },
        edits=edits,
        conditions=conditions,
        prompts={name: _texts(name, own, attributes) for name, own in said["prompts"].items()},
        method=said["method"],
        reliability=_parsed(files["report.json"], "report.json") if "report.json" in files else None,
    )


def _verified(folder: Path) -> dict[str, bytes]:
    """The files that MANIFEST lists, with their digests verified, and no others."""
    lines = _content(folder, "MANIFEST").decode("ascii", "replace").split("\n")
    listed: dict[str, str] = {}
    for line in lines[:-1]:
        found = _LINE.fullmatch(line)
        if not found or found[2] not in _MAX_BYTES or found[2] in ("MANIFEST", *listed):
            raise ReadError(f"MANIFEST: {line[:80]!r} is not the digest of a file that belongs here")
        listed[found[2]] = found[1]
    if lines[-1] or not {"steering.json", "steering.safetensors"} <= set(listed):
        raise ReadError("MANIFEST is cut off, or lists no steering")
    strangers = sorted(n for n in os.listdir(folder) if n not in {*listed, "MANIFEST"} and not n.startswith("."))
    if strangers:
        raise ReadError(f"{strangers[0]!r} does not belong to the steering")
    files = {name: _content(folder, name) for name in listed}
    for name, digest in listed.items():
        if sha256(files[name]).hexdigest() != digest:
            raise ReadError(f"{name} was changed after it was written")
    return files


def _content(folder: Path, name: str) -> bytes:
    """A plain file's content, read once; links are not followed."""
    try:
        handle = os.open(folder / name, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_BYTES[name]:
                raise ReadError(f"{name} is not a plain file of at most {_MAX_BYTES[name]:,} bytes")
            return file.read(_MAX_BYTES[name] + 1)
    except OSError as error:
        raise ReadError(f"{name} cannot be read: {error.strerror}") from error


def _parsed(content: bytes, name: str) -> dict[str, Any]:
    """A JSON object without names that stand twice, NaN or infinity."""

    def finite(word: str) -> float:
        if not isfinite(float(word)):
            raise ValueError(f"{word} is not a finite number")
        return float(word)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a name stands twice")
        return dict(pairs)

    try:
        value = json.loads(content.decode(), parse_constant=finite, parse_float=finite, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise ReadError(f"{name}: {error}") from error
    if not isinstance(value, dict):
        raise ReadError(f"{name} is not a JSON object")
    return value


def _check(value: Any, fields: Mapping[str, type | tuple[type, ...]], where: str) -> None:
    """An object with these fields, of these types, and no others; a whole number stands for a float, a bool never."""
    if not isinstance(value, dict) or set(value) != set(fields):
        raise ReadError(f"{where} must have {', '.join(fields)} and nothing else")
    for name, kinds in fields.items():
        allowed = kinds if isinstance(kinds, tuple) else (kinds,)
        if float in allowed:
            allowed = (*allowed, int)
        if not isinstance(value[name], allowed) or (isinstance(value[name], bool) and bool not in allowed):
            raise ReadError(f"{where}: {name} has the wrong type")


def _attributes(entries: list[Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    for i, entry in enumerate(entries):
        _check(entry, {"name": str, "strength": float}, f"attribute {i}")
        if entry["name"] in found:
            raise ReadError(f"two attributes are called {entry['name']!r}")
        found[_named(entry["name"])] = float(entry["strength"])
    return found


def _named(name: str) -> str:
    if not name.strip() or len(name) > _MAX_NAME or not name.isprintable():
        raise ReadError(f"{name[:80]!r} is not a name of up to {_MAX_NAME} printable characters")
    return name


def _site(text: str, where: str) -> tuple[int, str]:
    found = _SITE.fullmatch(text)
    if not found:
        raise ReadError(f"{where}: {text!r} is no site")
    return int(found[2]), found[1] or "residual"


def _edit(i: int, entry: Any, attributes: Mapping[str, float], tensors: Mapping[str, Floats]) -> Edit:
    where = f"edit {i}"
    _check(entry, {"site": str, "kind": str, "attributes": list, "options": dict, "tensors": list}, where)
    if entry["kind"] not in _KINDS:
        raise ReadError(f"{where}: kind {entry['kind']!r} is unknown")
    names, options = _KINDS[entry["kind"]]
    _check(entry["options"], options, f"{where}, options")
    if sorted(map(str, entry["tensors"])) != sorted(names):
        raise ReadError(f"{where}: a {entry['kind']} has the tensors {', '.join(sorted(names))}")
    for name in entry["attributes"]:
        _known(name, attributes, where)
    block, component = _site(entry["site"], where)
    own = {name: _tensor(f"{i}.{name}", tensors) for name in sorted(names)}
    return Edit(block, component, entry["kind"], tuple(entry["attributes"]), entry["options"], own)


def _conditions(
    entries: list[Any], attributes: Mapping[str, float], tensors: Mapping[str, Floats]
) -> dict[str, tuple[Condition, ...]]:
    found: dict[str, tuple[Condition, ...]] = {}
    for i, entry in enumerate(entries):
        where = f"condition {i}"
        _check(entry, {"attribute": str, "site": str, "threshold": float, "above": bool}, where)
        name = entry["attribute"]
        _known(name, attributes, where)
        direction = _tensor(f"condition.{i}", tensors)
        if direction.ndim != 1 or not direction.any():
            raise ReadError(f"{where}: its direction is no vector, or 0")
        if not -1 <= entry["threshold"] <= 1:
            raise ReadError(f"{where}: its threshold {entry['threshold']} is no cosine")
        block, component = _site(entry["site"], where)
        condition = Condition(block, component, direction, float(entry["threshold"]), entry["above"])
        found[name] = (*found.get(name, ()), condition)
    return {name: found[name] for name in attributes if name in found}


def _check_fit(
    model: Mapping[str, Any] | None, edits: tuple[Edit, ...], conditions: Mapping[str, tuple[Condition, ...]]
) -> None:
    """Sites are of the model that it was made for, and directions as wide as that."""
    if model is None:
        return
    n_blocks, d_model = model["n_blocks"], model["d_model"]
    every = [(name, one) for name, several in conditions.items() for one in several]
    beyond = [block for block in (*(e.block for e in edits), *(one.block for _, one in every)) if block >= n_blocks]
    if beyond:
        raise ReadError(f"block {beyond[0]} is none of {model['id']}, which has {n_blocks}")
    for name, condition in every:
        if len(condition.direction) != d_model:
            raise ReadError(f"the condition of {name!r} reads {len(condition.direction)} values, not {d_model}")


def _tensor(name: str, tensors: Mapping[str, Floats]) -> Floats:
    if name not in tensors:
        raise ReadError(f"tensor {name!r} is missing")
    return tensors[name]


def _strengths(where: str, values: Any, attributes: Mapping[str, float]) -> dict[str, float]:
    _check(values, dict.fromkeys(values, float) if isinstance(values, dict) else {}, where)
    for name in values:
        _known(name, attributes, where)
    return {name: float(value) for name, value in values.items()}


def _texts(name: str, texts: Any, attributes: Mapping[str, float]) -> tuple[str, str]:
    _known(name, attributes, "prompts")
    if not isinstance(texts, list) or len(texts) != 2 or not all(isinstance(text, str) for text in texts):
        raise ReadError(f"prompts: {name!r} must have two texts")
    if not texts[0] or max(map(len, texts)) > _MAX_TEXT:
        raise ReadError(f"prompts of {name!r}: the first is empty, or one is longer than {_MAX_TEXT:,} characters")
    return texts[0], texts[1]


def _known(name: Any, attributes: Mapping[str, float], where: str) -> None:
    if name not in attributes:
        raise ReadError(f"{where}: {name!r} is no attribute of this steering")


def _identity(said: Mapping[str, Any], tensors: Mapping[str, Floats]) -> str:
    """SHA-256 of the canonical JSON and of every tensor's name, shape and little-endian bytes."""
    content = {name: value for name, value in said.items() if name != "versions"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    digest = sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name}{list(tensor.shape)}".encode())
        digest.update(np.asarray(tensor, "<f4", order="C").tobytes())
    return digest.hexdigest()
