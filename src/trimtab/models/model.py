"""A loaded language model: capture, score, generate and steer, all thin faces on one `forward`."""

import hashlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, wraps
from typing import Any, overload

import torch
from torch import Tensor

from trimtab.behaviors.prompt_types import Rendered
from trimtab.errors import InputError
from trimtab.models.blocks import dissect
from trimtab.models.capture import Captured, Read, capture
from trimtab.models.forward import edited, replaced, run
from trimtab.models.generate import generate, step_batch
from trimtab.models.plan import Batch, Plan, Scope, Steer, Steerable, Strength, Trace, steer
from trimtab.models.precision import raise_tail_to_float32
from trimtab.models.scoring import Scores, logit_differences, score
from trimtab.models.sites import Site
from trimtab.models.text import Encoder

Strengths = Strength | Sequence[Strength] | None
Scopes = Scope | Sequence[Scope]


class Model:
    """A decoder language model, its tokenizer, and the parts where activations are read and edited.

    Usually made by `trimtab.load`; models that are already in memory can be wrapped directly.

    Args:
        hf: a transformers decoder language model; its final norm and head are raised to float32 in place.
        tokenizer: its tokenizer; only needed for text.
        id: how reports name the model.
        revision: commit on the Hub, if it came from there.
        batch_tokens: tokens per batch, padding included.
    """

    def __init__(
        self, hf: Any, tokenizer: Any = None, *, id: str = "", revision: str | None = None, batch_tokens: int = 4096
    ) -> None:
        self.hf = hf.eval()
        self.tokenizer = tokenizer
        self.id = id or type(hf).__name__
        self.revision = revision
        self.batch_tokens = batch_tokens
        self.anatomy = dissect(hf)
        self.not_float32 = raise_tail_to_float32(self.anatomy)
        self._takes_positions = "position_ids" in inspect.signature(hf.forward).parameters
        self._steered: list[Steer] = []
        self._inside = False

    @property
    def n_blocks(self) -> int:
        """Number of decoder blocks."""
        return len(self.anatomy.blocks)

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return self.anatomy.d_model

    @property
    def dtype(self) -> torch.dtype:
        """dtype of the blocks."""
        return next(self.anatomy.blocks[0].parameters()).dtype

    @property
    def device(self) -> torch.device:
        """Where token ids go: the device of the input embedding."""
        device: torch.device = self.hf.get_input_embeddings().weight.device
        return device

    @property
    def context_length(self) -> int:
        """Tokens that fit into the model's context."""
        config = self.hf.config.get_text_config()
        for key in ("max_position_embeddings", "n_positions", "seq_length"):
            if isinstance(getattr(config, key, None), int):
                return int(getattr(config, key))
        limit = getattr(self.tokenizer, "model_max_length", 1 << 30)
        return int(min(limit, 1 << 30))

    @cached_property
    def digest(self) -> str:
        """SHA-256 over names, shapes and values of all weights, taken as bfloat16.

        The rounding makes it the same whether the model was loaded in float32 or bfloat16.
        """
        seen = hashlib.sha256()
        for name, tensor in sorted(self.hf.state_dict().items()):
            seen.update(f"{name}{list(tensor.shape)}".encode())
            if not tensor.is_meta:
                values = tensor.detach().to("cpu", torch.bfloat16).contiguous().view(torch.uint8)
                seen.update(values.numpy().data)
        return seen.hexdigest()

    def encoder(self, chat_template: bool = False) -> Encoder:
        """Text to token ids for this model.

        Raises:
            InputError: the model has no tokenizer, or no chat template though one is asked for.
        """
        if self.tokenizer is None:
            raise InputError("this model was wrapped without a tokenizer; give Model(hf, tokenizer)")
        return Encoder(self.tokenizer, self.context_length, chat_template)

    def forward(self, batch: Batch, plan: Plan, cache: Any = None) -> Trace:
        """The one forward pass: everything else in this class asks it.

        Args:
            batch: rows of tokens.
            plan: what to edit, read and return; edits of an open `with model.steered(…)` come first.
            cache: a transformers KV cache, read and extended in place; None runs without.

        Raises:
            PlanError: the plan contradicts itself or the model.
            InertSteeringError: an active edit selected tokens and never ran.
        """
        plan = replace(plan, steers=(*self._steered, *plan.steers))
        attention = batch.real if batch.past is None else torch.cat([batch.past, batch.real], dim=1)
        inputs = {"input_ids": batch.ids, "attention_mask": attention.long(), "use_cache": cache is not None}
        if self._takes_positions:
            inputs["position_ids"] = batch.position
        if cache is not None:
            inputs["past_key_values"] = cache

        def call() -> Any:
            was, self._inside = self._inside, True
            try:
                return self.hf(**inputs)
            finally:
                self._inside = was

        with torch.no_grad():
            return run(self.anatomy, call, batch, plan)

    def capture(
        self,
        texts: Sequence[str] | Sequence[Rendered],
        sites: Sequence[Site],
        *,
        read: Read = "last",
        chat_template: bool = False,
        steering: Steerable | None = None,
        strength: Strengths = None,
        scope: Scopes = "all",
    ) -> Captured:
        """Activations of texts at any set of sites, one vector per text, in one pass.

        Args:
            texts: plain texts, or rendered ones with a prompt and an answer.
            sites: where to read.
            read: `last` token of the text, last token of the `prompt`, or `mean` over the answer's tokens
                (for plain texts over all tokens), without position 0 and without massive activations.
            chat_template: put the text through the tokenizer's chat template.
            steering: edits below or at the sites; a site is read before its own edit.
            strength: see `trimtab.models.steer`.
            scope: which tokens are edited.

        Returns:
            `activations[site]` of shape `[n, d_model]`, float32, on the model's device.

        Raises:
            InputError: an activation is NaN or infinite, a site is out of range, a text is too long.
        """
        rendered = [t if isinstance(t, Rendered) else Rendered("", "", t) for t in texts]
        rows = self.encoder(chat_template).encode(rendered)
        if read == "mean" and texts and isinstance(texts[0], str):
            rows = [replace(row, prompt_len=1) for row in rows]
        return capture(self, rows, sites, read, self._steers(steering, strength, scope))

    def score(
        self,
        prompts: Sequence[str],
        answers: Sequence[str],
        *,
        chat_template: bool = False,
        steering: Steerable | None = None,
        strength: Strengths = None,
        scope: Scopes = "all",
    ) -> Scores:
        """Log-probability of each answer after its prompt, in nats, as sum and as mean per token.

        Args:
            prompts: one per answer.
            answers: continuations, joined to their prompts as they stand.
            chat_template: put the prompt into a user turn, the answer into the assistant's.
            steering: edits to score under.
            strength: see `trimtab.models.steer`.
            scope: which tokens are edited.

        Raises:
            InputError: lists of unlike length, an answer without tokens, a text that is too long.
        """
        texts = [Rendered("", p, a) for p, a in zip(prompts, answers, strict=True)]
        rows = self.encoder(chat_template).encode(texts)
        return score(self, rows, self._steers(steering, strength, scope))

    def logit_differences(
        self,
        prompts: Sequence[str],
        positives: Sequence[str],
        negatives: Sequence[str],
        *,
        chat_template: bool = False,
        steering: Steerable | None = None,
        strength: Strengths = None,
        scope: Scopes = "all",
    ) -> Tensor:
        """Logit of the positive minus that of the negative answer, where the two first differ: `[n]`, in logits.

        Raises:
            InputError: one answer is the beginning of the other.
        """
        encode = self.encoder(chat_template).encode
        plus = encode([Rendered("", p, a) for p, a in zip(prompts, positives, strict=True)])
        minus = encode([Rendered("", p, a) for p, a in zip(prompts, negatives, strict=True)])
        return logit_differences(self, plus, minus, self._steers(steering, strength, scope))

    @overload
    def generate(self, prompts: str, **options: Any) -> str: ...
    @overload
    def generate(self, prompts: Sequence[str], **options: Any) -> list[str]: ...
    def generate(
        self,
        prompts: str | Sequence[str],
        *,
        steering: Steerable | None = None,
        strength: Strengths = None,
        scope: Scopes = "all",
        chat_template: bool = False,
        max_new_tokens: int = 64,
        seed: int = 0,
        **options: Any,
    ) -> str | list[str]:
        """Continue prompts; text in, text out, a list in, a list out.

        Args:
            prompts: one or several.
            steering: edits to generate under.
            strength: one for all prompts or a list, one per prompt; see `trimtab.models.steer`.
            scope: one for all prompts or a list.
            chat_template: put each prompt into a user turn.
            max_new_tokens: at most so many tokens are added.
            seed: for sampling.
            options: handed to transformers' `generate`, such as `do_sample`, `temperature`, `num_beams`,
                `use_cache`. Greedy by default, whatever the model's own generation settings are.

        Returns:
            The continuation without the prompt.
        """
        texts = [prompts] if isinstance(prompts, str) else list(prompts)
        steers = self._steers(steering, strength, scope)
        rows = [row.prompt for row in self.encoder(chat_template).encode([Rendered("", t, "") for t in texts])]
        out = generate(self, rows, steers, max_new_tokens, seed, options)
        return out[0] if isinstance(prompts, str) else out

    @contextmanager
    def steered(self, steering: Steerable, strength: Strengths = None, scope: Scopes = "all") -> Iterator["Model"]:
        """Everything inside is steered, `model.hf(…)` and `model.hf.generate(…)` included. Nests in order.

        In direct calls of `model.hf` the prompt is what the first call without a cache holds.
        """
        self._steered.append(steer(steering, strength, scope))
        try:
            if len(self._steered) > 1:
                yield self
            else:
                with self.intercepted(_Direct(self)):
                    yield self
        finally:
            self._steered.pop()

    @contextmanager
    def intercepted(self, instead: Callable[..., Any]) -> Iterator[None]:
        """Calls of `hf` from outside go to `instead(original, *args, **kwargs)`; those of `forward` go through."""
        original = self.hf.forward

        @wraps(original)  # generate looks at the signature
        def dispatch(*args: Any, **kwargs: Any) -> Any:
            if self._inside:
                return original(*args, **kwargs)
            return instead(original, *args, **kwargs)

        with replaced(self.hf, dispatch):
            yield

    def _steers(self, steering: Steerable | None, strength: Strengths, scope: Scopes) -> tuple[Steer, ...]:
        if steering is None:
            if strength is not None:
                raise InputError("a strength without a steering has no effect; give steering=… too")
            return ()
        return (steer(steering, strength, scope),)


class _Direct:
    """Somebody calls `model.hf(…)` inside `with model.steered(…)`: their arguments, our hooks."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.prompt_len: Tensor | None = None

    def __call__(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        model = self.model
        named = {**dict(zip(inspect.signature(original).parameters, args, strict=False)), **kwargs}
        ids = named["inputs_embeds"][..., 0] if named.get("input_ids") is None else named["input_ids"]
        mask, cache = named.get("attention_mask"), named.get("past_key_values")
        if cache is None or cache.get_seq_length() == 0 or self.prompt_len is None:
            self.prompt_len = torch.full((len(ids),), ids.shape[1], device=ids.device)
            self.prompt_len = step_batch(ids, mask, None, self.prompt_len).real.sum(dim=1)
        batch = step_batch(ids, mask, cache, self.prompt_len)
        model._inside = True
        try:
            with edited(model.anatomy, batch, Plan(steers=tuple(model._steered), logits="all")) as work:
                out = original(*args, **kwargs)
                work.check()
                return out
        finally:
            model._inside = False
