"""Generation: transformers decides the next token, every step goes through the one forward pass."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.models.batches import in_batches
from trimtab.models.forward import replaced
from trimtab.models.plan import Batch, Plan, Steer
from trimtab.models.text import Encoded, collate, pad_token

if TYPE_CHECKING:
    from trimtab.models.model import Model

_UNSUPPORTED = (
    "assistant_model",
    "cache_implementation",
    "generation_config",
    "inputs_embeds",
    "max_length",
    "past_key_values",
    "prefill_chunk_size",
    "prompt_lookup_num_tokens",
)


def generate(
    model: "Model",
    rows: Sequence[Encoded],
    steers: tuple[Steer, ...],
    max_new_tokens: int,
    seed: int,
    options: dict[str, Any],
) -> list[str]:
    """Continue rows of tokens; results in input order.

    Raises:
        InputError: an option that this cannot honour or that transformers refuses, a number of strengths unlike
            the prompts, or a prompt that leaves no room in the context.
    """
    for key in _UNSUPPORTED:
        if options.get(key) is not None:
            raise InputError(f"generate does not take {key}")
    if options.get("num_return_sequences", 1) != 1:
        raise InputError("generate gives one text a prompt; instead of num_return_sequences repeat the prompt")
    if max_new_tokens < 1:
        raise InputError(f"max_new_tokens is {max_new_tokens}; at least 1 token must be generated")
    longest = max((len(r.ids) for r in rows), default=0)
    if longest + max_new_tokens > model.context_length:
        raise InputError(
            f"a prompt of {longest} tokens and {max_new_tokens} new ones exceed the context of {model.context_length}"
        )
    out = [""] * len(rows)

    def work(group: Tensor, own: tuple[Steer, ...]) -> None:
        texts = _decode(model, [rows[i] for i in group.tolist()], own, max_new_tokens, seed, options)
        for i, text in zip(group.tolist(), texts, strict=True):
            out[i] = text

    in_batches(model, [len(r.ids) for r in rows], steers, work)
    return out


def _decode(
    model: "Model", rows: Sequence[Encoded], steers: tuple[Steer, ...], n: int, seed: int, options: dict[str, Any]
) -> list[str]:
    pad = pad_token(model.tokenizer)
    batch = collate(rows, pad, model.device, side="left")
    if options.get("do_sample"):  # by itself transformers keeps the 50 likeliest tokens only
        options = {"top_k": 0, **options}
    settings = {"pad_token_id": pad, "max_new_tokens": n, "tokenizer": model.tokenizer, **options}
    devices = [model.device] if model.device.type == "cuda" else []
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices))
        stack.enter_context(replaced(model.hf, _plain(model.hf.generation_config), "generation_config"))
        stack.enter_context(model.gate.redirected(_Step(model, steers, batch)))
        torch.manual_seed(seed)
        try:
            ids = model.hf.generate(input_ids=batch.ids, attention_mask=batch.real.long(), **settings)
        except ValueError as error:
            raise InputError(f"generate: {str(error).splitlines()[0]}") from error
    ids = ids if isinstance(ids, Tensor) else ids.sequences
    new = ids[:, batch.ids.shape[1] :]
    texts: list[str] = model.tokenizer.batch_decode(new, skip_special_tokens=True)
    return texts


def _plain(own: Any) -> Any:
    """Greedy decoding with the model's special tokens, and none of its own sampling, penalties or limits."""
    from transformers import GenerationConfig

    special = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")
    return GenerationConfig(do_sample=False, **{key: getattr(own, key, None) for key in special})  # type: ignore[no-untyped-call]


class _Step:
    """One decoding step as transformers calls it."""

    def __init__(self, model: "Model", steers: tuple[Steer, ...], batch: Batch) -> None:
        self.model = model
        self.steers = steers
        self.prompt_len = batch.prompt_len

    def __call__(
        self,
        original: Any,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        past_key_values: Any = None,
        use_cache: bool = True,
        **unused: Any,
    ) -> Any:
        from transformers.modeling_outputs import CausalLMOutputWithPast

        n = len(input_ids)
        if n != len(self.prompt_len):  # beams repeat rows, from the first step on
            self.prompt_len = self.prompt_len.repeat_interleave(n // len(self.prompt_len))
        cache = past_key_values if use_cache else None
        batch = step_batch(input_ids, attention_mask, cache, self.prompt_len)
        self.steers = tuple(s.fit(n, input_ids.device) for s in self.steers)
        trace = self.model.forward(batch, Plan(steers=self.steers, logits="last"), cache, nested=False)
        assert trace.logits is not None
        return CausalLMOutputWithPast(logits=trace.logits[:, None], past_key_values=cache)


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
