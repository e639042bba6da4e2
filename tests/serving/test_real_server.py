"""A real server process's behaviour over the network, asked by the official openai package."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import openai
import pytest
import uvicorn
from pydantic import BaseModel
from tests.serving.conftest import Make, Server

STEERED = {"steering": {"name": "warm", "strength": {"warm": 1.0}}}


@dataclass
class Live:
    """A server that listens."""

    server: Server
    url: str

    def client(self, **options: Any) -> openai.OpenAI:
        return openai.OpenAI(**self._options(options))

    def aclient(self, **options: Any) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(**self._options(options))

    def _options(self, options: dict[str, Any]) -> dict[str, Any]:
        key = self.server.keys["infer"]
        return {"base_url": f"{self.url}/v1", "api_key": key, "max_retries": 0, "timeout": 20.0, **options}


@contextmanager
def listening(server: Server) -> Iterator[Live]:
    """The server on a free port, in a thread."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        config = uvicorn.Config(server.app, log_config=None, timeout_graceful_shutdown=5)
        running = uvicorn.Server(config)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            until(lambda: running.started)
            yield Live(server, f"http://127.0.0.1:{bound.getsockname()[1]}")
        finally:
            running.should_exit = True
            thread.join()


def until(done: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


@pytest.fixture
def live(server: Server) -> Iterator[Live]:
    with listening(server) as found:
        yield found


def user(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def applied(answer: BaseModel) -> dict[str, Any]:
    """What an answer says of its steering; the package keeps fields that it does not know."""
    return dict((answer.model_extra or {})["trimtab"])


def test_the_openai_package_chats_and_steers(live: Live) -> None:
    with live.client() as client:
        plain = client.chat.completions.create(model="tiny", messages=user("hello"))
        steered = client.chat.completions.create(model="tiny", messages=user("hello"), extra_body=STEERED)
        named = client.chat.completions.create(model="tiny@warm", messages=user("hello"), logprobs=True)
    assert (plain.choices[0].message.content, plain.usage.completion_tokens) == ("hello", 5)
    assert steered.choices[0].message.content == named.choices[0].message.content == "HELLO"
    assert applied(steered)["strength"] == {"warm": 1.0}
    assert [one.token for one in named.choices[0].logprobs.content] == list("HELLO")
    assert steered._request_id == applied(steered)["request_id"]


def test_the_openai_package_streams(live: Live) -> None:
    options: Any = {"stream_options": {"include_usage": True}, "extra_body": STEERED}
    with live.client() as client:
        pieces = list(client.chat.completions.create(model="tiny", messages=user("hello"), stream=True, **options))
        with client.chat.completions.stream(model="tiny", messages=user("hello"), **options) as stream:
            whole = stream.get_final_completion()
        texts = [c.text for p in client.completions.create(model="tiny", prompt="ab", stream=True) for c in p.choices]
    assert "".join(c.delta.content or "" for piece in pieces for c in piece.choices) == "HELLO"
    assert whole.choices[0].message.content == "HELLO"
    assert (pieces[-1].usage.total_tokens, whole.usage.total_tokens) == (10, 10)
    assert applied(pieces[-1])["touched"] == applied(pieces[-2])["touched"] == 9
    assert "".join(texts) == "ab"


def test_the_asynchronous_openai_package_gets_every_answer_to_its_own_question(live: Live) -> None:
    async def main() -> list[tuple[str, str]]:
        async with live.aclient() as client:

            async def one(i: int) -> tuple[str, str]:
                text, model = f"question {i}", "tiny@warm" if i % 2 else "tiny"
                expected = text.upper() if i % 2 else text
                if i % 3:
                    got = await client.chat.completions.create(model=model, messages=user(text))
                    return got.choices[0].message.content or "", expected
                stream = await client.chat.completions.create(model=model, messages=user(text), stream=True)
                pieces = [c.delta.content or "" async for piece in stream for c in piece.choices]
                return "".join(pieces), expected

            return await asyncio.gather(*(one(i) for i in range(24)))

    for got, expected in asyncio.run(main()):
        assert got == expected


class Colour(BaseModel):
    red: int


def test_the_openai_package_asks_for_json_by_a_type(live: Live) -> None:
    with live.client() as client:
        got = client.chat.completions.parse(model="tiny", messages=user('{"red": 7}'), response_format=Colour)
    assert got.choices[0].message.parsed == Colour(red=7)
    grammar = json.loads(str(live.server.engine.seen[-1].sampling.grammar))
    assert grammar["grammars"][0]["json_schema"]["properties"]["red"]["type"] == "integer"


def test_the_openai_package_raises_its_own_errors(live: Live) -> None:
    cases: list[tuple[type[openai.APIStatusError], dict[str, Any]]] = [
        (openai.NotFoundError, {"model": "gpt-4"}),
        (openai.BadRequestError, {"temperature": 3}),
        (openai.BadRequestError, {"extra_body": {"steering": {"name": "cold"}}}),
        (openai.InternalServerError, {"messages": user("fail")}),
    ]
    with live.client() as client:
        for kind, fields in cases:
            with pytest.raises(kind) as raised:
                client.chat.completions.create(**{"model": "tiny", "messages": user("hello"), **fields})
            assert raised.value.message
            assert raised.value.request_id.startswith("req_")
        with pytest.raises(openai.APIError, match="the engine failed"):
            list(client.chat.completions.create(model="tiny", messages=user("break off"), stream=True))
    with live.client(api_key="tt-wrong") as client, pytest.raises(openai.AuthenticationError):
        client.models.list()
    with live.client(api_key=live.server.keys["read"]) as client:
        assert [model.id for model in client.models.list()] == ["tiny", "tiny@brief", "tiny@warm"]
        assert client.models.retrieve("tiny@warm").id == "tiny@warm"
        with pytest.raises(openai.PermissionDeniedError):
            client.chat.completions.create(model="tiny", messages=user("hello"))


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_hangs_up_cancels_all_of_its_answers(live: Live, stream: bool) -> None:
    engine = live.server.engine
    asked: dict[str, Any] = {"model": "tiny@warm", "messages": user("wait " * 10), "n": 2, "stream": stream}
    asked["steering"] = {"compare": True}
    headers = {"authorization": f"Bearer {live.server.keys['infer']}"}
    with httpx2.Client(base_url=live.url, headers=headers) as client:
        if stream:
            with client.stream("POST", "/v1/chat/completions", json=asked) as response:
                assert next(response.iter_lines()).startswith("data: ")
        else:
            with pytest.raises(httpx2.ReadTimeout):
                client.post("/v1/chat/completions", json=asked, timeout=0.5)
    until(lambda: not engine.running and len(engine.cancelled) == 4)
    until(lambda: any(line.get("hung_up") for line in live.server.lines))
    with live.client() as client:
        got = client.chat.completions.create(model="tiny", messages=user("still there"))
    assert got.choices[0].message.content == "still there"


def test_a_reader_that_is_too_slow_is_dropped_and_delays_nobody(make: Make) -> None:
    server = make(max_length=100_000, answer_seconds=2.0, answer_tokens=10_000)
    asked = {"model": "tiny", "messages": user("x" * 8000), "max_tokens": 8000, "logprobs": True, "top_logprobs": 20}
    content = json.dumps({**asked, "stream": True}).encode()  # an answer of 12 MB, more than buffers hold
    with listening(server) as live, socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", int(live.url.rpartition(":")[2])))
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {server.keys['infer']}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
        )
        slow.sendall(head.encode() + content)
        until(lambda: bool(server.engine.running))
        with live.client() as client:
            got = client.chat.completions.create(model="tiny", messages=user("quick"))
        assert got.choices[0].message.content == "quick"
        until(lambda: not server.engine.running)
        assert len(server.engine.cancelled) == 1


def test_the_engine_is_closed_when_the_server_stops_and_running_answers_are_finished(server: Server) -> None:
    with listening(server) as live:
        results: list[str] = []

        def ask() -> None:
            with live.client() as client:
                got = client.chat.completions.create(model="tiny", messages=user("wait"))
                results.append(str(got.choices[0].message.content))

        asking = threading.Thread(target=ask)
        asking.start()
        until(lambda: bool(server.engine.running))
    asking.join()
    assert results == ["wait"]
    assert server.engine.closed


def test_the_openai_package_calls_functions(live: Live) -> None:
    tool: Any = openai.pydantic_function_tool(Colour)
    call = '<tool_call>{"name": "Colour", "arguments": {"red": 7}}</tool_call>'
    asked: dict[str, Any] = {"model": "tiny", "messages": user(call), "tools": [tool], "max_tokens": 80}
    live.server.engine.max_length = 200
    with live.client() as client:
        whole = client.chat.completions.create(**asked).choices[0]
        parsed = client.chat.completions.parse(**asked).choices[0].message.tool_calls or []
        with client.chat.completions.stream(**asked) as stream:
            streamed = stream.get_final_completion().choices[0]
        text = client.chat.completions.create(**{**asked, "messages": user("no call")}).choices[0]
        cut = client.chat.completions.create(**{**asked, "max_tokens": 48}).choices[0]
    for choice in (whole, streamed):
        (made,) = choice.message.tool_calls or [None]
        assert (made.function.name, made.function.arguments) == ("Colour", '{"red": 7}')
        assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
        assert made.id.startswith("call_")
    assert parsed[0].function.parsed_arguments == Colour(red=7)
    assert (text.message.content, text.message.tool_calls, text.finish_reason) == ("no call", None, "stop")
    assert cut.finish_reason == "length"
