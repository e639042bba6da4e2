"""The engine over transformers' continuous batching, against `model.generate` and the model run alone."""

import asyncio
import copy
import json
import random
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import pytest
import torch
from tests.models.families import build
from tests.serving.engines.asking import PROMPTS, N, answers_of, asked, events_of, generated, run_with, text_of, turns
from tests.serving.engines.conftest import FAMILIES, WIDTH

from trimtab.errors import InputError, TrimtabError
from trimtab.interventions import (
    POSITION_SCOPES,
    SCOPES,
    Condition,
    Event,
    Request,
    RequestSteering,
    Sampling,
    Scope,
    Site,
    ThinkingMarks,
)
from trimtab.models import Encoded, Model
from trimtab.models.capture import capture
from trimtab.serving.engines.batching import PAGE, Limits
from trimtab.serving.engines.running import TOGETHER
from trimtab.serving.engines.transformers import TransformersEngine
from trimtab.steering import Additive, Steering
from trimtab.texts import Message, Rendered

OFTEN = ThinkingMarks(opening=(4,), closing=(5,), ends=frozenset(range(6, 600, 3)))


def with_engine(
    model: Model,
    steerings: Mapping[str, Steering],
    work: Callable[[TransformersEngine], Awaitable[Any]],
    limits: Limits | None = None,
) -> Any:
    return run_with(partial(TransformersEngine, limits=limits), model, steerings, work)


def answers(
    model: Model, steerings: Mapping[str, Steering], requests: Sequence[Request], limits: Limits | None = None
) -> dict[str, list[Event]]:
    """All at once."""
    return answers_of(partial(TransformersEngine, limits=limits), model, steerings, requests)


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_text_of_sixteen_different_steerings_at_once_is_that_of_generate(
    tiny: Any, every_kind: Any, family: str
) -> None:
    model = tiny(family)
    model.thinking_marks = OFTEN
    sites: list[tuple[str, ...]] = [("1",), ("0", "2"), ("attention:1", "mlp:2")]
    if model.anatomy.terms[1] is None:
        sites = sites[:2]
    steerings, requests, wanted = {}, [], {}
    for i, (kind, edit) in enumerate([*every_kind.items()] * 2):
        name, prompt, scope, strength = f"{kind}-{i}", PROMPTS[i % 3], SCOPES[(i + i // 8) % 6], (1.0, -0.6, 0.3)[i % 3]
        steerings[name] = Steering(dict.fromkeys(sites[i % len(sites)], edit), {"a": 1.0})
        requests.append(asked(name, prompt, RequestSteering(name, {"a": strength}, scope)))
        wanted[name] = generated(model, prompt, steering=steerings[name], strength=strength, scope=scope)
    for i, prompt in enumerate(PROMPTS):  # and unsteered ones beside them
        requests.append(asked(f"plain-{i}", prompt))
        wanted[f"plain-{i}"] = generated(model, prompt)
    found = answers(model, steerings, requests, Limits(max_running=19))
    assert {name: text_of(events) for name, events in found.items()} == wanted
    assert len(set(wanted.values())) > 10
    assert all([e.finish for e in events][-1] in ("stop", "length") for events in found.values())


def test_one_steering_at_many_strengths_and_scopes_at_once(tiny: Any, every_kind: Any) -> None:
    model = tiny()
    model.thinking_marks = OFTEN
    both = Steering(
        {1: Additive(torch.cat([every_kind["additive"].vectors, every_kind["gated"].vectors]))}, {"a": 1, "b": 1}
    )
    cases: list[tuple[float, float, Scope]] = [
        (x, y, scope) for x in (0.0, 1.0) for y in (-0.5, 0.0) for scope in SCOPES
    ]
    requests = [
        asked(str(i), PROMPTS[i % 3], RequestSteering("both", {"b": y, "a": x}, scope))
        for i, (x, y, scope) in enumerate(cases)
    ]
    found = answers(model, {"both": both}, requests)
    for i, (x, y, scope) in enumerate(cases):
        wanted = generated(model, PROMPTS[i % 3], steering=both, strength={"a": x, "b": y}, scope=scope)
        assert text_of(found[str(i)]) == wanted


@pytest.mark.parametrize("attention", ["sdpa", "eager"])  # of which transformers replaces the second one
def test_conditions_are_decided_on_prompts_and_texts_go_in_front(tiny: Any, every_kind: Any, attention: str) -> None:
    model = tiny()
    model.hf.set_attn_implementation(attention)
    encoder = model.encoder(chat_template=True)
    rows = [r.prompt for r in encoder.encode([Rendered("", "", "", messages=turns(p)) for p in PROMPTS])]
    means = capture(model, [Encoded(r.ids, 1) for r in rows], [Site(1)], "mean").activations
    (h,) = means.values()
    direction = h[0] - h[1]
    cosines = torch.cosine_similarity(h, direction[None], dim=1).sort().values
    condition = Condition(1, direction, float(cosines[-1] + cosines[-2]) / 2)  # one prompt of the three meets it
    edits = {1: Additive(torch.cat([2 * every_kind["additive"].vectors, 2 * every_kind["gated"].vectors]))}
    picky = Steering(
        edits, {"a": 1.0, "b": 0.0}, conditions={"a": condition}, prompts={"b": ("Be kind. ", "Be rude. ")}
    )
    cases = [(prompt, b) for prompt in PROMPTS for b in (0.0, 1.0, -1.0)]
    requests = [asked(str(i), p, RequestSteering("picky", {"a": 1.0, "b": b})) for i, (p, b) in enumerate(cases)]
    found = answers(model, {"picky": picky}, requests)
    for i, (prompt, b) in enumerate(cases):
        assert text_of(found[str(i)]) == generated(model, prompt, steering=picky, strength={"a": 1.0, "b": b})
        events = found[str(i)]
        assert events[0].edits is not None
    assert model.hf.config._attn_implementation == attention
    touched = [sum(e.edits.touched if e.edits else 0 for e in found[str(i)]) for i in (0, 3, 6)]
    assert [n > 0 for n in touched].count(True) == 1
    left = [{e.edits.left_alone for e in found[str(i)] if e.edits} for i in (0, 3, 6)]
    assert left == [{()} if n else {("a",)} for n in touched]


def test_token_ids_are_continued_as_text_is(tiny: Any, every_kind: Any) -> None:
    model = tiny()
    front = Steering({1: every_kind["additive"]}, {"a": 1.0}, prompts={"a": ("Well. ", "")})
    rows = [model.encoder().encode([Rendered("", p, "")])[0].ids for p in PROMPTS]
    requests = [Request(str(i), ids, Sampling(N, temperature=0)) for i, ids in enumerate(rows)]
    requests += [
        Request(f"s{i}", ids, Sampling(N, temperature=0), RequestSteering("front", {"a": 1.0}, "generated"))
        for i, ids in enumerate(rows)
    ]
    found = answers(model, {"front": front}, requests)
    for i, prompt in enumerate(PROMPTS):
        assert text_of(found[str(i)]) == model.generate(prompt, max_new_tokens=N)
        steered = model.generate(prompt, max_new_tokens=N, steering=front, scope="generated")
        assert text_of(found[f"s{i}"]) == steered


def test_events_say_what_was_done_and_how_likely_each_token_was(tiny: Any, every_kind: Any) -> None:
    model = tiny()
    model.hf.generation_config.eos_token_id = None
    gated = Steering({1: every_kind["gated"]}, {"kind": 1.0})
    steering = RequestSteering("gated", {"kind": 0.7}, "generated")
    request = Request("a", turns(PROMPTS[0]), Sampling(N, temperature=0, top_logprobs=3), steering, explain=True)
    events = answers(model, {"gated": gated}, [request, asked("b", PROMPTS[1])])["a"]
    row = model.encoder(chat_template=True).encode([Rendered("", "", "", messages=request.prompt)])[0].prompt
    tokens = [t for e in events for t in e.tokens]
    assert events[0].prompt_tokens == row.prompt_len
    assert all(e.prompt_tokens is None for e in events[1:])
    assert [len(e.tokens) for e in events] == [1] * N
    edited = [t for e in events for t in e.token_edits]
    assert [t.token for t in edited] == [*row.ids, *tokens[:-1]]
    assert [t.selected for t in edited] == [False] * (row.prompt_len - 1) + [True] * N
    assert [e.edits.selected for e in events] == [1] * N
    assert all(0 < e.edits.gates["kind"] < 1 and e.edits.edit_size_ratio > 0 for e in events)
    with model.steered(gated, 0.7, "generated"):
        ids = torch.tensor([[*row.ids, *tokens]])
        prompt_only = model.hf.generate(
            ids[:, : row.prompt_len], attention_mask=torch.ones(1, row.prompt_len), max_new_tokens=N, do_sample=False,
            output_logits=True, return_dict_in_generate=True,
        )  # fmt: skip
    for i, event in enumerate(events):
        plain = prompt_only.logits[i][0].log_softmax(dim=0)
        assert event.logprobs == pytest.approx([float(plain[tokens[i]])], abs=1e-4)
        best = plain.topk(3)
        assert list(event.top_logprobs[0]) == best.indices.tolist()
        assert list(event.top_logprobs[0].values()) == pytest.approx(best.values.tolist(), abs=1e-4)


@pytest.mark.parametrize("stop", [(), ("§", "never")])
def test_an_answer_that_nobody_streams_is_the_same_in_fewer_events(
    tiny: Any, every_kind: Any, stop: tuple[str, ...]
) -> None:
    model = tiny()
    model.hf.generation_config.eos_token_id = None
    gated = Steering({1: every_kind["gated"]}, {"kind": 1.0})
    steering = RequestSteering("gated", {"kind": 0.7}, "generated")
    sampling = Sampling(TOGETHER + 9, temperature=0, top_logprobs=2, stop=stop)
    both = [Request(str(on), turns(PROMPTS[0]), sampling, steering, True, on) for on in (True, False)]
    found = answers(model, {"gated": gated}, both)
    each, together = found["True"], found["False"]
    assert len(each) == sampling.max_tokens
    assert [len(e.tokens) for e in together] == ([1] * len(each) if stop else [1, TOGETHER, 8])
    assert said(together) == pytest.approx(said(each), rel=1e-4)
    assert [t.token for e in together for t in e.token_edits] == [t.token for e in each for t in e.token_edits]
    assert text_of(together) == text_of(each)
    assert (together[0].prompt_tokens, together[-1].finish) == (each[0].prompt_tokens, "length")


def said(events: Sequence[Event]) -> list[float]:
    """All that steered events say in numbers, however many tokens each of them holds."""
    tokens = [x for e in events for row in zip(e.tokens, e.logprobs, strict=True) for x in row]
    tops = [x for e in events for top in e.top_logprobs for pair in top.items() for x in pair]
    edits = [x for e in events for t in e.token_edits for x in (t.selected, t.edit_size_ratio, *t.gates.values())]
    sums = [sum(e.edits.selected * x for e in events if e.edits is not None
                for x in (1, *e.edits.gates.values(), e.edits.edit_size_ratio))]  # fmt: skip
    return [*tokens, *tops, *edits, *sums]


def test_the_end_of_text_and_a_stop_text_end_an_answer(tiny: Any) -> None:
    model = tiny()
    whole = generated(model, PROMPTS[0], max_new_tokens=40)
    stop = whole[9:12]
    assert stop
    requests = [asked("whole", PROMPTS[0], max_tokens=40), asked("cut", PROMPTS[0], max_tokens=40, stop=(stop, "§"))]
    found = answers(model, {}, requests)
    assert text_of(found["whole"]) == whole
    assert text_of(found["cut"]) == whole[: whole.index(stop)]
    assert found["cut"][-1].finish == "stop"
    third = model.generate(
        Rendered("", "", "", messages=turns(PROMPTS[0])), chat_template=True, max_new_tokens=40, details=True
    ).written[2]
    model.hf.generation_config.eos_token_id = [2, third]
    events = answers(model, {}, [asked("a", PROMPTS[0], max_tokens=40)])["a"]
    assert text_of(events) == generated(model, PROMPTS[0], max_new_tokens=40)
    assert (events[-1].finish, len(events)) == ("stop", 3)


def test_a_seed_gives_the_same_text_whatever_shares_the_batch(tiny: Any, every_kind: Any) -> None:
    model = tiny()
    steerings = {kind: Steering({1: edit}, {"a": 1.0}) for kind, edit in every_kind.items()}
    mine = asked("mine", PROMPTS[0], temperature=1.0, seed=11, max_tokens=24)
    others = [
        asked(kind, PROMPTS[i % 3], RequestSteering(kind, {"a": 1.0}), temperature=1.5, seed=i)
        for i, kind in enumerate(every_kind)
    ]
    other = replace(mine, sampling=replace(mine.sampling, seed=12))

    async def work(engine: TransformersEngine) -> None:
        async def texts(*requests: Request) -> dict[str, str]:
            found = await asyncio.gather(*(events_of(engine, request) for request in requests))
            return {request.id: text_of(events) for request, events in zip(requests, found, strict=True)}

        alone = await texts(mine)
        beside = await texts(*others[:4], mine, *others[4:])
        assert beside["mine"] == alone["mine"]
        again = await texts(*reversed(others))
        assert all(again[kind] == beside[kind] for kind in every_kind)
        assert (await texts(other))["mine"] != alone["mine"]

    with_engine(model, steerings, work)


def test_a_steered_answer_follows_its_grammar(tiny: Any, every_kind: Any) -> None:
    model = tiny()
    strong = Steering({1: every_kind["additive"]}, {"a": 5.0})
    schema = {
        "type": "object",
        "properties": {"ok": {"type": "boolean"}},
        "required": ["ok"],
        "additionalProperties": False,
    }
    grammar = json.dumps({"grammars": [{"json_schema": {**schema, "x-guidance": {"whitespace_flexible": False}}}]})
    requests = [
        asked(
            str(i),
            PROMPTS[i],
            RequestSteering("strong", {"a": 5.0}),
            max_tokens=60,
            grammar=grammar,
            temperature=i,
            seed=1,
        )
        for i in range(3)
    ]
    found = answers(model, {"strong": strong}, requests)
    for events in found.values():
        assert set(json.loads(text_of(events))) == {"ok"}
        assert events[-1].finish == "stop"


def test_cancelled_and_left_requests_end_and_their_ids_are_free(tiny: Any) -> None:
    model = tiny()
    model.hf.generation_config.eos_token_id = None

    async def work(engine: TransformersEngine) -> None:
        long = asked("long", PROMPTS[0], max_tokens=800)
        seen = []
        async for event in engine.submit(long):
            seen.append(event)
            if len(seen) == 3:
                await engine.cancel("long")
        assert seen[-1].finish == "cancelled"
        assert len(seen) < 100
        at_once = engine.submit(long)  # before it has begun
        await engine.cancel("long")
        assert [e.finish async for e in at_once] == ["cancelled"]
        left = engine.submit(long)
        await anext(left)
        await cast(AsyncGenerator[Event], left).aclose()
        again = await events_of(engine, asked("long", PROMPTS[0]))
        assert text_of(again) == generated_before
        await engine.cancel("unknown")

    generated_before = generated(model, PROMPTS[0])
    with_engine(model, {}, work, Limits(max_running=1))


def test_a_slow_reader_delays_nobody_and_loses_nothing(tiny: Any) -> None:
    model = tiny()
    wanted = [generated(model, prompt) for prompt in PROMPTS]

    async def work(engine: TransformersEngine) -> None:
        slow = engine.submit(asked("slow", PROMPTS[0]))
        first = await anext(slow)
        quick = await asyncio.gather(*(events_of(engine, asked(str(i), PROMPTS[i])) for i in (1, 2)))
        assert [text_of(events) for events in quick] == wanted[1:]
        assert first.text + text_of([event async for event in slow]) == wanted[0]

    with_engine(model, {}, work)


def test_requests_that_wait_or_lose_their_cache_get_the_same_answers(
    tiny: Any, every_kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers.generation.continuous_batching.requests import RequestState

    begun_anew: list[str] = []
    anew = RequestState.create_equivalent_initial_request

    def counting(state: Any) -> Any:
        begun_anew.append(state.request_id)
        return anew(state)

    monkeypatch.setattr(RequestState, "create_equivalent_initial_request", counting)
    model = tiny()
    model.hf.generation_config.eos_token_id = None
    one = Steering({1: every_kind["additive"]}, {"a": 1.0})
    encoder = model.encoder(chat_template=True)
    prompt, tokens, strengths = "", 0, [0.3 * i for i in range(4)]
    while tokens < 225:  # so that a second page of 256 is needed soon
        prompt += " The film was"
        tokens = encoder.encode([Rendered("", "", "", messages=turns(prompt))])[0].prompt_len
    requests = [
        asked(str(i), prompt, RequestSteering("one", {"a": strength}, "generated"), max_tokens=60)
        for i, strength in enumerate(strengths)
    ]
    drawn = [
        asked(
            f"d{i}",
            prompt,
            RequestSteering("one", {"a": 0.5}),
            max_tokens=60,
            temperature=1.0,
            seed=3,
            presence_penalty=1.0,
        )
        for i in range(2)
    ]
    roomy = answers(model, {"one": one}, drawn[:1])["d0"]
    assert not begun_anew
    found = answers(model, {"one": one}, [*requests, *drawn], Limits(max_running=3, cache_tokens=768, batch_tokens=64))
    assert begun_anew
    for i, strength in enumerate(strengths):
        wanted = generated(model, prompt, steering=one, strength=strength, scope="generated", max_new_tokens=60)
        assert text_of(found[str(i)]) == wanted
        assert sum(e.edits.selected if e.edits else 0 for e in found[str(i)]) == 60  # each token counts once
    assert [text_of(found[f"d{i}"]) for i in range(2)] == [text_of(roomy)] * 2


def test_nothing_that_was_steered_is_reused_for_a_prompt_that_begins_alike(tiny: Any, every_kind: Any) -> None:
    model = tiny()
    one = Steering({1: every_kind["additive"]}, {"a": 1.0})
    prompt = "The film was. " * 80  # more than a page of the cache
    strengths = (1.0, None, -1.0, 0.0, 1.0)
    wanted = [
        generated(model, prompt) if s is None else generated(model, prompt, steering=one, strength=s) for s in strengths
    ]

    async def work(engine: TransformersEngine) -> None:
        for i, (s, text) in enumerate(zip(strengths, wanted, strict=True)):
            steering = None if s is None else RequestSteering("one", {"a": s})
            events = await events_of(engine, asked(str(i), prompt, steering))
            assert events[0].prompt_tokens is not None
            assert events[0].prompt_tokens > 2 * PAGE
            assert text_of(events) == text

    with_engine(model, {"one": one}, work)
    assert len(set(wanted)) == 3


def test_what_cannot_be_run_is_an_input_error_before_any_event(tiny: Any, every_kind: Any) -> None:
    model = tiny()
    one = Steering({1: every_kind["additive"]}, {"a": 1.0})
    far = Steering({9: every_kind["additive"]}, {"a": 1.0})
    wide = Steering({1: Additive(torch.ones(1, WIDTH + 1))}, {"a": 1.0})
    steerings = {"one": one, "far": far, "wide": wide}
    foreign = Steering({1: every_kind["additive"]}, {"a": 1.0}, made_for=tiny("GPT2Config").facts)

    def steered(artifact: str, **strength: float) -> RequestSteering:
        return RequestSteering(artifact, strength)

    cases = [
        (asked("a", "x", steered("none", a=1)), "no steering 'none'"),
        (asked("a", "x", steered("one", b=1)), "unknown attribute 'b'|no strength"),
        (asked("a", "x", steered("one")), "no strength is given for the attribute 'a'"),
        (asked("a", "x", steered("far", a=1)), "blocks 0 to 2"),
        (asked("a", "x", steered("wide", a=1)), "33 wide"),
        (asked("a", "x", steered("foreign", a=1)), "made for GPT2Config"),
        (asked("a", "x" * 9000), "exceed the 1024 tokens"),
        (asked("a", "x", max_tokens=5000), "exceed the 1024 tokens"),
        (asked("a", "x", logit_bias={100000: 1.0}), "logit_bias names the token 100000"),
        (asked("a", "x", seed=1 << 70), "does not fit 64 bits"),
        (asked("a", "x", grammar="nonsense"), "the grammar cannot be used"),
        (Request("a", (1, 100000), Sampling(5)), "100000, which is no token"),
        (Request("a", (Message("user", "x"), 4), Sampling(5)), "which is no token"),
    ]

    async def work(engine: TransformersEngine) -> None:
        for request, message in cases:
            with pytest.raises(InputError, match=message):
                await events_of(engine, request)
        stream = engine.submit(asked("a", PROMPTS[0]))
        with pytest.raises(InputError, match="is running"):
            await events_of(engine, asked("a", PROMPTS[0]))
        assert text_of([event async for event in stream]) == generated_before

    generated_before = generated(model, PROMPTS[0])
    with_engine(model, {**steerings, "foreign": foreign}, work)


def test_an_edit_that_fails_or_a_strength_too_large_ends_only_its_own_request(tiny: Any) -> None:
    model = tiny()

    def broken(h: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
        raise ZeroDivisionError("by zero")

    steerings = {
        "broken": Steering({1: broken}, {"a": 1.0}),
        "huge": Steering({1: Additive(torch.ones(1, WIDTH))}, {"a": 1.0}),
    }
    wanted = generated(model, PROMPTS[0])

    async def work(engine: TransformersEngine) -> None:
        plain = asyncio.create_task(events_of(engine, asked("plain", PROMPTS[0])))
        with pytest.raises(TrimtabError, match="ZeroDivisionError: by zero"):
            await events_of(engine, asked("b", PROMPTS[1], RequestSteering("broken", {"a": 1.0})))
        with pytest.raises(TrimtabError, match="no finite length; give smaller"):
            await events_of(engine, asked("h", PROMPTS[1], RequestSteering("huge", {"a": 1e38})))
        assert text_of(await plain) == wanted

    with_engine(model, steerings, work)


def test_a_failed_pass_ends_the_running_requests_and_the_engine_goes_on(tiny: Any) -> None:
    model = tiny()
    wanted = [generated(model, prompt) for prompt in PROMPTS]
    fails = False

    all_are_in = threading.Event()

    def failing(module: Any, args: Any) -> None:
        if fails:
            all_are_in.wait(20)  # one that comes after the failure is told to come again
            raise RuntimeError("out of memory")

    model.anatomy.blocks[2].register_forward_pre_hook(failing)

    async def work(engine: TransformersEngine) -> None:
        nonlocal fails

        async def watch() -> None:
            while len(engine._added_to) < 3:
                await asyncio.sleep(0.001)
            all_are_in.set()

        for _ in range(2):
            fails = True
            all_are_in.clear()
            watching = asyncio.create_task(watch())
            streams = [events_of(engine, asked(str(i), PROMPTS[i])) for i in range(3)]
            for ended in await asyncio.gather(*streams, return_exceptions=True):
                assert isinstance(ended, TrimtabError)
                assert "out of memory" in str(ended)
            await watching
            fails = False
            found = await asyncio.gather(*(events_of(engine, asked(str(i), PROMPTS[i])) for i in range(3)))
            assert [text_of(events) for events in found] == wanted

    with_engine(model, {}, work)


def test_closing_cancels_what_runs_and_leaves_the_model_as_it_was(tiny: Any, every_kind: Any) -> None:
    model = tiny()
    model.hf.generation_config.eos_token_id = None
    before = generated(model, PROMPTS[0])
    steering = Steering({1: every_kind["additive"]}, {"a": 1.0})

    async def work() -> None:
        engine = TransformersEngine(model, {"one": steering}.get)
        streams = [
            engine.submit(asked(str(i), PROMPTS[i], RequestSteering("one", {"a": 1.0}), max_tokens=900))
            for i in range(3)
        ]
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


def test_capabilities_name_what_it_can_do(tiny: Any) -> None:
    model = tiny()

    async def work(engine: TransformersEngine) -> Any:
        return await engine.capabilities()

    told = with_engine(model, {}, work, Limits(max_running=5, max_length=300))
    assert (told.model, told.max_length, told.max_running) == (model.facts, 300, 5)
    assert told.edits == {"additive", "gated", "ablation", "rotation", "clamp", "classifier-gradient"}
    assert (told.scopes, told.conditions, told.messages) == (set(POSITION_SCOPES), True, True)
    model.thinking_marks = OFTEN
    assert with_engine(model, {}, work).scopes == set(SCOPES)
    bare = copy.deepcopy(model.tokenizer)
    bare.chat_template = None
    assert not with_engine(Model(model.hf, bare), {}, work).messages


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", ["Bloom", "GPT-J", "Mamba", "Llama 4, text"])
def test_a_model_that_comes_out_otherwise_in_packed_passes_is_refused(
    tiny: Any, family: str, dtype: torch.dtype
) -> None:
    hf = build(family).to(dtype)
    attention = hf.config._attn_implementation
    with pytest.raises(InputError, match=r"cannot batch .* continuously"):
        TransformersEngine(Model(hf, tiny().tokenizer), {}.get)
    assert hf.config._attn_implementation == attention
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in hf.modules())
    assert not [t for t in threading.enumerate() if "_run_generation_loop" in t.name]


def test_many_mixed_requests_with_cancellations_and_a_failed_pass_lose_and_cross_no_answer(
    tiny: Any, every_kind: Any
) -> None:
    model = tiny()
    steerings = {kind: Steering({1: edit}, {"a": 1.0}) for kind, edit in every_kind.items()}
    rng, kinds = random.Random(4), [*every_kind, None]
    cases = {(p, k, s): "" for p in PROMPTS for k in kinds for s in (0.5, -1.0)}
    for prompt, kind, strength in cases:
        steered = {} if kind is None else {"steering": steerings[kind], "strength": strength}
        cases[prompt, kind, strength] = generated(model, prompt, **steered)
    outcomes: list[str] = []
    passes = 0

    def failing_once(module: Any, args: Any) -> None:
        nonlocal passes
        passes += 1
        if passes == 150:
            raise RuntimeError("once")

    async def client(engine: TransformersEngine, n: int) -> None:
        for turn in range(10):
            id, (prompt, kind, strength) = f"{n}-{turn}", rng.choice([*cases])
            steering = None if kind is None else RequestSteering(kind, {"a": strength})
            stream, text, leave_at = engine.submit(asked(id, prompt, steering)), "", rng.choice([99, 99, 99, 2, 0])
            finish: str | None = None
            try:
                if not leave_at:
                    await engine.cancel(id)
                async for event in stream:
                    text, finish = text + event.text, event.finish
                    assert event.request == id
                    if not (leave_at := leave_at - 1):
                        await engine.cancel(id)
            except TrimtabError as error:
                finish = str(error)
            outcomes.append(finish or "lost")
            wanted = cases[prompt, kind, strength]
            assert text == wanted if finish in ("stop", "length") else wanted.startswith(text)

    async def work(engine: TransformersEngine) -> None:
        model.anatomy.blocks[0].register_forward_pre_hook(failing_once)
        await asyncio.gather(*(client(engine, n) for n in range(12)))
        held = (engine._running, engine._packed, engine._choices, engine._added_to)
        assert not any(held)
        assert not engine._manager.output_router.result_handlers

    with_engine(model, steerings, work, Limits(max_running=5))
    assert len(outcomes) == 120
    assert {"cancelled", "length"} <= set(outcomes)
    assert sum("once" in outcome for outcome in outcomes) in range(1, 13)
    assert "lost" not in outcomes


def test_a_model_in_bfloat16_is_run_with_its_head_in_float32(tiny: Any, every_kind: Any) -> None:
    model = tiny()
    model.hf.to(torch.bfloat16)
    dtypes: list[torch.dtype] = []

    def watch(module: Any, args: Any, out: Any) -> None:
        dtypes.append(out.logits.dtype)

    model = Model(model.hf, model.tokenizer)
    model.hf.register_forward_hook(watch)
    one = Steering({1: every_kind["additive"]}, {"a": 1.0})
    (events,) = answers(model, {"one": one}, [asked("a", PROMPTS[0], RequestSteering("one", {"a": 1.0}))]).values()
    assert set(dtypes) == {torch.float32}
    assert all(e.edits is not None and e.edits.touched == e.edits.selected > 0 for e in events)
