"""Behaviors meet the model: propensities of examples, and activations under a prompt type."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from trimtab.behaviors import Behavior, Example, PromptType, Side, render, render_bare, shared_statement
from trimtab.errors import InputError
from trimtab.interventions import Site
from trimtab.models import Captured, Encoded, Model
from trimtab.models.capture import Read, capture
from trimtab.models.encoding import special_tokens
from trimtab.models.scoring import Variant, choice_variants, score_variants
from trimtab.models.text import fork
from trimtab.phrases import Phrase, with_commas
from trimtab.texts import Rendered

Floats = NDArray[np.float64]
SIDES: tuple[Side, Side] = ("positive", "negative")


@dataclass(frozen=True)
class Propensity:
    """How likely the model finds either answer of n examples.

    Args:
        positive: `[n]` nats per token of the positive answer; for choices nats of the first token that differs.
        negative: `[n]` the same of the negative answer. For choices the difference of the two is that of their logits.
        total_positive: `[n]` nats, the sum over the answer; for choices as `positive`.
        total_negative: `[n]` likewise.
    """

    positive: Floats
    negative: Floats
    total_positive: Floats
    total_negative: Floats

    @property
    def m(self) -> Floats:
        """`[n]` the propensity m(x), nats per token or logits."""
        return self.positive - self.negative

    @staticmethod
    def together(some: Sequence["Propensity"]) -> "Propensity":
        """Of the examples of all, one after the other."""
        return Propensity(*(np.concatenate([getattr(p, f.name) for p in some]) for f in fields(Propensity)))

    def __getitem__(self, rows: slice) -> "Propensity":
        return Propensity(
            self.positive[rows], self.negative[rows], self.total_positive[rows], self.total_negative[rows]
        )


@dataclass(frozen=True)
class Treatment:
    """What texts are measured under.

    Args:
        steers: edits.
        prompt_prefix: text in front of every text.
    """

    steers: Variant = ()
    prompt_prefix: str = ""


def by_prompt_prefix(treatments: Sequence[Treatment]) -> Iterator[tuple[str, list[int]]]:
    """Treatments that may share a pass: each prompt prefix, and the indices of the treatments that have it."""
    for prompt_prefix in dict.fromkeys(t.prompt_prefix for t in treatments):
        yield prompt_prefix, [i for i, t in enumerate(treatments) if t.prompt_prefix == prompt_prefix]


@dataclass(frozen=True)
class Instrument:
    """A model and the way a behavior is presented to it.

    Args:
        model: the language model.
        behavior: its answer kind decides what a propensity is.
        chat_template: whether texts go through the tokenizer's chat template.
        read: `last` token of the answer, or `mean` over it, for prefilled types.
    """

    model: Model
    behavior: Behavior
    chat_template: bool
    read: Literal["last", "mean"]

    @property
    def unit(self) -> Phrase:
        """Unit of propensities and effects."""
        return Phrase("logits") if self.behavior.answer_kind == "choice" else Phrase("nats/token")

    def encode(self, texts: Sequence[Rendered]) -> list[Encoded]:
        """Token rows of rendered texts."""
        return self.model.encoder(self.chat_template).encode(texts)

    def notes(self, examples: Sequence[Example]) -> list[Phrase]:
        """Notes on what the chat template changes in the texts, and on letters that the tokenizer misreads."""
        encoder, tokenizer = self.model.encoder(self.chat_template), self.model.tokenizer
        texts = [render_bare(e, side) for e in examples for side in SIDES]
        rows = encoder.encode(texts)
        notes, n = list(encoder.notes), len(texts)
        unknown = getattr(tokenizer, "unk_token_id", None)
        lost = 0 if unknown is None else sum(unknown in row.ids[1:] for row in rows)
        if lost:
            notes.append(
                Phrase(
                    "{lost} of {n} texts hold letters that the tokenizer does not know ({token})",
                    lost=lost,
                    n=n,
                    token=tokenizer.unk_token,
                )
            )
        names = special_tokens(tokenizer)
        special = [[name for name in names if name in _words(e)] for e in examples]
        if any(special):
            listed = with_commas([repr(name) for name in dict.fromkeys(name for row in special for name in row)])
            notes.append(
                Phrase(
                    "{some} of {n} rows hold {tokens}, which the tokenizer reads as special tokens, not as letters",
                    some=sum(map(bool, special)),
                    n=len(examples),
                    tokens=listed,
                )
            )
        return notes

    def fitting(self, examples: Sequence[Example], context: str = "") -> list[bool]:
        """Whether both evaluation texts of each example fit into the model's context, behind `context`."""
        encoder = self.model.encoder(self.chat_template)
        sides = [encoder.fits([render_bare(e, side, context) for e in examples]) for side in SIDES]
        return [plus and minus for plus, minus in zip(*sides, strict=True)]

    def bare(self, examples: Sequence[Example], context: str = "") -> tuple[list[Encoded], list[Encoded]]:
        """Token rows of the evaluation texts, positive and negative, behind a context such as an instruction.

        Raises:
            InputError: a text is longer than the model's context; names the example.
        """
        texts = [[render_bare(e, side, context) for e in examples] for side in SIDES]
        try:
            return self.encode(texts[0]), self.encode(texts[1])
        except InputError:
            for e in examples:  # name the example
                for side in SIDES:
                    try:
                        self.encode([render_bare(e, side, context)])
                    except InputError as error:
                        raise error.at(e.source or e.prompt[:40]) from error
            raise

    def scorable(self, examples: Sequence[Example]) -> list[bool]:
        """Whether both answers leave tokens to score: a bare statement of three tokens leaves none."""
        return [self._can_score(p, n) for p, n in zip(*self.bare(examples), strict=True)]

    def _can_score(self, plus: Encoded, minus: Encoded) -> bool:
        if self.behavior.answer_kind == "text":
            return len(plus.ids) > plus.prompt_len and len(minus.ids) > minus.prompt_len
        try:
            fork(plus, minus)
        except InputError:
            return False
        return True

    def readable(self, examples: Sequence[Example]) -> list[bool]:
        """Whether both prefilled contexts of each example leave answer tokens to read."""
        if self.read == "last":
            return [True] * len(examples)
        sides = self.contexts(examples, (), PromptType.PREFILLED)
        return [all(len(row.ids) > max(row.prompt_len, 1) for row in pair) for pair in zip(*sides, strict=True)]

    def propensity(self, examples: Sequence[Example], treatment: Treatment | None = None) -> Propensity:
        """Score the bare evaluation texts of examples, as they are or treated."""
        return self.propensities(examples, [treatment or Treatment()])[0]

    def propensities(
        self, examples: Sequence[Example], treatments: Sequence[Treatment], context: str = ""
    ) -> list[Propensity]:
        """The same under several treatments, and behind a context."""
        by_index: dict[int, Propensity] = {}
        for prompt_prefix, same in by_prompt_prefix(treatments):
            measured = self._propensities(examples, [treatments[i].steers for i in same], context + prompt_prefix)
            by_index |= dict(zip(same, measured, strict=True))
        return [by_index[i] for i in range(len(treatments))]

    def _propensities(self, examples: Sequence[Example], variants: Sequence[Variant], context: str) -> list[Propensity]:
        plus, minus = self.bare(examples, context)
        n = len(examples)
        if self.behavior.answer_kind == "choice":
            pairs = [_array(both) for both in choice_variants(self.model, plus, minus, variants)]
            return [Propensity(p, q, p, q) for p, q in (both.T for both in pairs)]
        scores = score_variants(self.model, plus + minus, variants)
        sums = [(_array(s.mean), _array(s.total)) for s in scores]
        return [Propensity(mean[:n], mean[n:], total[:n], total[n:]) for mean, total in sums]

    def contexts(
        self, examples: Sequence[Example], shots: Sequence[Example], prompt_type: PromptType
    ) -> tuple[list[Encoded], list[Encoded]]:
        """Token rows of both contexts of every example under a prompt type, cut where they are read."""
        chosen = examples if prompt_type.prefilled else shared_statement(self.behavior, examples)
        plus, minus = (
            self.encode([render(self.behavior, e, side, prompt_type, shots) for e in chosen]) for side in SIDES
        )
        if self.behavior.bare and not prompt_type.prefilled:
            return [r.prompt for r in plus], [r.prompt for r in minus]
        return plus, minus

    def activations(
        self,
        examples: Sequence[Example],
        shots: Sequence[Example],
        prompt_type: PromptType,
        sites: Sequence[Site],
        last_tokens: int | None = None,
    ) -> Captured:
        """Activations of both contexts of every example at the sites: first the n positive, then the n negative.

        Args:
            examples: which.
            shots: solved examples in front, for the prompt types that have them.
            prompt_type: how an example is put to the model.
            sites: where to read.
            last_tokens: read the mean over so many tokens at the end, of the answer where there is one, else of the
                prompt; None for what this instrument reads.
        """
        plus, minus = self.contexts(examples, shots, prompt_type)
        if last_tokens is not None:
            ends = [_ending(row, last_tokens, prompt_type.prefilled) for row in plus + minus]
            return capture(self.model, ends, sites, "mean")
        read: Read = self.read if prompt_type.prefilled else "last"
        return capture(self.model, plus + minus, sites, read)


def _ending(row: Encoded, n: int, prefilled: bool) -> Encoded:
    """The row as a text whose last n tokens are its answer: of its own answer if it has one, but always the last."""
    length, begins = len(row.ids), row.prompt_len if prefilled else 1
    return Encoded(row.ids, min(max(begins, length - n), length - 1))


def _words(e: Example) -> str:
    """All text of a row."""
    return "\n".join([e.prompt, e.positive, e.negative, *(turn.content for turn in e.messages)])


def _array(values: Tensor) -> Floats:
    return values.double().cpu().numpy()
