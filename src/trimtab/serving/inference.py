"""The routes that answer: chats and completions, whole or streamed."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from trimtab.errors import TrimtabError
from trimtab.interventions import Event
from trimtab.serving.answering import Answering, Part
from trimtab.serving.caller import Caller, caller_of, needs
from trimtab.serving.errors import HttpError, http_error
from trimtab.serving.forms import ChatForm, CompletionForm, Form
from trimtab.serving.hanging_up import EventStream, while_connected
from trimtab.serving.protocol import Applied, Chat, ChatRequest, Completion, CompletionRequest, ErrorBody
from trimtab.serving.protocol.answers import ExplainedChoice, UnsteeredChoice
from trimtab.serving.protocol.answers import Piece as SaidBetween
from trimtab.serving.protocol.tools import may_call
from trimtab.serving.service import Service
from trimtab.serving.tally import Choice, Piece, Tally
from trimtab.serving.work import Work, planned
from trimtab.texts import Message

ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": ErrorBody} for status in (400, 401, 403, 404, 408, 413, 415, 429, 500, 503, 504)
}
"""Error answers, for the OpenAPI document."""
_STREAMED: Final[dict[int | str, dict[str, Any]]] = {
    **ERRORS,
    200: {
        "description": "The answer; with `stream`, its pieces as server-sent events.",
        "content": {"text/event-stream": {}},
    },
}


def inference(service: Service) -> APIRouter:
    """The routes that answer, for keys with the scope `infer`."""
    router = APIRouter(dependencies=[Depends(needs("infer"))])

    @router.post("/v1/chat/completions", response_model=Chat, responses=_STREAMED)
    async def chat(asked: ChatRequest, request: Request) -> Response:
        """Answer a chat."""
        return await _answered(service, request, asked, ChatForm(asked.model, bool(asked.logprobs), may_call(asked)))

    @router.post("/v1/completions", response_model=Completion, responses=_STREAMED)
    async def completions(asked: CompletionRequest, request: Request) -> Response:
        """Continue prompts."""
        return await _answered(service, request, asked, CompletionForm(asked.model, asked.logprobs is not None))

    return router


@dataclass
class _Answer:
    """An answer on its way.

    Args:
        service: see `Service`.
        caller: whose request it is.
        work: what is to be done.
        form: how it is written.
        deadline: by the event loop's clock.
    """

    service: Service
    caller: Caller
    work: Work
    form: Form
    deadline: float
    tally: Tally = field(init=False)
    waited: float = field(default=0.0, init=False)  # seconds for the engine

    def __post_init__(self) -> None:
        work = self.work
        self.tally = Tally(work.parts, work.per_prompt, work.logprobs, self.service.vocabulary)

    async def pieces(self) -> AsyncGenerator[tuple[Part, Event, Piece], None]:
        """What the engine says, as it comes, taken into the tally; counted when it ends, however it does."""
        service, parts, first = self.service, self.work.parts, True
        try:
            with service.admission.answers(self.caller.key, len(parts)):
                service.metrics.running.set(service.admission.running)
                answering = Answering(service.engine, parts, self.deadline)
                asked_at = perf_counter()
                async with answering, aclosing(answering.events()) as events:
                    async for part, event in events:
                        self.waited += perf_counter() - asked_at
                        if first:
                            service.metrics.first_token.observe(perf_counter() - self.caller.began)
                            first = False
                        yield part, event, self.tally.take(part, event)
                        asked_at = perf_counter()
        finally:
            service.metrics.running.set(service.admission.running)
            self._note()

    async def whole(self) -> Response:
        """The answer, once it is complete."""
        async with aclosing(self.pieces()) as pieces:
            async for _ in pieces:
                pass
        tally = self.tally
        applied = self.applied(
            explained=[ExplainedChoice(index=c.index, tokens=c.explained) for c in tally.choices],
            unsteered=[_unsteered(c, c.text, c.n_tokens) for c in tally.beside],
        )
        return _json(self.form.whole(tally.choices, tally.usage, applied))

    async def stream(self, usage: bool) -> AsyncGenerator[str, None]:
        """The answer as server-sent events; the last choice's end says what was applied."""
        async with aclosing(self.pieces()) as pieces:
            async for part, event, piece in pieces:
                said = self._said(part, event, piece)
                if part.beside:
                    yield _sse(self.form.piece(part.index, "", [], said))
                elif piece.text or piece.logprobs or said or event.prompt_tokens is not None:
                    yield _sse(self.form.piece(part.index, piece.text, piece.logprobs, said))
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
        if resolved is None:
            return Applied(request_id=self.caller.request_id)
        return Applied(
            request_id=self.caller.request_id,
            steering=resolved.name,
            artifact=resolved.steering.artifact,
            strength=dict(resolved.steering.strength),
            scope=resolved.steering.scope,
            decisions=dict(resolved.decisions),
            selected=edited.selected,
            touched=edited.touched,
            gates=edited.gates,
            edit_size_ratio=edited.edit_size_ratio,
            departures=list(resolved.departures),
            explained=explained if asked.explain else None,
            unsteered=unsteered if asked.compare else None,
        )

    def _said(self, part: Part, event: Event, piece: Piece) -> SaidBetween | None:
        id = self.caller.request_id
        if part.beside:
            choice = self.tally.beside[part.index]
            return SaidBetween(request_id=id, unsteered=[_unsteered(choice, piece.text, len(event.tokens))])
        if piece.explained:
            return SaidBetween(request_id=id, explained=[ExplainedChoice(index=part.index, tokens=piece.explained)])
        return None

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
                "touched": edited.touched,
            }


async def _answered(service: Service, request: Request, asked: ChatRequest | CompletionRequest, form: Form) -> Response:
    caller = caller_of(request)
    if asked.user is not None:
        caller.notes["user"] = asked.user
    caller.notes["stream"] = bool(asked.stream)
    service.admission.count(caller.key)
    deadline = asyncio.get_running_loop().time() + service.settings.limits.answer_seconds

    def gone() -> None:
        service.metrics.cancelled.inc()
        caller.notes["hung_up"] = True

    try:
        work = await planned(service, asked, caller.request_id)
        answer = _Answer(service, caller, work, form, deadline)
        if not asked.stream:
            return await while_connected(request.receive, answer.whole())
        usage = bool(asked.stream_options and asked.stream_options.include_usage)
        events = _with_errors(service, answer.stream(usage), caller)
        first = await while_connected(request.receive, anext(events))
        return EventStream(first, events, deadline, gone)
    except HttpError as error:
        if error.status == 499:
            gone()
        raise
    except TrimtabError as error:
        raise service.counted_failure(_renamed(error, asked)) from None


def _renamed(error: TrimtabError, asked: ChatRequest | CompletionRequest) -> TrimtabError:
    """What the engine says of a grammar is about the field that it was made from."""
    if error.field != "grammar" or not isinstance(asked, ChatRequest):
        return error
    return type(error)(str(error), code=error.code, field="tools" if may_call(asked) else "response_format")


async def _with_errors(
    service: Service, events: AsyncGenerator[str, None], caller: Caller
) -> AsyncGenerator[str, None]:
    """The events; after the first, an error is one of them, since the status is sent already."""
    begun = False
    async with aclosing(events):
        try:
            async for event in events:
                begun = True
                yield event
        except TrimtabError as error:
            if not begun:
                raise
            told = http_error(service.counted_failure(error), caller.request_id)
            caller.notes["error"] = told.word or told.status
            yield f"data: {ErrorBody.model_validate(told.body).model_dump_json()}\n\n"


def _written(prompt: tuple[int, ...] | tuple[Message, ...]) -> list[Any]:
    """For logs."""
    return [one if isinstance(one, int) else {"role": one.role, "content": one.content} for one in prompt]


def _unsteered(choice: Choice, text: str, n_tokens: int) -> UnsteeredChoice:
    return UnsteeredChoice(index=choice.index, text=text, completion_tokens=n_tokens, finish_reason=choice.finish)


def _json(body: Any) -> Response:
    return Response(body.model_dump_json(), media_type="application/json")


def _sse(body: Any) -> str:
    return f"data: {body.model_dump_json()}\n\n"
