"""Scores from an engine are those of the model in one process, and answers in flight are what they would have been."""

import asyncio
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.serving.engines.asking import PROMPTS, asked, events_of, generated, run_with, to_serve, turns

from trimtab.errors import InputError, TrimtabError
from trimtab.interventions import AnswerScore, Condition, Engine, GivenAnswer, Request, RequestSteering, ScoreRequest
from trimtab.models import Model, load
from trimtab.serving.engines.batching import Limits
from trimtab.serving.engines.one_by_one import OneByOneEngine
from trimtab.serving.engines.process import ProcessEngine
from trimtab.serving.engines.prompts import Preparation
from trimtab.serving.engines.scoring import AT_ONCE, Scoring
from trimtab.serving.engines.transformers import TransformersEngine
from trimtab.steering import Additive, Steering
from trimtab.texts import Rendered

ANSWERS = (" a joy from end to end", " slow", " good, and the rest of it was good as well")
TEXTS = tuple(Rendered("", p, a) for p, a in zip(PROMPTS, ANSWERS, strict=True))
BOTH: list[Callable[..., Any]] = [TransformersEngine, OneByOneEngine]


def steering_of(edits: Any, **options: Any) -> Steering:
    vectors = torch.cat([edits["additive"].vectors, edits["gated"].vectors])
    return Steering({1: Additive(vectors), "attention:2": Additive(vectors)}, {"a": 1.0, "b": 0.5}, **options)


def scores(make: Any, model: Model, steering: Steering, request: ScoreRequest) -> tuple[AnswerScore, ...]:
    async def work(engine: Engine) -> tuple[AnswerScore, ...]:
        return await engine.score(request)

    found: tuple[AnswerScore, ...] = run_with(make, model, {"s": steering}, work)
    return found


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_scores_are_those_of_the_model_alone(tiny: Any, every_kind: Any, make: Any, attention: str) -> None:
    model, steering = tiny(), steering_of(every_kind)
    model.hf.set_attn_implementation(attention)
    asked_for = RequestSteering("s", {"b": -0.4, "a": 1.2}, "generated")
    found = scores(make, model, steering, ScoreRequest("1", TEXTS, asked_for, random=7))
    options = {"strength": {"a": 1.2, "b": -0.4}, "scope": "generated"}
    plain = model.score(PROMPTS, ANSWERS)
    steered = model.score(PROMPTS, ANSWERS, steering=steering, **options)
    along = model.score(PROMPTS, ANSWERS, steering=steering.randomised(7), **options)
    for name, wanted in (("base", plain), ("steered", steered), ("random", along)):
        assert [getattr(s, name) for s in found] == pytest.approx(wanted.total.tolist(), abs=1e-4), name
    assert [s.n_tokens for s in found] == plain.n_tokens.tolist()
    assert (plain.total - steered.total).abs().min() > 0.01  # else it would not be seen which is which


def test_divergence_and_projections_are_those_of_raw_passes(tiny: Any, every_kind: Any) -> None:
    model, steering = tiny(), steering_of(every_kind)
    (score,) = scores(
        TransformersEngine, model, steering, ScoreRequest("1", TEXTS[:1], RequestSteering("s", {"a": 1.0, "b": 2.0}))
    )
    (row,) = model.encoder().encode(TEXTS[:1])
    ids, n = torch.tensor([row.ids]), row.prompt_len
    with torch.no_grad():
        plain = model.hf(ids, output_hidden_states=True)
        with model.steered(steering, {"a": 1.0, "b": 2.0}):
            steered = model.hf(ids)
    p, q = (out.logits[0, n - 1 : -1].float().log_softmax(-1) for out in (plain, steered))
    wanted = (p.exp() * (p - q)).sum(-1).mean()
    assert score.kl == pytest.approx(float(wanted), abs=1e-4)
    h = plain.hidden_states[2][0, n:].mean(0)  # behind block 1
    for name, v in zip("ab", steering.edits[next(iter(steering.edits))].vectors, strict=True):  # type: ignore[attr-defined]
        assert score.projections[name]["1"] == pytest.approx(float(2 * (h @ v) / (v @ v)), abs=1e-4)
        assert "attention:2" in score.projections[name]


def test_answers_in_tokens_are_scored_behind_their_turns(tiny: Any, every_kind: Any) -> None:
    model, steering = tiny(), steering_of(every_kind)
    front = model.encoder(chat_template=True).encode([Rendered("", "", "", messages=turns(PROMPTS[0]))])[0].prompt
    answer = (17, 40, 8)
    strength = RequestSteering("s", {"a": 1.0, "b": 0.0})
    texts = (GivenAnswer(turns(PROMPTS[0]), answer), GivenAnswer(front.ids, answer))
    as_turns, as_tokens = scores(TransformersEngine, model, steering, ScoreRequest("1", texts, strength))
    assert (as_turns.base, as_turns.steered) == pytest.approx((as_tokens.base, as_tokens.steered), abs=1e-4)
    with torch.no_grad():
        logits = model.hf(torch.tensor([[*front.ids, *answer]])).logits[0, len(front.ids) - 1 : -1].float()
    wanted = logits.log_softmax(-1).gather(1, torch.tensor(answer)[:, None]).sum()
    assert as_turns.base == pytest.approx(float(wanted), abs=1e-4)


def test_choices_are_scored_where_they_part(tiny: Any, every_kind: Any) -> None:
    model, steering = tiny(), steering_of(every_kind)
    pairs = [Rendered("", p, a) for p in PROMPTS for a in (" good", " bad")]
    request = ScoreRequest("1", tuple(pairs), RequestSteering("s", {"a": 1.0, "b": 0.0}), choices=True)
    found = scores(TransformersEngine, model, steering, request)
    sides = [" good"] * 3, [" bad"] * 3
    for name, wanted in (
        ("base", model.logit_differences(PROMPTS, *sides)),
        ("steered", model.logit_differences(PROMPTS, *sides, steering=steering, strength={"a": 1.0, "b": 0.0})),
    ):
        values = [getattr(score, name) for score in found]
        differences = [p - q for p, q in zip(values[::2], values[1::2], strict=True)]
        assert differences == pytest.approx(wanted.tolist(), abs=1e-4), name


def test_texts_in_front_and_conditions_count(tiny: Any, every_kind: Any) -> None:
    model = tiny()
    never = Condition(1, torch.ones(32), 1.0)  # no cosine lies above 1
    picky = steering_of(every_kind, conditions={"a": never}, prompts={"b": ("Be kind. ", "")})
    asked_for = {"a": 3.0, "b": 0.5}
    found = scores(TransformersEngine, model, picky, ScoreRequest("1", TEXTS, RequestSteering("s", asked_for)))
    wanted = model.score(PROMPTS, ANSWERS, steering=picky, strength=asked_for)
    assert [s.steered for s in found] == pytest.approx(wanted.total.tolist(), abs=1e-4)
    without = steering_of(every_kind, prompts={"b": ("Be kind. ", "")})
    wanted = model.score(PROMPTS, ANSWERS, steering=without, strength={"a": 0.0, "b": 0.5})
    assert [s.steered for s in found] == pytest.approx(wanted.total.tolist(), abs=1e-4)
    assert all(s.acts for s in found)  # with the other attribute
    alone = RequestSteering("s", {"a": 3.0, "b": 0.0})
    found = scores(TransformersEngine, model, picky, ScoreRequest("2", TEXTS, alone))
    assert [s.acts for s in found] == [False] * len(TEXTS)
    assert [s.gain for s in found] == pytest.approx([0.0] * len(TEXTS), abs=1e-6)


@pytest.mark.parametrize("make", BOTH)
def test_answers_in_flight_are_what_they_would_have_been(tiny: Any, every_kind: Any, make: Any) -> None:
    model, steering = tiny(), steering_of(every_kind)
    model.hf.set_attn_implementation("eager")  # which passes for requests replace
    strength = {"a": 1.0, "b": 0.5}
    wanted = [generated(model, p, steering=steering, strength=strength, max_new_tokens=40) for p in PROMPTS]

    async def work(engine: Engine) -> list[str]:
        begun = asyncio.Event()

        async def answer(request: Request) -> str:
            text = ""
            async for event in engine.submit(request):
                text += event.text
                begun.set()
            return text

        requests = [asked(str(i), p, RequestSteering("s", strength), max_tokens=40) for i, p in enumerate(PROMPTS)]
        running = [asyncio.ensure_future(answer(request)) for request in requests]
        await begun.wait()
        n = 0
        while not all(task.done() for task in running):
            n += 1
            await engine.score(ScoreRequest(f"s{n}", TEXTS, RequestSteering("s", {"a": -2.0, "b": 1.0})))
        assert n > 0  # scored while answers were on their way
        return [task.result() for task in running]

    assert run_with(make, model, {"s": steering}, work) == wanted


def test_a_few_texts_at_a_time_are_scored_and_pairs_stay_together(tiny: Any, every_kind: Any) -> None:
    model, steering = tiny(), steering_of(every_kind)
    preparation = Preparation(model, 1000)
    texts = tuple(Rendered("", PROMPTS[i % 3], " good" * (1 + 37 * i % 90)) for i in range(40))
    sizes = [len(row.ids) for row in model.encoder().encode(texts)]
    for choices in (False, True):
        request = ScoreRequest("1", texts, RequestSteering("s", {"a": 1.0, "b": 1.0}), choices=choices)
        pieces = list(Scoring(model, preparation, request, steering).pieces)
        assert [i for piece in pieces for i in range(piece.start, piece.stop)] == list(range(40))
        assert len(pieces) > 5
        for piece in pieces:
            assert sum(sizes[piece]) <= AT_ONCE or piece.stop - piece.start == 1 + choices
            assert not choices or piece.start % 2 == 0


def test_scoring_leaves_half_of_the_time_to_answers_in_flight(tiny: Any, every_kind: Any, monkeypatch: Any) -> None:
    model, steering = tiny(), steering_of(every_kind)
    slept: list[float] = []
    took: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float, *rest: Any) -> None:
        slept.append(seconds)
        await real(seconds, *rest)

    async def work(engine: TransformersEngine) -> None:
        run = engine._between

        async def between(act: Any) -> Any:
            began = asyncio.get_running_loop().time()
            done = await run(act)
            took.append(asyncio.get_running_loop().time() - began)
            return done

        monkeypatch.setattr(engine, "_between", between)
        texts = tuple(Rendered("", PROMPTS[0], " good" * 200) for _ in range(3))
        request = ScoreRequest("1", texts, RequestSteering("s", {"a": 1.0, "b": 1.0}))
        await engine.score(request)
        assert not slept  # nobody waits
        running = asyncio.ensure_future(events_of(engine, asked("a", PROMPTS[0], max_tokens=500)))
        await real(0.05)
        took.clear()
        monkeypatch.setattr(asyncio, "sleep", sleep)
        await engine.score(request)
        await engine.cancel("a")
        await running

    run_with(TransformersEngine, model, {"s": steering}, work)
    assert len(took) == 3
    assert slept
    assert all(rest >= each for rest, each in zip(slept, took, strict=False))


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (ScoreRequest("1", TEXTS, RequestSteering("other", {"a": 1.0})), "no steering 'other'"),
        (ScoreRequest("1", TEXTS, RequestSteering("s", {"a": 1.0})), "no strength is given for the attribute 'b'"),
        (ScoreRequest("1", (GivenAnswer((1, 5), (10**7,)),), RequestSteering("s", {"a": 1.0, "b": 1.0})), "no token"),
        (
            ScoreRequest("1", (GivenAnswer((1,) * 60, (5,) * 10),), RequestSteering("s", {"a": 1.0, "b": 1.0})),
            "text 1 has 70 tokens",
        ),
    ],
)
def test_what_cannot_be_scored_is_refused(tiny: Any, every_kind: Any, request_: ScoreRequest, words: str) -> None:
    make = partial(TransformersEngine, limits=Limits(max_length=64))
    with pytest.raises(InputError, match=words):
        scores(make, tiny(), steering_of(every_kind), request_)


def test_requests_without_sense_are_refused() -> None:
    steering = RequestSteering("s", {})
    for texts, options in (
        ((), {}),
        ((Rendered("", "a", ""),), {}),
        ((GivenAnswer((), (1,)),), {}),
        (TEXTS, {"choices": True}),
    ):
        with pytest.raises(InputError):
            ScoreRequest("1", texts, steering, **options)
    with pytest.raises(InputError, match="id"):
        ScoreRequest("", TEXTS, steering)


def test_a_closed_engine_scores_nothing(tiny: Any, every_kind: Any) -> None:
    async def work(engine: Engine) -> None:
        await engine.close()
        with pytest.raises(TrimtabError, match="closed"):
            await engine.score(ScoreRequest("1", TEXTS, RequestSteering("s", {"a": 1.0, "b": 1.0})))

    run_with(TransformersEngine, tiny(), {"s": steering_of(every_kind)}, work)


def test_the_engine_in_another_process_scores_the_same(tiny_folder: Path, tmp_path: Path) -> None:
    model = load(str(tiny_folder), dtype="float32")
    steering = Steering.from_vector(0, torch.ones(model.d_model), "a")
    folder = steering.save(tmp_path / "s")
    request = ScoreRequest("1", TEXTS, RequestSteering(steering.id, {"a": 2.0}), random=3)

    async def work() -> None:
        engine = ProcessEngine(to_serve(tiny_folder), {steering.id: folder}.get)
        try:
            assert (await engine.capabilities()).scores
            found = await engine.score(request)
            with pytest.raises(InputError, match="no steering"):
                await engine.score(ScoreRequest("2", TEXTS, RequestSteering("5f2c", {"a": 1.0})))
        finally:
            await engine.close()
        plain = model.score(PROMPTS, ANSWERS)
        steered = model.score(PROMPTS, ANSWERS, steering=steering, strength=2.0)
        assert [s.base for s in found] == pytest.approx(plain.total.tolist(), abs=1e-4)
        assert [s.steered for s in found] == pytest.approx(steered.total.tolist(), abs=1e-4)
        assert all(s.random is not None and math.isfinite(s.random) for s in found)
        with pytest.raises(TrimtabError, match="closed"):
            await engine.score(request)

    asyncio.run(work())
