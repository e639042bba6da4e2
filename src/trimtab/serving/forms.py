"""How answers are written down: as chats or as completions, whole or piece by piece."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol
from uuid import uuid4

from trimtab.serving.protocol.answers import (
    Answered,
    AnswerMessage,
    Applied,
    Called,
    CalledPiece,
    Chat,
    ChatChoice,
    ChatChunk,
    ChatFinished,
    ChatLogprobs,
    ChunkChoice,
    Completion,
    CompletionChoice,
    CompletionLogprobs,
    Delta,
    Finished,
    Piece,
    TokenLogprob,
    ToolCall,
    ToolCallPiece,
    Usage,
)
from trimtab.serving.protocol.tools import CallReader, Read
from trimtab.serving.tally import Choice


class Form(Protocol):
    """Writes the answers of one route."""

    def whole(self, choices: Sequence[Choice], usage: Usage, applied: Applied) -> Answered:
        """The body of an answer that is not streamed."""
        ...

    def piece(
        self,
        index: int,
        text: str,
        logprobs: list[TokenLogprob],
        trimtab: Piece | None,
        token_ids: list[int] | None = None,
    ) -> Answered:
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
        calls: whether answers may be calls of functions.
        token_ids: whether the ids of the answer's tokens are wanted.
    """

    model: str
    logprobs: bool
    calls: bool
    token_ids: bool = False
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))
    _begun: set[int] = field(default_factory=set)
    _readers: dict[int, CallReader] = field(default_factory=dict)

    def whole(self, choices: Sequence[Choice], usage: Usage, applied: Applied) -> Chat:
        """See `Form.whole`."""
        return Chat(
            id=self.id,
            created=self.created,
            model=self.model,
            choices=[self._choice(choice) for choice in choices],
            usage=usage,
            trimtab=applied,
        )

    def piece(
        self,
        index: int,
        text: str,
        logprobs: list[TokenLogprob],
        trimtab: Piece | None,
        token_ids: list[int] | None = None,
    ) -> ChatChunk:
        """See `Form.piece`."""
        delta = self._delta(self._reader(index).feed(text), first=index not in self._begun)
        self._begun.add(index)
        named = self._named(logprobs) if logprobs else None
        choice = ChunkChoice(index=index, delta=delta, logprobs=named, token_ids=token_ids)
        return self._chunk([choice], trimtab=trimtab)

    def end(self, index: int, finish: Finished, applied: Applied | None) -> ChatChunk:
        """See `Form.end`."""
        reader = self._reader(index)
        read = reader.end()
        delta = self._delta(read, first=False) if read != Read() else Delta()
        choice = ChunkChoice(index=index, delta=delta, finish_reason=_finished(finish, reader), token_ids=None)
        return self._chunk([choice], trimtab=applied)

    def count(self, usage: Usage, applied: Applied) -> ChatChunk:
        """See `Form.count`."""
        return self._chunk([], usage, applied)

    def _chunk(
        self, choices: list[ChunkChoice], usage: Usage | None = None, trimtab: Applied | Piece | None = None
    ) -> ChatChunk:
        return ChatChunk(
            id=self.id, created=self.created, model=self.model, choices=choices, usage=usage, trimtab=trimtab
        )

    def _choice(self, choice: Choice) -> ChatChoice:
        reader = CallReader(self.calls)
        read, rest = reader.feed(choice.text), reader.end()
        call = None
        if reader.name is not None:
            function = Called(name=reader.name, arguments=read.arguments + rest.arguments)
            call = [ToolCall(id=_call_id(), function=function)]
        return ChatChoice(
            index=choice.index,
            message=AnswerMessage(content=None if call else read.text + rest.text, tool_calls=call),
            logprobs=self._named(choice.logprobs),
            finish_reason=_finished(choice.finish or "stop", reader),
            token_ids=choice.tokens if self.token_ids else None,
        )

    def _reader(self, index: int) -> CallReader:
        return self._readers.setdefault(index, CallReader(self.calls))

    def _delta(self, read: Read, first: bool) -> Delta:
        role: Literal["assistant"] | None = "assistant" if first else None
        if read.name is not None:
            called = CalledPiece(name=read.name, arguments=read.arguments)
            return Delta(role=role, tool_calls=[ToolCallPiece(id=_call_id(), type="function", function=called)])
        if read.arguments:
            return Delta(role=role, tool_calls=[ToolCallPiece(function=CalledPiece(arguments=read.arguments))])
        return Delta(role=role, content=read.text or (None if self.calls else ""))

    def _named(self, logprobs: list[TokenLogprob]) -> ChatLogprobs | None:
        return ChatLogprobs(content=logprobs) if self.logprobs else None


@dataclass
class CompletionForm:
    """`/v1/completions`.

    Args:
        model: as the request named it.
        logprobs: whether they are wanted.
        token_ids: whether the ids of the answers' tokens are.
    """

    model: str
    logprobs: bool
    token_ids: bool = False
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
                token_ids=choice.tokens if self.token_ids else None,
            )
            for choice in choices
        ]
        return self._completion(written, usage, applied)

    def piece(
        self,
        index: int,
        text: str,
        logprobs: list[TokenLogprob],
        trimtab: Piece | None,
        token_ids: list[int] | None = None,
    ) -> Completion:
        """See `Form.piece`."""
        named = self._named(index, logprobs) if logprobs else None
        choice = CompletionChoice(index=index, text=text, logprobs=named, token_ids=token_ids)
        return self._completion([choice], trimtab=trimtab)

    def end(self, index: int, finish: Finished, applied: Applied | None) -> Completion:
        """See `Form.end`."""
        return self._completion(
            [CompletionChoice(index=index, text="", finish_reason=finish, token_ids=None)], trimtab=applied
        )

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


def _call_id() -> str:
    return f"call_{uuid4().hex}"


def _finished(finish: Finished, reader: CallReader) -> ChatFinished:
    return "tool_calls" if finish == "stop" and reader.name is not None else finish
