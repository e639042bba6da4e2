"""Whether weights changed since they were last read."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

Version = tuple[tuple[object, ...], ...]


def version(weights: Iterable[Tensor]) -> Version:
    """A mark that changes once a weight is replaced, moved or written to; it is made without reading values.

    Torch counts writes (an optimizer's step, `load_state_dict`, `weight.zero_()`), but none through
    `weight.data`; it does not see those, nor what accelerate keeps on disk.
    """
    return tuple(_mark(part) for w in weights for _, part in plain_parts(w))


def plain_parts(tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """The plain tensors that a tensor consists of, each with a suffix for its name; a plain one itself, under "".

    Quantised tensors hold numbers and scales: torch's own, and subclasses such as torchao's and quanto's.
    """
    if tensor.is_quantized:
        yield ".numbers", tensor.int_repr()
        if tensor.qscheme() in (torch.per_channel_affine, torch.per_channel_affine_float_qparams):
            yield ".scales", tensor.q_per_channel_scales()
            yield ".zeros", tensor.q_per_channel_zero_points()
        else:
            yield ".scales", torch.tensor([tensor.q_scale(), float(tensor.q_zero_point())])
    elif hasattr(tensor, "__tensor_flatten__"):
        for name in tensor.__tensor_flatten__()[0]:
            for part, inner in plain_parts(getattr(tensor, name)):
                yield f".{name}{part}", inner
    elif tensor.layout != torch.strided:
        yield "", tensor.detach().to_dense()
    else:
        yield "", tensor


def _mark(weight: Tensor) -> tuple[object, ...]:
    if weight.is_meta:  # offloaded: another placeholder after every pass
        return ("meta", weight.shape, weight.dtype)
    writes = None if weight.is_inference() else weight._version
    return id(weight), weight.data_ptr(), writes, weight.dtype, weight.device
