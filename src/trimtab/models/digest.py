"""A fingerprint of a model's weights."""

import hashlib
import io
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from trimtab.errors import InputError
from trimtab.models.versions import Version, plain_parts, version

_EIGHT_BITS = (torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz)


class Fingerprint:
    """The digest of a model's weights, computed again once they change.

    Args:
        hf: the model.
    """

    def __init__(self, hf: nn.Module) -> None:
        self._hf = hf
        self._version: Version | None = None
        self._digest = ""

    def __call__(self) -> str:
        """See `digest`."""
        now = version((*self._hf.parameters(), *self._hf.buffers()))
        if now != self._version:
            self._digest, self._version = digest(self._hf), now
        return self._digest


def digest(hf: nn.Module) -> str:
    """SHA-256 over names, shapes and values of all weights, floats taken as bfloat16, on whatever device they are.

    Quantised weights count as their stored numbers and scales.
    """
    sha = hashlib.sha256()
    for name, tensor in _weights(hf):
        sha.update(f"{name}{list(tensor.shape)}".encode())
        sha.update(_bytes(tensor).numpy().data)
    return sha.hexdigest()


def _weights(hf: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Plain tensors with their names, in their order; composite entries are taken apart."""
    for name, entry in sorted(hf.state_dict().items()):
        offloaded = isinstance(entry, Tensor) and entry.is_meta
        yield from _plain(name, _offloaded(hf, name) if offloaded else entry)


def _plain(name: str, entry: Any) -> Iterator[tuple[str, Tensor]]:
    if isinstance(entry, Tensor):
        yield from ((f"{name}{part}", tensor) for part, tensor in plain_parts(entry))
    elif isinstance(entry, Mapping):
        for key in sorted(entry, key=str):
            yield from _plain(f"{name}.{key}", entry[key])
    elif isinstance(entry, (tuple, list)):
        for i, one in enumerate(entry):
            yield from _plain(f"{name}.{i}", one)
    elif entry is not None:  # a setting, such as a dtype
        value = entry.getvalue() if isinstance(entry, io.BytesIO) else repr(entry).encode()
        yield name, torch.frombuffer(bytearray(value or b"\0"), dtype=torch.uint8)


def _bytes(tensor: Tensor) -> Tensor:
    """`[n]` uint8 on the CPU: floats as bfloat16, whole numbers of more than a byte as they are."""
    flat = tensor.detach().reshape(-1)  # a weight without dimensions has no bytes of its own to view
    if flat.is_complex():
        flat = torch.view_as_real(flat).reshape(-1)
    whole = not flat.is_floating_point() and flat.dtype.itemsize > 1
    opaque = flat.is_floating_point() and flat.dtype.itemsize == 1 and flat.dtype not in _EIGHT_BITS
    value = flat.to("cpu") if whole or opaque else flat.to("cpu", torch.bfloat16)
    return value.contiguous().view(torch.uint8)


def _offloaded(hf: nn.Module, name: str) -> Tensor:
    """A weight that accelerate keeps in memory or on disk until its module is called.

    Raises:
        InputError: the weight has no values anywhere.
    """
    owner, _, leaf = name.rpartition(".")
    hook = getattr(hf.get_submodule(owner), "_hf_hook", None)
    weights = getattr(hook, "weights_map", None)
    if weights is None:
        raise InputError(f"the weight {name} is on the device meta, which holds no values; load the model's weights")
    value: Tensor = weights[leaf]
    return value


def shapes(hf: nn.Module) -> str:
    """SHA-256 over names and shapes of all weights."""
    sha = hashlib.sha256()
    for name, entry in sorted(hf.state_dict().items()):
        if isinstance(entry, Tensor):
            sha.update(f"{name}{list(entry.shape)}\n".encode())
    return sha.hexdigest()
