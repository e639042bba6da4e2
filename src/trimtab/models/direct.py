"""Steer the user's own calls of `model.hf(…)` and `model.hf.generate(…)` inside `with model.steered(…)`."""

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
from trimtab.models.eager import eagerly
from trimtab.models.forward import edited, replaced
from trimtab.models.plan import Batch, Plan, Steer
from trimtab.models.positions import Positions
from trimtab.models.precision import Tail

CACHES = ("past_key_values", "cache_params", "state", "mems", "past_buckets_states")


class OwnCallGuard:
    """Tells trimtab's own calls of a Hugging Face model from all others.

    Args:
        hf: the model.
    """

    def __init__(self, hf: Any) -> None:
        self.hf = hf
        self._inside = False

    @property
    def inside(self) -> bool:
        """Whether a call now is trimtab's own."""
        return self._inside

    @contextmanager
    def open(self) -> Iterator[None]:
        """Calls in here go through to the model, which runs eagerly."""
        before, self._inside = self._inside, True
        try:
            with eagerly():
                yield
        finally:
            self._inside = before

    @contextmanager
    def redirected(self, instead: Callable[..., Any]) -> Iterator[None]:
        """Calls from outside go to `instead(original, *args, **kwargs)`, also where the model was compiled."""
        original = self.hf.forward

        @wraps(original)  # generate looks at the signature
        def dispatch(*args: Any, **kwargs: Any) -> Any:
            if self._inside:
                return original(*args, **kwargs)
            return instead(original, *args, **kwargs)

        with replaced(self.hf, dispatch), eagerly():
            yield


class Direct:
    """Steers calls that do not come from trimtab.

    Args:
        gate: of the model.
        anatomy: the parts of the model.
        tail: final norm and head.
        steers: the open `with` blocks, outermost first; read anew at every call.
        positions: how the model numbers tokens.
    """

    def __init__(
        self, gate: OwnCallGuard, anatomy: Anatomy, tail: Tail, steers: Sequence[Steer], positions: Positions
    ) -> None:
        self._gate = gate
        self._anatomy = anatomy
        self._tail = tail
        self._steers = steers
        self._positions = positions
        self._names = list(inspect.signature(type(gate.hf).forward).parameters)[1:]
        self._prompt_len: Tensor | None = None  # [B]
        self._generating = False
        self._real: Tensor | None = None  # [B, P] of the tokens so far
        self._cache: Any = None  # what the last call returned

    @contextmanager
    def steering(self) -> Iterator[None]:
        """In here, calls of the model's `forward` and `generate` are steered."""
        generate = self._generating_with(self._gate.hf.generate)
        with self._gate.redirected(self._call), replaced(self._gate.hf, generate, "generate"):
            yield

    def _call(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        arguments = {**dict(zip(self._names, args, strict=False)), **kwargs}
        ids = arguments["inputs_embeds"][..., 0] if arguments.get("input_ids") is None else arguments["input_ids"]
        cache = next((arguments[name] for name in CACHES if arguments.get(name) is not None), None)
        past = self._past(ids, arguments.get("attention_mask"), cache)
        mask = self._whole_mask(ids, arguments.get("attention_mask"), past)
        batch = step_batch(ids, mask, None, torch.zeros(len(ids), dtype=torch.int64, device=ids.device), past)
        begins = past == 0
        if self._prompt_len is None or (begins and not self._generating):
            self._prompt_len = batch.position[:, -1] + 1  # padding repeats the position of the token before it
        batch = replace(batch, prompt_len=self._prompt_len)
        plan = Plan(steers=tuple(self._steers), logits="all")
        with self._gate.open(), self._tail.in_float32(begins), edited(self._anatomy, batch, plan) as work:
            out = original(*args, **kwargs)
            work.check()
        self._real = batch.real if batch.past is None else torch.cat([batch.past, batch.real], dim=1)
        self._cache = next((c for name in CACHES if (c := _field(out, name)) is not None), None)
        return out

    def _past(self, ids: Tensor, mask: Tensor | None, cache: Any) -> int:
        """Tokens that the model has read before those of this call.

        Caches of keys and values know it. States, as in Mamba and RWKV, do not: in `generate` the steps are counted;
        otherwise the mask says it, or the state is the one that the last call returned.

        Raises:
            InputError: it cannot be known.
        """
        n_cached = _length(cache)
        width, so_far = ids.shape[1], 0 if self._real is None else self._real.shape[1]
        if n_cached:
            return n_cached
        if self._generating:
            return so_far if width <= so_far and (cache is not None or width == 1) else 0
        if cache is None or _fresh(cache):
            return 0
        if mask is not None and mask.ndim == 2 and mask.shape[1] > width:
            return int(mask.shape[1]) - width
        if cache is self._cache:
            return so_far
        raise InputError(
            f"{type(cache).__name__} does not say how many tokens it has read; inside `with model.steered(…)` start "
            "the text over, or pass an attention_mask over all tokens"
        )

    def _whole_mask(self, ids: Tensor, mask: Tensor | None, past: int) -> Tensor | None:
        """The mask over all tokens where a step came with none, or with that of its new tokens only."""
        before = self._real
        if not past or before is None or before.shape != (len(ids), past):
            return mask
        if mask is None or mask.shape == ids.shape:
            return torch.cat([before, torch.ones_like(ids, dtype=torch.bool) if mask is None else mask.bool()], dim=1)
        return mask

    def _generating_with(self, generate: Callable[..., Any]) -> Callable[..., Any]:
        """`generate` with one prompt for all its steps: without a KV cache every step looks like a first one."""

        @wraps(generate)
        def steered(*args: Any, **kwargs: Any) -> Any:
            if self._gate.inside:
                return generate(*args, **kwargs)
            self._forget(generating=True)
            try:
                with self._positions.in_generation(self._gate.hf):
                    return generate(*args, **kwargs)
            finally:
                self._forget(generating=False)

        return steered

    def _forget(self, generating: bool) -> None:
        self._prompt_len, self._real, self._cache, self._generating = None, None, None, generating


def _field(output: Any, name: str) -> Any:
    return output.get(name) if isinstance(output, dict) else getattr(output, name, None)


def _length(cache: Any) -> int:
    """Tokens whose keys and values a cache holds; 0 also where it holds states, which do not say."""
    if not hasattr(cache, "get_seq_length"):
        return 0
    try:
        return int(cache.get_seq_length())
    except ValueError:  # transformers, of a cache without any keys
        return 0


def _fresh(cache: Any) -> bool:
    """Whether a cache has read nothing yet; a state that cannot be asked has."""
    layers = getattr(cache, "layers", None)
    if layers is None:
        return False
    return not any(getattr(layer, "is_initialized", False) or _has_state(layer) for layer in layers)


def _has_state(layer: Any) -> bool:
    state = getattr(layer, "has_previous_state", False)
    return any(state.values()) if isinstance(state, dict) else bool(state)


def step_batch(ids: Tensor, mask: Tensor | None, cache: Any, prompt_len: Tensor, past: int | None = None) -> Batch:
    """The batch of one call of the model: new tokens `[B, T]` behind those in the cache.

    Args:
        ids: the new tokens.
        mask: `[B, P + T]` over cached and new tokens; None if none is padding.
        cache: the KV cache with P tokens, or None.
        prompt_len: `[B]` tokens before the answer.
        past: P, where the cache does not know it.

    Raises:
        InputError: a mask of another shape, such as the four-dimensional one of a static cache.
    """
    rows, width = ids.shape
    if past is None:
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
