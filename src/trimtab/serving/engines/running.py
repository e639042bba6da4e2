"""A request on its way: from what a pass did for it to the events that its reader gets."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from math import isfinite
from typing import Any

from trimtab.errors import NotFiniteError, TrimtabError
from trimtab.interventions import Event, Finish, Request
from trimtab.serving.engines.answers import AnswerText
from trimtab.serving.engines.edit_records import EditRecord, summary, token_edits
from trimtab.serving.engines.events import Events, read_events
from trimtab.serving.engines.logits import ChosenToken, TokenChoice
from trimtab.serving.engines.packed_steering import PackedSteering

TOGETHER = 16  # tokens in an event of a request that nobody streams


class Running:
    """A request that an engine has accepted. Belongs to one event loop.

    Args:
        request: as it was submitted.
        name: unique for the engine's whole life, unlike the request's id.

    Attributes:
        ended: whether its last event, or its error, is there to be read.
    """

    def __init__(self, request: Request, name: str) -> None:
        self.request, self.name, self.ended = request, name, False
        self._events: Events = asyncio.Queue()  # without a limit: no reader delays a pass
        self._ids: list[int] = []
        self._new: list[int] = []  # of them, those without an event yet
        self._chosen: list[ChosenToken] = []
        self._told = False

    def begin(
        self,
        prompt: Sequence[int],
        tokenizer: Any,
        choice: TokenChoice,
        steering: PackedSteering | None,
        ends: tuple[frozenset[int], frozenset[int]],
    ) -> None:
        """It is prepared and about to run.

        Args:
            prompt: its tokens.
            tokenizer: the model's.
            choice: of its tokens.
            steering: None without.
            ends: tokens that end an answer, and those of them that are no part of its text.
        """
        self._ids, self._n_prompt = list(prompt), len(prompt)
        self._answer = AnswerText(tokenizer, prompt, self.request.sampling.stop)
        self._choice, self._steering = choice, steering
        self._ends, self._silent_ends = ends

    def advance(self, generated: Sequence[int], finished: bool) -> bool:
        """Tokens have come: put an event for those that are new.

        Args:
            generated: all tokens of the answer so far.
            finished: whether no more will come; a stop text may end it earlier.

        Returns:
            Whether it has ended.

        Raises:
            TrimtabError: an edit, the grammar or the model's logits have failed.
        """
        error = self._choice.error or (self._steering.error if self._steering is not None else None)
        if error is not None:
            raise _told(error)
        new = list(generated[len(self._ids) - self._n_prompt :])
        chosen = [self._choice.next_chosen() for _ in new]
        if not all(isfinite(c.logprob) for c in chosen):
            raise NotFiniteError("the model's logits are not finite; give smaller strengths", field="strength")
        self._ids += new
        self._put(new, chosen, finished)
        return self.ended

    def _put(self, new: list[int], chosen: list[ChosenToken], finished: bool) -> None:
        self._new += new
        self._chosen += chosen
        stops = bool(self.request.sampling.stop)  # which must be looked for at once
        if self._told and not (finished or stops or self.request.streamed or len(self._new) >= TOGETHER):
            return
        new, self._new, chosen, self._chosen = self._new, [], self._chosen, []
        text, shown = self._written(new, one_by_one=stops)
        finish: Finish | None = None
        if finished and not self._answer.stopped:
            text += self._answer.end()
            finish = "stop" if new and new[-1] in self._ends else "length"
        finish = "stop" if self._answer.stopped else finish
        self._send(text, tuple(new[:shown]), chosen[:shown], finish)

    def _written(self, new: Sequence[int], one_by_one: bool) -> tuple[str, int]:
        """The text that is certain with new tokens, and how many of them belong to the answer."""
        shown = next((i for i, token in enumerate(new) if token in self._silent_ends), len(new))
        if not one_by_one:
            return (self._answer.put(*new[:shown]) if shown else ""), shown
        text = ""
        for i in range(shown):
            if self._answer.stopped:
                return text, i
            text += self._answer.put(new[i])
        return text, shown

    def _send(self, text: str, tokens: tuple[int, ...], chosen: Sequence[ChosenToken], finish: Finish | None) -> None:
        edits = None if self._steering is None else self._done(self._steering)
        told = None if edits is None or self._steering is None else summary(edits, self._steering.left_alone)
        if told is not None and not isfinite(told.edit_size_ratio):
            raise NotFiniteError("the edits have no finite length; give smaller strengths", field="strength")
        event = Event(
            self.request.id,
            text,
            tokens,
            tuple(c.logprob for c in chosen),
            tuple(c.top for c in chosen) if self.request.sampling.top_logprobs else (),
            told,
            token_edits(edits, self._ids) if edits is not None and self.request.explain else (),
            None if self._told else self._n_prompt,
            finish,
        )
        self._told, self.ended = True, finish is not None
        self._events.put_nowait(event)

    def _done(self, steering: PackedSteering) -> list[EditRecord]:
        """Records of the passes that gave the tokens so far; a later pass may have begun."""
        out = []
        while steering.records and steering.records[0].end < len(self._ids):
            out.append(steering.records.popleft())
        return out

    def cancel(self) -> None:
        """End it; what was written so far is an answer that was cut off."""
        self.ended = True
        self._events.put_nowait(Event(self.request.id, finish="cancelled"))

    def fail(self, error: TrimtabError) -> None:
        """End it with an error."""
        self.ended = True
        self._events.put_nowait(error)

    def stream(self, left: Callable[[], None]) -> AsyncIterator[Event]:
        """Its events.

        Args:
            left: is called when the reader has gone before the end is there.
        """
        return read_events(self._events, lambda: None if self.ended else left())


def _told(error: Exception) -> TrimtabError:
    if isinstance(error, TrimtabError):
        return error
    told = TrimtabError(f"an edit of the steering failed: {type(error).__name__}: {error}", field="steering")
    told.__cause__ = error
    return told
