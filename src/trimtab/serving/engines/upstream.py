"""The engine behind a URL: requests are passed on to servers that run the model, such as vLLM with the plug-in."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Final

import httpx2

from trimtab.clients.urls import check_base
from trimtab.errors import InputError, TrimtabError
from trimtab.interventions import SCOPES, AnswerScore, Capabilities, Event, Request, ScoreRequest
from trimtab.serving.engines.events import Events, read_events
from trimtab.serving.engines.upstream_events import Reading, body_of, path_of
from trimtab.serving.engines.upstream_server import UpstreamError, UpstreamServer

PAUSE: Final = 5.0
"""Seconds that a server which did not answer is left alone, as long as there is another one."""
_ROUNDS: Final = 2  # times that each server may be asked for one answer
_BREATH: Final = 0.5  # seconds between two rounds


@dataclass(frozen=True)
class Upstreams:
    """Servers that run the same model.

    Args:
        urls: of each, such as `http://host:8000/v1`.
        key: sent to each as a bearer token; empty for none.
        connect_seconds: for a connection.
        piece_seconds: for each piece of an answer.

    Raises:
        InputError: no URL, one that is none, one given twice, or a key that would be sent unencrypted.
    """

    urls: Sequence[str]
    key: str = ""
    connect_seconds: float = 5.0
    piece_seconds: float = 120.0

    def __post_init__(self) -> None:
        if not self.urls:
            raise InputError("name at least one upstream server", code="missing-value", field="upstream")
        for url in self.urls:
            check_base(url, self.key, "upstream")
        if len({url.rstrip("/") for url in self.urls}) < len(self.urls):
            raise InputError("an upstream server is named twice", code="repeated-name", field="upstream")


class UpstreamEngine:
    """A `trimtab.interventions.Engine` whose model runs on other servers.

    A request goes to the server that answers the fewest of ours, of those that have its steering. One that does not
    answer is left alone for a while, and the request goes to another one, or to the same one again, as long as nothing
    of its answer has been handed on. A steered answer that does not say it was steered as asked is an error.

    Args:
        upstreams: see `Upstreams`.
        kinds: kinds of edits that steerings may have; which of these a server can run it says when it lists them.
    """

    def __init__(self, upstreams: Upstreams, kinds: Callable[[], frozenset[str]]) -> None:
        self._upstreams, self._kinds = upstreams, kinds
        self._servers: list[UpstreamServer] = []
        self._client: httpx2.AsyncClient | None = None
        self._tasks: dict[str, tuple[asyncio.Task[None], Events]] = {}
        self._look_again: dict[str, float] = {}  # by URL, when a lost server is looked for again
        self._looking: set[asyncio.Task[None]] = set()
        self._turns = count()
        self._closed = False

    async def capabilities(self) -> Capabilities:
        """See `trimtab.interventions.Engine`; asks every server, of which one must be there."""
        servers = self._open()
        await asyncio.gather(*(server.look() for server in servers), return_exceptions=True)
        there = [server for server in servers if server.offered is not None]
        if not there:
            raise TrimtabError(f"no upstream server answers: {'; '.join(server.fault for server in servers)}")
        offers = [server.offered for server in there if server.offered is not None]
        models = sorted({offered.model for offered in offers})
        if len(models) > 1:
            raise InputError(
                f"the upstream servers run different models, {' and '.join(models)}; name those of one model alone",
                code="conflicting-arguments",
                field="upstream",
            )
        return Capabilities(
            model=None,
            max_length=min(offered.max_length for offered in offers),
            max_running=sum(offered.max_running for offered in offers),
            edits=self._kinds(),
            scopes=frozenset(SCOPES),
            conditions=True,
            messages=all(offered.messages for offered in offers),
            note=f"passed on to {', '.join(server.url for server in there)}"
            + "".join(f"; not there: {server.fault}" for server in servers if server.offered is None),
        )

    @property
    def model(self) -> str:
        """The name that the servers have for their model, once they have said it; empty before that."""
        return next((server.offered.model for server in self._servers if server.offered is not None), "")

    def submit(self, request: Request) -> AsyncIterator[Event]:
        """See `trimtab.interventions.Engine`."""
        queue: Events = asyncio.Queue()
        if self._closed:
            queue.put_nowait(TrimtabError("the engine is closed, and takes no more requests"))
        elif request.id in self._tasks:
            queue.put_nowait(
                InputError(
                    f"a request with the id {request.id!r} is running; give each its own",
                    code="repeated-name",
                    field="id",
                )
            )
        else:
            task = asyncio.get_running_loop().create_task(self._answer(request, queue))
            self._tasks[request.id] = task, queue
            task.add_done_callback(lambda _: self._tasks.pop(request.id, None))
        return read_events(queue, left=lambda: self._cancelled(request.id, queue))

    async def score(self, request: ScoreRequest) -> tuple[AnswerScore, ...]:
        """See `trimtab.interventions.Engine`; upstream servers do not score.

        Raises:
            InputError: always.
        """
        raise InputError("upstream servers do not score answers", code="unsupported", field="score")

    async def cancel(self, id: str) -> None:
        """See `trimtab.interventions.Engine`: the connection is closed, by which the server knows."""
        if (found := self._tasks.get(id)) is not None:
            self._cancelled(id, found[1])

    async def close(self) -> None:
        """See `trimtab.interventions.Engine`."""
        if self._closed:
            return
        self._closed = True
        running = list(self._tasks.values())
        for id, (_, queue) in list(self._tasks.items()):
            self._cancelled(id, queue)
        for looking in self._looking:
            looking.cancel()
        await asyncio.gather(*(task for task, _ in running), *self._looking, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    def _open(self) -> list[UpstreamServer]:
        """The servers, asked over a client of this event loop.

        Raises:
            TrimtabError: the engine is closed.
        """
        if self._closed:
            raise TrimtabError("the engine is closed")
        if self._client is None:
            given = self._upstreams
            headers = {"authorization": f"Bearer {given.key}"} if given.key else {}
            timeout = httpx2.Timeout(given.piece_seconds, connect=given.connect_seconds)
            limits = httpx2.Limits(max_connections=None)
            self._client = httpx2.AsyncClient(timeout=timeout, headers=headers, limits=limits)
            self._servers = [UpstreamServer(url.rstrip("/"), self._client) for url in given.urls]
        return self._servers

    def _cancelled(self, id: str, queue: Events) -> None:
        found = self._tasks.get(id)
        if found is not None and found[1] is queue and found[0].cancel():
            queue.put_nowait(Event(id, finish="cancelled"))

    async def _answer(self, request: Request, queue: Events) -> None:
        try:
            await self._passed_on(request, queue)
        except TrimtabError as error:
            queue.put_nowait(error)
        except Exception as error:  # whatever it is, nobody may wait for an answer that does not come
            told = TrimtabError(f"the request could not be passed on: {type(error).__name__}: {error}")
            told.__cause__ = error
            queue.put_nowait(told)

    async def _passed_on(self, request: Request, queue: Events) -> None:
        """Ask one server after the other until one answers; once it has begun, its faults are the request's."""
        asked: list[str] = []
        servers = self._open()
        for n in range(_ROUNDS * len(servers)):
            if n and n % len(servers) == 0:
                await asyncio.sleep(_BREATH)
            server, name = await self._server_for(request, asked)
            asked.append(server.url)
            begun = False
            try:
                async for event in self._events(server, name, request):
                    begun = True
                    queue.put_nowait(event)
                return
            except UpstreamError as error:
                if begun:
                    raise
                last = error
                if error.code != "busy":
                    self._look_again[server.url] = self._now() + PAUSE
                    server.lost(str(error))
        raise last

    async def _events(self, server: UpstreamServer, name: str | None, request: Request) -> AsyncIterator[Event]:
        assert server.offered is not None
        reading = Reading(request, server.url)
        body = body_of(request, server.offered.model, name)
        async with server.posted(path_of(request), body) as events:
            async for data in events:
                if (event := reading.event(data)) is not None:
                    yield event
        yield reading.end()

    async def _server_for(self, request: Request, asked: Sequence[str]) -> tuple[UpstreamServer, str | None]:
        """A server that is there and has the request's steering, and its name for it.

        Raises:
            InputError: none has it.
            TrimtabError: none is there.
        """
        self._look_for_lost()
        if not self._fit(request):
            await asyncio.gather(*(server.look() for server in self._servers), return_exceptions=True)
        fit = self._fit(request)
        if not fit:
            there = [server for server in self._servers if server.offered is not None]
            if not there:
                raise UpstreamError(f"no upstream server answers: {'; '.join(s.fault for s in self._servers)}")
            assert request.steering is not None
            raise InputError(
                f"the steering {request.steering.artifact[:12]}… is on no upstream server; load it there, from the "
                "same folder",
                code="unknown-choice",
                field="steering",
            )
        turn = next(self._turns)

        def order(place: int) -> tuple[int, int, int]:
            server = fit[place][0]
            return asked.count(server.url), server.running, (place - turn) % len(fit)

        return fit[min(range(len(fit)), key=order)]

    def _look_for_lost(self) -> None:
        """Ask servers that have been left alone for long enough, without waiting for what they say."""
        now = self._now()
        for server in self._servers:
            if server.offered is None and self._look_again.get(server.url, 0.0) <= now:
                self._look_again[server.url] = now + PAUSE
                task = asyncio.get_running_loop().create_task(self._looked(server))
                self._looking.add(task)
                task.add_done_callback(self._looking.discard)

    async def _looked(self, server: UpstreamServer) -> None:
        with suppress(TrimtabError):  # it stays lost, and says why
            await server.look()

    def _fit(self, request: Request) -> list[tuple[UpstreamServer, str | None]]:
        """The servers that are there and have a request's steering."""
        fit: list[tuple[UpstreamServer, str | None]] = []
        for server in self._servers:
            if server.offered is None:
                continue
            name = None if request.steering is None else server.offered.steerings.get(request.steering.artifact)
            if request.steering is None or name is not None:
                fit.append((server, name))
        return fit

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


async def model_name(upstreams: Upstreams) -> str:
    """The name that upstream servers have for their model.

    Raises:
        InputError: they run different ones.
        TrimtabError: none answers.
    """
    engine = UpstreamEngine(upstreams, frozenset)
    try:
        await engine.capabilities()
        return engine.model
    finally:
        await engine.close()
