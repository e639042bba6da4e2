"""Linear layers on x86 CPUs: float32 ones faster than torch computes them by itself, and which dtypes are quick.

By oneDNN: on AMD processors twice as fast as MKL. For a few rows by FBGEMM: what takes time then is to read the
weights, which half as many bytes hold without loss where they come from bfloat16 or float16.
"""

import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from math import frexp, inf
from typing import TypeGuard

import torch
from torch import Tensor, nn

from trimtab.models.forward import replaced

MIN_WEIGHT = 1 << 16  # elements; smaller layers cost less than what surrounds them
_FLOAT16_TOP = 15  # 2 to this is the largest power in float16
_FLOAT32_ROUNDING = 2.0**-24
FEW_ROWS = 16  # up to which reading the weights takes longer than computing


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


def quick_dtypes(device: torch.device) -> Sequence[torch.dtype]:
    """The dtypes below float32 whose matrix products are quicker on a device than those of float32.

    On CPUs those that oneDNN computes; some have no instructions for them, which `loading.native_dtype` asks for.
    """
    if device.type != "cpu":
        return (torch.bfloat16, torch.float16)
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return ()
    supported = {
        torch.bfloat16: torch.ops.mkldnn._is_mkldnn_bf16_supported,
        torch.float16: torch.ops.mkldnn._is_mkldnn_fp16_supported,
    }
    return [dtype for dtype, asked in supported.items() if asked()]


def by_onednn(layer: nn.Linear) -> Callable[[Tensor], Tensor]:
    """The layer's `forward`, `[…, d_in]` to `[…, d_out]`; where gradients are wanted it is torch's own."""
    own = layer.forward

    def forward(h: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return own(h)
        out: Tensor = torch.ops.mkldnn._linear_pointwise(h, layer.weight, layer.bias, "none", [], "")
        return out

    return forward


def for_few_rows(layer: nn.Linear) -> Callable[[Tensor], Tensor] | None:
    """The layer's forward pass for up to `FEW_ROWS` rows, without gradients, with a copy of its weights in float16.

    Products and sums are in float32. None where the copy loses more than float32 rounds off, or torch has no FBGEMM.
    """
    if "fbgemm" not in torch.backends.quantized.supported_engines:
        return None
    weight = layer.weight.detach()
    largest = float(weight.abs().max())
    if not 0 < largest < inf:
        return None
    scale = 2.0 ** (_FLOAT16_TOP - frexp(largest)[1])  # exact, and small weights keep their digits
    half = (weight * scale).half()
    if float((half.float() - weight * scale).abs().max()) > _FLOAT32_ROUNDING * largest * scale:
        return None
    packed = torch.ops.quantized.linear_prepack_fp16(half.float(), None)

    def forward(h: Tensor) -> Tensor:
        out: Tensor = torch.ops.quantized.linear_dynamic_fp16(h / scale, packed)
        return out if layer.bias is None else out + layer.bias

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
