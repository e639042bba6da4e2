"""`/v1/events`: tells that something has changed, as long as somebody listens; what has is read from the other paths.

An event holds a version of each part, not the news itself. So nothing waits for a slow reader but the newest event,
and whoever missed some lost nothing. A stream ends with its key, and after a while in any case.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from trimtab.errors import TrimtabError
from trimtab.serving.caller import caller_of, needs
from trimtab.serving.errors import HttpError
from trimtab.serving.hanging_up import EventStream
from trimtab.serving.inference import ERRORS
from trimtab.serving.keys import KeyFile
from trimtab.serving.protocol.events import Versions

if TYPE_CHECKING:
    from trimtab.serving.live import Operations
    from trimtab.serving.monitoring import Monitor

EVERY: Final = 0.5  # seconds between looks at what people change
EVIDENCE_EVERY: Final = 5.0  # seconds between looks at what answers change, which may be all the time
BEAT: Final = 15.0  # seconds after which a sign of life is sent if there is no event
LASTS: Final = 300.0  # seconds until a stream ends and its reader comes again
MOST: Final = 64  # streams at the same time
MOST_PER_KEY: Final = 16
_STREAM: Final = {**ERRORS, 200: {"description": "Server-sent events.", "content": {"text/event-stream": {}}}}


def changes(told: "Changes") -> APIRouter:
    """The route, for keys with the scope `read`."""
    router = APIRouter(responses=_STREAM, dependencies=[Depends(needs("read"))])

    @router.get("/v1/events", response_class=Response)
    async def events(request: Request) -> Response:
        """An event `change` at once and after each change: versions of releases, audit, evidence and monitoring."""
        pieces = told.stream(caller_of(request).key)
        first = await anext(pieces)  # with it come refusals, while there can be a status
        return EventStream(first, pieces, asyncio.get_running_loop().time() + LASTS + BEAT, lambda: None)

    return router


class Changes:
    """What may have changed, for any number of listeners; the store is asked as often as for one, and not without.

    Args:
        operations: None on a server without a store.
        monitor: None on a server that watches nothing.
        keys: of the server, by which a stream ends that may not be read any more; None where none are asked for.

    Attributes:
        stopping: says whether the server was told to stop, which ends all streams.
    """

    def __init__(self, operations: "Operations | None", monitor: "Monitor | None", keys: KeyFile | None = None) -> None:
        self.stopping: Callable[[], bool] = lambda: False
        self._operations, self._monitor, self._keys = operations, monitor, keys
        self._open: Counter[str] = Counter()
        self._reading: asyncio.Task[Versions] | None = None
        self._now: Versions | None = None
        self._read_at = self._evidence_at = float("-inf")
        self._evidence = (0, 0, "")

    @property
    def streams(self) -> int:
        """That are open."""
        return self._open.total()

    async def stream(self, key: str) -> AsyncGenerator[str, None]:
        """Events, and signs of life between them, until the time is up, the key is revoked or the server stops.

        Args:
            key: name of the listener's.

        Raises:
            HttpError: too many listen already (429).
        """
        for n, most, whose in ((self._open[key], MOST_PER_KEY, "of this key"), (self.streams, MOST, "of all keys")):
            if n >= most:
                raise HttpError(
                    f"{n} event streams {whose} are open, and at most {most} may be; close one",
                    status=429, word="too_many_requests", retry_after=10.0,
                )  # fmt: skip
        clock = asyncio.get_running_loop().time
        self._open[key] += 1
        try:
            ends, spoke, said = clock() + LASTS, clock(), None
            while True:
                now = await self._versions(clock())
                if now != said:
                    said, spoke = now, clock()
                    yield f"event: change\ndata: {now.model_dump_json()}\n\n"
                elif clock() - spoke >= BEAT:
                    spoke = clock()
                    yield ": still here\n\n"
                if clock() >= ends or self.stopping() or not self._may_read(key):
                    return
                await asyncio.sleep(EVERY)
        finally:
            self._open[key] -= 1

    def _may_read(self, key: str) -> bool:
        if self._keys is None:
            return True
        try:
            return any(one.name == key and "read" in one.scopes for one in self._keys.keys)
        except TrimtabError:  # as the guard refuses whoever asks then
            return False

    async def _versions(self, time: float) -> Versions:
        """As they were at most a moment ago; of several that ask at once, one asks the store."""
        if self._now is None or time - self._read_at >= EVERY:
            if self._reading is None or self._reading.done():
                self._reading = asyncio.ensure_future(self._read(time))
            return await asyncio.shield(self._reading)
        return self._now

    async def _read(self, time: float) -> Versions:
        if time - self._evidence_at >= EVIDENCE_EVERY:
            self._evidence_at = time
            self._evidence = *(await self._numbers()), self._monitored()
        exposures, outcomes, monitoring = self._evidence
        self._now = Versions(
            **await self._changed_by_people(), exposures=exposures, outcomes=outcomes, monitoring=monitoring
        )
        self._read_at = asyncio.get_running_loop().time()
        return self._now

    async def _changed_by_people(self) -> dict[str, Any]:
        if self._operations is None:
            return {"store": "none", "releases": 0, "audit": 0, "condition": None, "alarms": self._alarms}
        from trimtab.serving.live.heads import heads

        operations = self._operations
        said: dict[str, Any] = {"condition": operations.condition, "alarms": self._alarms}
        try:
            releases, audit = await asyncio.to_thread(heads, operations.store)
        except TrimtabError:
            return {"store": "lost", "releases": 0, "audit": 0, **said}
        return {"store": "there", "releases": releases, "audit": audit, **said}

    async def _numbers(self) -> tuple[int, int]:
        if self._operations is None:
            return 0, 0
        from trimtab.serving.live.heads import evidence

        try:
            return await asyncio.to_thread(evidence, self._operations.store)
        except TrimtabError:
            return self._evidence[:2]

    @property
    def _alarms(self) -> int:
        return 0 if self._monitor is None else sum(self._monitor.observations.raised.values())

    def _monitored(self) -> str:
        """A digest of all figures of the monitor."""
        if self._monitor is None:
            return ""
        record = json.dumps(self._monitor.observations.record, sort_keys=True, default=str)
        return sha256(record.encode()).hexdigest()[:16]
