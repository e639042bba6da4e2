"""An endpoint's faults, one by one, from a real server."""

import json
import time
from email.utils import formatdate

import pytest
from tests.chat_server import ChatServer, Reply, serving

from trimtab.clients.chat import Endpoint, EndpointError, key_from
from trimtab.errors import InputError

ASKED = [{"role": "user", "content": "Say something."}]


def ask(server: ChatServer, waits: list[float] | None = None, **options: object) -> str:
    waits = [] if waits is None else waits
    settings = {"attempts": 4, "timeout": 5.0, **options}
    endpoint = Endpoint(server.url, "a-model", pause=waits.append, **settings)  # type: ignore[arg-type]
    return endpoint.chat(ASKED, seed=7, max_tokens=20, temperature=0.5)


def test_the_request_is_what_the_protocol_says_and_the_answer_its_content() -> None:
    with serving(lambda request, k: Reply("<think>hm\nhm</think>\n A word. ")) as server:
        assert ask(server, key="secret") == "A word."
    expected = {"path": "/v1/chat/completions", "model": "a-model", "messages": ASKED, "max_tokens": 20}
    assert server.requests == [{**expected, "temperature": 0.5, "seed": 7}]
    assert server.headers[0]["authorization"] == "Bearer secret"


PASSING = {
    "rate limit": Reply(status=429, headers={"retry-after": "3"}, body=b'{"error": {"message": "slow down"}}'),
    "overload": Reply(status=503, body=b"<html>busy</html>"),
    "no JSON": Reply(body=b"<html>hello</html>"),
    "no choices": Reply(body=b'{"choices": []}'),
    "other shape": Reply(body=b"[1, 2]"),
    "deep": Reply(body=b"[" * 100_000),
    "null content": Reply(content=None),
    "empty content": Reply(content="  <think>only that</think> "),
    "half a surrogate": Reply(body=b'{"choices": [{"message": {"content": "x \\ud800 y"}}]}'),
    "not UTF-8": Reply(body=b"\xff\xfe\x00"),
    "hangs up": Reply(cut=True),
    "slow": Reply(delay=0.8),
    "huge": Reply(content="x" * (9 << 20)),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_a_fault_that_passes_is_waited_for(fault: Reply) -> None:
    waits: list[float] = []
    with serving(lambda request, k: fault if k < 2 else Reply("At last.")) as server:
        assert ask(server, waits, timeout=0.4) == "At last."
    assert len(server.requests) == 3
    assert waits == [3.0, 3.0] if "retry-after" in fault.headers else 0.5 <= waits[0] <= 1.0 <= waits[1] <= 2.0


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_a_fault_that_stays_is_an_error_that_names_it(fault: Reply) -> None:
    with serving(lambda request, k: fault) as server, pytest.raises(EndpointError, match="in 2 attempts") as caught:
        ask(server, timeout=0.2, attempts=2)
    assert caught.value.exit_code == 4
    assert len(str(caught.value)) < 600


def test_waits_go_by_the_servers_wish_as_seconds_or_date_within_limits() -> None:
    wishes = ["0", "nan", "1e9", formatdate(time.time() + 40, usegmt=True), "soon"]
    waits: list[float] = []
    replies = [Reply(status=429, headers={"retry-after": wish}) for wish in wishes]
    with serving(lambda request, k: replies[k] if k < len(replies) else Reply()) as server:
        ask(server, waits, attempts=6)
    assert waits[:3] == [0.0, 0.0, 120.0]
    assert 35 <= waits[3] <= 40
    assert 8 <= waits[4] <= 16  # no wish that can be read: the fifth wait of its own


REFUSED = {
    401: ("check the key", "key_env"),
    403: ("check the key", "key_env"),
    404: ("check the URL .* and the name of the model", "endpoint"),
    307: ("redirects to", "endpoint.url"),
    400: ("refuses", None),
    422: ("refuses", None),
}


@pytest.mark.parametrize("status", REFUSED)
def test_a_refusal_is_the_callers_fault_and_not_repeated(status: int) -> None:
    fix, field = REFUSED[status]
    body = json.dumps({"error": {"message": "no\x1b[31m\nway " + "x" * 1000}}).encode()
    reply = Reply(status=status, body=body, headers={"location": "http://127.0.0.1:9/"} if status == 307 else {})
    with serving(lambda request, k: reply) as server, pytest.raises(InputError, match=fix) as caught:
        ask(server, key="topsecret")
    assert len(server.requests) == 1
    assert (caught.value.code, caught.value.field) == ("endpoint-refused", field)
    assert "topsecret" not in str(caught.value)
    assert "--" not in str(caught.value)  # what a flag is called, the caller knows
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


def test_an_exhausted_quota_is_not_waited_for() -> None:
    body = b'{"error": {"message": "pay first", "code": "insufficient_quota"}}'
    with serving(lambda request, k: Reply(status=429, body=body)) as server, pytest.raises(InputError, match="pay"):
        ask(server)
    assert len(server.requests) == 1


def test_parameters_that_a_server_does_not_take_are_exchanged() -> None:
    def picky(request: dict[str, object], k: int) -> Reply:
        for name in ("max_tokens", "temperature", "seed"):
            if name in request:
                body = {"error": {"message": f"no {name}", "param": name}}
                return Reply(status=400, body=json.dumps(body).encode())
        assert request["max_completion_tokens"] == 20
        return Reply("Done.")

    with serving(picky) as server:
        assert ask(server) == "Done."
    with serving(picky) as server:
        assert ask(server, attempts=1) == "Done."  # an exchange is no failed attempt


def test_a_refused_parameter_is_learnt_once_for_all_calls_of_an_endpoint() -> None:
    def picky(request: dict[str, object], k: int) -> Reply:
        if "max_tokens" in request:
            return Reply(status=400, body=b'{"error": {"message": "no", "param": "max_tokens"}}')
        return Reply(f"{request['max_completion_tokens']}")

    with serving(picky) as server:
        endpoint = Endpoint(server.url, "a-model", timeout=5.0)
        assert [endpoint.chat(ASKED, seed=k, max_tokens=20 + k) for k in range(3)] == ["20", "21", "22"]
        assert len(server.requests) == 4
        assert Endpoint(server.url, "a-model").chat(ASKED, seed=0, max_tokens=5) == "5"  # another one learns for itself
        assert len(server.requests) == 6


def test_a_parameter_refused_in_every_form_ends() -> None:
    def never(request: dict[str, object], k: int) -> Reply:
        name = "max_tokens" if "max_tokens" in request else "max_completion_tokens"
        return Reply(status=400, body=json.dumps({"error": {"message": "no", "param": name}}).encode())

    with serving(never) as server, pytest.raises(InputError, match="refuses"):
        ask(server)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("url", "key", "message"),
    [
        ("nonsense", "", "base URL"),
        ("ftp://host/v1", "", "base URL"),
        ("http://", "", "base URL"),
        ("http://[::1", "", "not a URL"),
        ("https://user:word@host/v1", "", "environment variable"),
        ("https://host/v1?key=abc", "", "environment variable"),
        ("http://example.org/v1", "secret", "unencrypted"),
    ],
)
def test_urls_that_cannot_be_right_are_refused(url: str, key: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Endpoint(url, "m", key)
    assert "word" not in str(caught.value)


def test_other_options_that_cannot_be_right_are_refused() -> None:
    for options in ({"model": " "}, {"timeout": 0.0}, {"timeout": float("nan")}, {"attempts": 0}):
        with pytest.raises(InputError):
            Endpoint(**{"url": "https://host/v1", "model": "m", **options})  # type: ignore[arg-type]


def test_a_server_that_is_not_there_is_said_so() -> None:
    with pytest.raises(EndpointError, match="no connection: "):
        Endpoint("http://127.0.0.1:9/v1", "m", attempts=2, pause=lambda s: None).chat(ASKED, seed=0, max_tokens=1)


def test_keys_come_from_the_environment_and_never_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", " abc123 \n")
    assert key_from("MY_KEY") == "abc123"
    assert "abc123" not in repr(Endpoint("https://host/v1", "m", "abc123"))
    for bad in ("a\nb", "a b", "schlüssel"):
        monkeypatch.setenv("MY_KEY", bad)
        with pytest.raises(InputError, match="MY_KEY"):
            key_from("MY_KEY")
    assert key_from("NOT_SET_AT_ALL") == ""
