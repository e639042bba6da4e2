"""The engine over transformers' continuous batching: many requests in one pass, each with its own steering."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

from trimtab.errors import InputError, TrimtabError
from trimtab.interventions import POSITION_SCOPES, SCOPES, Capabilities, Event, Request, Steerable
from trimtab.models import Encoded, Model, Steer
from trimtab.models.conditions import decided
from trimtab.models.linear import quick_linears
from trimtab.serving.engines.batching import Limits, batching_manager, requests_in_pass
from trimtab.serving.engines.logits import TokenChoice, choosing
from trimtab.serving.engines.packed import packed_edits
from trimtab.serving.engines.packed_steering import PackedSteering
from trimtab.serving.engines.prompts import Preparation, Prepared
from trimtab.serving.engines.running import Running
from trimtab.serving.engines.trial import check_packed_passes
from trimtab.steering.edits import KINDS

WATCH = 0.5  # seconds between two looks at whether the thread that runs the model is alive


class TransformersEngine:
    """An `trimtab.interventions.Engine` in this process.

    The model runs in a thread of its own; it belongs to the engine until `close`.

    Args:
        model: with its tokenizer.
        steerings: finds the steering of an artifact's id; None if there is none.
        limits: how much it takes on at once.

    Raises:
        InputError: transformers cannot batch this model, it has no tokenizer, or it is steered already.

    Example:
        >>> import asyncio
        >>> import trimtab as tt
        >>> from trimtab.interventions import Request, RequestSteering, Sampling
        >>> from trimtab.serving.engines.transformers import TransformersEngine
        >>> model = tt.load("smollm2")
        >>> async def answer(prompt):
        ...     engine = TransformersEngine(model, {}.get)
        ...     request = Request("a", tuple(model.tokenizer(prompt)["input_ids"]), Sampling(5, temperature=0))
        ...     text = "".join([event.text async for event in engine.submit(request)])
        ...     await engine.close()
        ...     return text
        >>> asyncio.run(answer("1, 2, 3, 4, 5,"))
        ' 6, 7'
    """

    def __init__(
        self, model: Model, steerings: Callable[[str], Steerable | None], limits: Limits | None = None
    ) -> None:
        if model.open_edits:
            raise InputError("the model is steered by an open `with model.steered(…)`; leave it first")
        self._model, self._steerings, self._limits = model, steerings, limits or Limits()
        self._max_length = self._limits.length_for(model)
        self._preparation = Preparation(model, self._max_length)
        self._attention = model.hf.config._attn_implementation
        self._packed: dict[str, PackedSteering] = {}
        self._choices: dict[str, TokenChoice] = {}
        self._running: dict[str, Running] = {}
        self._names = map(str, count())
        self._worker = ThreadPoolExecutor(1, "trimtab-engine")  # everything that may wait for the model
        self._tasks: set[asyncio.Task[None]] = set()
        self._watch: asyncio.TimerHandle | None = None
        self._added_to: dict[str, Any] = {}  # by name, the manager that runs it
        self._broken = self._closed = self._started = False
        with ExitStack() as stack:
            stack.callback(self._restore_attention)
            stack.enter_context(model.gate.open())
            stack.enter_context(model.tail.in_float32(begins=True))
            stack.enter_context(quick_linears(model.anatomy.heavy_modules))
            check_packed_passes(model, self._new_manager(), self._choices)
            self._manager = self._new_manager()
            stack.enter_context(
                packed_edits(model.hf, model.anatomy, self._packed, lambda: requests_in_pass(self._manager))
            )
            self._open = stack.pop_all()

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
        return Capabilities(facts, self._max_length, self._limits.max_running, frozenset(KINDS), scopes, True, messages)

    def submit(self, request: Request) -> AsyncIterator[Event]:
        """See `trimtab.interventions.Engine`."""
        running = Running(request, next(self._names))
        steering = None
        try:
            if self._closed:
                raise TrimtabError("the engine is closed, and takes no more requests")
            if request.id in self._running:
                raise InputError(
                    f"a request with the id {request.id!r} is running; give each its own",
                    code="repeated-name",
                    field="id",
                )
            steering = self._steering_of(request)
        except TrimtabError as error:
            running.fail(error)
        else:
            self._running[request.id] = running
            task = asyncio.get_running_loop().create_task(self._start(running, steering))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return running.stream(left=lambda: self._cancelled(running))

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
        if self._watch is not None:
            self._watch.cancel()
        await self._in_worker(self._stop)
        await asyncio.gather(*self._tasks)
        self._worker.shutdown()
        self._open.close()

    # On the event loop

    def _steering_of(self, request: Request) -> Steerable | None:
        if request.steering is None:
            return None
        steering = self._steerings(request.steering.artifact)
        if steering is None:
            raise InputError(
                f"there is no steering {request.steering.artifact!r} here", code="unknown-choice", field="steering"
            )
        return steering

    async def _start(self, running: Running, steering: Steerable | None) -> None:
        try:
            prepared = await self._in_worker(partial(self._prepared, running.request, steering))
            if not running.ended:
                self._add(running, prepared)
        except TrimtabError as error:
            self._failed(running, error)
        except Exception as error:  # whatever it is, nobody may wait for an answer that does not come
            self._failed(running, _unexpected(error))

    def _add(self, running: Running, prepared: Prepared) -> None:
        """Hand it to the manager; from here on `_arrived` is called for its tokens."""
        name, row, sampling = running.name, prepared.row, running.request.sampling
        choice, packed = TokenChoice(sampling, row.prompt_len, prepared.grammar), None
        if prepared.steer is not None:
            packed = PackedSteering(prepared.steer, prepared.attributes, row.prompt_len, prepared.marks)
            self._packed[name] = packed
        self._choices[name] = choice
        ends = self._preparation.ends
        running.begin(row.ids, self._model.tokenizer, choice, packed, (ends, self._preparation.silent_ends))
        manager = self._manager
        while manager.get_result(timeout=0) is not None:
            pass  # late tokens of requests that had ended
        manager.register_result_handler(name, partial(self._arrived, running, manager))
        self._added_to[name] = manager
        if manager.add_request(list(row.ids), name, sampling.max_tokens, True, eos_token_id=sorted(ends) or -1) is None:
            self._broken = True
            raise TrimtabError("the engine failed just now; send the request again")
        if self._watch is None:
            self._watch = asyncio.get_running_loop().call_later(WATCH, self._look)

    def _arrived(self, running: Running, manager: Any, output: Any) -> None:
        """A pass has given a token to a request, or the manager has failed."""
        if running.ended:
            return
        if output.error is not None:
            self._broken = self._broken or manager is self._manager
            self._failed(running, TrimtabError(f"the engine failed, and with it this request: {output.error}"))
            return
        try:
            if running.advance(output.generated_tokens, output.is_finished()):
                self._forget(running, cancel=not output.is_finished())
        except TrimtabError as error:
            self._failed(running, error)
        except Exception as error:
            self._failed(running, _unexpected(error))

    def _look(self) -> None:
        """End requests whose thread is gone; look again as long as there are any."""
        for running in list(self._running.values()):
            manager = self._added_to.get(running.name)
            if manager is not None and not manager.is_running():
                self._broken = self._broken or manager is self._manager
                self._failed(running, TrimtabError("the engine stopped, and with it this request; send it again"))
        self._watch = asyncio.get_running_loop().call_later(WATCH, self._look) if self._running else None

    def _cancelled(self, running: Running) -> None:
        if not running.ended:
            running.cancel()
            self._forget(running, cancel=True)

    def _failed(self, running: Running, error: TrimtabError) -> None:
        if not running.ended:
            running.fail(error)
            self._forget(running, cancel=True)

    def _forget(self, running: Running, cancel: bool) -> None:
        self._running.pop(running.request.id, None)
        self._packed.pop(running.name, None)
        self._choices.pop(running.name, None)
        manager = self._added_to.pop(running.name, None)
        if manager is not None and cancel:
            manager.cancel_request(running.name)
            manager.output_router.result_handlers.pop(running.name, None)

    async def _in_worker(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    # In the worker's thread

    def _prepared(self, request: Request, steering: Steerable | None) -> Prepared:
        prepared = self._preparation.of(request, steering)
        self._ready()
        if prepared.steer is None or not prepared.steer.undecided:
            return prepared
        return replace(prepared, steer=self._decided(prepared.row, prepared.steer))

    def _decided(self, row: Encoded, steer: Steer) -> Steer:
        """With its conditions decided on the prompt, between two passes."""
        hf = self._model.hf
        with self._manager.pause():
            batching = hf.config._attn_implementation
            if batching != self._attention:
                hf.set_attn_implementation(self._attention)
            try:
                return decided(self._model, [row], [(steer,)])[0][0]
            finally:
                if batching != self._attention:
                    hf.set_attn_implementation(batching)

    def _ready(self) -> None:
        """A manager that runs, a new one if the last one failed."""
        if self._closed:
            return
        if self._broken:
            self._stop()
            self._manager, self._broken = self._new_manager(), False
        if not self._started:
            self._manager.start()
            self._started = True

    def _new_manager(self) -> Any:
        manager = batching_manager(self._model, self._limits)
        choosing(manager, self._choices)
        return manager

    def _stop(self) -> None:
        if self._started:
            self._manager.stop(block=True, hard_stop=True)
            self._started = False

    def _restore_attention(self) -> None:
        """A manager may have changed it, and changes it back only where it ran."""
        if self._model.hf.config._attn_implementation != self._attention:
            self._model.hf.set_attn_implementation(self._attention)


def _unexpected(error: Exception) -> TrimtabError:
    told = TrimtabError(f"the engine could not run the request: {type(error).__name__}: {error}")
    told.__cause__ = error
    return told
