"""`/v1/feedback`: what came of an answer, from whoever may ask for answers, and for whoever may read."""

import asyncio
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Query, Request

from trimtab.errors import InputError
from trimtab.operations import Outcome, Received, Recorded, received
from trimtab.serving.caller import caller_of, needs
from trimtab.serving.errors import HttpError
from trimtab.serving.inference import ERRORS
from trimtab.serving.live.asking import from_store
from trimtab.serving.live.operations import Operations
from trimtab.serving.protocol.answers import ErrorBody
from trimtab.serving.protocol.feedback import FeedbackCard, FeedbackItem, FeedbackList, FeedbackRequest, Id
from trimtab.serving.protocol.requests import Text
from trimtab.serving.request_ids import age_of
from trimtab.serving.service import Service

_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {**ERRORS, 409: {"model": ErrorBody}}
_WAITS: Final = (0.3, 0.9)  # seconds until the record of an answer is looked for again; it comes within a second
_SLACK: Final = 60.0  # seconds that clocks may differ by, and a record may be late
_NAMES: Final = {"request": "request_id", "unit": "user", "value": "score", "key": "idempotency-key"}

Key = Annotated[
    str | None,
    Header(
        alias="idempotency-key",
        min_length=1,
        max_length=300,
        pattern=r"\S",
        description="The same call with the same key is kept once, however often it comes.",
    ),
]


def feedback(service: Service, operations: Operations) -> APIRouter:
    """The routes of feedback: keys with the scope `infer` give it, those with `read` see what came, without words."""
    router = APIRouter(responses=_RESPONSES)

    @router.get("/v1/feedback", dependencies=[Depends(needs("read"))])
    async def listed(
        release: Text | None = None,
        user: Id | None = None,
        request_id: Id | None = None,
        before: Annotated[int | None, Query(ge=1, le=2**53)] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> FeedbackList:
        """What was received, the newest first: all, or of a release, a user or a request."""

        def read() -> list[Received]:
            if release is not None:
                operations.releases.get(release)  # a name that is none is an error, not an empty list
            return received(
                operations.store, release=release, unit=user, request=request_id, before=before, limit=limit + 1
            )

        found = await from_store(read)
        page = found[:limit]
        return FeedbackList(data=[_item(one) for one in page], next=page[-1].number if len(found) > limit else None)

    @router.post("/v1/feedback", dependencies=[Depends(needs("infer"))])
    async def give(asked: FeedbackRequest, request: Request, key: Key = None) -> FeedbackCard:
        """Say what came of an answer. Of several about the same request and metric the last counts."""
        caller = caller_of(request)
        service.admission.count(caller.key)
        fields = asked.model_dump(exclude={"request_id", "user", "score"})
        outcome = _named(
            lambda: Outcome(
                request=asked.request_id, unit=asked.user, value=asked.score, who=caller.key, key=key, **fields
            )
        )
        kept = await _kept(operations, outcome, service.settings.limits.answer_seconds)
        caller.notes |= {"feedback": kept.number, "about": kept.request}
        return FeedbackCard(id=kept.number, request_id=kept.request, recorded=kept.matched, repeated=kept.again)

    return router


def _item(one: Received) -> FeedbackItem:
    names = {"number": "id", "request": "request_id", "value": "score", "who": "by", "by_unit": "by_user"}
    return FeedbackItem.model_validate({names.get(name, name): value for name, value in vars(one).items()})


async def _kept(operations: Operations, outcome: Outcome, answer_seconds: float) -> Recorded:
    """The outcome in the store; waits a moment for the record of an answer that was given just now.

    Raises:
        HttpError: 404 for a request or unit without one; 409 for a key that came with something else.
        InputError: what else is wrong.
    """
    may_come = False
    if outcome.request is not None:
        age = age_of(outcome.request)
        may_come = age is not None and -_SLACK < age < answer_seconds + _SLACK
    for wait in (*_WAITS, None):
        try:
            [kept] = await from_store(lambda: operations.outcomes.write([outcome], may_come=may_come))
            return kept
        except InputError as error:
            if error.code != "unknown-choice" or wait is None or not (may_come or outcome.unit is not None):
                raise _told(error) from None
        await asyncio.sleep(wait)
    raise AssertionError


def _named(make: Any) -> Outcome:
    try:
        made = make()
    except InputError as error:
        raise _told(error) from None
    assert isinstance(made, Outcome)
    return made


def _told(error: InputError) -> InputError | HttpError:
    """The error with the names of the body's fields, and its status."""
    field = _NAMES.get(str(error.field), error.field)
    status = {"unknown-choice": 404, "conflict": 409}.get(error.code)
    if status is None:
        return InputError(str(error), code=error.code, field=field)
    return HttpError(str(error), status=status, word=error.code, param=field)
