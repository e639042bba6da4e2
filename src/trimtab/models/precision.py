"""Final norm and head in float32 during our own passes, whatever the blocks' dtype.

Differences of log-probabilities are small; a bfloat16 logit near 20 is only good to 0.06. The model itself stays as it
is: outside of our passes it computes as if it had never been wrapped.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call

from trimtab.models.blocks import Anatomy
from trimtab.models.forward import replaced
from trimtab.models.linear import FEW_ROWS, by_onednn, for_few_rows, suits
from trimtab.models.versions import Version, version


class Tail:
    """The modules behind the last block, and their float32 twins where they are of another dtype.

    Args:
        anatomy: the parts of the model.
    """

    def __init__(self, anatomy: Anatomy) -> None:
        self._head = anatomy.head
        self._modules = (*anatomy.tail, *([anatomy.head] if anatomy.head is not None else []))
        self._twins: dict[int, _Twin] = {}
        self._active = False

    @property
    def not_float32(self) -> list[str]:
        """Names of the modules that keep the blocks' dtype, because weights are offloaded: all of them, or none."""
        low = [m for m in self._modules if _is_low(m)]
        offloaded = any(p.is_meta for m in low for p in m.parameters())
        return [type(m).__name__ for m in low] if offloaded else []

    @contextmanager
    def in_float32(
        self, begins: bool, few_rows: bool = False, head: Callable[[Tensor], Tensor] | None = None
    ) -> Iterator[None]:
        """In here the modules compute in float32, with the weights that they have now. Inner ones change nothing.

        Args:
            begins: False in a step behind a cache, where only a new version of the weights is looked for; else the
                weights are copied again, so that writes through `weight.data` count too.
            few_rows: whether many passes with few rows follow, for which weights are laid out once more.
            head: called for the head, if not its twin.
        """
        with ExitStack() as stack:
            if not self._active and not self.not_float32:
                stack.enter_context(replaced(self, True, "_active"))
                for k, module in enumerate(self._modules):
                    if head is not None and module is self._head:
                        stack.enter_context(replaced(module, head))
                    elif _is_low(module):
                        twin = self._twins.setdefault(k, _Twin(module))
                        twin.refresh(begins, few_rows)
                        stack.enter_context(replaced(module, twin))
            yield


def _is_low(module: nn.Module) -> bool:
    """Whether it is of another dtype and can be copied in float32: quantised weights cannot."""
    weights = list(module.parameters())
    plain = all(type(p) is nn.Parameter and p.is_floating_point() and p.dtype.itemsize > 1 for p in weights)
    return plain and any(p.dtype != torch.float32 for p in weights)


class _Twin:
    """A float32 copy of a module, out of the state dict; called in place of the module's `forward`."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._copy: nn.Module | None = None
        self._run: Callable[[Tensor], Tensor] | None = None
        self._few: Callable[[Tensor], Tensor] | None = None
        self._version: Version = ()

    @torch.no_grad()
    def refresh(self, begins: bool, few_rows: bool) -> None:
        """Take over the module's weights; without reading their values, so that no device has to be waited for."""
        now = version((*self._module.parameters(), *self._module.buffers()))
        if self._copy is None or now != self._version:
            self._copy, self._version = _float32(self._module), now
            self._run = by_onednn(self._copy) if suits(self._copy) else self._copy.forward
        elif begins:
            for copied, weight in zip(self._copy.parameters(), self._module.parameters(), strict=True):
                copied.copy_(weight)
        self._few = for_few_rows(self._copy) if few_rows and suits(self._copy) else None

    def __call__(self, h: Tensor) -> Tensor:
        assert self._copy is not None
        assert self._run is not None
        h = h.to(next(self._copy.parameters()).device, torch.float32)
        if torch.is_grad_enabled() and any(p.requires_grad for p in self._module.parameters()):
            weights = {name: p.float() for name, p in self._module.named_parameters()}
            out: Tensor = functional_call(self._copy, weights, (h,))  # gradients go to the module's own weights
        elif self._few is not None and not torch.is_grad_enabled() and h.shape[:-1].numel() <= FEW_ROWS:
            out = self._few(h)
        else:
            out = self._run(h)
        return out


def _float32(module: nn.Module) -> nn.Module:
    """A float32 copy without hooks: those of the module itself run around its `forward`."""
    memo: dict[int, object] = {}
    for part in module.modules():
        for name in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"):
            memo[id(getattr(part, name))] = type(getattr(part, name))()
        if hasattr(part, "_hf_hook"):  # accelerate's, which holds tensors
            memo[id(part._hf_hook)] = None
    with torch.inference_mode(False):  # what is made in there could not be written to later
        twin = copy.deepcopy(module, memo).float().requires_grad_(False)
    for part in twin.modules():
        part.__dict__.pop("forward", None)  # a sharding hook would bring its own
    return twin
