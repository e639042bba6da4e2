"""A request's events, from the queue they are put in to whoever reads them. No torch: both processes use it."""

import asyncio
from collections.abc import AsyncIterator, Callable

from trimtab.errors import TrimtabError
from trimtab.interventions import Event

Events = asyncio.Queue[Event | TrimtabError]


async def read_events(queue: Events, left: Callable[[], None]) -> AsyncIterator[Event]:
    """The events up to the last one.

    Args:
        queue: ends with an event that has `finish`, or an error.
        left: is called where the reader goes before that.

    Raises:
        TrimtabError: the error that the queue ends with.
    """
    ended = False
    try:
        while not ended:
            item = await queue.get()
            ended = isinstance(item, TrimtabError) or item.finish is not None
            if isinstance(item, TrimtabError):
                raise item
            yield item
    finally:
        if not ended:
            left()
