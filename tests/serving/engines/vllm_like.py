"""A real HTTP server on this machine that answers as vLLM with the plug-in does, and misbehaves when told to."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]


@dataclass
class Reply:
    """What comes back for a request.

    Args:
        pieces: of the body, sent one by one.
        status: of HTTP.
        kind: content type.
        cut: hang up in the middle of the connection.
        hold: wait, after the pieces, until the client has gone or this is set.
    """

    pieces: list[bytes]
    status: int = 200
    kind: str = "text/event-stream; charset=utf-8"
    cut: bool = False
    hold: threading.Event | None = None


def event(said: Any) -> bytes:
    """As a server-sent event."""
    return b"data: " + (said if isinstance(said, bytes) else json.dumps(said).encode()) + b"\n\n"


def answer(body: Body, artifact: str | None = None, words: tuple[str, ...] = ("Good", " day")) -> Reply:
    """What vLLM says to a completion or a chat: a word is a token, the ids 10, 11, …"""
    chat = "messages" in body

    def choice(text: str, ids: list[int], finish: str | None) -> Body:
        logprobs: Any = {"tokens": [f"token_id:{i}" for i in ids], "token_logprobs": [-0.5 for _ in ids]}
        logprobs["top_logprobs"] = [{f"token_id:{i}": -0.5, "token_id:7": -2.0} for i in ids]
        if chat:
            tops = [{"token": f"token_id:{i}", "logprob": value} for i, value in ((10, -0.5), (7, -2.0))]
            logprobs = {"content": [{"token": f"token_id:{i}", "logprob": -0.5, "top_logprobs": tops} for i in ids]}
        said = {"index": 0, "token_ids": ids, "logprobs": logprobs if ids else None, "finish_reason": finish}
        return {**said, **({"delta": {"content": text}} if chat else {"text": text})}

    events: list[Any] = [{"choices": [choice("", [], None)]}] if chat else []
    for i, word in enumerate(words):
        events.append({"choices": [choice(word, [10 + i], "stop" if i == len(words) - 1 else None)]})
    last: Body = {"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": len(words), "total_tokens": 6}}
    if (asked := body.get("steering")) is not None and artifact is not None:
        applied = {**asked, "steering": asked["name"], "artifact": artifact, "selected": 5}
        events[-1]["trimtab"], last["trimtab"] = {**applied, "selected": None}, applied
    return Reply([*map(event, [*events, last]), event(b"[DONE]")])


@dataclass
class VllmLike:
    """Its base URL, what it lists, and every request that came.

    Args:
        url: base.
        lists: what it answers to GET, by path.
        asked: bodies that were posted, each with its path.
        gone: requests whose client went before their end.
    """

    url: str
    lists: dict[str, Any]
    asked: list[Body] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    gone: threading.Event = field(default_factory=threading.Event)


def lists(model: str = "tiny", length: int = 64, **steerings: str) -> dict[str, Any]:
    """What a server lists: its model, and the ids of its steerings by their names."""
    cards = [{"id": id, "name": name, "enabled": True} for name, id in steerings.items()]
    return {"/v1/models": {"data": [{"id": model, "max_model_len": length}]}, "/v1/steerings": {"data": cards}}


@contextmanager
def vllm_like(answered: Callable[[Body, int], Reply], listed: dict[str, Any] | None = None) -> Iterator[VllmLike]:
    """The server, while inside.

    Args:
        answered: the reply to a body and its number, from 0.
        listed: see `lists`.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found = seen.lists.get(self.path)
            content = found if isinstance(found, bytes) else json.dumps(found or {}).encode()
            self.send_response(200 if found is not None else 404)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with lock:
                number = len(seen.asked)
                seen.asked.append({"path": self.path, **body})
                seen.headers.append({k.lower(): v for k, v in self.headers.items()})
            reply = answered(body, number)
            self.close_connection = True
            self.send_response(reply.status)
            self.send_header("content-type", reply.kind)
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            try:
                for piece in reply.pieces:
                    self._chunk(piece)
                while reply.hold is not None and not reply.hold.wait(0.05):
                    self._chunk(b": still here\n\n")
                if not reply.cut:
                    self.wfile.write(b"0\r\n\r\n")
            except OSError:
                seen.gone.set()

        def _chunk(self, piece: bytes) -> None:
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            self.wfile.flush()

        def log_message(self, *args: object) -> None:
            pass

    lock = threading.Lock()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    seen = VllmLike(f"http://127.0.0.1:{server.server_port}/v1", listed or lists())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
