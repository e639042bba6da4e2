"""A loaded language model: capture, score, generate and steer, all by one `forward`."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, overload

import torch
from torch import Tensor

from trimtab.errors import InputError, PlanError
from trimtab.interventions import (
    PARTS,
    Place,
    Scopes,
    Site,
    Steerable,
    Strengths,
    checked_scopes,
    prompt_prefixes,
)
from trimtab.models.capture import Captured, Read, capture
from trimtab.models.conditions import decided
from trimtab.models.decoding import Completion
from trimtab.models.direct import Direct, OwnCallGuard
from trimtab.models.encoding import continuable, encoded, rendered
from trimtab.models.fit import ensure_fits
from trimtab.models.forward import run
from trimtab.models.generate import generate
from trimtab.models.greedy_head import LongestRow
from trimtab.models.loaded import ModelParts
from trimtab.models.masks import packs
from trimtab.models.padding import tolerates_padding
from trimtab.models.plan import UNDECIDED, Batch, Plan, Steer, Trace, steer
from trimtab.models.scoring import AnswerScores, logit_differences, score
from trimtab.models.streaming import capture_into
from trimtab.models.text import check_not_one_text, joined, with_prefixes
from trimtab.models.thinking import needed_marks, with_thinking
from trimtab.models.tokens import MAX_TEXTS, TokenActivations, TokenSelection, capture_tokens
from trimtab.storage.atomic import output_path
from trimtab.texts import Rendered


class Model(ModelParts):
    """A decoder language model, its tokenizer, and the parts where activations are read and edited.

    Usually made by `trimtab.load`; models that are already in memory can be wrapped directly.

    Args:
        hf: a transformers decoder language model, put into evaluation mode and left as it is otherwise; what wraps one
            (PEFT, `torch.compile`, DDP) is taken off, and steered all the same when it is called.
        tokenizer: its tokenizer; only needed for text.
        id: how reports name the model.
        revision: commit on the Hub, if it came from there.
        batch_tokens: tokens per batch, padding included; by default what suits the device. Halved when memory runs out.

    Raises:
        InputError: it is not a decoder language model; the message says what it is instead.

    Example:
        >>> import trimtab as tt
        >>> loaded = tt.load("smollm2")
        >>> model = tt.Model(loaded.hf, loaded.tokenizer, id="mine")
        >>> model.id, model.n_blocks
        ('mine', 30)
    """

    def __init__(
        self,
        hf: Any,
        tokenizer: Any = None,
        *,
        id: str = "",
        revision: str | None = None,
        batch_tokens: int | None = None,
    ) -> None:
        super().__init__(hf, tokenizer, id, revision, batch_tokens)
        self._steered: list[Steer] = []
        self._packs: dict[Any, bool] = {}
        self.gate = OwnCallGuard(self.hf)
        self.longest_row = LongestRow()

    @property
    def packs(self) -> bool:
        """Whether one row may hold several texts that begin alike; tried out once per attention implementation."""
        how = getattr(self.hf.config, "_attn_implementation", None)
        if how not in self._packs:
            self._packs[how] = packs(self)
        return self._packs[how]

    @cached_property
    def tolerates_padding(self) -> bool:
        """Whether texts of unequal length may be generated in one batch; tried out once, with a warning if not."""
        return tolerates_padding(self)

    @property
    def open_edits(self) -> tuple[Steer, ...]:
        """Edits of the open `with model.steered(…)`, outermost first."""
        return tuple(self._steered)

    def forward(self, batch: Batch, plan: Plan, cache: Any = None, *, nested: bool = True) -> Trace:
        """The one forward pass: everything else in this class asks it.

        Args:
            batch: rows of tokens.
            plan: what to edit, read and return; edits of an open `with model.steered(…)` come first.
            cache: a transformers KV cache, read and extended in place; None runs without.
            nested: False where the plan already holds the edits of an open `with model.steered(…)`.

        Raises:
            PlanError: the plan contradicts itself or the model.
            InertSteeringError: an active edit selected tokens and never ran.
        """
        if nested:
            plan = replace(plan, steers=(*self._steered, *plan.steers))
        if cache is not None and plan.resume is not None:
            raise PlanError("a pass that resumes from a residual leaves no cache for the blocks below it")
        batch = with_thinking(batch, needed_marks(self, plan.steers))
        # rows of several texts are masked block by block, from the mask of a row without padding
        real = batch.real if batch.text is None else torch.ones_like(batch.real)
        attention = real if batch.past is None else torch.cat([batch.past, real], dim=1)
        arguments = self.positions.arguments(batch.ids, batch.real, batch.position, behind_cache=batch.past is not None)
        inputs = {**arguments, "attention_mask": attention.long(), "use_cache": cache is not None}
        if cache is not None:
            inputs["past_key_values"] = cache
        tail = nullcontext() if plan.logits == "none" else self.tail.in_float32(begins=batch.past is None)
        with torch.no_grad(), self.gate.open(), tail:
            return run(self.anatomy, lambda: self.hf(**inputs), batch, plan)

    def capture(
        self,
        texts: Iterable[str] | Iterable[Rendered],
        sites: Sequence[Place],
        *,
        read: Read = "last",
        chat_template: bool = False,
        steering: Steerable | None = None,
        strength: Strengths = None,
        scope: Scopes = "all",
        into: str | Path | None = None,
    ) -> Captured:
        """Activations of texts at any set of sites, one vector per text, in one pass.

        Args:
            texts: plain texts, or rendered ones with a prompt and an answer; any iterable.
            sites: where to read, each a `Site`, a block such as 14, or text such as `attention:14`.
            read: `last` token of the text, last token of the `prompt`, or `mean` over the answer's tokens
                (a plain text is all answer), without position 0 and without massive activations.
            chat_template: put the text through the tokenizer's chat template.
            steering: edits below or at the sites; a site is read before its own edit.
            strength: see `trimtab.models.steer`.
            scope: which tokens are edited.
            into: a folder that the activations are written to, for more texts than fit into memory; the results are
                then memory-mapped, and an interrupted call continues when it is made again. Unsteered only.

        Returns:
            `activations[Site(14)]`, `[n, d_model]` float32, on the model's device, mapped ones on the CPU.

        Raises:
            InputError: an activation is not finite, a site is out of range, a text too long, the folder unusable.

        Example:
            >>> import trimtab as tt
            >>> model = tt.load("smollm2")
            >>> captured = model.capture(["The sky is blue.", "No."], [14, "attention:14"])
            >>> captured.activations[tt.Site(14)].shape
            torch.Size([2, 576])
        """
        check_not_one_text(texts)
        if into is not None:
            if steering is not None or self.open_edits:
                raise InputError("captures into a folder are unsteered; leave out into=… or the steering")
            return capture_into(self, texts, Site.several(sites), read, self.encoder(chat_template), output_path(into))
        prefixed, steers = self._with_prefixes([rendered(text) for text in texts], steering, strength, scope)
        rows = self.encoder(chat_template).encode(prefixed)
        return capture(self, rows, Site.several(sites), read, *decided(self, rows, [steers]))

    def capture_tokens(
        self,
        texts: Iterable[str] | Iterable[Rendered],
        sites: Sequence[Place],
        *,
        tokens: TokenSelection = "response",
        twins: Sequence[int | None] | None = None,
        drop_identical: bool = False,
        chat_template: bool = False,
        into: str | Path | None = None,
    ) -> TokenActivations:
        """Activations of texts at any set of sites, one vector per token, in one pass; unsteered.

        Args:
            texts: plain texts (all answer), or rendered ones with a prompt and an answer; any iterable.
            sites: as in `capture`.
            tokens: those of the `response`, `all` but position 0, or the `last` of each text; massive activations,
                beyond 10 times the median norm of their text, are left out and counted.
            twins: for each text the index of its counterpart on the other side, or None.
            drop_identical: leave out what a text and its twin begin with: it is the same on both sides.
            chat_template: put the text through the tokenizer's chat template.
            into: a folder, as in `capture`; see `trimtab.models.tokens` for its files.

        Returns:
            `activations[Site(14)]`, `[N, d_model]` in the blocks' dtype; `text[Site(14)]`, `[N]` index of the text a
            token belongs to, and `position[Site(14)]`, `[N]` its place there; all on the CPU.

        Raises:
            InputError: as `capture`; a text without such a token, no token left at a site, twins that do not
                match the texts.

        Example:
            >>> import trimtab as tt
            >>> model = tt.load("smollm2")
            >>> tokens = model.capture_tokens(["The sky is blue.", "No."], [14])
            >>> tokens.text[tt.Site(14)].tolist()
            [0, 0, 0, 0, 0, 1, 1]
        """
        check_not_one_text(texts)
        rows = encoded(texts, self.encoder(chat_template), MAX_TEXTS)
        folder = None if into is None else output_path(into)
        return capture_tokens(
            self, rows, Site.several(sites), tokens, folder, twins=twins, drop_identical=drop_identical
        )

    def score(
        self,
        prompts: Sequence[str],
        answers: Sequence[str],
        *,
        chat_template: bool = False,
        steering: Steerable | None = None,
        strength: Strengths = None,
        scope: Scopes = "all",
    ) -> AnswerScores:
        """Log-probability of each answer after its prompt, in nats, as sum and as mean per token.

        Args:
            prompts: one per answer.
            answers: continuations, joined to their prompts as they stand; after an empty prompt all of it is scored.
            chat_template: put the prompt into a user turn, the answer into the assistant's.
            steering: edits to score under.
            strength: see `trimtab.models.steer`.
            scope: which tokens are edited.

        Raises:
            InputError: lists of unequal length, an answer without tokens, a text that is too long.

        Example:
            >>> import trimtab as tt
            >>> model = tt.load("smollm2")
            >>> scores = model.score(["The sky is"] * 2, [" blue.", " a spoon."])
            >>> bool(scores.mean[0] > scores.mean[1])
            True
        """
        texts, steers = self._with_prefixes(joined(prompts, answers), steering, strength, scope)
        return score(self, self.encoder(chat_template).encode(texts), steers)

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
            InputError: one answer is the beginning of the other, or lists of unequal length.
        """
        encode = self.encoder(chat_template).encode
        plus, steers = self._with_prefixes(joined(prompts, positives), steering, strength, scope)
        minus, _ = self._with_prefixes(joined(prompts, negatives), steering, strength, scope)
        return logit_differences(self, encode(plus), encode(minus), steers)

    @overload
    def generate(self, prompts: str | Rendered, *, details: Literal[True], **options: Any) -> Completion: ...
    @overload
    def generate(
        self, prompts: Sequence[str] | Sequence[Rendered], *, details: Literal[True], **options: Any
    ) -> list[Completion]: ...
    @overload
    def generate(self, prompts: str | Rendered, **options: Any) -> str: ...
    @overload
    def generate(self, prompts: Sequence[str] | Sequence[Rendered], **options: Any) -> list[str]: ...
    def generate(
        self,
        prompts: str | Rendered | Sequence[str] | Sequence[Rendered],
        *,
        steering: Steerable | None = None,
        strength: Strengths = None,
        scope: Scopes = "all",
        chat_template: bool = False,
        max_new_tokens: int = 64,
        seed: int = 0,
        details: bool = False,
        **options: Any,
    ) -> str | Completion | list[str] | list[Completion]:
        """Continue prompts; text in, text out, a list in, a list out.

        Args:
            prompts: one or several; rendered ones carry the turns of a chat, or an answer's beginning.
            steering: edits to generate under.
            strength: one for all prompts or a list, one per prompt; see `trimtab.models.steer`.
            scope: one for all prompts or a list; `thinking` and `answer` need `thinking_marks` and no beams.
            chat_template: put each prompt into a user turn.
            max_new_tokens: at most so many tokens are added.
            seed: for sampling.
            details: give the tokens with the texts, to be scored as they were written.
            options: handed to transformers' `generate`, such as `do_sample`, `temperature`, `num_beams`,
                `use_cache`. Greedy by default, and sampling is from all tokens, whatever the model's own generation
                settings are.

        Returns:
            The continuation without the prompt: prompt and continuation together are the text that all tokens have.

        Example:
            >>> import trimtab as tt
            >>> model = tt.load("smollm2")
            >>> model.generate("1, 2, 3, 4, 5,", max_new_tokens=5)
            ' 6, 7'
        """
        one = isinstance(prompts, str | Rendered)
        beginnings = [continuable(t) for t in ([prompts] if isinstance(prompts, str | Rendered) else prompts)]
        texts, steers = self._with_prefixes(beginnings, steering, strength, scope)
        rows = [row.prompt for row in self.encoder(chat_template).encode(texts)]
        result = generate(self, rows, steers, max_new_tokens, seed, options)
        if details:
            return result[0] if one else result
        return result[0].text if one else [c.text for c in result]

    @contextmanager
    def steered(self, steering: Steerable, strength: Strengths = None, scope: Scopes = "all") -> Iterator["Model"]:
        """Everything inside is steered, `model.hf(…)` and `model.hf.generate(…)` included. Nests in order.

        In `model.hf.generate(…)` the prompt is what it is given; in calls of `model.hf(…)` it is what the last
        call with an empty cache, or without one, held. Their logits are float32 in here, as all of trimtab's.

        Example:
            >>> import trimtab as tt
            >>> import torch
            >>> model = tt.load("smollm2")
            >>> steering = tt.Steering.from_vector(14, torch.ones(model.d_model))
            >>> with model.steered(steering, 2.0):
            ...     ids = model.hf.generate(**model.tokenizer("The sky", return_tensors="pt"), max_new_tokens=3)
            >>> ids.shape
            torch.Size([1, 5])
        """
        if steering.conditions or steering.prompts:
            raise InputError(UNDECIDED)
        if PARTS.keys() & set(checked_scopes(scope)):
            raise InputError(
                "calls of the model's own do not say which tokens they follow; give the scopes thinking and answer to "
                "generate or score",
                code="unsupported",
                field="scope",
            )
        self._steered += self._steers(steering, strength, scope)
        try:
            direct = Direct(self.gate, self.anatomy, self.tail, self._steered, self.positions)
            with direct.steering() if len(self._steered) == 1 else nullcontext():
                yield self
        finally:
            self._steered.pop()

    def _with_prefixes(
        self, texts: Sequence[Rendered], steering: Steerable | None, strength: Strengths, scope: Scopes
    ) -> tuple[list[Rendered], tuple[Steer, ...]]:
        """Texts with what the steering puts in front of them, and its edits."""
        steers = self._steers(steering, strength, scope)
        if steering is None:
            return list(texts), steers
        return with_prefixes(texts, prompt_prefixes(steering, strength)), steers

    def _steers(self, steering: Steerable | None, strength: Strengths, scope: Scopes) -> tuple[Steer, ...]:
        if steering is None:
            if strength is not None:
                raise InputError("a strength without a steering has no effect; give steering=… too")
            return ()
        ensure_fits(steering, self)
        steers = (steer(steering, strength, scope),)
        needed_marks(self, steers)
        return steers
