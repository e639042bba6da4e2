"""What the engine's process says to the one that answers people: all that a pass of the model gives in one message."""

import asyncio
from contextlib import suppress
from multiprocessing.connection import Connection

from trimtab.errors import TrimtabError
from trimtab.interventions import AnswerScore, Event

Item = Event | tuple[AnswerScore, ...] | TrimtabError
Said = tuple[str, Item]
"""A request's id, and an event, its scores, or why there are none."""


class Outbox:
    """Sends lists of `Said` through a pipe, in the order in which they were put; belongs to one event loop.

    What comes while a list is on its way goes with the next one: a thread and a message for every token would take
    more time than some passes of a small model.

    Args:
        pipe: from the first `put` until `close` nobody else writes to it.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._waiting: list[Said] = []
        self._news = asyncio.Event()
        self._closed = False
        self._sending = asyncio.get_running_loop().create_task(self._send())

    def put(self, id: str, item: Item) -> None:
        """To be sent soon."""
        self._waiting.append((id, item))
        self._news.set()

    async def close(self) -> None:
        """Send what waits, and end."""
        self._closed = True
        self._news.set()
        await self._sending

    async def _send(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting or not self._closed:
            await self._news.wait()
            self._news.clear()
            some, self._waiting = self._waiting, []
            if some:
                with suppress(BrokenPipeError, OSError):  # nobody listens; the pipe's other end says so to its reader
                    await loop.run_in_executor(None, self._pipe.send, some)
