"""Somebody calls `model.hf(…)` or `model.hf.generate(…)` inside `with model.steered(…)`: their arguments, our hooks."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.models.blocks import Anatomy
from trimtab.models.forward import edited, replaced
from trimtab.models.plan import Batch, Plan, Steer
from trimtab.models.precision import Tail


class Gate:
    """Tells trimtab's own calls of a Hugging Face model from all others.

    Args:
        hf: the model.
    """

    def __init__(self, hf: Any) -> None:
        self.hf = hf
        self._inside = False

    @contextmanager
    def open(self) -> Iterator[None]:
        """Calls in here go through to the model."""
        was, self._inside = self._inside, True
        try:
            yield
        finally:
            self._inside = was

    @contextmanager
    def redirected(self, instead: Callable[..., Any]) -> Iterator[None]:
        """Calls from outside go to `instead(original, *args, **kwargs)`."""
        original = self.hf.forward

        @wraps(original)  # generate looks at the signature
        def dispatch(*args: Any, **kwargs: Any) -> Any:
            if self._inside:
                return original(*args, **kwargs)
            return instead(original, *args, **kwargs)

        with replaced(self.hf, dispatch):
            yield


class Direct:
    """Steers calls that do not come from trimtab.

    Args:
        gate: of the model.
        anatomy: the parts of the model.
        tail: final norm and head.
        steers: the open `with` blocks, outermost first; read anew at every call.
    """

    def __init__(self, gate: Gate, anatomy: Anatomy, tail: Tail, steers: Sequence[Steer]) -> None:
        self._gate = gate
        self._anatomy = anatomy
        self._tail = tail
        self._steers = steers
        self._prompt_len: Tensor | None = None  # [B]
        self._generating = False

    @contextmanager
    def steering(self) -> Iterator[None]:
        """In here, calls of the model's `forward` and `generate` are steered."""
        generate = self._generating_with(self._gate.hf.generate)
        with self._gate.redirected(self._call), replaced(self._gate.hf, generate, "generate"):
            yield

    def _call(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        named = {**dict(zip(inspect.signature(original).parameters, args, strict=False)), **kwargs}
        ids = named["inputs_embeds"][..., 0] if named.get("input_ids") is None else named["input_ids"]
        mask, cache = named.get("attention_mask"), named.get("past_key_values")
        batch = step_batch(ids, mask, cache, torch.zeros(len(ids), dtype=torch.int64, device=ids.device))
        begins = cache is None or cache.get_seq_length() == 0
        if self._prompt_len is None or (begins and not self._generating):
            self._prompt_len = batch.position[:, -1] + 1  # padding repeats the position of the token before it
        batch = replace(batch, prompt_len=self._prompt_len)
        plan = Plan(steers=tuple(self._steers), logits="all")
        with self._gate.open(), self._tail.raised(begins), edited(self._anatomy, batch, plan) as work:
            out = original(*args, **kwargs)
            work.check()
            return out

    def _generating_with(self, generate: Callable[..., Any]) -> Callable[..., Any]:
        """`generate` with one prompt for all its steps: without a KV cache every step looks like a first one."""

        @wraps(generate)
        def steered(*args: Any, **kwargs: Any) -> Any:
            self._prompt_len, self._generating = None, True
            try:
                return generate(*args, **kwargs)
            finally:
                self._prompt_len, self._generating = None, False

        return steered


def step_batch(ids: Tensor, mask: Tensor | None, cache: Any, prompt_len: Tensor) -> Batch:
    """The batch of one call of the model: new tokens `[B, T]` behind those in the cache.

    Args:
        ids: the new tokens.
        mask: `[B, P + T]` over cached and new tokens; None if none is padding.
        cache: the KV cache with P tokens, or None.
        prompt_len: `[B]` tokens before the answer.

    Raises:
        InputError: a mask of another shape, such as the four-dimensional one of a static cache.
    """
    rows, width = ids.shape
    past = int(cache.get_seq_length()) if cache is not None else 0
    if mask is None:
        mask = torch.ones(rows, past + width, device=ids.device)
    if mask.shape != (rows, past + width):
        raise InputError(
            f"steering needs an attention mask [rows, tokens] = [{rows}, {past + width}], not {list(mask.shape)}; "
            "a static cache is not supported"
        )
    real = mask.bool()
    position = (real.long().cumsum(dim=1) - 1).clamp(min=0)
    return Batch(ids, real[:, past:], position[:, past:], prompt_len, real[:, :past] if past else None)
