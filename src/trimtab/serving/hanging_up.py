"""Work that ends when its client does."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from trimtab.serving.errors import HttpError
from trimtab.serving.guard import HUNG_UP

T = TypeVar("T")


async def hung_up(receive: Receive) -> None:
    """Returns once the client has gone; the body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def while_connected(receive: Receive, work: Awaitable[T]) -> T:
    """The result of some work, which is cancelled if the client goes first.

    Raises:
        HttpError: it went.
    """
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(hung_up(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise HttpError("the client hung up", status=HUNG_UP)
        return working.result()
    finally:
        await _ended(working, leaving)


class EventStream(Response):
    """Server-sent events, which end when the client goes or the time is up.

    Args:
        first: what is sent at once.
        rest: the next pieces; closed in any case.
        deadline: by the event loop's clock, for a reader that is too slow.
        gone: called if the client went before the end.
    """

    media_type = "text/event-stream"

    def __init__(self, first: str, rest: AsyncGenerator[str, None], deadline: float, gone: Callable[[], None]) -> None:
        super().__init__(headers={"cache-control": "no-cache", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._first = first
        self._rest = rest
        self._deadline = deadline
        self._gone = gone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending, leaving = asyncio.ensure_future(self._sent(send)), asyncio.ensure_future(hung_up(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done() or not sending.result():
                self._gone()
        finally:
            await _ended(sending, leaving)
            await self._rest.aclose()

    async def _sent(self, send: Send) -> bool:
        """Whether all was sent."""
        try:
            async with asyncio.timeout_at(self._deadline):
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                await send(_piece(self._first))
                async for piece in self._rest:
                    await send(_piece(piece))
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except (OSError, TimeoutError):  # the connection is gone, or its reader too slow
            return False
        return True


def _piece(text: str) -> dict[str, Any]:
    return {"type": "http.response.body", "body": text.encode(), "more_body": True}


async def _ended(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel what still runs, and wait for it."""
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, Exception):
            await task
