"""What contenders of `../generation.py` share: a plain generation, the clock inside hooks, and runs that alternate.

A job holds `folder`, `dtype`, `block`, `prompts` (without the beginning-of-text token) and `tokens`. Every variant
goes from text to text. What a library needs only once for many generations (applying a vector, wrapping a block) is
not timed.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from time import perf_counter
from typing import Any

FIRST = "<|im_start|>"  # the model's beginning-of-text token
Texts = list[str]
Variant = tuple[Callable[[], AbstractContextManager[Any]], Callable[[], Texts]]


class Clock:
    """Counts hooks as they run and the seconds inside them.

    Two calls of `perf_counter` around a hook cost some 0.1 µs; a profiler would slow down every operation. On a CPU
    operations end before the call returns, so this is all of a hook's time. It sees every hook that is registered while
    it is installed, by whatever library; an edit that is no hook it does not see.
    """

    def __init__(self) -> None:
        self.seconds, self.calls = 0.0, 0

    def install(self) -> None:
        """From now on `register_forward_hook` and `register_forward_pre_hook` of every module register timed hooks."""
        from torch import nn

        for name in ("register_forward_hook", "register_forward_pre_hook"):
            setattr(nn.Module, name, self._registering(getattr(nn.Module, name)))

    def _registering(self, register: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(register)
        def registering(module: Any, hook: Callable[..., Any], **options: Any) -> Any:
            return register(module, self._timed(hook), **options)

        return registering

    def _timed(self, hook: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = perf_counter()
            out = hook(*args, **kwargs)
            self.seconds += perf_counter() - start
            self.calls += 1
            return out

        return timed


class Plain:
    """transformers' own greedy `generate`.

    Args:
        model: a transformers model.
        tokenizer: of `models.load`; padded on the left from now on.
        job: see the module.
    """

    def __init__(self, model: Any, tokenizer: Any, job: dict[str, Any]) -> None:
        tokenizer.padding_side = "left"
        self.tokenizer = tokenizer
        self.prompts = [FIRST + prompt for prompt in job["prompts"]]
        n = job["tokens"]
        pad = tokenizer.pad_token_id
        self.options = {"max_new_tokens": n, "min_new_tokens": n, "do_sample": False, "pad_token_id": pad}
        self.generate = model.generate

    def inputs(self) -> dict[str, Any]:
        """Token ids and attention mask of the prompts."""
        made = self.tokenizer(self.prompts, padding=True, return_tensors="pt")
        return {key: made[key] for key in ("input_ids", "attention_mask")}

    def __call__(self, generate: Callable[..., Any] | None = None) -> Texts:
        """Continuations by `generate` (the model's own by default)."""
        inputs = self.inputs()
        out = (generate or self.generate)(**inputs, **self.options)
        texts: Texts = self.tokenizer.batch_decode(out[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        return texts


def paired(variants: dict[str, Variant], clock: Clock) -> tuple[Any, Callable[[], dict[str, Any]]]:
    """The result, texts and calls of hooks by variant, and a run: seconds, and seconds in hooks, of every variant."""
    texts, calls = {}, {}
    for name, (within, work) in variants.items():
        with within():
            before = clock.calls
            texts[name] = work()
            calls[name] = clock.calls - before
    turn = 0

    def run() -> dict[str, Any]:
        nonlocal turn
        turn += 1
        taken, inside = {}, {}
        for name in list(variants)[:: 1 if turn % 2 else -1]:
            within, work = variants[name]
            with within():
                before, start = clock.seconds, perf_counter()
                work()
                taken[name], inside[name] = perf_counter() - start, clock.seconds - before
        return {"taken": taken, "inside": inside}

    return {"texts": texts, "calls": calls}, run
