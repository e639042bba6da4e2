"""How answers are written down: as chats or as completions, whole or piece by piece."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import uuid4

from trimtab.serving.protocol.answers import (
    Answered,
    AnswerMessage,
    Applied,
    Chat,
    ChatChoice,
    ChatChunk,
    ChatLogprobs,
    ChunkChoice,
    Completion,
    CompletionChoice,
    CompletionLogprobs,
    Delta,
    Finished,
    Piece,
    TokenLogprob,
    Usage,
)
from trimtab.serving.tally import Choice


class Form(Protocol):
    """Writes the answers of one route."""

    def whole(self, choices: Sequence[Choice], usage: Usage, applied: Applied) -> Answered:
        """The body of an answer that is not streamed."""
        ...

    def piece(self, index: int, text: str, logprobs: list[TokenLogprob], trimtab: Piece | None) -> Answered:
        """The next part of a choice; text may be empty."""
        ...

    def end(self, index: int, finish: Finished, applied: Applied | None) -> Answered:
        """The end of a choice."""
        ...

    def count(self, usage: Usage, applied: Applied) -> Answered:
        """The tokens, after the last choice."""
        ...


@dataclass
class ChatForm:
    """`/v1/chat/completions`.

    Args:
        model: as the request named it.
        logprobs: whether they are wanted.
    """

    model: str
    logprobs: bool
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))
    _begun: set[int] = field(default_factory=set)

    def whole(self, choices: Sequence[Choice], usage: Usage, applied: Applied) -> Chat:
        """See `Form.whole`."""
        written = [
            ChatChoice(
                index=choice.index,
                message=AnswerMessage(content=choice.text),
                logprobs=self._named(choice.logprobs),
                finish_reason=choice.finish or "stop",
            )
            for choice in choices
        ]
        return Chat(id=self.id, created=self.created, model=self.model, choices=written, usage=usage, trimtab=applied)

    def piece(self, index: int, text: str, logprobs: list[TokenLogprob], trimtab: Piece | None) -> ChatChunk:
        """See `Form.piece`."""
        delta = Delta(content=text, role=None if index in self._begun else "assistant")
        self._begun.add(index)
        named = self._named(logprobs) if logprobs else None
        return self._chunk([ChunkChoice(index=index, delta=delta, logprobs=named)], trimtab=trimtab)

    def end(self, index: int, finish: Finished, applied: Applied | None) -> ChatChunk:
        """See `Form.end`."""
        return self._chunk([ChunkChoice(index=index, delta=Delta(), finish_reason=finish)], trimtab=applied)

    def count(self, usage: Usage, applied: Applied) -> ChatChunk:
        """See `Form.count`."""
        return self._chunk([], usage, applied)

    def _chunk(
        self, choices: list[ChunkChoice], usage: Usage | None = None, trimtab: Applied | Piece | None = None
    ) -> ChatChunk:
        return ChatChunk(
            id=self.id, created=self.created, model=self.model, choices=choices, usage=usage, trimtab=trimtab
        )

    def _named(self, logprobs: list[TokenLogprob]) -> ChatLogprobs | None:
        return ChatLogprobs(content=logprobs) if self.logprobs else None


@dataclass
class CompletionForm:
    """`/v1/completions`; arguments as of `ChatForm`."""

    model: str
    logprobs: bool
    id: str = field(default_factory=lambda: f"cmpl-{uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))
    _offsets: dict[int, int] = field(default_factory=dict)

    def whole(self, choices: Sequence[Choice], usage: Usage, applied: Applied) -> Completion:
        """See `Form.whole`."""
        written = [
            CompletionChoice(
                index=choice.index,
                text=choice.text,
                logprobs=self._named(choice.index, choice.logprobs),
                finish_reason=choice.finish,
            )
            for choice in choices
        ]
        return self._completion(written, usage, applied)

    def piece(self, index: int, text: str, logprobs: list[TokenLogprob], trimtab: Piece | None) -> Completion:
        """See `Form.piece`."""
        named = self._named(index, logprobs) if logprobs else None
        return self._completion([CompletionChoice(index=index, text=text, logprobs=named)], trimtab=trimtab)

    def end(self, index: int, finish: Finished, applied: Applied | None) -> Completion:
        """See `Form.end`."""
        return self._completion([CompletionChoice(index=index, text="", finish_reason=finish)], trimtab=applied)

    def count(self, usage: Usage, applied: Applied) -> Completion:
        """See `Form.count`."""
        return self._completion([], usage, applied)

    def _completion(
        self, choices: list[CompletionChoice], usage: Usage | None = None, trimtab: Applied | Piece | None = None
    ) -> Completion:
        return Completion(
            id=self.id, created=self.created, model=self.model, choices=choices, usage=usage, trimtab=trimtab
        )

    def _named(self, index: int, logprobs: list[TokenLogprob]) -> CompletionLogprobs | None:
        if not self.logprobs:
            return None
        offsets = []
        for one in logprobs:
            at = self._offsets.get(index, 0)
            offsets.append(at)
            self._offsets[index] = at + len(one.token)
        return CompletionLogprobs(
            tokens=[one.token for one in logprobs],
            token_logprobs=[one.logprob for one in logprobs],
            top_logprobs=[{top.token: top.logprob for top in one.top_logprobs} for one in logprobs],
            text_offset=offsets,
        )
