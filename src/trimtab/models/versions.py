"""Whether weights changed since one last looked."""

from collections.abc import Iterable

from torch import Tensor

Version = tuple[tuple[object, ...], ...]


def version(weights: Iterable[Tensor]) -> Version:
    """A mark that differs once a weight was replaced, moved or written to; it costs no look at the values.

    Torch counts writes (an optimizer's step, `load_state_dict`, `weight.zero_()`), but none through
    `weight.data`; those this cannot see, nor what accelerate keeps on disk.
    """
    return tuple(_mark(w) for w in weights)


def _mark(weight: Tensor) -> tuple[object, ...]:
    if weight.is_meta:  # offloaded: another placeholder after every pass
        return ("meta", weight.shape, weight.dtype)
    writes = None if weight.is_inference() else weight._version
    return id(weight), weight.data_ptr(), writes, weight.dtype, weight.device
