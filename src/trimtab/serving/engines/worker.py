"""The engine's process: loads the model, runs the requests that come through a pipe, sends back their events."""

import asyncio
import signal
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from trimtab.errors import InputError, TrimtabError
from trimtab.interventions import Engine, Request, ScoreRequest, Steerable
from trimtab.models import load_from
from trimtab.serving.engines.batching import Limits
from trimtab.serving.engines.choice import engine_for
from trimtab.serving.engines.outbox import Outbox
from trimtab.serving.engines.process import ModelToServe, Started
from trimtab.steering import Steering
from trimtab.threads import compute_with


def work(pipe: Connection, model: ModelToServe) -> None:
    """Serve until the pipe closes or says so.

    Args:
        pipe: to the process that answers people; the first message back says what was loaded, or why nothing was.
        model: what to load.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other process ends this one when it has drained
    if model.threads is not None:
        compute_with(model.threads)
    try:
        asyncio.run(_Worker(pipe).run(model))
    except TrimtabError as error:
        pipe.send(error)
    finally:
        pipe.close()


class _Worker:
    """One engine, and the requests that run on it."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._steerings: dict[str, Steering] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, model: ModelToServe) -> None:
        """Load, say so, and answer until the pipe ends."""
        lm = load_from(model.source)
        engine = engine_for(lm, self._find, Limits(max_running=model.max_running))
        outbox = Outbox(self._pipe)
        try:
            started = Started(await engine.capabilities(), _tokenizer(lm.tokenizer), lm.encoder().first)
            with suppress(BrokenPipeError, OSError):  # nobody listens; the next message ends the work
                await asyncio.get_running_loop().run_in_executor(None, self._pipe.send, started)
            while (message := await self._next()) is not None:
                if message[0] == "cancel":
                    await engine.cancel(message[1])
                    continue
                task = asyncio.get_running_loop().create_task(self._answer(engine, outbox, *message[1:]))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        finally:
            await engine.close()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await outbox.close()

    async def _next(self) -> tuple[Any, ...] | None:
        """The next message; None where the pipe ends or says so."""
        try:
            message: tuple[Any, ...] = await asyncio.get_running_loop().run_in_executor(None, self._pipe.recv)
        except (EOFError, OSError):
            return None
        return None if message[0] == "close" else message

    async def _answer(
        self, engine: Engine, outbox: Outbox, request: Request | ScoreRequest, folder: str | None
    ) -> None:
        try:
            if request.steering is not None:
                await asyncio.get_running_loop().run_in_executor(None, self._load, request.steering.artifact, folder)
            if isinstance(request, ScoreRequest):
                outbox.put(request.id, await engine.score(request))
                return
            async for event in engine.submit(request):
                outbox.put(request.id, event)
        except TrimtabError as error:
            outbox.put(request.id, error)
        except Exception as error:
            outbox.put(request.id, TrimtabError(f"the engine failed: {type(error).__name__}: {error}"))

    def _load(self, artifact: str, folder: str | None) -> None:
        """The steering from its folder, unless it is known; that it is the one that was asked for is checked."""
        if artifact in self._steerings or folder is None:
            return
        steering = Steering.load(Path(folder), allow_mismatch=True)  # whether that is allowed was decided before
        if steering.id != artifact:
            raise InputError(
                f"the folder {folder} holds another steering by now; load it again", code="wrong-file", field="steering"
            )
        self._steerings[artifact] = steering

    def _find(self, artifact: str) -> Steerable | None:
        return self._steerings.get(artifact)


def _tokenizer(tokenizer: Any) -> str:
    """The tokenizer as JSON, if it is one of `tokenizers`."""
    inner = getattr(tokenizer, "backend_tokenizer", None)
    return "" if inner is None else str(inner.to_str())
