"""The engine's answers to one HTTP request, read together as they come."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from trimtab.errors import TrimtabError
from trimtab.interventions import Engine, Event, Request
from trimtab.serving.errors import HttpError


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
        self._streams: dict[str, AsyncIterator[Event]] = {}
        self._steps: dict[asyncio.Future[Event], Part] = {}
        self._running: set[str] = set()

    async def __aenter__(self) -> Self:
        for part in self._parts:
            id = part.request.id
            self._streams[id] = self._engine.submit(part.request)
            self._running.add(id)
            self._next(part)
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
        loop = asyncio.get_running_loop()
        while self._steps:
            left = self._deadline - loop.time()
            done, _ = await asyncio.wait(self._steps, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                raise HttpError(
                    "the answer was not done in time; ask for fewer tokens, or try again later",
                    status=504,
                    word="timeout",
                )
            for step in sorted(done, key=lambda one: self._steps[one].request.id):
                part = self._steps.pop(step)
                event = _of(step, part)
                if event.finish is None:
                    self._next(part)
                else:
                    self._running.discard(part.request.id)
                yield part, event

    def _next(self, part: Part) -> None:
        step = asyncio.ensure_future(_step(self._streams[part.request.id]))
        self._steps[step] = part

    async def _end(self) -> None:
        for id in sorted(self._running):
            with suppress(TrimtabError):  # an engine that failed holds nothing to cancel
                await self._engine.cancel(id)
        for step in self._steps:
            step.cancel()
        await asyncio.gather(*self._steps, return_exceptions=True)
        self._steps.clear()


async def _step(stream: AsyncIterator[Event]) -> Event:
    return await anext(stream)


def _of(step: "asyncio.Future[Event]", part: Part) -> Event:
    """The event of a step that is done."""
    try:
        event = step.result()
    except StopAsyncIteration as error:
        raise TrimtabError(f"the answer to {part.request.id} broke off") from error
    if event.finish == "cancelled":
        raise TrimtabError(f"the answer to {part.request.id} was cancelled, since the engine stops or starts anew")
    return event
