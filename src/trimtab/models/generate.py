"""Generation: transformers decides the next token, and calls a model whose blocks are edited."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.models.batches import in_batches
from trimtab.models.conditions import decided
from trimtab.models.decoding import Completion, completion, faithful_streamer
from trimtab.models.encoding import is_special
from trimtab.models.forward import edited_steps, replaced
from trimtab.models.greedy_head import GreedyHead, low_head
from trimtab.models.linear import quick_linears
from trimtab.models.plan import Batch, Steer
from trimtab.models.text import Encoded, collate
from trimtab.models.thinking import needed_marks

if TYPE_CHECKING:
    from trimtab.models.model import Model

_UNSUPPORTED = (  # options that call the model in another order, or with another cache
    "assistant_early_exit",
    "assistant_model",
    "attention_mask",
    "cache_implementation",
    "custom_generate",
    "dola_layers",
    "generation_config",
    "guidance_scale",
    "input_ids",
    "inputs",
    "inputs_embeds",
    "max_length",
    "negative_prompt_attention_mask",
    "negative_prompt_ids",
    "past_key_values",
    "penalty_alpha",
    "position_ids",
    "prefill_chunk_size",
    "prompt_lookup_num_tokens",
    "speculation_type",
    "token_type_ids",
    "use_mtp",
)
_AT_LEAST = {"min_length", "min_new_tokens"}  # which rule out the ends of a text
_GREEDY = _AT_LEAST | {  # options under which the likeliest token is written
    "do_sample",
    "eos_token_id",
    "max_time",
    "num_beams",
    "num_return_sequences",
    "stop_strings",
    "streamer",
    "temperature",
    "top_k",
    "top_p",
}


def generate(
    model: "Model",
    rows: Sequence[Encoded],
    steers: tuple[Steer, ...],
    max_new_tokens: int,
    seed: int,
    options: dict[str, Any],
) -> list[Completion]:
    """Continue rows of tokens; results in input order.

    Raises:
        InputError: an option that is not supported or that transformers refuses, a number of strengths that does
            not match the prompts, a scope by the thinking of a model without marks, or a prompt that leaves no room in
            the context.
    """
    for key in _UNSUPPORTED:
        if options.get(key) is not None:
            raise InputError(f"generate does not take {key}")
    if options.get("num_return_sequences", 1) != 1:
        raise InputError(
            "generate writes one text per prompt; for several, repeat the prompt instead of giving num_return_sequences"
        )
    if needed_marks(model, steers) is not None and _beams(options) > 1:
        raise InputError(
            "the scopes thinking and answer follow one text; leave num_beams at 1", code="unsupported", field="scope"
        )
    check_length(model, rows, max_new_tokens)
    if not -(1 << 63) <= seed < 1 << 64:
        raise InputError(f"seed {seed} does not fit 64 bits; give a smaller one")
    (steers,) = decided(model, rows, [steers])
    if options.get("streamer") is not None:
        options = {**options, "streamer": faithful_streamer(options["streamer"], model.tokenizer)}
    out: dict[int, Completion] = {}

    def work(group: Tensor, edits: tuple[Steer, ...]) -> None:
        some = [rows[i] for i in group.tolist()]
        each = new_tokens(model, some, edits, max_new_tokens, seed, options)
        for i, row, new in zip(group.tolist(), some, each, strict=True):
            out[i] = completion(model.tokenizer, row, new)

    widths = [len(r.ids) for r in rows]
    in_batches(model, widths, steers, work, same_length=len(set(widths)) > 1 and not model.tolerates_padding)
    return [out[i] for i in range(len(rows))]


def check_length(model: "Model", rows: Sequence[Encoded], max_new_tokens: int) -> None:
    """Check that the context has room for prompts and new tokens.

    Raises:
        InputError: it has none, or no token is asked for.
    """
    if max_new_tokens < 1:
        raise InputError(f"max_new_tokens is {max_new_tokens}; at least 1 token must be generated")
    longest = max((len(r.ids) for r in rows), default=0)
    if longest + max_new_tokens > model.context_length:
        raise InputError(
            f"a prompt of {longest} tokens and {max_new_tokens} new ones exceed the context of {model.context_length}"
        )


def new_tokens(
    model: "Model", rows: Sequence[Encoded], steers: tuple[Steer, ...], n: int, seed: int, options: dict[str, Any]
) -> list[list[int]]:
    """The tokens behind each row of one batch, at most `n`, without padding.

    Raises:
        InputError: options that transformers does not take.
    """
    pad = model.pad
    batch = collate(rows, pad, model.device, side="left")
    if options.get("do_sample"):  # by itself transformers keeps the 50 likeliest tokens only
        options = {"top_k": 0, **options}
    whole = _to_come(batch, n).repeated(_beams(options))
    settings = {"pad_token_id": pad, "max_new_tokens": n, "tokenizer": model.tokenizer, **options}
    ends = _ids(options.get("eos_token_id", getattr(model.hf.generation_config, "eos_token_id", None)))
    devices = [model.device] if model.device.type == "cuda" else []
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices))
        stack.enter_context(replaced(model.hf, plain_settings(model.hf.generation_config), "generation_config"))
        stack.enter_context(model.gate.open())
        stack.enter_context(model.positions.in_generation(model.hf))
        stack.enter_context(model.tail.in_float32(begins=True, head=_greedy_head(model, ends, options)))
        stack.enter_context(quick_linears(model.anatomy.heavy_modules))
        marks = needed_marks(model, steers)
        stack.enter_context(edited_steps(model.hf, model.anatomy, whole, steers, batch.ids.shape[1], marks))
        torch.manual_seed(seed)
        try:
            ids = model.hf.generate(input_ids=batch.ids, attention_mask=batch.real.long(), **settings)
        except (ValueError, TypeError, AttributeError) as error:  # options that transformers does not take
            raise InputError(f"generate: {str(error).splitlines()[0]}") from error
    ids = ids if isinstance(ids, Tensor) else ids.sequences
    new: list[list[int]] = ids[:, batch.ids.shape[1] :].tolist()
    stopped = any(options.get(key) is not None for key in ("stop_strings", "stopping_criteria"))
    return [_unpadded(row, ends, pad if stopped else None, model.tokenizer) for row in new]


def _unpadded(row: list[int], ends: set[int], pad: int | None, tokenizer: Any) -> list[int]:
    """A row up to the token that ended it; that one too where it is text. A row that a word ended may have padding."""
    end = next((i for i, token in enumerate(row) if token in ends), None)
    if end is not None:
        return row[: end if is_special(tokenizer, row[end]) else end + 1]
    while row and row[-1] == pad:
        row = row[:-1]
    return row


def _ids(ends: Any) -> set[int]:
    """The tokens that end a text, however they were given."""
    if isinstance(ends, Tensor):
        ends = ends.flatten().tolist()
    return set(ends) if isinstance(ends, Sequence) else set() if ends is None else {ends}


def _greedy_head(model: "Model", ends: set[int], options: dict[str, Any]) -> GreedyHead | None:
    """What finds the likeliest token of float32 for less, where nothing else is asked of the logits."""
    given = {key for key, value in options.items() if value is not None}
    if options.get("do_sample") or _beams(options) > 1 or not given <= _GREEDY or model.device.type != "cpu":
        return None
    head = low_head(model.anatomy.head, model.device)
    if head is None or "forward" in head.__dict__ or not model.anatomy.bare_head or model.tail.not_float32:
        return None
    barred = [e for e in sorted(ends) if 0 <= e < head.out_features] if given & _AT_LEAST else []
    return GreedyHead(head, model.longest_row.of_layer(head), barred)


def _to_come(batch: Batch, n: int) -> Batch:
    """Left-padded prompts with `n` places for the tokens to come."""
    rows = len(batch.ids)
    new = torch.arange(n, device=batch.ids.device).expand(rows, -1)
    return Batch(
        torch.cat([batch.ids, torch.zeros_like(new)], dim=1),
        torch.cat([batch.real, torch.ones_like(new, dtype=torch.bool)], dim=1),
        torch.cat([batch.position, batch.prompt_len[:, None] + new], dim=1),
        batch.prompt_len,
    )


def _beams(options: dict[str, Any]) -> int:
    """How often transformers repeats every row."""
    beams = options.get("num_beams")
    return beams if isinstance(beams, int) and beams > 0 else 1


def plain_settings(own: Any) -> Any:
    """Greedy decoding with the model's special tokens, and none of its own sampling, penalties or limits."""
    from transformers import GenerationConfig

    special = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")
    return GenerationConfig(do_sample=False, **{key: getattr(own, key, None) for key in special})  # type: ignore[no-untyped-call]
