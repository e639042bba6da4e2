"""An engine in a process of its own: what answers people imports no torch, and outlives a model that crashes.

Messages are plain values over a pipe. The child is `worker.py` in the same folder, imported there and not here.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock, Thread
from time import sleep
from typing import Any, Final

from trimtab.errors import InputError, TrimtabError
from trimtab.interventions import AnswerScore, Capabilities, Event, Request, ScoreRequest
from trimtab.model_source import ModelSource
from trimtab.serving.engines.events import Events, read_events
from trimtab.serving.engines.outbox import Item, Said
from trimtab.threads import sleep_while_waiting

_PATIENCE: Final = 10.0  # seconds for a process to end by itself
_PAUSE: Final = 1.0  # seconds before a process that died is started again
# oneDNN keeps a kernel for every shape that it has met, and passes have as many shapes as numbers of tokens: with its
# own limit of 1,024 the kernels of a small model grow to a gigabyte.
_ONEDNN_CACHES: Final = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
_KERNELS: Final = 128


@dataclass(frozen=True)
class ModelToServe:
    """What the engine's process loads.

    Args:
        source: of the model.
        max_running: requests that share a batch.
        threads: that compute; None for what torch takes, one for each core or OMP_NUM_THREADS.
    """

    source: ModelSource
    max_running: int = 16
    threads: int | None = None


@dataclass(frozen=True)
class Started:
    """What the engine's process says when it is ready.

    Args:
        capabilities: of the engine.
        tokenizer: as JSON of `tokenizers`; empty where the model's tokenizer has no such form.
        first: token that goes in front of every plain text.
    """

    capabilities: Capabilities
    tokenizer: str
    first: int | None


class ProcessEngine:
    """An `trimtab.interventions.Engine` whose model runs in another process, which is started again if it dies.

    Requests that ran when it died end with a `TrimtabError`; those that come while it starts are refused likewise.

    Args:
        model: what it runs.
        folder_of: the folder of an artifact by its id; None if there is none.

    Raises:
        InputError: the model cannot be loaded or served.
        TrimtabError: the process ended before it was ready.
    """

    def __init__(self, model: ModelToServe, folder_of: Callable[[str], Path | None]) -> None:
        self._model, self._folder_of = model, folder_of
        self._queues: dict[str, Events] = {}
        self._scores: dict[str, asyncio.Future[tuple[AnswerScore, ...]]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reader: Thread | None = None
        self._starting = Lock()  # held while a process is started again, so that closing finds it
        self._closed = False
        self._pipe, self._process = self._spawn()
        self.started: Started = _started(self._pipe.recv)
        self._up = True

    async def capabilities(self) -> Capabilities:
        """See `trimtab.interventions.Engine`."""
        self._listening()
        if not self._up:
            raise TrimtabError(
                "the engine is closed" if self._closed else "the engine's process is being started again"
            )
        return self.started.capabilities

    def submit(self, request: Request) -> AsyncIterator[Event]:
        """See `trimtab.interventions.Engine`."""
        self._listening()
        queue: Events = asyncio.Queue()
        error = self._refusal(request)
        if error is None:
            self._queues[request.id] = queue
            self._submit(request)
        else:
            queue.put_nowait(error)
        return read_events(queue, left=lambda: self._cancel(request.id))

    async def score(self, request: ScoreRequest) -> tuple[AnswerScore, ...]:
        """See `trimtab.interventions.Engine`."""
        self._listening()
        if (error := self._refusal(request)) is not None:
            raise error
        awaited: asyncio.Future[tuple[AnswerScore, ...]] = asyncio.get_running_loop().create_future()
        self._scores[request.id] = awaited
        self._submit(request)
        try:
            return await awaited
        finally:
            self._scores.pop(request.id, None)

    async def cancel(self, id: str) -> None:
        """See `trimtab.interventions.Engine`."""
        self._cancel(id)

    async def close(self) -> None:
        """See `trimtab.interventions.Engine`."""
        if self._closed:
            return
        up, self._closed, self._up = self._up, True, False
        await asyncio.get_running_loop().run_in_executor(None, self._end, up)
        self._fail(TrimtabError("the engine is closed"))

    def _cancel(self, id: str) -> None:
        if id in self._queues:
            self._send(("cancel", id))

    def _submit(self, request: Request | ScoreRequest) -> None:
        folder = request.steering and self._folder_of(request.steering.artifact)
        self._send(("submit", request, None if folder is None else str(folder)))

    def _refusal(self, request: Request | ScoreRequest) -> TrimtabError | None:
        if self._closed:
            return TrimtabError("the engine is closed, and takes no more requests")
        if not self._up:
            return TrimtabError("the engine's process died and is being started again; try again soon", code="busy")
        if request.id in self._queues or request.id in self._scores:
            return InputError(
                f"a request with the id {request.id!r} is running; give each its own", code="repeated-name", field="id"
            )
        return None

    # The process and its pipe

    def _spawn(self) -> tuple[Connection, Any]:
        context = get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=_run, args=(there, self._model), name="trimtab-engine", daemon=True)
        process.start()
        there.close()
        return here, process

    def _listening(self) -> None:
        """The thread that reads the pipe begins with the first request, in whose event loop it puts events."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._reader = Thread(target=self._read, name="trimtab-engine-reader", daemon=True)
            self._reader.start()

    def _read(self) -> None:
        assert self._loop is not None
        while True:
            try:
                message = self._pipe.recv()
            except (EOFError, OSError):
                if self._closed:
                    return
                self._call(self._died)
                if not self._again():
                    return
                continue
            self._call(self._deliver, message)

    def _call(self, act: Callable[..., None], *arguments: Any) -> None:
        assert self._loop is not None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(act, *arguments)

    def _again(self) -> bool:
        """Start another process; whether there is one, or the server has been closed meanwhile."""
        while True:
            sleep(_PAUSE)
            if not self._spawned_again():
                return False
            try:
                started = _started(self._pipe.recv)
            except TrimtabError:
                continue
            self._call(self._came_back, started)
            return True

    def _spawned_again(self) -> bool:
        """Whether another process is starting: none does once the engine closes."""
        with self._starting:
            if not self._closed:
                self._pipe.close()
                self._pipe, self._process = self._spawn()
            return not self._closed

    def _deliver(self, message: list[Said]) -> None:
        for id, item in message:
            if (awaited := self._scores.get(id)) is not None:
                _settle(awaited, item)
                continue
            queue = self._queues.get(id)
            if queue is None or isinstance(item, tuple):
                continue
            if isinstance(item, TrimtabError) or item.finish is not None:
                del self._queues[id]
            queue.put_nowait(item)

    def _came_back(self, started: Started) -> None:
        self.started, self._up = started, not self._closed

    def _died(self) -> None:
        self._up = False
        self._fail(TrimtabError("the engine's process died; it is being started again"))

    def _fail(self, error: TrimtabError) -> None:
        queues, self._queues = self._queues, {}
        for queue in queues.values():
            queue.put_nowait(error)
        for awaited in self._scores.values():
            _settle(awaited, error)

    def _send(self, message: tuple[Any, ...]) -> None:
        with suppress(BrokenPipeError, OSError):  # the reader notices, and fails what runs
            self._pipe.send(message)

    def _end(self, up: bool) -> None:
        """End the process: one that is up is told to and finishes what it must, one that is starting has nothing."""
        with self._starting:
            process = self._process
        if up:
            self._send(("close",))
            process.join(_PATIENCE)
        if process.is_alive():
            process.kill()
            process.join(_PATIENCE)
        if self._reader is not None:
            self._reader.join(_PATIENCE)
        self._pipe.close()


def _settle(awaited: "asyncio.Future[tuple[AnswerScore, ...]]", item: Item) -> None:
    """Tell who waits for scores what came, unless nobody waits any more."""
    if awaited.done():
        return
    if isinstance(item, tuple):
        awaited.set_result(item)
    elif isinstance(item, TrimtabError):
        awaited.set_exception(item)


def _run(pipe: Connection, model: ModelToServe) -> None:
    """The child: its environment is set before torch is imported, which reads it then."""
    sleep_while_waiting()
    for cache in _ONEDNN_CACHES:
        os.environ.setdefault(cache, str(_KERNELS))
    if model.threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(model.threads)

    from trimtab.serving.engines.worker import work

    work(pipe, model)


def _started(receive: Callable[[], Any]) -> Started:
    try:
        answer = receive()
    except (EOFError, OSError) as error:
        raise TrimtabError("the engine's process ended before it was ready; is there enough memory?") from error
    if isinstance(answer, TrimtabError):
        raise answer
    assert isinstance(answer, Started)
    return answer
