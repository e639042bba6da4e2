"""Reading and writing `steering.safetensors`: the header is parsed here, and everything in it is checked."""

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
    """The tensors of a safetensors file, as read-only views of its bytes.

    The file is eight bytes with the length of the header (little-endian), the header, a JSON object with `dtype`,
    `shape` and `data_offsets` [begin, end) by name, then the numbers, row by row. The tensors must fill what follows
    the header, without a gap or an overlap.

    Raises:
        InputError: not such a file, or numbers other than float32.
    """
    header, start = _header(content)
    at = 0  # tensors follow each other in the order of their offsets
    spans = {name: _span(name, entry) for name, entry in header.items()}
    tensors: dict[str, Floats] = {}
    for name, (shape, begin, end) in sorted(spans.items(), key=lambda item: item[1][1:]):
        if begin != at or end > len(content) - start:
            raise _invalid(
                f"{name!r} spans bytes {begin} to {end}, beyond the file or not directly after the tensor before it"
            )
        at = end
        tensors[name] = np.frombuffer(content, "<f4", prod(shape), start + begin).reshape(shape)
    if at != len(content) - start:
        raise _invalid(f"{len(content) - start - at:,} bytes after the last tensor belong to none")
    return tensors


def content_of(tensors: Mapping[str, Floats]) -> bytes:
    """The safetensors file of some tensors."""
    from safetensors.numpy import save

    return save({name: np.asarray(tensor, "<f4", order="C") for name, tensor in sorted(tensors.items())})


def _header(content: bytes) -> tuple[dict[str, Any], int]:
    """The header's entry of each tensor by name, and the offset of the first tensor."""
    length = int.from_bytes(content[:_LENGTH], "little")
    if len(content) < _LENGTH or length > len(content) - _LENGTH:
        raise _invalid(f"it has {len(content):,} bytes, fewer than its header claims")
    start = _LENGTH + length
    try:
        header = parsed(content[_LENGTH:start], "its header")
    except InputError as error:
        raise _invalid(str(error)) from error
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(word, str) for word in metadata.values()):
        raise _invalid("its metadata must map names to text")
    return header, start


def _span(name: str, entry: Any) -> tuple[tuple[int, ...], int, int]:
    """Shape, and the offsets of the first byte and of the end."""
    if not isinstance(entry, dict) or set(entry) != _FIELDS:
        raise _invalid(f"{name!r} must have {', '.join(sorted(_FIELDS))} and nothing else")
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not _sizes(shape) or not _sizes(offsets) or len(offsets) != 2 or len(shape) > MAX_DIMENSIONS:
        raise _invalid(f"{name!r} has an invalid shape or invalid offsets")
    if entry["dtype"] != "F32":
        raise InputError(
            f"{TENSORS}: {name!r} is {entry['dtype']}; this format has float32 only",
            code="wrong-type",
            field=f"tensors.{name}",
        )
    begin, end = offsets
    if end - begin != _FLOAT * prod(shape):
        raise _invalid(f"{name!r} of shape {shape} does not take {end - begin:,} bytes")
    return tuple(shape), begin, end


def _sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(size) is int and size >= 0 for size in value)


def _invalid(why: str) -> InputError:
    return InputError(f"{TENSORS} is not a valid safetensors file: {why}", code="damaged-file", field=TENSORS)
