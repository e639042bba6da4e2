"""The routes that answer: chats and completions, whole or streamed."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import Response

from trimtab.errors import TrimtabError
from trimtab.serving.answer import Answer
from trimtab.serving.caller import Caller, caller_of, needs
from trimtab.serving.errors import HttpError, http_error
from trimtab.serving.forms import ChatForm, CompletionForm, Form
from trimtab.serving.hanging_up import EventStream, while_connected
from trimtab.serving.protocol import Chat, ChatRequest, Completion, CompletionRequest, ErrorBody
from trimtab.serving.protocol.tools import may_call
from trimtab.serving.service import Service
from trimtab.serving.work import planned

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
Unit = Annotated[
    str | None,
    Header(
        alias="x-trimtab-unit",
        max_length=200,
        description="Id of the unit by which releases assign, such as the user's; goes before the body's field user.",
    ),
]


def inference(service: Service) -> APIRouter:
    """The routes that answer, for keys with the scope `infer`."""
    router = APIRouter(dependencies=[Depends(needs("infer"))])

    @router.post("/v1/chat/completions", response_model=Chat, responses=_STREAMED)
    async def chat(asked: ChatRequest, request: Request, unit: Unit = None) -> Response:
        """Answer a chat."""
        form = ChatForm(asked.model, bool(asked.logprobs), may_call(asked), bool(asked.return_token_ids))
        return await _answered(service, request, asked, form, unit)

    @router.post("/v1/completions", response_model=Completion, responses=_STREAMED)
    async def completions(asked: CompletionRequest, request: Request, unit: Unit = None) -> Response:
        """Continue prompts."""
        form = CompletionForm(asked.model, asked.logprobs is not None, bool(asked.return_token_ids))
        return await _answered(service, request, asked, form, unit)

    return router


async def _answered(
    service: Service, request: Request, asked: ChatRequest | CompletionRequest, form: Form, unit: str | None
) -> Response:
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
        work = await planned(service, asked, caller.request_id, unit or asked.user or None)
        answer = Answer(service, caller, asked, work, form, deadline)
        try:
            return await _begun(answer, request, gone)
        except TrimtabError as error:
            if not answer.starts_again(error):
                raise
            again = replace(answer, work=work.unsteered(str(error)))
            return await _begun(again, request, gone)
    except HttpError as error:
        if error.status == 499:
            gone()
        raise
    except TrimtabError as error:
        raise service.counted_failure(_renamed(error, asked)) from None


async def _begun(answer: Answer, request: Request, gone: Callable[[], None]) -> Response:
    """The whole answer, or the first of its stream."""
    asked = answer.asked
    if not asked.stream:
        return await while_connected(request.receive, answer.whole())
    usage = bool(asked.stream_options and asked.stream_options.include_usage)
    events = _with_errors(answer.service, answer.stream(usage), answer.caller)
    first = await while_connected(request.receive, anext(events))
    return EventStream(first, events, answer.deadline, gone)


_GRAMMAR: Final = ("grammar", "structured_outputs", "structured_outputs.grammar")  # as engines and servers name it


def _renamed(error: TrimtabError, asked: ChatRequest | CompletionRequest) -> TrimtabError:
    """What the engine, or a server behind it, says of a grammar is about the field that it was made from."""
    if error.field not in _GRAMMAR or not isinstance(asked, ChatRequest):
        return error
    if asked.structured_outputs is not None:
        field = "structured_outputs.grammar" if error.field == "grammar" else error.field
    else:
        field = "tools" if may_call(asked) else "response_format"
    return type(error)(str(error), code=error.code, field=field)


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
