"""Events are signed, tried again where that may help, given up with a word, and hold nobody up."""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from time import monotonic, sleep, time
from typing import Any

import pytest

from trimtab.clients.webhook import Webhook, secret_from
from trimtab.errors import InputError

KEY = "a secret of both sides"


class Hooked:
    """A server that is told: what came, and what it answers in turn."""

    def __init__(self, statuses: list[int], hold: Event | None = None) -> None:
        self.came: list[tuple[dict[str, str], bytes]] = []
        hooked = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                hooked.came.append(({name.lower(): value for name, value in self.headers.items()}, body))
                if hold is not None:
                    hold.wait(20)
                self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def hooked() -> Iterator[Callable[..., Hooked]]:
    made: list[Hooked] = []

    def make(*statuses: int, hold: Event | None = None) -> Hooked:
        made.append(Hooked(list(statuses), hold))
        return made[-1]

    yield make
    for one in made:
        one.server.shutdown()
        one.server.server_close()


def until(done: Callable[[], bool]) -> None:
    end = monotonic() + 30
    while not done():
        assert monotonic() < end
        sleep(0.01)


def test_an_event_is_signed_over_its_time_and_body(hooked) -> None:
    there = hooked(204)
    hook = Webhook(there.url, KEY)
    hook.send("first-3", {"event": "release.pause", "why": "errors"})
    until(lambda: bool(there.came))
    hook.close()
    [(headers, body)] = there.came
    assert json.loads(body) == {"event": "release.pause", "why": "errors"}
    at = headers["x-trimtab-timestamp"]
    assert abs(time() - int(at)) < 60
    by_hand = hmac.new(KEY.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    assert headers["x-trimtab-signature"] == f"sha256={by_hand}"
    assert headers["x-trimtab-event"] == "first-3"


def test_an_event_is_tried_again_until_it_is_taken(hooked) -> None:
    there, given_up = hooked(500, 503, 429, 200), []
    hook = Webhook(there.url, KEY, lambda *what: given_up.append(what), first_wait=0.01)
    hook.send("a", {"n": 1})
    until(lambda: len(there.came) == 4)
    hook.send("b", {"n": 2})
    until(lambda: len(there.came) == 5)
    hook.close()
    assert [headers["x-trimtab-event"] for headers, _ in there.came] == ["a"] * 4 + ["b"]
    assert given_up == []


@pytest.mark.parametrize(("statuses", "sent"), [((400,), 1), ((302,), 1), ((500,), 3)])
def test_an_event_that_nobody_takes_is_given_up_with_a_word(hooked, statuses: tuple[int, ...], sent: int) -> None:
    there, given_up = hooked(*statuses), []
    hook = Webhook(there.url, KEY, lambda *what: given_up.append(what), first_wait=0.01, attempts=3)
    hook.send("a", {})
    until(lambda: bool(given_up))
    hook.close()
    assert given_up == [("a", f"HTTP {statuses[0]}")]
    assert len(there.came) == sent


def test_a_server_that_hangs_holds_nobody_up(hooked) -> None:
    release, given_up = Event(), []
    there = hooked(200, hold=release)
    hook = Webhook(there.url, KEY, lambda *what: given_up.append(what))
    began = monotonic()
    for number in range(102):  # one under way, 100 that wait, and one too many
        hook.send(str(number), {})
        if not number:
            until(lambda: bool(there.came))
    assert monotonic() - began < 20
    assert given_up == [("101", "100 events wait already")]
    release.set()
    until(lambda: len(there.came) == 101)
    hook.close()


def test_a_server_that_is_not_there_is_told_of(hooked) -> None:
    there, given_up = hooked(200), []
    there.server.shutdown()
    there.server.server_close()
    hook = Webhook(there.url, KEY, lambda *what: given_up.append(what), first_wait=0.01, attempts=2)
    hook.send("a", {})
    until(lambda: bool(given_up))
    hook.close()
    assert "ConnectError" in given_up[0][1]
    there.server = type("Closed", (), {"shutdown": lambda self: None, "server_close": lambda self: None})()


def test_the_secret_comes_from_a_file_or_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{KEY}\n")
    assert secret_from({"TRIMTAB_WEBHOOK_SECRET_FILE": str(file), "TRIMTAB_WEBHOOK_SECRET": "x" * 20}) == KEY
    assert secret_from({"TRIMTAB_WEBHOOK_SECRET": KEY}) == KEY


@pytest.mark.parametrize(
    "environment",
    [{}, {"TRIMTAB_WEBHOOK_SECRET": "short"}, {"TRIMTAB_WEBHOOK_SECRET_FILE": "/nowhere/at/all"}],
)
def test_no_secret_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(InputError) as raised:
        secret_from(environment)
    assert raised.value.field == "webhook"


@pytest.mark.parametrize("url", ["", "ftp://host/x", "host/x", "https://user:pass@host/x", "http://"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="give a URL"):
        Webhook(url, KEY)
