"""What is not answered: always an error in OpenAI's shape, with the right status, the field, and what to do."""

import asyncio
import json
from typing import Any

import httpx2
import pytest
from tests.serving.asking import error, sent
from tests.serving.conftest import Make, Server

CHAT = "/v1/chat/completions"
TEXT = "/v1/completions"
HELLO = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}]}


def refused(server: Server, status: int, path: str = CHAT, **fields: Any) -> dict[str, Any]:
    base = HELLO if path == CHAT else {"model": "tiny", "prompt": "hello"}
    return error(sent(server, "POST", path, json={**base, **fields}), status)


# --- keys ---


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer wrong", "Basic abc", "Bearer tt-é"])
def test_no_or_a_wrong_key_is_401_whatever_is_asked(server: Server, header: str | None) -> None:
    headers = {} if header is None else {"authorization": header.encode("latin-1")}
    for method, path in (("POST", CHAT), ("GET", "/v1/models"), ("GET", "/metrics"), ("GET", "/nothing")):
        response = sent(server, method, path, None, headers=headers, content=b"{" if method == "POST" else b"")
        told = error(response, 401)
        assert (told["type"], told["code"]) == ("authentication_error", "invalid_api_key")
        assert response.headers["www-authenticate"] == "Bearer"


def test_a_revoked_key_is_refused_from_the_next_request_on(server: Server, tmp_path: Any) -> None:
    from trimtab.serving.keys import KeyFile

    assert sent(server, "POST", CHAT, json=HELLO).status_code == 200
    KeyFile(tmp_path / "keys.json").revoke("infer")
    error(sent(server, "POST", CHAT, json=HELLO), 401)


ROUTES = [
    ("POST", CHAT, "infer"), ("POST", TEXT, "infer"), ("POST", "/tokenize", "infer"), ("GET", "/v1/models", "read"),
    ("GET", "/v1/models/tiny", "read"), ("GET", "/v1/steerings", "read"), ("GET", "/metrics", "read"),
    ("POST", "/v1/steerings", "operate"), ("DELETE", "/v1/steerings/warm", "operate"),
    ("POST", "/v1/steerings/warm/enable", "operate"), ("POST", "/v1/steerings/warm/disable", "operate"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "scope"), ROUTES)
def test_a_key_does_what_its_scope_allows_and_nothing_else(server: Server, method: str, path: str, scope: str) -> None:
    for other in {"read", "infer", "operate"} - {scope}:
        told = error(sent(server, method, path, other, json={**HELLO, "prompt": "x", "name": "warm"}), 403)
        assert (told["type"], told["code"]) == ("permission_error", "insufficient_scope")
        assert f"no scope {scope!r}" in told["message"]
    assert sent(server, method, path, scope).status_code in (200, 400)


def test_every_route_but_health_and_the_schema_needs_a_scope(server: Server) -> None:
    listed = {(method.upper(), path) for path, item in server.app.openapi()["paths"].items() for method in item}
    filled = {
        (method, path.replace("warm", "{name}").replace("models/tiny", "models/{model}")) for method, path, _ in ROUTES
    }
    assert listed - filled == {("GET", "/health"), ("GET", "/ready"), ("GET", "/v1/events"), ("GET", "/v1/key")}
    error(sent(server, "GET", "/v1/events", "infer"), 403)  # with the scope read it goes on and on
    error(sent(server, "GET", "/v1/key", None), 401)  # every key may see what it may do
    for path in ("/health", "/ready", "/openapi.json"):
        assert sent(server, "GET", path, None).status_code == 200
    for path in ("/docs", "/redoc"):
        error(sent(server, "GET", path, "read"), 404)


def test_keys_that_cannot_be_read_let_nobody_in(server: Server, tmp_path: Any) -> None:
    (tmp_path / "keys.json").write_text("{")
    assert "{" not in error(sent(server, "POST", CHAT, json=HELLO), 503)["message"]


def test_a_server_without_keys_answers_its_own_machine_alone(make: Make) -> None:
    server = make(no_auth=True)
    for name in ("127.0.0.1", "localhost:8000", "[::1]:8000"):
        assert sent(server, "POST", CHAT, None, json=HELLO, headers={"host": name}).status_code == 200
    own = {"host": "localhost:8000", "origin": "http://localhost:8000"}
    assert sent(server, "POST", "/v1/steerings/warm/disable", None, headers=own).status_code == 200
    for headers in ({"host": "evil.example"}, {"host": "localhost", "origin": "http://evil.example"}, {"host": ""}):
        error(sent(server, "POST", "/v1/steerings/warm/enable", None, headers=headers), 403)
    response = sent(server, "GET", "/v1/models", None, headers={"host": "localhost"})
    assert "access-control-allow-origin" not in response.headers


# --- bodies ---


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"{", "invalid_json"),
        (b"", "missing_parameter"),
        (b"[]", "invalid_value"),
        (b"null", "invalid_value"),
        (b"\xff\xfe", "invalid_json"),
        (b"[" * 100_000, None),
        (json.dumps(HELLO).encode()[:-1] + b', "temperature": NaN}', "invalid_value"),
    ],
)
def test_a_body_that_is_no_request_is_400(server: Server, content: bytes, code: str | None) -> None:
    headers = {"content-type": "application/json"}
    told = error(sent(server, "POST", CHAT, content=content, headers=headers), 400)
    assert told["type"] == "invalid_request_error"
    assert told["code"] == code


def test_a_body_that_is_too_large_is_413_whether_it_says_so_or_not(make: Make) -> None:
    server = make(body_bytes=1000)

    async def pieces() -> Any:
        for _ in range(20):
            yield b" " * 100

    large = b" " * 2000
    headers = {"content-type": "application/json"}
    assert error(sent(server, "POST", CHAT, content=large, headers=headers), 413)["code"] == "body_too_large"
    assert error(sent(server, "POST", CHAT, content=pieces(), headers=headers), 413)["code"] == "body_too_large"
    assert sent(server, "POST", CHAT, json=HELLO).status_code == 200


def test_a_body_that_does_not_come_is_408_and_one_that_is_no_json_415(make: Make) -> None:
    server = make(body_seconds=0.05)

    async def slow() -> Any:
        yield b"{"
        await asyncio.sleep(5)

    headers = {"content-type": "application/json"}
    assert error(sent(server, "POST", CHAT, content=slow(), headers=headers), 408)["code"] == "timeout"
    error(sent(server, "POST", CHAT, content=json.dumps(HELLO).encode(), headers={"content-type": "text/plain"}), 415)


def test_a_path_or_method_that_is_not_served_is_404_or_405(server: Server) -> None:
    assert "/openapi.json" in error(sent(server, "GET", "/v1/nothing"), 404)["message"]
    response = sent(server, "GET", CHAT)
    assert "GET is not served" in error(response, 405)["message"]
    assert response.headers["allow"] == "POST"


# --- what is asked for ---


@pytest.mark.parametrize(
    ("fields", "status", "param", "said"),
    [
        ({"model": "gpt-4"}, 404, "model", "it has 'tiny'"),
        ({"model": "tiny@cold"}, 400, "steering.name", "there is 'brief', 'warm'"),
        ({"steering": {"strength": 1}}, 400, "steering.name", "say which one"),
        ({"steering": {"name": "warm", "strength": {"cold": 1}}}, 400, "steering.strength", "this steering has warm"),
        ({"steering": {"name": "warm", "strength": "strong"}}, 400, "steering.strength", "it has gentle"),
        ({"steering": {"name": "warm", "strength": 100}}, 400, "steering.strength.warm", "beyond 15"),
        ({"steering": {"name": "warm", "scope": "some"}}, 400, "steering.scope", "'all', 'prompt'"),
        ({"steering": {"name": "warm", "scope": "thinking"}}, 400, "steering.scope", "this server has all, generated"),
        ({"audio": {}}, 400, "audio", "not supported by this server; leave it out"),
        ({"n": 17}, 400, "n", "the 16 that a request may have"),
        ({"max_tokens": 5000}, 400, "max_tokens", "above the 4,096"),
        ({"max_tokens": 100}, 400, "max_tokens", "max_tokens 100 is beyond the 64"),
        ({"top_logprobs": 2}, 400, "top_logprobs", "logprobs: true"),
        ({"messages": [{"role": "user", "content": "refuse"}]}, 400, "prompt", "the prompt has 6 tokens"),
    ],
)
def test_a_bad_request_is_told_its_field_and_what_to_do(
    server: Server, fields: dict[str, Any], status: int, param: str, said: str
) -> None:
    for stream in (False, True):
        told = refused(server, status, **fields, stream=stream)
        assert told["param"] == param
        assert said in told["message"]
    assert server.engine.running == {}


def test_a_prompt_of_token_ids_that_is_too_long_is_refused_before_the_engine(server: Server) -> None:
    assert "the prompt has 64 tokens" in refused(server, 400, TEXT, prompt=[1] * 64)["message"]
    assert "max_tokens 30 after a prompt of 40" in refused(server, 400, TEXT, prompt=[1] * 40, max_tokens=30)["message"]
    assert server.engine.seen == []


def test_without_a_vocabulary_texts_and_log_probabilities_are_refused_by_name(make: Make) -> None:
    server = make(vocabulary=False)
    assert refused(server, 400, TEXT)["param"] == "prompt"
    assert refused(server, 400, logprobs=True)["param"] == "logprobs"
    error(sent(server, "POST", "/tokenize", json={"prompt": "x"}), 404)
    assert sent(server, "POST", TEXT, json={"model": "tiny", "prompt": [104]}).json()["choices"][0]["text"] == "h"


@pytest.mark.parametrize("kind", ["banana", "papaya"])
def test_what_makes_no_grammar_is_told_by_the_field_that_holds_it(server: Server, kind: str) -> None:
    schema = {"type": kind}
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    for stream in (False, True):
        assert refused(server, 400, response_format=form, stream=stream)["param"] == "response_format"
        assert refused(server, 400, tools=[tool], stream=stream)["param"] == "tools"
        wrong = {"grammar": f"start: {kind}"}
        assert refused(server, 400, structured_outputs=wrong, stream=stream)["param"] == "structured_outputs.grammar"


def test_a_grammar_stands_alone(server: Server) -> None:
    beside = {"structured_outputs": {"grammar": 'start: "a"'}, "response_format": {"type": "json_object"}}
    assert refused(server, 400, **beside)["param"] == "structured_outputs"


# --- limits ---


def test_too_many_requests_are_429_with_the_time_to_wait(make: Make) -> None:
    server = make(requests_per_minute=2)
    for _ in range(2):
        assert sent(server, "POST", CHAT, json=HELLO).status_code == 200
    response = sent(server, "POST", CHAT, json=HELLO)
    assert error(response, 429)["code"] == "rate_limit_exceeded"
    assert response.headers["retry-after"] == "30"


def test_too_many_answers_at_once_are_429_and_the_others_are_answered(make: Make) -> None:
    server = make(running=4)

    async def main() -> list[httpx2.Response]:
        slow = {**HELLO, "messages": [{"role": "user", "content": "wait"}], "n": 2}
        async with server.client() as client:
            return await asyncio.gather(*(client.post(CHAT, json=slow) for _ in range(4)))

    responses = asyncio.run(main())
    assert sorted(response.status_code for response in responses) == [200, 200, 429, 429]
    assert {response.headers.get("retry-after") for response in responses} == {None, "1"}
    assert sent(server, "POST", CHAT, json=HELLO).status_code == 200


def test_an_answer_that_takes_too_long_is_504_and_cancelled(make: Make) -> None:
    server = make(answer_seconds=0.3)
    told = refused(server, 504, messages=[{"role": "user", "content": "wait for it"}])
    assert (told["type"], told["code"]) == ("server_error", "timeout")
    assert len(server.engine.cancelled) == 1
    assert server.engine.running == {}


# --- the engine ---


def test_an_engine_that_fails_is_503_with_the_requests_id(server: Server) -> None:
    response = sent(server, "POST", CHAT, json={**HELLO, "messages": [{"role": "user", "content": "fail"}]})
    told = error(response, 503)
    assert response.headers["x-request-id"] in told["message"]
    assert "the engine's process ended" in told["message"]
    assert response.headers["retry-after"] == "1"
    assert refused(server, 503, messages=[{"role": "user", "content": "vanish"}])["code"] == "failed"


def test_an_engine_that_fails_in_the_middle_of_a_stream_says_so_there(server: Server) -> None:
    asked = {**HELLO, "messages": [{"role": "user", "content": "break off"}], "stream": True, "n": 2}
    response = sent(server, "POST", CHAT, json=asked)
    assert response.status_code == 200
    events = response.text.split("\n\n")
    told = json.loads(events[-2].removeprefix("data: "))["error"]
    assert (told["type"], "[DONE]" in response.text) == ("server_error", False)
    assert response.headers["x-request-id"] in told["message"]
    assert server.engine.running == {}
    error(sent(server, "POST", CHAT, json={**asked, "messages": [{"role": "user", "content": "fail"}]}), 503)


def test_an_error_nobody_expected_is_500_and_tells_nothing(server: Server) -> None:
    response = sent(server, "POST", CHAT, json={**HELLO, "messages": [{"role": "user", "content": "crash"}]})
    told = error(response, 500)
    assert "secret" not in response.text + server.log.getvalue()
    assert response.headers["x-request-id"] in told["message"]
    assert next(line for line in server.lines if line["event"] == "unexpected")["error"] == "RuntimeError"


def test_ready_follows_the_engine_and_health_does_not(server: Server) -> None:
    assert sent(server, "GET", "/ready", None).status_code == 200
    server.engine.down = True
    assert "starting anew" in error(sent(server, "GET", "/ready", None), 503)["message"]
    assert sent(server, "GET", "/health", None).json() == {"status": "ok"}


def test_an_engine_that_says_nothing_is_not_ready(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    server = make(ready_seconds=0.05)

    async def silent() -> None:
        await asyncio.sleep(5)

    monkeypatch.setattr(server.engine, "capabilities", silent)
    for method, path in (("GET", "/ready"), ("POST", CHAT)):
        told = error(sent(server, method, path, json=HELLO if method == "POST" else None), 503)
        assert told["code"] == "not_ready"
