"""The engine behind a URL: what it sends, what it makes of answers, and what of servers that fail."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.serving.engines.vllm_like import Body, Reply, answer, event, lists, vllm_like

from trimtab.errors import InputError, TrimtabError
from trimtab.interventions import Event, Request, RequestSteering, Sampling, ScoreRequest
from trimtab.serving.engines import upstream
from trimtab.serving.engines.upstream import UpstreamEngine, Upstreams, model_name
from trimtab.texts import Message, Rendered

WARM = "a" * 64
STEERING = RequestSteering(WARM, {"warm": 1.5}, "generated")


def kinds() -> frozenset[str]:
    return frozenset({"additive"})


def asked(engine: UpstreamEngine, act: Callable[[UpstreamEngine], Awaitable[Any]]) -> Any:
    """Do something with an engine, and close it."""

    async def main() -> Any:
        try:
            return await act(engine)
        finally:
            await engine.close()

    return asyncio.run(main())


def events(urls: list[str], request: Request, key: str = "") -> list[Event]:
    """The events of an answer."""

    async def read(engine: UpstreamEngine) -> list[Event]:
        return [event async for event in engine.submit(request)]

    found: list[Event] = asked(UpstreamEngine(Upstreams(urls, key), kinds), read)
    return found


def request(id: str = "r", steering: RequestSteering | None = None, **sampling: Any) -> Request:
    return Request(id, (1, 5, 6, 7), Sampling(**{"max_tokens": 8, "temperature": 0.0, **sampling}), steering)


def test_a_completion_is_passed_on_and_its_events_come_back() -> None:
    sent = request(top_p=0.5, top_k=3, seed=9, stop=("!",), top_logprobs=1, logit_bias={7: -1.0})
    with vllm_like(lambda body, _: answer(body)) as server:
        found = events([server.url], sent, key="secret")
    (body,) = server.asked
    assert server.headers[0]["authorization"] == "Bearer secret"
    wanted = {
        "path": "/v1/completions", "model": "tiny", "prompt": [1, 5, 6, 7], "max_tokens": 8, "temperature": 0.0,
        "top_p": 0.5, "top_k": 3, "seed": 9, "stop": ["!"], "logprobs": 1, "logit_bias": {"7": -1.0}, "stream": True,
        "return_token_ids": True, "return_tokens_as_token_ids": True,
    }  # fmt: skip
    assert wanted.items() <= body.items()
    assert "steering" not in body
    assert "".join(one.text for one in found) == "Good day"
    assert [token for one in found for token in one.tokens] == [10, 11]
    assert [value for one in found for value in one.logprobs] == [-0.5, -0.5]
    assert found[0].top_logprobs == ({10: -0.5, 7: -2.0},)
    assert (found[-1].finish, found[-1].prompt_tokens, found[-1].edits) == ("stop", 4, None)


def test_a_chat_is_passed_on_as_turns() -> None:
    chat = Request("r", (Message("user", "How are you?"),), Sampling(max_tokens=8, top_logprobs=2))
    with vllm_like(lambda body, _: answer(body)) as server:
        found = events([server.url], chat)
    (body,) = server.asked
    assert body["path"] == "/v1/chat/completions"
    assert body["messages"] == [{"role": "user", "content": "How are you?"}]
    assert (body["logprobs"], body["top_logprobs"]) == (True, 2)
    assert "".join(one.text for one in found) == "Good day"
    assert found[0].top_logprobs == ({10: -0.5, 7: -2.0},)


def test_a_steering_is_asked_for_by_the_name_that_the_server_has_for_its_id() -> None:
    with vllm_like(lambda body, _: answer(body, WARM), lists(there=WARM)) as server:
        found = events([server.url], request(steering=STEERING))
    assert server.asked[0]["steering"] == {"name": "there", "strength": {"warm": 1.5}, "scope": "generated"}
    edits = found[-1].edits
    assert edits is not None
    assert (edits.selected, edits.measured) == (5, False)


def test_a_steering_that_no_server_has_is_refused() -> None:
    with (
        vllm_like(lambda body, _: answer(body)) as server,
        pytest.raises(InputError, match="on no upstream server") as refused,
    ):
        events([server.url], request(steering=STEERING))
    assert refused.value.field == "steering"
    assert server.asked == []


@pytest.mark.parametrize("said", [None, "b" * 64])
def test_an_answer_that_does_not_say_that_it_was_steered_is_an_error(said: str | None) -> None:
    with (
        vllm_like(lambda body, _: answer(body, said), lists(warm=WARM)) as server,
        pytest.raises(TrimtabError, match="did not steer as it was asked to") as failed,
    ):
        events([server.url], request(steering=STEERING))
    assert (failed.value.code, failed.value.field) == ("inert-steering", "steering")


def test_what_a_server_refuses_is_the_callers_fault() -> None:
    error = {"error": {"message": "logit_bias is out of vocabulary", "param": "logit_bias"}}
    reply = Reply([json.dumps(error).encode()], 400, "application/json")
    with vllm_like(lambda body, _: reply) as server, pytest.raises(InputError, match="out of vocabulary") as refused:
        events([server.url], request())
    assert refused.value.field == "logit_bias"
    assert len(server.asked) == 1  # and is not sent again


MALFORMED = {
    "no JSON": [event(b"{oops")],
    "no object": [event([1])],
    "without text and token ids": [event({"choices": [{"index": 0, "token_ids": ["a"], "text": "x"}]})],
    "broke the answer off": [event({"choices": [{"index": 0, "token_ids": [1], "text": "x"}]})],
    "failed: out of memory": [event({"error": {"message": "out of memory"}})],
    "ended the answer: abort": [event({"choices": [{"text": "x", "token_ids": [1], "finish_reason": "abort"}]})],
}


@pytest.mark.parametrize(("fault", "pieces"), MALFORMED.items())
def test_a_malformed_answer_is_an_error_that_says_what_was_wrong(fault: str, pieces: list[bytes]) -> None:
    with vllm_like(lambda body, _: Reply(pieces)) as server, pytest.raises(TrimtabError, match=fault):
        events([server.url], request())


def test_an_answer_of_another_type_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "_BREATH", 0.0)
    reply = Reply([b"<html>"], 200, "text/html")
    with vllm_like(lambda body, _: reply) as server, pytest.raises(TrimtabError, match="text/html, not with events"):
        events([server.url], request())


def test_a_connection_that_breaks_behind_the_first_word_is_not_asked_again() -> None:
    def cut(body: Body, number: int) -> Reply:
        whole = answer(body)
        return Reply(whole.pieces[:1], cut=True)

    async def read(engine: UpstreamEngine) -> tuple[str, str]:
        text = ""
        try:
            async for one in engine.submit(request()):
                text += one.text
        except TrimtabError as error:
            return text, str(error)
        return text, ""

    with vllm_like(cut) as server:
        text, error = asked(UpstreamEngine(Upstreams([server.url]), kinds), read)
    assert text == "Good"
    assert "broke off" in error
    assert len(server.asked) == 1


def test_a_server_that_answers_nothing_in_time_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "_BREATH", 0.0)
    release = threading.Event()

    def silent(body: Body, number: int) -> Reply:
        release.wait(60)
        return answer(body)

    async def read(engine: UpstreamEngine) -> None:
        async for _ in engine.submit(request()):
            pass

    with vllm_like(silent) as server:
        engine = UpstreamEngine(Upstreams([server.url], piece_seconds=0.2), kinds)
        try:
            with pytest.raises(TrimtabError, match="no answer in time"):
                asked(engine, read)
        finally:
            release.set()


def test_another_server_answers_where_one_fails_before_its_first_word() -> None:
    broken = Reply([b"down"], 500, "text/plain")
    with vllm_like(lambda body, _: broken) as one, vllm_like(lambda body, _: answer(body)) as other:
        for place in range(4):  # whichever is asked first
            found = events([one.url, other.url], request(f"r{place}"))
            assert "".join(event.text for event in found) == "Good day"
    assert len(other.asked) == 4


def test_a_busy_server_is_asked_again_and_stays_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "_BREATH", 0.0)
    busy = Reply([b"{}"], 503, "application/json")
    with vllm_like(lambda body, number: busy if number == 0 else answer(body)) as server:
        found = events([server.url], request())
    assert "".join(event.text for event in found) == "Good day"
    assert len(server.asked) == 2


def test_a_lost_server_is_looked_for_again_and_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "PAUSE", 0.0)

    async def act(engine: UpstreamEngine) -> list[int]:
        await engine.capabilities()
        counts = []
        for i in range(8):
            async for _ in engine.submit(request(f"r{i}")):
                pass
            counts.append(len(flaky.asked))
            await asyncio.sleep(0.05)
        return counts

    broken = Reply([b"down"], 500, "text/plain")
    with (
        vllm_like(lambda body, number: broken if number == 0 else answer(body)) as flaky,
        vllm_like(lambda body, _: answer(body)) as steady,
    ):
        counts = asked(UpstreamEngine(Upstreams([flaky.url, steady.url]), kinds), act)
    assert counts[-1] >= 2  # its failure, and answers after it


def test_requests_are_shared_among_servers_by_what_runs() -> None:
    async def act(engine: UpstreamEngine) -> None:
        streams = [engine.submit(request(f"r{i}")) for i in range(4)]
        firsts = [await anext(stream) for stream in streams]
        assert [one.text for one in firsts] == ["Good"] * 4
        assert [len(one.asked), len(other.asked)] == [2, 2]
        hold.set()
        for stream in streams:
            assert [event.finish async for event in stream][-1] == "stop"

    hold = threading.Event()

    def held(body: Body, number: int) -> Reply:
        whole = answer(body)
        return Reply([*whole.pieces[:1], *whole.pieces[1:]], hold=hold)

    with vllm_like(held) as one, vllm_like(held) as other:
        asked(UpstreamEngine(Upstreams([one.url, other.url]), kinds), act)


def test_a_cancelled_request_ends_here_and_its_connection_there() -> None:
    async def act(engine: UpstreamEngine) -> list[Event]:
        stream = engine.submit(request())
        found = [await anext(stream)]
        await engine.cancel("r")
        return found + [event async for event in stream]

    hold = threading.Event()
    with vllm_like(lambda body, _: Reply(answer(body).pieces[:1], hold=hold)) as server:
        found = asked(UpstreamEngine(Upstreams([server.url]), kinds), act)
        assert server.gone.wait(30)
    assert found[-1].finish == "cancelled"


def test_capabilities_say_what_the_servers_offer_and_which_are_not_there() -> None:
    async def act(engine: UpstreamEngine) -> Any:
        return await engine.capabilities()

    with vllm_like(lambda body, _: answer(body), lists(length=64)) as one:
        with vllm_like(lambda body, _: answer(body), lists(length=48)) as other:
            able = asked(UpstreamEngine(Upstreams([one.url, other.url]), kinds), act)
            assert (able.max_length, able.edits, able.scores) == (48, kinds(), False)
        able = asked(UpstreamEngine(Upstreams([one.url, other.url]), kinds), act)
        assert able.max_length == 64
        assert f"not there: {other.url}" in able.note
        assert asyncio.run(model_name(Upstreams([one.url]))) == "tiny"


@pytest.mark.parametrize(
    ("listed", "fault"),
    [
        ({"/v1/models": {"data": [{"id": "tiny"}]}}, "names no model with its max_model_len"),
        ({"/v1/models": b"<html>"}, "with no list"),
        ({}, "with no list"),
    ],
)
def test_a_server_of_another_kind_is_not_used(listed: dict[str, Any], fault: str) -> None:
    async def act(engine: UpstreamEngine) -> None:
        await engine.capabilities()

    with (
        vllm_like(lambda body, _: answer(body), {"/": 1, **listed}) as server,
        pytest.raises(TrimtabError, match=fault),
    ):
        asked(UpstreamEngine(Upstreams([server.url]), kinds), act)


def test_servers_of_different_models_are_refused() -> None:
    async def act(engine: UpstreamEngine) -> None:
        await engine.capabilities()

    with (
        vllm_like(lambda body, _: answer(body), lists("one")) as one,
        vllm_like(lambda body, _: answer(body), lists("two")) as two,
        pytest.raises(InputError, match="one and two"),
    ):
        asked(UpstreamEngine(Upstreams([one.url, two.url]), kinds), act)


@pytest.mark.parametrize(
    ("urls", "key"),
    [([], ""), (["localhost:8000"], ""), (["http://a/v1", "http://a/v1/"], ""), (["http://far/v1"], "key")],
)
def test_urls_that_will_not_do_are_refused(urls: list[str], key: str) -> None:
    with pytest.raises(InputError):
        Upstreams(urls, key)


@pytest.mark.parametrize(
    ("grammar", "lark"),
    [
        ({"json_schema": {"type": "object"}}, 'start: %json {"type": "object"}'),
        ({"lark_grammar": 'start: "a"'}, 'start: "a"'),
    ],
)
def test_grammars_are_passed_on_in_lark(grammar: dict[str, Any], lark: str) -> None:
    with vllm_like(lambda body, _: answer(body)) as server:
        events([server.url], request(grammar=json.dumps({"grammars": [grammar]})))
        events([server.url], request())
    held, free = server.asked
    more = {name: value for name, value in held.items() if name not in free}
    assert more == {"structured_outputs": {"grammar": lark}}


def test_what_cannot_be_passed_on_is_refused_by_name() -> None:
    with vllm_like(lambda body, _: answer(body)) as server:
        for grammar in ("{}", "no", '{"grammars": [{}]}', '{"grammars": [{"lark_grammar": ""}, {"lark_grammar": ""}]}'):
            with pytest.raises(InputError, match="grammar") as refused:
                events([server.url], request(grammar=grammar))
            assert refused.value.field == "grammar"
        assert server.asked == []

        async def score(engine: UpstreamEngine) -> None:
            await engine.score(ScoreRequest("s", (Rendered("", "a", "b"),), STEERING))

        with pytest.raises(InputError, match="do not score"):
            asked(UpstreamEngine(Upstreams([server.url]), kinds), score)


def test_a_closed_engine_takes_no_more() -> None:
    async def act() -> None:
        engine = UpstreamEngine(Upstreams(["http://127.0.0.1:1/v1"]), kinds)
        await engine.close()
        await engine.close()
        with pytest.raises(TrimtabError, match="closed"):
            await engine.capabilities()
        with pytest.raises(TrimtabError, match="closed"):
            await anext(engine.submit(request()))

    asyncio.run(act())
