"""What a request asks for, checked, as tokens and edits; the model has not run for it yet."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from trimtab.errors import InputError
from trimtab.interventions import (
    GivenAnswer,
    Request,
    RequestSteering,
    ScoreRequest,
    Steerable,
    ThinkingMarks,
    prompt_prefixes,
)
from trimtab.models import Encoded, Encoder, Model, Steer, ensure_fits, steer
from trimtab.models.conditions import not_met
from trimtab.models.encoding import is_special
from trimtab.models.text import with_prefixes
from trimtab.models.thinking import needed_marks
from trimtab.nearest import meant
from trimtab.serving.engines.grammars import Grammars, GrammarState
from trimtab.serving.engines.packed_steering import PackedSteering
from trimtab.texts import Message, Rendered


@dataclass(frozen=True)
class Prepared:
    """A request that can be run.

    Args:
        row: its prompt, with template and prompt prefix.
        steer: its edits, conditions not decided yet; None without a steering.
        attributes: names of the columns of its strengths.
        grammar: what its answer must follow.
        marks: of the model's thinking, where the scope goes by it.
        left_alone: attributes whose condition the prompt does not meet, once that is decided.
    """

    row: Encoded
    steer: Steer | None
    attributes: tuple[str, ...]
    grammar: GrammarState | None
    marks: ThinkingMarks | None
    left_alone: tuple[str, ...] = ()

    def decided(self, steer: Steer) -> "Prepared":
        """With its conditions decided."""
        assert self.steer is not None
        left = tuple(self.attributes[column] for column in not_met(self.steer, steer))
        return replace(self, steer=steer, left_alone=left)

    def packed(self) -> PackedSteering | None:
        """Its steering in packed passes, once conditions are decided; None without one."""
        if self.steer is None:
            return None
        return PackedSteering(self.steer, self.attributes, self.row.prompt_len, self.marks, self.left_alone)


class Preparation:
    """Prepares requests for one model.

    Args:
        model: with its tokenizer.
        max_length: tokens of prompt and answer together.

    Raises:
        InputError: the model has no tokenizer.
    """

    def __init__(self, model: Model, max_length: int) -> None:
        self._model, self._max_length = model, max_length
        self.encoder = model.encoder()
        ends = getattr(model.hf.generation_config, "eos_token_id", None)
        self.ends: frozenset[int] = frozenset([ends] if isinstance(ends, int) else ends or [])
        self.silent_ends = frozenset(end for end in self.ends if is_special(model.tokenizer, end))
        self._grammars = Grammars(model.tokenizer, sorted(self.ends))

    @cached_property
    def chat_encoder(self) -> Encoder:
        """Of chat turns.

        Raises:
            InputError: the tokenizer has no chat template.
        """
        return self._model.encoder(chat_template=True)

    def of(self, request: Request, steering: Steerable | None) -> Prepared:
        """A request with the steering that it names.

        Raises:
            InputError: see `Engine.submit`.
        """
        strengths = None if steering is None else strengths_of(request.steering, steering)
        prefix = "" if steering is None else prompt_prefixes(steering, strengths)[0]
        row = self._row(request.prompt, prefix)
        most = request.sampling.max_tokens
        if len(row.ids) + most > self._max_length:
            raise InputError(
                f"a prompt of {len(row.ids)} tokens and {most} new ones exceed the {self._max_length} tokens that a "
                "request may have; shorten the prompt or ask for fewer tokens",
                code="out-of-range",
                field="max_tokens" if len(row.ids) < self._max_length else "prompt",
            )
        self._check_sampling(request)
        grammar = request.sampling.grammar
        compiled = None if grammar is None else self._grammars.compiled(grammar)
        if steering is None or request.steering is None:
            return Prepared(row, None, (), compiled, None)
        ensure_fits(steering, self._model)
        edits = steer(steering, strengths, request.steering.scope)
        marks = needed_marks(self._model, [edits])
        if edits.active:
            self.check_sites(steering)
        return Prepared(row, edits, tuple(steering.attributes), compiled, marks)

    def answers(self, request: ScoreRequest, prefix: str) -> list[Encoded]:
        """The texts of a request for scores, as tokens.

        Args:
            request: what is to be scored.
            prefix: text in front of prompts.

        Raises:
            InputError: see `Engine.score`.
        """
        encoder = self.chat_encoder if request.chat_template else self.encoder
        rows = []
        for i, text in enumerate(request.texts):
            if isinstance(text, GivenAnswer):
                front = self._row(text.prompt, prefix)
                self._check_tokens(text.answer, "answer")
                row = Encoded((*front.ids, *text.answer), len(front.ids))
            else:
                (row,) = encoder.encode(with_prefixes([text], [prefix]), any_length=True)
            if len(row.ids) > self._max_length:
                raise InputError(
                    f"text {i + 1} has {len(row.ids)} tokens, which exceed the {self._max_length} that a request may "
                    "have; leave it out",
                    code="out-of-range",
                    field="texts",
                )
            rows.append(row)
        return rows

    def _row(self, prompt: tuple[Any, ...], prefix: str) -> Encoded:
        if all(isinstance(turn, Message) for turn in prompt):
            texts = with_prefixes([Rendered("", "", "", messages=prompt)], [prefix])
            return self.chat_encoder.encode(texts, any_length=True)[0].prompt
        self._check_tokens(prompt, "prompt")
        return self._behind(prefix, prompt) if prefix else Encoded(prompt, len(prompt))

    def _check_tokens(self, tokens: tuple[Any, ...], name: str) -> None:
        size = self._model.vocabulary
        for token in tokens:
            if type(token) is not int or token < 0 or (size is not None and token >= size):
                raise InputError(
                    f"the {name} holds {token!r}, which is no token of {self._model.id}; give token ids of its own "
                    "tokenizer, or chat turns alone",
                    code="out-of-range",
                    field=name,
                )

    def _behind(self, prefix: str, ids: tuple[int, ...]) -> Encoded:
        """Token ids behind a text: tokenized again, together with it, as `Model.generate` does."""
        text = Rendered("", self.encoder.decode(ids), "")
        if self.encoder.encode([text], any_length=True)[0].ids != ids:
            raise InputError(
                "this steering puts text in front of prompts, and these token ids are not what their text is "
                "tokenized to; send chat turns, or the tokens of a plain text with its beginning-of-text token",
                code="unsupported",
                field="prompt",
            )
        return self.encoder.encode(with_prefixes([text], [prefix]), any_length=True)[0].prompt

    def _check_sampling(self, request: Request) -> None:
        size, sampling = self._model.vocabulary, request.sampling
        unknown = [token for token in sampling.logit_bias if token < 0 or (size is not None and token >= size)]
        if unknown:
            raise InputError(
                f"logit_bias names the token {unknown[0]}, which {self._model.id} does not have",
                code="out-of-range",
                field="logit_bias",
            )
        if sampling.seed is not None and not -(1 << 63) <= sampling.seed < 1 << 64:
            raise InputError(
                f"seed {sampling.seed} does not fit 64 bits; give a smaller one", code="out-of-range", field="seed"
            )

    def check_sites(self, steering: Steerable) -> None:
        """Check that the model has a steering's sites, and that its edits are as wide.

        Raises:
            InputError: it has not, or they are not.
        """
        for site, edit in steering.edits.items():
            self._model.anatomy.module(site)
            width, wanted = getattr(edit, "width", None), self._model.anatomy.width(site)
            if width not in (None, wanted):
                raise InputError(
                    f"site {site}: the steering is {width} wide and the model's activations {wanted}; was it made for "
                    "another model?",
                    code="wrong-shape",
                    field="steering",
                )


def strengths_of(asked: RequestSteering | None, steering: Steerable) -> dict[str, float]:
    """A request's strengths in the order of the attributes.

    Raises:
        InputError: an attribute that the steering has not, or one without a strength.
    """
    given = {} if asked is None else dict(asked.strength)
    known = ", ".join(steering.attributes)
    for name in sorted(given.keys() ^ steering.attributes.keys()):
        what = f"unknown attribute {name!r}" if name in given else f"no strength is given for the attribute {name!r}"
        near = meant(name, steering.attributes) if name in given else ""
        raise InputError(
            f"{what}; {near}this steering has {known or 'no attributes'}",
            code="unknown-attribute",
            field=f"strength.{name}",
        )
    return {name: given[name] for name in steering.attributes}
