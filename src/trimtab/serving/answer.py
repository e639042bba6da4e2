"""An answer on its way: what the engine says, written down for its reader, and what is noted of it."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from fastapi.responses import Response

from trimtab.errors import TrimtabError
from trimtab.interventions import Event
from trimtab.serving.answering import Answering, Part
from trimtab.serving.caller import Caller
from trimtab.serving.forms import Form
from trimtab.serving.protocol import Applied, ChatRequest, CompletionRequest
from trimtab.serving.protocol.answers import ExplainedChoice, UnsteeredChoice
from trimtab.serving.protocol.answers import Piece as SaidBetween
from trimtab.serving.service import Service
from trimtab.serving.tally import Choice, Piece, Tally
from trimtab.serving.work import Work
from trimtab.texts import Message


@dataclass
class Answer:
    """An answer on its way.

    Args:
        service: see `Service`.
        caller: whose request it is.
        asked: the request's body.
        work: what is to be done.
        form: how it is written.
        deadline: by the event loop's clock.
    """

    service: Service
    caller: Caller
    asked: ChatRequest | CompletionRequest
    work: Work
    form: Form
    deadline: float
    tally: Tally = field(init=False)
    waited: float = field(default=0.0, init=False)  # seconds for the engine
    first_token: float | None = field(default=None, init=False)  # seconds from the request's arrival
    told: bool = field(default=False, init=False)  # whether its reader has some of it

    def __post_init__(self) -> None:
        work = self.work
        by_id = bool(self.asked.return_tokens_as_token_ids)
        self.tally = Tally(work.parts, work.per_prompt, work.logprobs, self.service.vocabulary, by_id)

    async def pieces(self) -> AsyncGenerator[tuple[Part, Event, Piece], None]:
        """What the engine says, as it comes, taken into the tally; counted when it ends, however it does."""
        service, parts, failed = self.service, self.work.parts, "cancelled"
        try:
            with service.admission.answers(self.caller.key, len(parts)):
                service.metrics.running.set(service.admission.running)
                answering = Answering(service.engine, parts, self.deadline)
                asked_at = perf_counter()
                async with answering, aclosing(answering.events()) as events:
                    async for part, event in events:
                        self.waited += perf_counter() - asked_at
                        if self.first_token is None:
                            self.first_token = perf_counter() - self.caller.began
                            service.metrics.first_token.observe(self.first_token)
                        yield part, event, self.tally.take(part, event)
                        asked_at = perf_counter()
            failed = ""
        except TrimtabError as error:
            failed = "again" if self.starts_again(error) else "error"
            raise
        finally:
            service.metrics.running.set(service.admission.running)
            self._note()
            if failed != "again":
                self._record(failed or None)
            if not failed:
                self._watch()

    def starts_again(self, error: TrimtabError) -> bool:
        """Whether a release's steering failed before its reader has anything, and is left out."""
        return error.field == "steering" and self.work.may_go_unsteered and not self.told

    async def whole(self) -> Response:
        """The answer, once it is complete."""
        async with aclosing(self.pieces()) as pieces:
            async for _ in pieces:
                pass
        tally = self.tally
        applied = self.applied(
            explained=[ExplainedChoice(index=c.index, tokens=c.explained) for c in tally.choices],
            unsteered=[_unsteered(c, c.text, len(c.tokens)) for c in tally.beside],
        )
        return _json(self.form.whole(tally.choices, tally.usage, applied))

    async def stream(self, usage: bool) -> AsyncGenerator[str, None]:
        """The answer as server-sent events; the last choice's end says what was applied."""
        async with aclosing(self.pieces()) as pieces:
            async for part, event, piece in pieces:
                said = self._said(part, event, piece)
                if part.beside:
                    yield _sse(self.form.piece(part.index, "", [], said))
                elif piece.text or piece.logprobs or said or event.prompt_tokens is not None or self._ids(piece):
                    yield _sse(self.form.piece(part.index, piece.text, piece.logprobs, said, self._ids(piece)))
                self.told = True
        applied = self.applied()
        for choice in self.tally.choices:
            last = choice is self.tally.choices[-1]
            yield _sse(self.form.end(choice.index, choice.finish or "stop", applied if last else None))
        if usage:
            yield _sse(self.form.count(self.tally.usage, applied))
        yield "data: [DONE]\n\n"

    def applied(
        self, explained: list[ExplainedChoice] | None = None, unsteered: list[UnsteeredChoice] | None = None
    ) -> Applied:
        """What was applied, and what it did."""
        resolved, edited, asked = self.work.resolved, self.tally.edited, self.work.asked
        following = self.work.following
        decided = {} if following is None else following.applied
        if resolved is None:
            why = [] if following is None or following.departure is None else [following.departure]
            return Applied(request_id=self.caller.request_id, departures=why, **decided)
        return Applied(
            request_id=self.caller.request_id,
            steering=resolved.name,
            artifact=resolved.steering.artifact,
            strength=dict(resolved.steering.strength),
            scope=resolved.steering.scope,
            decisions=dict(resolved.decisions),
            selected=edited.selected,
            touched=edited.touched if edited.measured else None,
            gates=edited.gates,
            edit_size_ratio=edited.edit_size_ratio if edited.measured else None,
            left_alone=list(edited.left_alone),
            departures=list(resolved.departures),
            explained=explained if asked.explain else None,
            unsteered=unsteered if asked.compare else None,
            **decided,
        )

    def _ids(self, piece: Piece) -> list[int] | None:
        """The token ids of a piece, where they are asked for."""
        return piece.tokens if self.asked.return_token_ids else None

    def _said(self, part: Part, event: Event, piece: Piece) -> SaidBetween | None:
        id = self.caller.request_id
        if part.beside:
            choice = self.tally.beside[part.index]
            return SaidBetween(request_id=id, unsteered=[_unsteered(choice, piece.text, len(event.tokens))])
        if piece.explained:
            return SaidBetween(request_id=id, explained=[ExplainedChoice(index=part.index, tokens=piece.explained)])
        return None

    def _record(self, failed: str | None) -> None:
        """For the log of exposures."""
        operations, following = self.service.operations, self.work.following
        if operations is None or following is None:
            return
        from trimtab.serving.live.recording import exposure, judged_text

        one = exposure(
            self.asked, self.caller, following, self.tally, first_token_seconds=self.first_token, failed=failed,
            texts=operations.texts,
        )  # fmt: skip
        operations.put(one, following)
        request = self.caller.request_id
        takers = [] if failed else [one for one in operations.beside if one.takes(request)]
        if takers:
            texts = judged_text(self.asked, self.tally)
            for taker in takers:
                taker.put(request, *texts)

    def _watch(self) -> None:
        """For the monitor: the first answer of a request under a steering."""
        monitor, resolved, following = self.service.monitor, self.work.resolved, self.work.following
        if monitor is None or resolved is None:
            return
        from trimtab.serving.monitoring import Answered, Setup

        given = None if following is None else following.assignment
        releases = () if given is None else (given.release,)
        monitor.answered(
            Answered(
                self.caller.request_id, self.work.unit, Setup(resolved.name, resolved.steering, releases),
                self.work.parts[0].request.prompt, tuple(self.tally.choices[0].tokens), self.tally.edited.gates,
                self.tally.edited.edit_size_ratio,
            )
        )  # fmt: skip

    def _note(self) -> None:
        """For logs and metrics."""
        usage, resolved, metrics = self.tally.usage, self.work.resolved, self.service.metrics
        metrics.tokens.labels("prompt").inc(usage.prompt_tokens)
        metrics.tokens.labels("answer").inc(usage.completion_tokens)
        self.caller.notes |= {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "engine_seconds": round(self.waited, 4),
        }
        if self.work.following is not None:
            self.caller.notes |= self.work.following.notes
        if self.service.settings.log_text:
            self.caller.notes |= {
                "prompts": [_written(part.request.prompt) for part in self.work.parts],
                "answers": [choice.text for choice in (*self.tally.choices, *self.tally.beside)],
            }
        if resolved is not None:
            edited = self.tally.edited
            metrics.edited.labels(resolved.name, "selected").inc(edited.selected)
            metrics.edited.labels(resolved.name, "touched").inc(edited.touched)
            self.caller.notes |= {
                "steering": resolved.name,
                "artifact": resolved.steering.artifact,
                "strength": dict(resolved.steering.strength),
                "scope": resolved.steering.scope,
                "touched": edited.touched if edited.measured else None,
                "left_alone": list(edited.left_alone),
            }


def _written(prompt: tuple[int, ...] | tuple[Message, ...]) -> list[Any]:
    """For logs."""
    return [one if isinstance(one, int) else {"role": one.role, "content": one.content} for one in prompt]


def _unsteered(choice: Choice, text: str, n_tokens: int) -> UnsteeredChoice:
    return UnsteeredChoice(index=choice.index, text=text, completion_tokens=n_tokens, finish_reason=choice.finish)


def _json(body: Any) -> Response:
    return Response(body.model_dump_json(), media_type="application/json")


def _sse(body: Any) -> str:
    return f"data: {body.model_dump_json()}\n\n"
