"""One operation behind the modules that steerings name: a graph that vLLM compiles keeps it as it is.

What it does is decided anew for each pass (`passes`), so that one compiled graph serves every steering. It changes its
arguments in place: behind it a captured CUDA graph finds them where it looks for them.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from trimtab.errors import InputError
from trimtab.integrations.vllm.architectures import Architecture
from trimtab.integrations.vllm.passes import edit_in_place
from trimtab.interventions import Site

OPERATION: Final = "trimtab::edit"
"""As vLLM's `splitting_ops` name it."""


@torch.library.custom_op(OPERATION, mutates_args=("hidden", "residual"))
def edit(hidden: Tensor, residual: Tensor | None, site: str) -> None:
    """See `edit_in_place`."""
    edit_in_place(hidden, residual, site)


@edit.register_fake
def _nothing(hidden: Tensor, residual: Tensor | None, site: str) -> None:
    """What tracing sees of it: no result."""


def arm(model: nn.Module, layout: Architecture, sites: Sequence[str]) -> list[str]:
    """Put the operation behind the modules of sites.

    Args:
        model: of vLLM, before it is compiled.
        layout: where it keeps its parts.
        sites: as their texts.

    Returns:
        The sites whose blocks this worker runs; those of other pipeline stages are armed there.

    Raises:
        InputError: the model has no such module.
    """
    armed = []
    for site in sites:
        place = Site.parse(site)
        if type(_module(model, layout.place(Site(place.block)))).__name__ == "PPMissingLayer":
            continue
        name = layout.place(place)
        module = _module(model, name)
        if module is None:
            raise InputError(
                f"site {site}: {type(model).__name__} has no module {name}; this vLLM builds it otherwise",
                code="no-such-site",
                field="site",
            )
        module.register_forward_hook(_hook(site))
        armed.append(site)
    return armed


def _module(model: nn.Module, name: str) -> nn.Module | None:
    try:
        return model.get_submodule(name)
    except AttributeError:
        return None


def _hook(site: str) -> Callable[..., None]:
    def hook(module: nn.Module, args: Any, output: Any) -> None:
        hidden, residual = (output, None) if isinstance(output, Tensor) else output
        edit(hidden, residual, site)

    return hook
