"""A fingerprint of a model's weights."""

import hashlib

import torch
from torch import Tensor, nn

from trimtab.models.versions import Version, version


class Fingerprint:
    """The digest of a model's weights, taken anew once they changed.

    Args:
        hf: the model.
    """

    def __init__(self, hf: nn.Module) -> None:
        self._hf = hf
        self._seen: Version | None = None
        self._digest = ""

    def __call__(self) -> str:
        """See `digest`."""
        now = version((*self._hf.parameters(), *self._hf.buffers()))
        if now != self._seen:
            self._digest, self._seen = digest(self._hf), now
        return self._digest


def digest(hf: nn.Module) -> str:
    """SHA-256 over names, shapes and values of all weights, taken as bfloat16, wherever they lie."""
    seen = hashlib.sha256()
    for name, tensor in sorted(hf.state_dict().items()):
        seen.update(f"{name}{list(tensor.shape)}".encode())
        value = _offloaded(hf, name) if tensor.is_meta else tensor
        seen.update(value.detach().to("cpu", torch.bfloat16).contiguous().view(torch.uint8).numpy().data)
    return seen.hexdigest()


def _offloaded(hf: nn.Module, name: str) -> Tensor:
    """A weight that accelerate keeps in memory or on disk until its module is called."""
    owner, _, leaf = name.rpartition(".")
    hook = hf.get_submodule(owner)._hf_hook
    value: Tensor = hook.weights_map[leaf]  # type: ignore[union-attr, index]
    return value


def shapes(hf: nn.Module) -> str:
    """SHA-256 over names and shapes of all weights."""
    seen = hashlib.sha256()
    for name, tensor in sorted(hf.state_dict().items()):
        seen.update(f"{name}{list(tensor.shape)}\n".encode())
    return seen.hexdigest()
