"""The engine over transformers' continuous batching: many requests in one pass, each with its own steering."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, TypeVar

from trimtab.errors import TrimtabError
from trimtab.interventions import Request, Steerable
from trimtab.models import Encoded, Model, Steer
from trimtab.models.conditions import decided
from trimtab.models.linear import quick_linears
from trimtab.serving.engines.batching import Limits, batching_manager, requests_in_pass
from trimtab.serving.engines.logits import TokenChoice, choosing
from trimtab.serving.engines.model_engine import ModelEngine
from trimtab.serving.engines.packed import packed_edits
from trimtab.serving.engines.packed_steering import PackedSteering
from trimtab.serving.engines.prompts import Prepared
from trimtab.serving.engines.running import Running
from trimtab.serving.engines.trial import check_packed_passes

T = TypeVar("T")
WATCH = 0.5  # seconds between two looks at whether the thread that runs the model is alive


class TransformersEngine(ModelEngine):
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
        super().__init__(model, steerings, limits or Limits())
        self._attention = model.hf.config._attn_implementation
        self._packed: dict[str, PackedSteering] = {}
        self._choices: dict[str, TokenChoice] = {}
        self._watch: asyncio.TimerHandle | None = None
        self._added_to: dict[str, Any] = {}  # by name, the manager that runs it
        self._broken = self._started = False
        with ExitStack() as stack:
            stack.callback(self._restore_attention)
            stack.enter_context(model.gate.open())
            stack.enter_context(model.tail.in_float32(begins=True, few_rows=True))
            stack.enter_context(quick_linears(model.anatomy.heavy_modules))
            check_packed_passes(model, self._new_manager(), self._choices)
            self._manager = self._new_manager()
            stack.enter_context(
                packed_edits(model.hf, model.anatomy, self._packed, lambda: requests_in_pass(self._manager))
            )
            self._open = stack.pop_all()

    @property
    def max_running(self) -> int:
        """See `ModelEngine`."""
        return self._limits.max_running

    # On the event loop

    async def _run(self, running: Running, prepared: Prepared) -> None:
        """Hand it to the manager; from here on `_told` is called for its tokens."""
        name, row, sampling = running.name, prepared.row, running.request.sampling
        choice, packed = TokenChoice(sampling, row.prompt_len, prepared.grammar), prepared.packed()
        if packed is not None:
            self._packed[name] = packed
        self._choices[name] = choice
        ends = self._preparation.ends
        running.begin(row.ids, self._model.tokenizer, choice, packed, (ends, self._preparation.silent_ends))
        manager = self._manager
        while manager.get_result(timeout=0) is not None:
            pass  # late tokens of requests that had ended
        manager.register_result_handler(name, partial(self._told, running, manager))
        self._added_to[name] = manager
        if manager.add_request(list(row.ids), name, sampling.max_tokens, True, eos_token_id=sorted(ends) or -1) is None:
            self._broken = True
            raise TrimtabError("the engine failed just now; send the request again")
        if self._watch is None:
            self._watch = asyncio.get_running_loop().call_later(WATCH, self._look)

    async def _between(self, act: Callable[[], T]) -> T:
        def paused() -> T:
            self._ready()
            with self._paused():
                return act()

        done: T = await self._in_worker(paused)
        return done

    def _told(self, running: Running, manager: Any, output: Any) -> None:
        """A pass has given a token to a request, or the manager has failed."""
        if running.ended:
            return
        if output.error is not None:
            self._broken = self._broken or manager is self._manager
            self._failed(running, TrimtabError(f"the engine failed, and with it this request: {output.error}"))
            return
        self._arrived(running, output.generated_tokens, output.is_finished())

    def _look(self) -> None:
        """End requests whose thread is gone; look again as long as there are any."""
        for running in list(self._running.values()):
            manager = self._added_to.get(running.name)
            if manager is not None and not manager.is_running():
                self._broken = self._broken or manager is self._manager
                self._failed(running, TrimtabError("the engine stopped, and with it this request; send it again"))
        self._watch = asyncio.get_running_loop().call_later(WATCH, self._look) if self._running else None

    def _forget(self, running: Running, cancel: bool) -> None:
        super()._forget(running, cancel)
        self._packed.pop(running.name, None)
        self._choices.pop(running.name, None)
        manager = self._added_to.pop(running.name, None)
        if manager is not None and cancel:
            manager.cancel_request(running.name)
            manager.output_router.result_handlers.pop(running.name, None)

    def _free(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._open.close()

    # In the worker's thread

    def _prepared(self, request: Request, steering: Steerable | None) -> Prepared:
        prepared = super()._prepared(request, steering)
        self._ready()
        if prepared.steer is None or not prepared.steer.undecided:
            return prepared
        return prepared.decided(self._decided(prepared.row, prepared.steer))

    def _decided(self, row: Encoded, steer: Steer) -> Steer:
        """With its conditions decided on the prompt, between two passes."""
        with self._paused():
            return decided(self._model, [row], [(steer,)])[0][0]

    @contextmanager
    def _paused(self) -> Iterator[None]:
        """No pass runs in here, and the model computes attention as it does outside of them."""
        hf = self._model.hf
        with self._manager.pause():
            batching = hf.config._attn_implementation
            if batching != self._attention:
                hf.set_attn_implementation(self._attention)
            try:
                yield
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
