"""Float32 linear layers by oneDNN: on AMD processors twice as fast as MKL, which torch calls by itself."""

import platform
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeGuard

import torch
from torch import Tensor, nn

from trimtab.models.forward import replaced

MIN_WEIGHT = 1 << 16  # elements; smaller layers cost less than what surrounds them


def suits(module: nn.Module) -> TypeGuard[nn.Linear]:
    """Whether oneDNN computes this layer: a plain one, in float32 on an x86 CPU, that nobody has wrapped."""
    return (
        type(module) is nn.Linear
        and "forward" not in module.__dict__
        and type(module.weight) is nn.Parameter  # no quantised tensor in disguise
        and module.weight.dtype == torch.float32
        and module.weight.device.type == "cpu"
        and module.weight.numel() >= MIN_WEIGHT
        and platform.machine() in ("x86_64", "AMD64")
        and torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    )


def by_onednn(layer: nn.Linear) -> Callable[[Tensor], Tensor]:
    """The layer's `forward`, `[…, d_in]` to `[…, d_out]`; where gradients are wanted it is torch's own."""
    own = layer.forward

    def forward(h: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return own(h)
        out: Tensor = torch.ops.mkldnn._linear_pointwise(h, layer.weight, layer.bias, "none", [], "")
        return out

    return forward


@contextmanager
def quick_linears(modules: Iterable[nn.Module]) -> Iterator[None]:
    """In here the linear layers of these modules are computed by oneDNN where it suits them.

    Float32 results differ from torch's own in the last digits, so a bare forward pass is left to torch.
    """
    with ExitStack() as stack:
        for module in modules:
            for layer in module.modules():
                if suits(layer):
                    stack.enter_context(replaced(layer, by_onednn(layer)))
        yield
