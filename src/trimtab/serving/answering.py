"""The engine's answers to one HTTP request, read together as they come."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from trimtab.errors import TrimtabError
from trimtab.interventions import Engine, Event, Request
from trimtab.serving.errors import HttpError

_AHEAD: Final = 16  # events that are read before they are asked for


@dataclass(frozen=True)
class Part:
    """One of the engine's requests.

    Args:
        index: of the choice.
        request: for the engine.
        beside: whether it is the unsteered answer to compare that choice with.
    """

    index: int
    request: Request
    beside: bool = False


class Answering:
    """Submits the parts of a request on entering; on leaving, those that still run are cancelled.

    Args:
        engine: runs them.
        parts: with different request ids.
        deadline: by the event loop's clock.
    """

    def __init__(self, engine: Engine, parts: Sequence[Part], deadline: float) -> None:
        self._engine = engine
        self._parts = parts
        self._deadline = deadline
        self._said: asyncio.Queue[tuple[Part, Event | Exception]] = asyncio.Queue(_AHEAD)  # a slow reader is waited for
        self._late = False
        self._running: set[str] = set()
        self._readers: list[asyncio.Task[None]] = []
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self._timer = asyncio.get_running_loop().call_at(self._deadline, self._hurry)
        for part in self._parts:
            self._running.add(part.request.id)
            self._readers.append(asyncio.create_task(self._read(part, self._engine.submit(part.request))))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ending = asyncio.ensure_future(self._end())
        await asyncio.shield(ending)  # whoever hurries us, the engine is told

    async def events(self) -> AsyncGenerator[tuple[Part, Event], None]:
        """Every part's events, in the order in which they come; each part's in its own.

        Raises:
            InputError: the engine refuses a part.
            HttpError: the time is up (504).
            TrimtabError: the engine failed, or ended a part by itself.
        """
        while self._running:
            part, said = await self._said.get()
            if self._late:
                raise HttpError(
                    "the answer was not done in time; ask for fewer tokens, or try again later",
                    status=504,
                    word="timeout",
                )
            if isinstance(said, Exception):
                raise said
            if said.finish == "cancelled":
                raise TrimtabError(
                    f"the answer to {part.request.id} was cancelled, since the engine stops or starts anew"
                )
            if said.finish is not None:
                self._running.discard(part.request.id)
            yield part, said

    def _hurry(self) -> None:
        """The time is up: whoever waits for the next event is woken."""
        self._late = True
        with suppress(asyncio.QueueFull):  # then there is one
            self._said.put_nowait((self._parts[0], TrimtabError("the time is up")))

    async def _read(self, part: Part, stream: AsyncIterator[Event]) -> None:
        """Pass a part's events on, or why there are no more before its end."""
        ended = False
        try:
            async for event in stream:
                ended = event.finish is not None
                await self._said.put((part, event))
        except Exception as error:
            await self._said.put((part, error))
        else:
            if not ended:
                await self._said.put((part, TrimtabError(f"the answer to {part.request.id} broke off")))

    async def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for id in sorted(self._running):
            with suppress(TrimtabError):  # an engine that failed holds nothing to cancel
                await self._engine.cancel(id)
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
