"""Who sends a request, and what is noted of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from fastapi import Request

from trimtab.serving.errors import HttpError
from trimtab.serving.keys import KeyScope


@dataclass
class Caller:
    """A request on its way, in `request.state.caller`.

    Args:
        request_id: in logs, in answers and in the header `x-request-id`.
        key: name of the API key.
        scopes: what the key allows.
        notes: for the log, such as counts of tokens; no text.
    """

    request_id: str
    key: str
    scopes: frozenset[KeyScope]
    began: float = field(default_factory=perf_counter)
    notes: dict[str, Any] = field(default_factory=dict)


def caller_of(request: Request) -> Caller:
    """Who sent a request.

    Raises:
        HttpError: it did not come through the guard.
    """
    caller = getattr(request.state, "caller", None)
    if not isinstance(caller, Caller):
        raise HttpError("this request has no caller", status=500)
    return caller


def needs(scope: KeyScope) -> Callable[[Request], Awaitable[None]]:
    """A route's dependency: the caller's key has this scope, else 403."""

    async def allowed(request: Request) -> None:
        caller = caller_of(request)
        if scope not in caller.scopes:
            raise HttpError(
                f"the key {caller.key!r} has no scope {scope!r}, which this needs; use another key",
                status=403,
                word="insufficient_scope",
            )

    return allowed
