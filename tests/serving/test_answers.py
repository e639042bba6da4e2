"""Answers, whole and streamed: OpenAI's own types read them, and they say what the steering did."""

import asyncio
import json
from typing import Any

import httpx2
import pytest
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from tests.serving.conftest import Make, Server

from trimtab.interventions import Sampling

CHAT = "/v1/chat/completions"
TEXT = "/v1/completions"


def body(text: str = "hello", **fields: Any) -> dict[str, Any]:
    return {"model": "tiny", "messages": [{"role": "user", "content": text}], **fields}


def ask(server: Server, path: str, sent: dict[str, Any]) -> httpx2.Response:
    async def main() -> httpx2.Response:
        async with server.client() as client:
            return await client.post(path, json=sent)

    return asyncio.run(main())


def answered(server: Server, path: str, sent: dict[str, Any]) -> dict[str, Any]:
    response = ask(server, path, sent)
    assert response.status_code == 200, response.text
    return dict(response.json())


def chunks(server: Server, path: str, sent: dict[str, Any]) -> list[dict[str, Any]]:
    response = ask(server, path, {**sent, "stream": True})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    events = response.text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    return [json.loads(event.removeprefix("data: ")) for event in events[:-2]]


def strict(kind: Any, document: dict[str, Any]) -> Any:
    """Read by the openai package's type, every field of which must have its type; `trimtab` alone comes on top."""
    read = kind.model_validate(document)
    assert set(read.model_extra or {}) <= {"trimtab"}
    return read


def _completion(chunk: dict[str, Any]) -> Any:
    """A piece of a completion; the package's type does not know that `finish_reason` is null until the end."""
    ended = [{**choice, "finish_reason": choice["finish_reason"] or "stop"} for choice in chunk["choices"]]
    return strict(Completion, {**chunk, "choices": ended})


def test_a_chat_is_answered_in_openais_shape(server: Server) -> None:
    read = strict(ChatCompletion, answered(server, CHAT, body()))
    assert read.choices[0].message.content == "hello"
    assert (read.choices[0].finish_reason, read.choices[0].logprobs, read.model) == ("stop", None, "tiny")
    assert (read.usage.prompt_tokens, read.usage.completion_tokens, read.usage.total_tokens) == (5, 5, 10)
    assert read.trimtab["artifact"] is None
    assert server.engine.seen[0].steering is None
    assert server.engine.running == {}


def test_a_completion_continues_texts_and_token_ids(server: Server) -> None:
    read = strict(Completion, answered(server, TEXT, {"model": "tiny", "prompt": ["ab", "cde"], "n": 2}))
    assert [(choice.index, choice.text) for choice in read.choices] == [(0, "ab"), (1, "ab"), (2, "cde"), (3, "cde")]
    assert (read.usage.prompt_tokens, read.usage.completion_tokens) == (5, 10)
    read = strict(Completion, answered(server, TEXT, {"model": "tiny", "prompt": [104, 105]}))
    assert read.choices[0].text == "hi"
    assert server.engine.seen[-1].prompt == (104, 105)


def test_a_steered_answer_says_what_was_applied_and_what_it_did(server: Server) -> None:
    got = answered(server, CHAT, body(model="tiny@warm"))
    assert got["choices"][0]["message"]["content"] == "HELLO"
    applied = got["trimtab"]
    gates = (5 * 0.25 + 4 * 0.75) / 9
    assert applied["gates"]["warm"] == pytest.approx(gates)
    del applied["gates"]
    assert applied == {
        "request_id": applied["request_id"], "steering": "warm", "artifact": server.registry.find("warm").id,
        "strength": {"warm": 1.5}, "scope": "generated", "decisions": {"warm": "go"}, "selected": 9, "touched": 9,
        "edit_size_ratio": pytest.approx(0.1), "left_alone": [], "departures": [], "explained": None, "unsteered": None,
    }  # fmt: skip


def test_every_way_of_steering_reaches_the_engine_and_departures_are_told(server: Server) -> None:
    asked = body(steering={"name": "warm", "strength": {"warm": 2}, "scope": "all"})
    applied = answered(server, CHAT, asked)["trimtab"]
    assert applied["departures"] == [
        "warm: strength 2 is above the checked 1.5",
        "warm: scope all, where it was checked with generated",
    ]
    steering = server.engine.seen[-1].steering
    assert steering is not None
    assert (steering.strength, steering.scope) == ({"warm": 2.0}, "all")
    answered(server, CHAT, body(model="tiny@warm", steering={"strength": "gentle"}))
    assert server.engine.seen[-1].steering.strength == {"warm": 0.5}
    got = answered(server, CHAT, body(model="tiny@warm", steering={"strength": 0}))
    assert got["choices"][0]["message"]["content"] == "hello"
    assert (got["trimtab"]["strength"], got["trimtab"]["touched"]) == ({"warm": 0.0}, 0)
    text = answered(server, TEXT, {"model": "tiny@warm", "prompt": "hi"})
    assert text["trimtab"]["departures"] == ["warm: without the chat template, where it was checked with"]


def test_explain_names_every_token_and_compare_shows_the_unsteered_answer(server: Server) -> None:
    asked = body("hi", model="tiny@warm", n=2, seed=3, steering={"explain": True, "compare": True})
    applied = answered(server, CHAT, asked)["trimtab"]
    tokens = applied["explained"][1]["tokens"]
    assert [token["text"] for token in tokens] == ["h", "i", "I"]
    assert tokens[0] == {
        "token": 104, "text": "h", "selected": True, "gates": {"warm": 0.25}, "edit_size_ratio": 0.1,
    }  # fmt: skip
    assert applied["unsteered"] == [
        {"index": i, "text": "hi", "completion_tokens": 2, "finish_reason": "stop"} for i in range(2)
    ]
    seen = {request.id.partition("-")[2]: request for request in server.engine.seen}
    assert set(seen) == {"0", "1", "0-unsteered", "1-unsteered"}
    assert [seen[id].sampling.seed for id in sorted(seen)] == [3, 3, 4, 4]
    assert not seen["0-unsteered"].explain


@pytest.mark.parametrize("steered", [False, True])
@pytest.mark.parametrize("n", [1, 3])
def test_streamed_is_the_same_as_not_streamed(server: Server, steered: bool, n: int) -> None:
    sent = body("some words", model="tiny@warm" if steered else "tiny", n=n, logprobs=True, top_logprobs=2)
    whole = answered(server, CHAT, sent)
    pieces = [strict(ChatCompletionChunk, chunk) for chunk in chunks(server, CHAT, sent)]
    assert len({piece.id for piece in pieces}) == 1
    for choice in whole["choices"]:
        own = [c for piece in pieces for c in piece.choices if c.index == choice["index"]]
        assert own[0].delta.role == "assistant"
        assert "".join(c.delta.content or "" for c in own) == choice["message"]["content"]
        assert [c.finish_reason for c in own] == [None] * (len(own) - 1) + [choice["finish_reason"]]
        named = [one.model_dump() for c in own if c.logprobs for one in c.logprobs.content or ()]
        assert named == choice["logprobs"]["content"]
    last = dict(pieces[-1].model_extra["trimtab"])
    assert {**last, "request_id": ""} == {**whole["trimtab"], "request_id": ""}


def test_a_streamed_completion_is_the_same_as_not_streamed(server: Server) -> None:
    sent = {"model": "tiny@warm", "prompt": ["ab", "cd"], "logprobs": 2, "stream_options": {"include_usage": True}}
    whole = answered(server, TEXT, {name: value for name, value in sent.items() if name != "stream_options"})
    pieces = [_completion(chunk) for chunk in chunks(server, TEXT, sent)]
    for choice in whole["choices"]:
        own = [c for piece in pieces for c in piece.choices if c.index == choice["index"]]
        assert "".join(c.text for c in own) == choice["text"]
        named = [c.logprobs for c in own if c.logprobs]
        for field in ("tokens", "token_logprobs", "top_logprobs", "text_offset"):
            assert [x for one in named for x in getattr(one, field)] == choice["logprobs"][field]
    assert pieces[-1].choices == []
    assert pieces[-1].usage.model_dump(exclude_none=True) == whole["usage"]
    assert [piece.usage for piece in pieces[:-1]] == [None] * (len(pieces) - 1)


def test_a_stream_explains_and_compares_as_it_goes(server: Server) -> None:
    sent = body("hi", model="tiny@warm", steering={"explain": True, "compare": True})
    whole = answered(server, CHAT, sent)["trimtab"]
    said = [piece["trimtab"] for piece in chunks(server, CHAT, sent) if piece["trimtab"]]
    tokens = [token for one in said for choice in one["explained"] or () for token in choice["tokens"]]
    beside = [choice for one in said for choice in one["unsteered"] or ()]
    assert tokens == whole["explained"][0]["tokens"]
    assert "".join(choice["text"] for choice in beside) == whole["unsteered"][0]["text"]
    assert (beside[-1]["finish_reason"], sum(choice["completion_tokens"] for choice in beside)) == ("stop", 2)


def test_log_probabilities_name_tokens_and_their_rivals(server: Server) -> None:
    read = strict(ChatCompletion, answered(server, CHAT, body("hé", logprobs=True, top_logprobs=2)))
    first, second = read.choices[0].logprobs.content
    assert (first.token, first.logprob, first.bytes) == ("h", -0.5, [104])
    assert [(top.token, top.logprob) for top in first.top_logprobs] == [("h", -0.5), ("i", -1.5)]
    assert second.bytes == list("é".encode())
    assert answered(server, CHAT, body(logprobs=True))["choices"][0]["logprobs"]["content"][0]["top_logprobs"] == []


def test_answers_end_at_their_length_or_at_a_stop_text(server: Server) -> None:
    got = answered(server, CHAT, body("hello", max_tokens=3))["choices"][0]
    assert (got["message"]["content"], got["finish_reason"]) == ("hel", "length")
    got = answered(server, CHAT, body("hello", stop=["l"]))["choices"][0]
    assert (got["message"]["content"], got["finish_reason"]) == ("he", "stop")
    assert server.engine.seen[-1].sampling == Sampling(32, stop=("l",))


def test_a_completion_without_a_maximum_ends_where_the_models_length_does(make: Make) -> None:
    server = make(max_length=20)
    answered(server, TEXT, {"model": "tiny", "prompt": "x" * 10})
    assert server.engine.seen[-1].sampling.max_tokens == 10


def test_many_requests_at_once_are_answered_each_by_its_own(server: Server) -> None:
    async def main() -> list[tuple[str, str]]:
        async with server.client() as client:

            async def one(i: int) -> tuple[str, str]:
                text, steered = f"words of {i}", i % 3 == 0
                sent = body(text, model="tiny@warm" if steered else "tiny", stream=i % 2 == 0)
                response = await client.post(CHAT, json=sent)
                if i % 2:
                    got = response.json()["choices"][0]["message"]["content"]
                else:
                    pieces = [json.loads(e[6:]) for e in response.text.split("\n\n")[:-2]]
                    got = "".join(c["delta"].get("content", "") for piece in pieces for c in piece["choices"])
                return got, text.upper() if steered else text

            return await asyncio.gather(*(one(i) for i in range(40)))

    for got, expected in asyncio.run(main()):
        assert got == expected
    assert server.engine.running == {}
