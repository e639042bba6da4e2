"""Final norm and head in float32, whatever the blocks' dtype.

Differences of log-probabilities are small; a bfloat16 logit near 20 is only good to 0.06.
"""

import copy

import torch
from torch import Tensor, nn

from trimtab.models.blocks import Anatomy


def raise_tail_to_float32(anatomy: Anatomy) -> list[str]:
    """Let the modules behind the last block compute in float32, by copies that stay out of the state dict.

    Returns:
        Names of modules that could not be raised, because their weights are offloaded.
    """
    left: list[str] = []
    for module in (*anatomy.tail, *([anatomy.head] if anatomy.head is not None else [])):
        parameters = list(module.parameters())
        if all(p.dtype == torch.float32 for p in parameters):
            continue
        if any(p.is_meta for p in parameters):
            left.append(type(module).__name__)
            continue
        _raise(module)
    return left


def _raise(module: nn.Module) -> None:
    twin = copy.deepcopy(module).float().requires_grad_(False)
    twin.__dict__.pop("forward", None)  # a sharding hook would bring its own
    device = next(twin.parameters()).device

    def forward(h: Tensor) -> Tensor:
        out: Tensor = twin(h.to(device, torch.float32))
        return out

    module.forward = forward
