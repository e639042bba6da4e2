"""What the engines in this process share: they accept, prepare, cancel and end requests; how these run is their own."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from time import perf_counter
from typing import Any, TypeVar

from trimtab.errors import InputError, TrimtabError
from trimtab.interventions import (
    POSITION_SCOPES,
    SCOPES,
    AnswerScore,
    Capabilities,
    Event,
    Request,
    RequestSteering,
    ScoreRequest,
    Steerable,
)
from trimtab.models import Model
from trimtab.serving.engines.batching import Limits
from trimtab.serving.engines.prompts import Preparation, Prepared
from trimtab.serving.engines.running import Running
from trimtab.serving.engines.scoring import Scoring
from trimtab.steering.edits import KINDS

T = TypeVar("T")


class ModelEngine(ABC):
    """Base of the engines that run a model in this process; the model belongs to the engine until `close`.

    Args:
        model: with its tokenizer.
        steerings: finds the steering of an artifact's id; None if there is none.
        limits: how much it takes on at once.

    Raises:
        InputError: the model has no tokenizer, or is steered already.
    """

    def __init__(self, model: Model, steerings: Callable[[str], Steerable | None], limits: Limits) -> None:
        if model.open_edits:
            raise InputError("the model is steered by an open `with model.steered(…)`; leave it first")
        self._model, self._steerings, self._limits = model, steerings, limits
        self._max_length = limits.length_for(model)
        self._preparation = Preparation(model, self._max_length)
        self._running: dict[str, Running] = {}
        self._names = map(str, count())
        self._worker = ThreadPoolExecutor(1, "trimtab-engine")
        self._tasks: set[asyncio.Task[None]] = set()
        self._scoring = asyncio.Lock()  # one request for scores after the other
        self._closed = False

    @property
    @abstractmethod
    def max_running(self) -> int:
        """Requests that share a batch."""

    @property
    def note(self) -> str:
        """What to know about how it runs; empty if nothing."""
        return ""

    async def capabilities(self) -> Capabilities:
        """See `trimtab.interventions.Engine`."""
        if self._closed:
            raise TrimtabError("the engine is closed")
        await self._in_worker(self._ready)
        facts = await self._in_worker(lambda: self._model.facts)
        try:
            messages = self._preparation.chat_encoder is not None
        except InputError:
            messages = False
        scopes = frozenset(POSITION_SCOPES if self._model.thinking_marks is None else SCOPES)
        return Capabilities(
            facts,
            self._max_length,
            self.max_running,
            frozenset(KINDS),
            scopes,
            True,
            messages,
            self.note,
            str(self._model.dtype).removeprefix("torch."),
            scores=True,
        )

    def submit(self, request: Request) -> AsyncIterator[Event]:
        """See `trimtab.interventions.Engine`."""
        running = Running(request, next(self._names))
        steering = None
        try:
            self._check_open()
            if request.id in self._running:
                raise InputError(
                    f"a request with the id {request.id!r} is running; give each its own",
                    code="repeated-name",
                    field="id",
                )
            steering = None if request.steering is None else self._steering_of(request.steering)
        except TrimtabError as error:
            running.fail(error)
        else:
            self._running[request.id] = running
            task = asyncio.get_running_loop().create_task(self._start(running, steering))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return running.stream(left=lambda: self._cancelled(running))

    async def score(self, request: ScoreRequest) -> tuple[AnswerScore, ...]:
        """See `trimtab.interventions.Engine`."""
        self._check_open()
        steering = self._steering_of(request.steering)
        async with self._scoring:
            try:
                return await self._scored(request, steering)
            except TrimtabError:
                raise
            except Exception as error:
                raise _unexpected(error) from error

    async def cancel(self, id: str) -> None:
        """See `trimtab.interventions.Engine`."""
        if running := self._running.get(id):
            self._cancelled(running)

    async def close(self) -> None:
        """See `trimtab.interventions.Engine`."""
        if self._closed:
            return
        self._closed = True
        for running in list(self._running.values()):
            self._cancelled(running)
        await self._in_worker(self._stop)
        await asyncio.gather(*self._tasks)
        self._worker.shutdown()
        self._free()

    # How requests run

    @abstractmethod
    async def _run(self, running: Running, prepared: Prepared) -> None:
        """Have `_arrived` called for the tokens of a request."""

    @abstractmethod
    async def _between(self, act: Callable[[], T]) -> T:
        """Do something with the model while it runs no pass for a request."""

    def _prepared(self, request: Request, steering: Steerable | None) -> Prepared:
        """In the worker's thread."""
        return self._preparation.of(request, steering)

    def _ready(self) -> None:  # noqa: B027 - nothing, unless an engine says otherwise
        """Be able to run requests; in the worker's thread."""

    def _stop(self) -> None:  # noqa: B027 - nothing, unless an engine says otherwise
        """Run none any more; in the worker's thread."""

    def _free(self) -> None:  # noqa: B027 - nothing, unless an engine says otherwise
        """Leave the model as it was."""

    def _forget(self, running: Running, cancel: bool) -> None:
        """Free what a request holds; `cancel` if it may still be run."""
        self._running.pop(running.request.id, None)

    # On the event loop

    def _steering_of(self, asked: RequestSteering) -> Steerable:
        steering = self._steerings(asked.artifact)
        if steering is None:
            raise InputError(f"there is no steering {asked.artifact!r} here", code="unknown-choice", field="steering")
        return steering

    def _check_open(self) -> None:
        if self._closed:
            raise TrimtabError("the engine is closed, and takes no more requests")

    async def _scored(self, request: ScoreRequest, steering: Steerable) -> tuple[AnswerScore, ...]:
        """A few texts at a time; answers in flight have the model as long again after each time."""
        self._check_open()
        scoring = await self._in_worker(partial(Scoring, self._model, self._preparation, request, steering))
        scores: list[AnswerScore] = []
        for some in scoring.pieces:
            self._check_open()
            began = perf_counter()
            scores += await self._between(partial(scoring.scores, some))
            if self._running:
                await asyncio.sleep(perf_counter() - began)
        return tuple(scores)

    async def _start(self, running: Running, steering: Steerable | None) -> None:
        try:
            prepared = await self._in_worker(partial(self._prepared, running.request, steering))
            if not running.ended:
                await self._run(running, prepared)
        except TrimtabError as error:
            self._failed(running, error)
        except Exception as error:  # whatever it is, nobody may wait for an answer that does not come
            self._failed(running, _unexpected(error))

    def _arrived(self, running: Running, tokens: list[int], finished: bool) -> None:
        """A pass has given a token to a request: all of its answer's tokens so far."""
        if running.ended:
            return
        try:
            if running.advance(tokens, finished):
                self._forget(running, cancel=not finished)
        except TrimtabError as error:
            self._failed(running, error)
        except Exception as error:
            self._failed(running, _unexpected(error))

    def _cancelled(self, running: Running) -> None:
        if not running.ended:
            running.cancel()
            self._forget(running, cancel=True)

    def _failed(self, running: Running, error: TrimtabError) -> None:
        if not running.ended:
            running.fail(error)
            self._forget(running, cancel=True)

    async def _in_worker(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)


def _unexpected(error: Exception) -> TrimtabError:
    told = TrimtabError(f"the engine could not run the request: {type(error).__name__}: {error}")
    told.__cause__ = error
    return told
