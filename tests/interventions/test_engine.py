"""The engine's protocol, carried out by the smallest engine that keeps all of it: it spells words, many at once."""

import asyncio
import inspect
import pickle
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from trimtab.errors import InputError
from trimtab.interventions import (
    AnswerScore,
    Capabilities,
    EditSummary,
    Engine,
    Event,
    Finish,
    ModelFacts,
    Request,
    RequestSteering,
    Sampling,
    ScoreRequest,
)
from trimtab.texts import Message

FACTS = ModelFacts("org/model", None, "LlamaForCausalLM", 4, 2, "0" * 64, "1" * 64)
STEERINGS = {"f" * 64: {"loud"}}


@dataclass
class Running:
    """A request on its way, and the events that its reader has not taken yet."""

    request: Request
    events: asyncio.Queue[Event] = field(default_factory=asyncio.Queue)
    n_events: int = 0


class Speller:
    """Answers with the letters of the alphabet, one a step to every request; steered by `loud` > 0, with capitals."""

    def __init__(self) -> None:
        self.running: dict[str, Running] = {}
        self.steps: list[int] = []  # how many requests shared each step
        self.closed = False
        self._loop: asyncio.Task[None] | None = None

    async def capabilities(self) -> Capabilities:
        return Capabilities(FACTS, 64, 8, frozenset({"additive"}), frozenset({"all"}), messages=True)

    def submit(self, request: Request) -> AsyncIterator[Event]:
        fault = self._fault(request)
        if not fault:
            self.running[request.id] = Running(request)
            if self._loop is None or self._loop.done():
                self._loop = asyncio.get_running_loop().create_task(self._run())
        return self._stream(fault, self.running.get(request.id))

    async def cancel(self, id: str) -> None:
        self._end(id, "cancelled")

    async def close(self) -> None:
        self.closed = True
        for id in list(self.running):
            self._end(id, "cancelled")

    def _fault(self, request: Request) -> str:
        steering = request.steering
        if self.closed or request.id in self.running:
            return "the engine is closed" if self.closed else f"request {request.id!r} is running"
        if steering is not None and not set(steering.strength) <= STEERINGS.get(steering.artifact, set()):
            return f"no steering {steering.artifact[:12]} with {', '.join(steering.strength)}"
        return ""

    async def _stream(self, fault: str, running: Running | None) -> AsyncIterator[Event]:
        if fault or running is None:
            raise InputError(fault)
        while True:
            event = await running.events.get()
            yield event
            if event.finish:
                return

    async def score(self, request: ScoreRequest) -> tuple[AnswerScore, ...]:
        raise InputError("this engine scores no answers", code="unsupported")

    async def _run(self) -> None:
        while self.running:
            self.steps.append(len(self.running))
            for one in list(self.running.values()):
                self._step(one)
            await asyncio.sleep(0)

    def _step(self, one: Running) -> None:
        first, steering = one.n_events == 0, one.request.steering
        loud = steering is not None and steering.strength["loud"] > 0
        letter = chr((65 if loud else 97) + one.n_events)
        one.n_events += 1
        run = len(one.request.prompt) if first else 1
        edits = None if steering is None else EditSummary(run, run * loud, {}, 0.1 * loud)
        prompt = len(one.request.prompt) if first else None
        one.events.put_nowait(Event(one.request.id, letter, (ord(letter),), (-0.5,), edits=edits, prompt_tokens=prompt))
        if one.n_events == one.request.sampling.max_tokens:
            self._end(one.request.id, "length")

    def _end(self, id: str, finish: Finish) -> None:
        one = self.running.pop(id, None)
        if one is not None:
            one.events.put_nowait(Event(id, finish=finish))


def request(id: str, n: int = 3, **changes: object) -> Request:
    return Request(id, (1, 2), Sampling(n), **changes)  # type: ignore[arg-type]


def loudly(strength: float = 1.0) -> RequestSteering:
    return RequestSteering("f" * 64, {"loud": strength})


async def answer(engine: Engine, wanted: Request) -> list[Event]:
    return [event async for event in engine.submit(wanted)]


def text(events: list[Event]) -> str:
    return "".join(event.text for event in events)


def test_a_small_engine_has_the_protocols_methods_with_their_arguments() -> None:
    engine: Engine = Speller()
    for name in ("capabilities", "submit", "score", "cancel", "close"):
        wanted = inspect.signature(getattr(Engine, name))
        assert inspect.signature(getattr(type(engine), name)) == wanted
        assert inspect.iscoroutinefunction(getattr(Engine, name)) == (name != "submit")


def test_many_requests_share_steps_each_with_its_own_steering() -> None:
    async def main() -> tuple[list[list[Event]], list[int]]:
        engine = Speller()
        wanted = [request("plain"), request("loud", 4, steering=loudly()), request("off", 2, steering=loudly(0.0))]
        return list(await asyncio.gather(*(answer(engine, one) for one in wanted))), engine.steps

    (plain, loud, off), steps = asyncio.run(main())
    assert [text(plain), text(loud), text(off)] == ["abc", "ABCD", "ab"]
    assert steps == [3, 3, 2, 1]
    assert [event.edits for event in plain] == [None] * 4
    assert [event.edits.selected for event in loud if event.edits] == [2, 1, 1, 1]
    assert [event.prompt_tokens for event in loud] == [2, None, None, None, None]
    for events in (plain, loud, off):
        assert [event.finish for event in events] == [None] * (len(events) - 1) + ["length"]


def test_a_request_is_taken_on_before_anybody_reads_and_no_reader_holds_up_another() -> None:
    async def main() -> tuple[list[Event], list[Event]]:
        engine = Speller()
        unread = engine.submit(request("slow", 5))
        quick = await answer(engine, request("quick", 6))
        assert not engine.running
        return quick, [event async for event in unread]

    quick, slow = asyncio.run(main())
    assert (text(quick), text(slow)) == ("abcdef", "abcde")


def test_cancelling_ends_one_stream_and_no_other() -> None:
    async def main() -> tuple[list[Event], list[Event]]:
        engine = Speller()
        other = asyncio.create_task(answer(engine, request("other", 5)))
        events = []
        async for event in engine.submit(request("mine", 1000)):
            events.append(event)
            if len(events) == 2:
                await engine.cancel("mine")
        await engine.cancel("mine")
        await engine.cancel("nobody")
        return events, await other

    mine, other = asyncio.run(main())
    assert mine[-1].finish == "cancelled"
    assert len(mine) < 10
    assert text(other) == "abcde"


def test_what_cannot_be_carried_out_is_refused_before_any_event() -> None:
    async def main() -> None:
        engine = Speller()
        unread = engine.submit(request("a", 2))
        for invalid in (
            request("a"),
            request("b", steering=RequestSteering("e" * 64, {"loud": 1.0})),
            request("b", steering=RequestSteering("f" * 64, {"quiet": 1.0})),
        ):
            with pytest.raises(InputError):
                await answer(engine, invalid)
        assert text([event async for event in unread]) == "ab"

    asyncio.run(main())


def test_closing_cancels_what_runs_and_takes_no_more() -> None:
    async def main() -> None:
        engine = Speller()
        running = asyncio.create_task(answer(engine, request("a", 1000)))
        await asyncio.sleep(0)
        await engine.close()
        await engine.close()
        assert (await running)[-1].finish == "cancelled"
        with pytest.raises(InputError, match="closed"):
            await answer(engine, request("b"))

    asyncio.run(main())


def test_everything_that_passes_goes_through_a_pipe() -> None:
    """So that an engine can live in a process of its own."""
    chat = (Message("system", "Be brief."), Message("user", "Hi"))
    passed = [
        Request("a", chat, Sampling(5, 0.7, 0.9, 40, 1, ("\n",), 2), loudly()),
        Event("a", "Hi", (5,), (-0.1,), ({5: -0.1, 7: -3.0},), EditSummary(3, 2, {"loud": 0.4}, 0.2), 9, "stop"),
        asyncio.run(Speller().capabilities()),
    ]
    assert pickle.loads(pickle.dumps(passed)) == passed


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: request(""), "needs an id"),
        (lambda: Request("a", (), Sampling(1)), "the prompt is empty"),
        (lambda: Sampling(0), "max_tokens 0 must be 1 or more"),
        (lambda: Sampling(1, temperature=float("nan")), "temperature nan must be"),
        (lambda: Sampling(1, temperature=float("inf")), "temperature inf must be"),
        (lambda: Sampling(1, temperature=-0.1), "temperature -0.1 must be"),
        (lambda: Sampling(1, top_p=0.0), "top_p 0.0 must be above 0"),
        (lambda: Sampling(1, top_k=-1), "top_k -1 must be"),
        (lambda: Sampling(1, top_logprobs=-1), "top_logprobs -1 must be"),
        (lambda: Sampling(1, stop=("",)), "stop text is empty"),
        (lambda: loudly(float("nan")), "strength nan of 'loud'"),
        (lambda: RequestSteering("", {}), "id of an artifact"),
        (lambda: RequestSteering("f", {}, "first"), "unknown scope"),  # type: ignore[arg-type]
        (lambda: RequestSteering("f", {}, ("all",)), "one scope"),  # type: ignore[arg-type]
    ],
)
def test_requests_that_make_no_sense_are_refused_at_the_door(make: Callable[[], object], word: str) -> None:
    with pytest.raises(InputError, match=word):
        make()
