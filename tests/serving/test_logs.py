"""What is logged of a request."""

from tests.serving.asking import sent
from tests.serving.conftest import Make, Server

CHAT = "/v1/chat/completions"
HELLO = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}]}


def test_logs_say_who_asked_for_what_and_never_a_word_of_it(server: Server) -> None:
    asked = {**HELLO, "model": "tiny@warm", "messages": [{"role": "user", "content": "my secret"}], "user": "u-1"}
    response = sent(server, "POST", CHAT, json=asked)
    bad = {**HELLO, "messages": [{"role": "my secret", "content": "my secret"}]}
    assert sent(server, "POST", CHAT, json=bad).status_code == 400
    sent(server, "GET", "/my secret")
    assert "secret" not in server.log.getvalue()
    assert "SECRET" not in server.log.getvalue()
    line = server.lines[0]
    assert line["request_id"] == response.headers["x-request-id"]
    known = {"route": CHAT, "status": 200, "key": "infer", "steering": "warm", "user": "u-1", "completion_tokens": 9}
    assert {name: line[name] for name in known} == known
    assert [line["status"] for line in server.lines] == [200, 400, 404]
    assert (server.lines[1]["error"], server.lines[2]["route"]) == ("invalid_value", "none")


def test_logs_say_how_long_the_engine_was_waited_for(server: Server) -> None:
    sent(server, "POST", CHAT, json={**HELLO, "messages": [{"role": "user", "content": "wait"}]})
    sent(server, "POST", CHAT, json={**HELLO, "messages": [{"role": "user", "content": "fast"}], "stream": True})
    slow, fast = server.lines
    assert 0.8 <= slow["engine_seconds"] <= slow["seconds"] < slow["engine_seconds"] + 0.5
    assert 0 < fast["engine_seconds"] <= fast["seconds"] < 0.5


def test_logs_hold_texts_only_where_that_is_asked_for(make: Make) -> None:
    server = make(log_text=True)
    sent(server, "POST", CHAT, json={**HELLO, "model": "tiny@warm"})
    sent(server, "POST", "/v1/completions", json={"model": "tiny", "prompt": [104, 105]})
    assert server.lines[0]["prompts"] == [[{"role": "user", "content": "hello"}]]
    assert [line["answers"] for line in server.lines] == [["HELLO"], ["hi"]]
