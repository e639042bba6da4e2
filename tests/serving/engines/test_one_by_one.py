"""The engine for models that cannot be batched, against `model.generate`."""

import asyncio
import json
import logging
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, cast

import pytest
import torch
from tests.serving.engines.asking import PROMPTS, N, answers_of, asked, events_of, generated, run_with, text_of
from tests.serving.engines.conftest import UNBATCHED

from trimtab.errors import InputError, TrimtabError
from trimtab.interventions import (
    POSITION_SCOPES,
    SCOPES,
    Condition,
    Engine,
    Event,
    Request,
    RequestSteering,
    Sampling,
    ThinkingMarks,
)
from trimtab.models import Model
from trimtab.serving.engines.batching import Limits
from trimtab.serving.engines.choice import engine_for
from trimtab.serving.engines.one_by_one import OneByOneEngine
from trimtab.serving.engines.transformers import TransformersEngine
from trimtab.steering import Additive, Steering
from trimtab.texts import Rendered


def with_engine(
    model: Model,
    steerings: Mapping[str, Steering],
    work: Callable[[Engine], Awaitable[Any]],
    make: Callable[..., Engine] = OneByOneEngine,
) -> Any:
    return run_with(make, model, steerings, work)


def answers(
    model: Model, steerings: Mapping[str, Steering], requests: Sequence[Request], make: Any = OneByOneEngine
) -> dict[str, list[Event]]:
    """All at once."""
    return answers_of(make, model, steerings, requests)


@pytest.mark.parametrize("family", UNBATCHED)
def test_a_model_that_cannot_be_batched_writes_what_generate_writes(
    tiny: Any, every_kind: Any, family: str, caplog: pytest.LogCaptureFixture
) -> None:
    model = tiny(family)
    model.thinking_marks = ThinkingMarks((4,), (5,), frozenset(range(6, 600, 3)))
    chosen: list[Engine] = []

    def make(*arguments: Any) -> Engine:
        chosen.append(engine_for(*arguments))
        return chosen[-1]

    steerings, requests, wanted = {}, [], {}
    for i, (kind, edit) in enumerate(every_kind.items()):
        steerings[kind] = Steering({1: edit, "2": edit}, {"a": 1.0})
        prompt, scope, strength = PROMPTS[i % 3], SCOPES[i % 6], (1.0, -0.6)[i % 2]
        requests.append(asked(kind, prompt, RequestSteering(kind, {"a": strength}, scope)))
        wanted[kind] = generated(model, prompt, steering=steerings[kind], strength=strength, scope=scope)
    requests.append(asked("plain", PROMPTS[0]))
    wanted["plain"] = generated(model, PROMPTS[0])
    with caplog.at_level(logging.WARNING, "trimtab"):
        found = answers(model, steerings, requests, make)
    assert [type(engine) for engine in chosen] == [OneByOneEngine]
    assert f"one after the other: transformers cannot batch {type(model.hf).__name__}" in caplog.text
    assert {name: text_of(events) for name, events in found.items()} == wanted
    assert len(set(wanted.values())) > 5
    for events in found.values():
        assert [len(e.tokens) for e in events] == [1] * len(events)
        assert [e.finish for e in events] == [None] * (len(events) - 1) + ["length"]
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.hf.modules())


def test_a_model_that_can_be_batched_is(tiny: Any) -> None:
    async def work(engine: Engine) -> Engine:
        return engine

    assert isinstance(with_engine(tiny(), {}, work, engine_for), TransformersEngine)


def test_events_and_drawn_texts_are_those_of_the_engine_that_batches(tiny: Any, every_kind: Any) -> None:
    """All that requests can ask for, on a model that both run."""
    model = tiny()
    model.hf.generation_config.eos_token_id = None
    gated = Steering({1: every_kind["gated"]}, {"kind": 1.0}, prompts={"kind": ("Well. ", "")})
    by = RequestSteering("gated", {"kind": 0.7}, "generated")
    bias = dict.fromkeys(range(0, 300, 2), -100.0)
    requests = [
        asked("explained", PROMPTS[0], by, top_logprobs=3, explain=True),
        asked("drawn", PROMPTS[1], by, temperature=1.2, seed=5, top_p=0.9, top_k=50),
        asked("adjusted", PROMPTS[2], logit_bias=bias, presence_penalty=1.5, frequency_penalty=0.5, top_logprobs=1),
        asked("stopped", PROMPTS[0], stop=(generated(model, PROMPTS[0])[4:6],)),
        Request("ids", model.encoder().encode([Rendered("", PROMPTS[1], "")])[0].ids, Sampling(N, temperature=0)),
    ]
    one, other = (answers(model, {"gated": gated}, requests, make) for make in (OneByOneEngine, TransformersEngine))
    for request in requests:
        mine, theirs = one[request.id], other[request.id]
        assert [(e.text, e.tokens, e.prompt_tokens, e.finish) for e in mine] == [
            (e.text, e.tokens, e.prompt_tokens, e.finish) for e in theirs
        ]
        for a, b in zip(mine, theirs, strict=True):
            assert a.logprobs == pytest.approx(b.logprobs, abs=1e-4)
            assert [dict(t) for t in a.top_logprobs] == [pytest.approx(dict(t), abs=1e-4) for t in b.top_logprobs]
            assert (a.edits is None) == (b.edits is None)
            if a.edits is not None and b.edits is not None:
                assert (a.edits.selected, a.edits.touched) == (b.edits.selected, b.edits.touched)
                assert a.edits.gates == pytest.approx(b.edits.gates, abs=1e-4)
            assert [(t.token, t.selected) for t in a.token_edits] == [(t.token, t.selected) for t in b.token_edits]
    assert one["stopped"][-1].finish == "stop"
    assert len(one["explained"][0].token_edits) > N


def test_conditions_are_decided_on_the_prompt(tiny: Any, every_kind: Any) -> None:
    model = tiny("BloomConfig")
    direction = torch.randn(32, generator=torch.Generator().manual_seed(1))
    edits = {1: Additive(3 * every_kind["additive"].vectors)}
    texts = set()
    for threshold in (-1.0, 1.0):
        picky = Steering(edits, {"a": 1.0}, conditions={"a": Condition(1, direction, threshold)})
        (events,) = answers(model, {"p": picky}, [asked("a", PROMPTS[0], RequestSteering("p", {"a": 1.0}))]).values()
        assert text_of(events) == generated(model, PROMPTS[0], steering=picky)
        texts.add(text_of(events))
        assert {e.edits.left_alone for e in events if e.edits} == {("a",) if threshold == 1.0 else ()}
    assert len(texts) == 2


def test_a_steered_answer_follows_its_grammar(tiny: Any, every_kind: Any) -> None:
    model = tiny("GPTJConfig")
    strong = Steering({1: every_kind["additive"]}, {"a": 5.0})
    schema: dict[str, Any] = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    schema |= {"additionalProperties": False, "x-guidance": {"whitespace_flexible": False}}
    grammar = json.dumps({"grammars": [{"json_schema": schema}]})
    by = RequestSteering("strong", {"a": 5.0})
    requests = [asked(str(i), PROMPTS[i], by, max_tokens=60, grammar=grammar, temperature=i, seed=1) for i in range(2)]
    for events in answers(model, {"strong": strong}, requests).values():
        assert set(json.loads(text_of(events))) == {"ok"}
        assert events[-1].finish == "stop"


def test_a_cancelled_request_and_a_reader_who_left_free_the_model_for_the_next(tiny: Any) -> None:
    model = tiny("BloomConfig")
    model.hf.generation_config.eos_token_id = None
    wanted = generated(model, PROMPTS[0])

    async def work(engine: Engine) -> None:
        long = asked("long", PROMPTS[0], max_tokens=900)
        stream, waiting = engine.submit(long), engine.submit(asked("waiting", PROMPTS[0], max_tokens=900))
        seen = []
        async for event in stream:
            seen.append(event)
            if len(seen) == 1:
                await engine.cancel("waiting")  # before its turn
            if len(seen) == 3:
                await engine.cancel("long")
        assert seen[-1].finish == "cancelled"
        assert len(seen) < 100
        assert [e.finish async for e in waiting] == ["cancelled"]
        left = engine.submit(long)
        await anext(left)
        await cast(AsyncGenerator[Event], left).aclose()
        assert text_of(await events_of(engine, asked("long", PROMPTS[0]))) == wanted
        await engine.cancel("unknown")

    with_engine(model, {}, work)


class Failing:
    """An edit that fails."""

    def __call__(self, h: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
        raise ValueError("no such thing")


def test_a_request_that_fails_leaves_the_others_alone(tiny: Any) -> None:
    model = tiny("GPTJConfig")
    wanted = generated(model, PROMPTS[1])
    failing = Steering({1: Failing()}, {"a": 1.0})  # type: ignore[dict-item]
    by, once = RequestSteering("failing", {"a": 1.0}), [True]

    def broken(module: Any, args: Any) -> None:
        if once and once.pop():
            raise RuntimeError("out of order")

    async def work(engine: Engine) -> None:
        model.anatomy.blocks[0].register_forward_pre_hook(broken)
        requests = [asked("pass", PROMPTS[0]), asked("edit", PROMPTS[0], by), asked("good", PROMPTS[1])]
        requests += [asked("name", PROMPTS[0], RequestSteering("none", {})), asked("long", "x " * 2000)]
        found = await asyncio.gather(*(events_of(engine, r) for r in requests), return_exceptions=True)
        told = dict(zip([r.id for r in requests], found, strict=True))
        assert text_of(cast(list[Event], told["good"])) == wanted
        for id, words in {
            "pass": "out of order",
            "edit": "no such thing",
            "name": "no steering",
            "long": "shorten",
        }.items():
            assert isinstance(told[id], TrimtabError)
            assert words in str(told[id])
        assert isinstance(told["name"], InputError)

    with_engine(model, {"failing": failing}, work)


def test_closing_ends_what_runs_and_leaves_the_model_as_it_was(tiny: Any, every_kind: Any) -> None:
    model = tiny("BloomConfig")
    model.hf.generation_config.eos_token_id = None
    before = generated(model, PROMPTS[0])
    steering = Steering({1: every_kind["additive"]}, {"a": 1.0})

    async def work() -> None:
        engine = OneByOneEngine(model, {"one": steering}.get)
        by = RequestSteering("one", {"a": 1.0})
        streams = [engine.submit(asked(str(i), PROMPTS[i], by, max_tokens=900)) for i in range(3)]
        await anext(streams[0])
        await engine.close()
        await engine.close()
        for stream in streams:
            assert [event async for event in stream][-1].finish == "cancelled"
        with pytest.raises(TrimtabError, match="closed"):
            await events_of(engine, asked("late", PROMPTS[0]))
        with pytest.raises(TrimtabError, match="closed"):
            await engine.capabilities()

    asyncio.run(work())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.hf.modules())
    assert generated(model, PROMPTS[0]) == before
    assert not [t for t in threading.enumerate() if t.name.startswith("trimtab")]


def test_capabilities_are_told_while_a_request_runs_and_say_why_it_is_slow(tiny: Any) -> None:
    model = tiny("BloomConfig")
    model.hf.generation_config.eos_token_id = None

    async def work(engine: Engine) -> Any:
        stream = engine.submit(asked("long", PROMPTS[0], max_tokens=900))
        await anext(stream)
        told = await asyncio.wait_for(engine.capabilities(), 5)
        await engine.cancel("long")
        assert [event async for event in stream][-1].finish == "cancelled"
        return told

    def make(model: Model, steerings: Any) -> Engine:
        return OneByOneEngine(model, steerings, Limits(max_running=5, max_length=1000), "it is old")

    told = with_engine(model, {}, work, make)
    assert (told.model, told.max_length, told.max_running) == (model.facts, 1000, 1)
    assert (told.scopes, told.conditions, told.messages) == (set(POSITION_SCOPES), True, True)
    assert told.note == "requests run one after the other: it is old"
