"""What has come of an answer so far: texts, tokens, and what the edits did."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from trimtab.interventions import EditSummary, Event, Finish
from trimtab.serving.answering import Part
from trimtab.serving.protocol.answers import ExplainedToken, Finished, TokenLogprob, TopLogprob, Usage
from trimtab.serving.vocabulary import Vocabulary

_LEAST: Final = -9999.0  # nats; stands for minus infinity, which JSON does not have, as in OpenAI's API
_FINISHED: Final[dict[Finish, Finished]] = {"stop": "stop", "length": "length"}


@dataclass
class Edited:
    """Counts over all tokens, and means weighted by the tokens in scope.

    Args:
        selected: tokens in scope.
        touched: how many of them were changed.
        measured: whether the engine says more than which tokens were in scope.
        left_alone: attributes whose condition the prompt does not meet.
    """

    selected: int = 0
    touched: int = 0
    measured: bool = True
    left_alone: tuple[str, ...] = ()
    _gates: dict[str, float] = field(default_factory=dict)  # sums of gate × tokens
    _gated: dict[str, int] = field(default_factory=dict)
    _ratios: float = 0.0

    def add(self, one: EditSummary) -> None:
        """Count the tokens of an event."""
        self.selected += one.selected
        self.touched += one.touched
        self.measured = self.measured and one.measured
        self.left_alone = tuple(dict.fromkeys((*self.left_alone, *one.left_alone)))
        self._ratios += one.edit_size_ratio * one.selected
        for name, gate in one.gates.items():
            self._gates[name] = self._gates.get(name, 0.0) + gate * one.selected
            self._gated[name] = self._gated.get(name, 0) + one.selected

    @property
    def gates(self) -> dict[str, float]:
        """Mean by attribute."""
        return {name: self._gates[name] / n if n else 0.0 for name, n in self._gated.items()}

    @property
    def edit_size_ratio(self) -> float:
        """Mean over the tokens in scope."""
        return self._ratios / self.selected if self.selected else 0.0


@dataclass(frozen=True)
class Piece:
    """What an event adds to a choice."""

    text: str
    tokens: list[int]
    logprobs: list[TokenLogprob]
    explained: list[ExplainedToken]


@dataclass
class Choice:
    """One answer.

    Args:
        index: its number.
        prompt_tokens: before the answer; 0 until the engine says.
        finish: why it ended; None until then.
        tokens: ids of those generated so far.
    """

    index: int
    prompt_tokens: int = 0
    finish: Finished | None = None
    tokens: list[int] = field(default_factory=list)
    _pieces: list[Piece] = field(default_factory=list)

    @property
    def text(self) -> str:
        """So far."""
        return "".join(piece.text for piece in self._pieces)

    @property
    def logprobs(self) -> list[TokenLogprob]:
        """Of all tokens so far."""
        return [one for piece in self._pieces for one in piece.logprobs]

    @property
    def explained(self) -> list[ExplainedToken]:
        """All tokens that were run so far."""
        return [one for piece in self._pieces for one in piece.explained]

    def add(self, event: Event, piece: Piece) -> None:
        """Take in an event."""
        self.tokens += event.tokens
        self.prompt_tokens += event.prompt_tokens or 0
        self.finish = _FINISHED.get(event.finish) if event.finish else None
        self._pieces.append(piece)


class Tally:
    """All choices of an answer, and the unsteered ones beside them.

    Args:
        parts: the engine's requests.
        per_prompt: choices of each prompt.
        logprobs: whether log-probabilities are wanted.
        vocabulary: names tokens; needed for log-probabilities, unless they are named by their ids.
        by_id: whether they are.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        per_prompt: int,
        logprobs: bool,
        vocabulary: Vocabulary | None,
        by_id: bool = False,
    ) -> None:
        self.choices = [Choice(part.index) for part in parts if not part.beside]
        self.beside = [Choice(part.index) for part in parts if part.beside]
        self.edited = Edited()
        self._per_prompt = per_prompt
        self._logprobs = logprobs
        self._vocabulary = vocabulary
        self._by_id = by_id

    def take(self, part: Part, event: Event) -> Piece:
        """Take in an event, and return what it adds to its choice."""
        wanted = self._logprobs and not part.beside
        piece = Piece(event.text, list(event.tokens), self._named(event) if wanted else [], self._explained(event))
        (self.beside if part.beside else self.choices)[part.index].add(event, piece)
        if event.edits is not None:
            self.edited.add(event.edits)
        return piece

    @property
    def usage(self) -> Usage:
        """Tokens of every prompt, once, and of all choices."""
        prompt = sum(choice.prompt_tokens for choice in self.choices[:: self._per_prompt])
        answer = sum(len(choice.tokens) for choice in self.choices)
        return Usage(prompt_tokens=prompt, completion_tokens=answer, total_tokens=prompt + answer)

    def _named(self, event: Event) -> list[TokenLogprob]:
        tops = event.top_logprobs or ({},) * len(event.tokens)
        named = []
        for token, logprob, top in zip(event.tokens, event.logprobs, tops, strict=True):
            others = [self._top(other, value) for other, value in sorted(top.items(), key=lambda item: -item[1])]
            own = self._top(token, logprob)
            named.append(TokenLogprob(token=own.token, logprob=own.logprob, bytes=own.bytes, top_logprobs=others))
        return named

    def _top(self, token: int, logprob: float) -> TopLogprob:
        letters = b"" if self._vocabulary is None else self._vocabulary.letters(token)
        name = f"token_id:{token}" if self._by_id else letters.decode(errors="replace")
        return TopLogprob(token=name, logprob=max(logprob, _LEAST), bytes=list(letters))

    def _explained(self, event: Event) -> list[ExplainedToken]:
        known = self._vocabulary
        return [
            ExplainedToken(
                token=one.token,
                text=None if known is None else known.letters(one.token).decode(errors="replace"),
                selected=one.selected,
                gates=dict(one.gates),
                edit_size_ratio=one.edit_size_ratio,
            )
            for one in event.token_edits
        ]
