"""Streams of events: they tell of changes, are bounded, and end with their reader, their time and the server."""

import asyncio
import io
import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest
import uvicorn
from rich.console import Console
from tests.serving.asking import error, sent
from tests.serving.conftest import Make
from tests.serving.live.conftest import MakeOperated, Operated
from tests.serving.live.conftest import operate as operate
from tests.serving.test_real_server import Live, listening, until

from trimtab.operations import Exposure, ExposureLog
from trimtab.serving import changes
from trimtab.serving.listening import listen

WAIT = httpx2.Timeout(20.0)


@pytest.fixture
def operated(operate: MakeOperated) -> Operated:
    return operate(watch_every=0)


@pytest.fixture
def live(operated: Operated) -> Iterator[Live]:
    with listening(operated.server) as found:
        yield found


def reading(live: Live, stack: ExitStack, key: str = "read") -> Iterator[dict[str, Any]]:
    """The events of a stream that is open as long as the stack."""
    headers = {"authorization": f"Bearer {live.server.keys[key]}"}
    answer = stack.enter_context(httpx2.stream("GET", f"{live.url}/v1/events", headers=headers, timeout=WAIT))
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    return (json.loads(line.removeprefix("data:")) for line in answer.iter_lines() if line.startswith("data:"))


def open_streams(live: Live) -> int:
    return int(live.server.app.state.changes.streams)


def test_a_change_of_a_release_is_told_soon(operated: Operated, live: Live) -> None:
    with ExitStack() as stack:
        events = reading(live, stack)
        first = next(events)
        assert (first["store"], first["condition"], first["releases"], first["audit"]) == ("there", "live", 0, 0)
        operated.release(action=None)
        told = next(events)
        assert changes.EVERY <= 1.0
        assert (told["releases"], told["audit"]) == (1, 1)
        assert told["exposures"] == first["exposures"]


def test_answers_are_told_now_and_then_and_not_each(
    operated: Operated, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "EVIDENCE_EVERY", 1.5)
    with ExitStack() as stack:
        events = reading(live, stack)
        assert next(events)["exposures"] == 0
        for i in range(10):
            ExposureLog(operated.store).write([Exposure(f"request-{i}", 0.0, "tiny", "none")])
            time.sleep(0.1)
        seen = [next(events)["exposures"]]
        while seen[-1] < 10:
            seen.append(next(events)["exposures"])
        assert len(seen) <= 2, seen


def test_a_reader_that_leaves_leaves_nothing_behind(live: Live) -> None:
    with ExitStack() as stack:
        streams = [reading(live, stack) for _ in range(3)]
        assert [next(events)["store"] for events in streams] == ["there"] * 3
        assert open_streams(live) == 3
    until(lambda: open_streams(live) == 0)
    until(lambda: sum(line.get("route") == "/v1/events" for line in live.server.lines) == 3)


def test_there_are_so_many_streams_and_no_more(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "MOST_PER_KEY", 2)
    monkeypatch.setattr(changes, "MOST", 3)
    live.server.keys["other"] = live.server.held.create("other", ["read"])
    live.server.keys["third"] = live.server.held.create("third", ["read"])
    with ExitStack() as stack:
        streams = [reading(live, stack, key) for key in ("read", "read", "other")]
        assert [next(events)["store"] for events in streams] == ["there"] * 3
        for key, whose in (("read", "of this key"), ("third", "of all keys")):
            headers = {"authorization": f"Bearer {live.server.keys[key]}"}
            answer = httpx2.get(f"{live.url}/v1/events", headers=headers, timeout=WAIT)
            assert whose in error(answer, 429)["message"]
            assert answer.headers["retry-after"] == "10"
        assert open_streams(live) == 3
    until(lambda: open_streams(live) == 0)


def test_a_stream_ends_with_its_key(operated: Operated, live: Live) -> None:
    operated.server.keys["other"] = operated.server.held.create("other", ["read"])
    with ExitStack() as stack:
        mine, theirs = reading(live, stack), reading(live, stack, "other")
        next(mine), next(theirs)
        operated.server.held.revoke("read")
        assert list(mine) == []
        operated.release(action=None)
        assert next(theirs)["releases"] == 1  # which goes on
    headers = {"authorization": f"Bearer {operated.server.keys['read']}"}
    assert httpx2.get(f"{live.url}/v1/events", headers=headers, timeout=WAIT).status_code == 401


def test_a_stream_ends_after_a_while(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "LASTS", 1.0)
    monkeypatch.setattr(changes, "BEAT", 0.2)
    with ExitStack() as stack:
        headers = {"authorization": f"Bearer {live.server.keys['read']}"}
        answer = stack.enter_context(httpx2.stream("GET", f"{live.url}/v1/events", headers=headers, timeout=WAIT))
        lines = [line for line in answer.iter_lines() if line]
    assert lines[0] == "event: change"
    assert ": still here" in lines


def test_a_reader_that_does_not_read_costs_one_event_and_ends_in_time(
    operated: Operated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever changes meanwhile, the stream holds the piece that is being sent and makes no other."""
    monkeypatch.setattr(changes, "LASTS", 0.5)
    monkeypatch.setattr(changes, "BEAT", 0.5)
    sends: list[Any] = []

    async def stuck(message: Any) -> None:
        sends.append(message)
        if message["type"] == "http.response.body":
            await asyncio.sleep(60)

    async def main() -> None:
        body = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Any:
            return body.pop() if body else await asyncio.sleep(60)

        key = operated.server.keys["read"]
        scope = {
            "type": "http", "method": "GET", "path": "/v1/events", "raw_path": b"/v1/events", "query_string": b"",
            "headers": [(b"authorization", f"Bearer {key}".encode())], "http_version": "1.1", "scheme": "http",
            "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1), "root_path": "",
        }  # fmt: skip
        await asyncio.wait_for(operated.server.app(scope, receive, stuck), 20)

    asyncio.run(main())
    assert [message["type"] for message in sends] == ["http.response.start", "http.response.body"]
    assert operated.server.app.state.changes.streams == 0


def test_a_server_that_is_told_to_stop_ends_its_streams(operated: Operated, monkeypatch: pytest.MonkeyPatch) -> None:
    servers: list[uvicorn.Server] = []

    class Noted(uvicorn.Server):
        def __init__(self, config: uvicorn.Config) -> None:
            super().__init__(config)
            servers.append(self)

        def install_signal_handlers(self) -> None:
            pass

    monkeypatch.setattr(uvicorn, "Server", Noted)
    told = Console(file=io.StringIO(), soft_wrap=True)
    thread = threading.Thread(
        target=listen, args=(operated.server.app, "127.0.0.1", 0, told), kwargs={"playground": True, "on_duty": True}
    )
    thread.start()
    until(lambda: bool(servers) and servers[0].started)
    said = told.file.getvalue()  # type: ignore[attr-defined]
    assert "/console" in said
    url = said.split("serving at ")[1].split("/v1")[0]
    with ExitStack() as stack:
        events = reading(Live(operated.server, url), stack)
        next(events)
        servers[0].should_exit = True
        assert list(events) == []
    thread.join(20.0)
    assert not thread.is_alive()


def test_a_server_without_a_store_tells_of_monitoring_alone(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "LASTS", 0.1)
    server = make()
    answer = sent(server, "GET", "/v1/events", "read")
    told = json.loads(answer.text.split("data: ")[1].split("\n")[0])
    assert (told["store"], told["condition"], told["releases"]) == ("none", None, 0)
    assert sent(server, "GET", "/v1/events", "infer").status_code == 403
