"""What every request passes first: its id, its key, its size; and what is noted of it last."""

import asyncio
import json
import traceback
from time import perf_counter
from typing import Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trimtab.errors import TrimtabError
from trimtab.serving.caller import Caller
from trimtab.serving.console import PAGE as CONSOLE
from trimtab.serving.errors import HttpError
from trimtab.serving.keys import KEY_SCOPES, KeyFile
from trimtab.serving.metrics import Metrics
from trimtab.serving.pages import SHARED
from trimtab.serving.playground import PAGE as PLAYGROUND
from trimtab.serving.request_ids import new_request_id
from trimtab.serving.settings import Settings, is_loopback

OPEN: Final = (
    frozenset({"/health", "/ready", "/openapi.json"})
    | SHARED.paths.keys()
    | PLAYGROUND.paths.keys()
    | CONSOLE.paths.keys()
)
"""Paths that need no key: they tell nothing of models, steerings or use."""

HUNG_UP: Final = 499  # the status that logs and metrics give a request whose client went away


class _HungUpError(Exception):
    """The client went away before its body was there."""


class Guard:
    """Lets requests through to the app that have a key and a body of acceptable size; logs and counts all.

    An exception that nobody expected becomes an answer with status 500, and its traceback is logged.

    Args:
        app: what answers.
        keys: None where the settings ask for no key.
        settings: see `Settings`.
        metrics: counts requests.
        log: takes a line for each.
    """

    def __init__(self, app: ASGIApp, keys: KeyFile | None, settings: Settings, metrics: Metrics, log: Any) -> None:
        self._app = app
        self._keys = keys
        self._settings = settings
        self._metrics = metrics
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(send)
        caller = Caller(exchange.request_id, "", frozenset())
        try:
            self._admit(scope, caller)
            body = await self._body(Headers(scope=scope), receive)
            scope.setdefault("state", {})["caller"] = caller
            await self._app(scope, _replayed(body, receive), exchange.send)
        except HttpError as error:
            caller.notes["error"] = error.word or error.status
            await exchange.fail(error)
        except _HungUpError:
            pass
        except Exception as error:
            self._log.error(
                "unexpected", request_id=exchange.request_id, error=type(error).__name__,
                traceback="".join(traceback.format_tb(error.__traceback__)),
            )  # fmt: skip
            await exchange.fail(
                HttpError(f"the server failed; its log knows more of request {exchange.request_id}", status=500)
            )
        finally:
            self._note(scope, caller, exchange)

    def _admit(self, scope: Scope, caller: Caller) -> None:
        headers = Headers(scope=scope)
        if self._keys is None:
            self._check_local(headers)
            caller.key, caller.scopes = "anybody", frozenset(KEY_SCOPES)
        elif scope["path"] not in OPEN:
            kind, _, key = headers.get("authorization", "").partition(" ")
            try:
                found = self._keys.find(key.strip()) if kind.lower() == "bearer" else None
            except TrimtabError as error:
                raise HttpError("the server cannot read its keys; its log says why", status=503) from error
            if found is None:
                raise HttpError(
                    "no key, or one that is not known here; send one that trimtab keys create made, as Authorization: "
                    "Bearer KEY",
                    status=401,
                    word="invalid_api_key",
                )
            caller.key, caller.scopes = found.name, found.scopes

    def _check_local(self, headers: Headers) -> None:
        """Without keys, no page of another site may use the browser of somebody on this machine as its messenger."""
        host = headers.get("host", "")
        origin = headers.get("origin")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        if not is_loopback(name) or (origin is not None and origin.partition("://")[2] != host):
            raise HttpError(
                "a server without keys answers only to this machine's own names and pages", status=403, word="forbidden"
            )

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        most, seconds = self._settings.limits.body_bytes, self._settings.limits.body_seconds
        too_large = HttpError(f"the body has more than {most:,} bytes; send less", status=413, word="body_too_large")
        announced = headers.get("content-length", "0")
        if announced.isdecimal() and int(announced) > most:
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _HungUpError
                    body += message.get("body", b"")
                    if len(body) > most:
                        raise too_large
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            raise HttpError(f"the body did not arrive within {seconds:g} seconds", status=408, word="timeout") from None
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if body and kind != "application/json":
            raise HttpError("the body must be JSON, with content-type: application/json", status=415)
        return bytes(body)

    def _note(self, scope: Scope, caller: Caller, exchange: "_Exchange") -> None:
        seconds = perf_counter() - caller.began
        status = exchange.status or HUNG_UP
        route = getattr(scope.get("route"), "path", "none")  # the template: a path is whatever the client likes
        self._metrics.requests.labels(route, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        self._log.info(
            "request", request_id=exchange.request_id, method=scope["method"], route=route, status=status,
            seconds=round(seconds, 4), key=caller.key or None, **caller.notes,
        )  # fmt: skip


class _Exchange:
    """The answer to a request, with the request's id among its headers."""

    def __init__(self, send: Send) -> None:
        self.request_id = new_request_id()
        self.status: int | None = None
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            headers["x-request-id"] = self.request_id
            headers["x-content-type-options"] = "nosniff"
            headers.setdefault("cache-control", "no-store")
        await self._send(message)

    async def fail(self, error: HttpError) -> None:
        """Answer with an error, unless an answer has begun."""
        if self.status is None:
            headers = {"content-type": "application/json", **error.headers}
            if error.status == 401:
                headers["www-authenticate"] = "Bearer"
            raw = [(name.encode(), value.encode()) for name, value in headers.items()]
            await self.send({"type": "http.response.start", "status": error.status, "headers": raw})
            await self.send({"type": "http.response.body", "body": json.dumps(error.body).encode()})


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body, which was read already; then what else comes, such as the news that the client hung up."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return waiting.pop() if waiting else await receive()

    return next_message
