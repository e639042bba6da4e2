"""Tensors as `steering.safetensors` has them: the header is read by hand, and nothing in it is believed."""

from collections.abc import Mapping
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trimtab.errors import InputError
from trimtab.steering.artifact.documents import parsed
from trimtab.steering.artifact.folder import TENSORS

Floats = NDArray[np.float32]

MAX_DIMENSIONS: Final = 8
_LENGTH: Final = 8  # bytes that say how long the header is
_FLOAT: Final = 4
_FIELDS: Final = {"dtype", "shape", "data_offsets"}


def tensors_of(content: bytes) -> dict[str, Floats]:
    """The tensors of a safetensors file: views into its bytes, which nobody can write to.

    The file is eight bytes with the length of the header (little-endian), the header, a JSON object with `dtype`,
    `shape` and `data_offsets` [begin, end) by name, then the numbers, row by row. The tensors must fill what follows
    the header, without a gap or an overlap.

    Raises:
        InputError: it is no such file, or holds other numbers than float32.
    """
    header, start = _header(content)
    at = 0  # tensors lie behind each other in the order of their offsets
    spans = {name: _span(name, entry) for name, entry in header.items()}
    result: dict[str, Floats] = {}
    for name, (shape, begin, end) in sorted(spans.items(), key=lambda item: item[1][1:]):
        if begin != at or end > len(content) - start:
            raise _none(f"{name!r} lies at {begin} to {end}, which is beyond the file, or not behind the one before it")
        at = end
        result[name] = np.frombuffer(content, "<f4", prod(shape), start + begin).reshape(shape)
    if at != len(content) - start:
        raise _none(f"{len(content) - start - at:,} bytes behind its tensors belong to none")
    return result


def content_of(tensors: Mapping[str, Floats]) -> bytes:
    """The safetensors file of some tensors."""
    from safetensors.numpy import save

    return save({name: np.asarray(tensor, "<f4", order="C") for name, tensor in sorted(tensors.items())})


def _header(content: bytes) -> tuple[dict[str, Any], int]:
    """By name what the file says of each tensor, and where their bytes begin."""
    length = int.from_bytes(content[:_LENGTH], "little")
    if len(content) < _LENGTH or length > len(content) - _LENGTH:
        raise _none(f"it is shorter ({len(content):,} bytes) than it says")
    start = _LENGTH + length
    try:
        header = parsed(content[_LENGTH:start], "its header")
    except InputError as error:
        raise _none(str(error)) from error
    about = header.pop("__metadata__", {})
    if not isinstance(about, dict) or not all(isinstance(word, str) for word in about.values()):
        raise _none("its metadata must be words by name")
    return header, start


def _span(name: str, entry: Any) -> tuple[tuple[int, ...], int, int]:
    """Shape, and the first and the last byte but one."""
    if not isinstance(entry, dict) or set(entry) != _FIELDS:
        raise _none(f"{name!r} must have {', '.join(sorted(_FIELDS))} and nothing else")
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not _sizes(shape) or not _sizes(offsets) or len(offsets) != 2 or len(shape) > MAX_DIMENSIONS:
        raise _none(f"{name!r} has a shape or offsets that are none")
    if entry["dtype"] != "F32":
        raise InputError(f"{TENSORS}: {name!r} is {entry['dtype']}; this format has float32 only")
    begin, end = offsets
    if end - begin != _FLOAT * prod(shape):
        raise _none(f"{name!r} of shape {shape} does not fit into {end - begin:,} bytes")
    return tuple(shape), begin, end


def _sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(size) is int and size >= 0 for size in value)


def _none(why: str) -> InputError:
    return InputError(f"{TENSORS} is no safetensors file: {why}")
