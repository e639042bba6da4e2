"""A real HTTP server on this machine that speaks OpenAI's chat protocol, and misbehaves when told to."""

import json
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """What the server sends back."""

    content: str | None = "a fine answer."
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None  # instead of a completion
    delay: float = 0.0
    cut: bool = False  # hang up in the middle


Answer = Callable[[dict[str, Any], int], Reply]  # the request and its number, from 0


@dataclass
class ChatServer:
    """Base URL, and every request that came."""

    url: str
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def serving(answer: Answer) -> Iterator[ChatServer]:
    """The server, while inside."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with lock:
                number = len(seen.requests)
                seen.requests.append({"path": self.path, **request})
                seen.headers.append({k.lower(): v for k, v in self.headers.items()})
            reply = answer(request, number)
            time.sleep(reply.delay)
            message = {"role": "assistant", "content": reply.content}
            body = reply.body
            if body is None:
                body = json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()
            try:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if reply.cut else body)
            except OSError:
                pass  # the client did not wait

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    seen = ChatServer(f"http://127.0.0.1:{server.server_port}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


_WORDS = [
    "river", "lamp", "orange", "ladder", "music", "window", "paper", "garden", "engine", "letter", "bridge", "winter",
    "pocket", "silver", "candle", "market", "forest", "button", "pepper", "island", "mirror", "basket", "thunder",
    "copper", "velvet", "harbour", "pencil", "saddle", "meadow", "lantern",
]  # fmt: skip
_SYLLABLES = [a + b for a in "bdfgklmnprst" for b in ("a", "e", "i", "o", "u", "ar", "en", "il", "om", "ut")]


def writes(request: dict[str, Any]) -> str:
    """What a capable writer says; a function of the request, seed included."""
    said = " ".join(turn["content"] for turn in request["messages"])
    rng = random.Random(f"{said} {request.get('seed')}")

    def sentence(n: int) -> str:
        return " ".join("".join(rng.choices(_SYLLABLES, k=2)) for _ in range(n))

    if "POSITIVE" in said:
        return "POSITIVE: You are a poet who speaks in rhymes.\nNEGATIVE: You are a clerk who speaks in prose."
    if asked := re.search(r"Write (\d+) short messages", said):
        lines = [f"{i}. What about the {rng.choice(_WORDS)} {sentence(7)}?" for i in range(1, int(asked.group(1)) + 1)]
        return "Here are the messages:\n" + "\n".join(lines)
    side = "Rhymes" if "poet" in said else "Prose"
    words = re.search(r"about (\d+) words", said)
    assert words
    return f"{side} of the {sentence(int(words.group(1)) - 3)}. And then it breaks"
