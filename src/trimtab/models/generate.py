"""Generation: transformers decides the next token, every step goes through the one forward pass."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.models.plan import Batch, Plan, Steer
from trimtab.models.text import Encoded, collate, grouped

if TYPE_CHECKING:
    from trimtab.models.model import Model

_UNSUPPORTED = ("assistant_model", "prompt_lookup_num_tokens", "inputs_embeds", "prefill_chunk_size")


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
        InputError: an option that this cannot honour, or a prompt that leaves no room in the context.
    """
    for key in _UNSUPPORTED:
        if options.get(key) is not None:
            raise InputError(f"generate does not take {key}")
    longest = max((len(r.ids) for r in rows), default=0)
    if longest + max_new_tokens > model.context_length:
        raise InputError(
            f"a prompt of {longest} tokens and {max_new_tokens} new ones exceed the context of {model.context_length}"
        )
    for s in steers:
        if s.rows not in (1, len(rows)):
            raise InputError(f"{s.rows} strengths or scopes for {len(rows)} prompts")
    out = [""] * len(rows)
    padded = [Encoded(r.ids + (0,) * max_new_tokens, r.prompt_len) for r in rows]
    for group in grouped(padded, model.batch_tokens):
        chosen = [rows[i] for i in group.tolist()]
        own = tuple(s.select(group) if s.rows > 1 else s for s in steers)
        texts = _decode(model, chosen, own, max_new_tokens, seed, options)
        for i, text in zip(group.tolist(), texts, strict=True):
            out[i] = text
    return out


def _decode(
    model: "Model", rows: Sequence[Encoded], steers: tuple[Steer, ...], n: int, seed: int, options: dict[str, Any]
) -> list[str]:
    pad = pad_token(model)
    batch = collate(rows, pad, model.device, side="left")
    settings = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None, "pad_token_id": pad, **options}
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices), model.intercepted(_Step(model, steers, batch)):
        torch.manual_seed(seed)
        ids = model.hf.generate(input_ids=batch.ids, attention_mask=batch.real.long(), max_new_tokens=n, **settings)
    ids = ids if isinstance(ids, Tensor) else ids.sequences
    # several sequences a prompt (num_return_sequences) would not be one text a prompt: take the first, the best
    ids = ids[:: len(ids) // len(rows)]
    new = ids[:, batch.ids.shape[1] :]
    texts: list[str] = model.tokenizer.batch_decode(new, skip_special_tokens=True)
    return texts


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
        trace = self.model.forward(batch, Plan(steers=self.steers, logits="last"), cache)
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


def pad_token(model: "Model") -> int:
    """A token id for padding; which one does not matter, since padding is masked."""
    for name in ("pad_token_id", "eos_token_id", "bos_token_id"):
        value = getattr(model.tokenizer, name, None)
        if value is not None:
            return int(value)
    return 0
