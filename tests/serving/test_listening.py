"""Where the server listens: what it sends goes out at once, and connections outlive their clients' patience."""

import asyncio
import http.client
import io
import queue
import socket
import threading
import time
from urllib.parse import urlsplit

import pytest
import uvicorn
from fastapi import FastAPI
from rich.console import Console

from trimtab.serving.listening import listen


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_small_packets_are_not_held_back(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nagle's algorithm and delayed acknowledgements together add 40 ms to every answer that is sent in two pieces."""
    found: list[int] = []

    async def accept(bound: socket.socket) -> None:
        done = asyncio.Event()

        def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            found.append(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()
            done.set()

        async with await asyncio.start_server(connected, sock=bound):
            _, writer = await asyncio.open_connection(*bound.getsockname()[:2])
            await asyncio.wait_for(done.wait(), 10)
            writer.close()

    monkeypatch.setattr(uvicorn.Server, "run", lambda _, sockets: asyncio.run(accept(sockets[0])))
    listen(FastAPI(), host, 0, Console(file=io.StringIO()), playground=False)
    assert found == [1]


def test_a_connection_that_lay_idle_longer_than_clients_keep_them_still_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Clients of httpx, OpenAI's among them, use a connection again for five seconds, in all of which it must hold."""
    servers: queue.Queue[uvicorn.Server] = queue.Queue()
    run = uvicorn.Server.run

    def told(self: uvicorn.Server, sockets: list[socket.socket]) -> None:
        servers.put(self)
        run(self, sockets=sockets)

    monkeypatch.setattr(uvicorn.Server, "run", told)
    said = io.StringIO()
    arguments = (FastAPI(), "127.0.0.1", 0, Console(file=said, width=200))
    thread = threading.Thread(target=listen, args=arguments, kwargs={"playground": False})
    thread.start()
    server = servers.get(timeout=10)
    try:
        where = urlsplit(said.getvalue().removeprefix("serving at ").strip())
        connection = http.client.HTTPConnection(str(where.hostname), where.port, timeout=10)
        connection.connect()
        used = connection.sock
        for pause in (5.5, 0.0):
            connection.request("GET", "/openapi.json")
            answer = connection.getresponse()
            answer.read()
            assert (answer.status, connection.sock) == (200, used)
            time.sleep(pause)
        connection.close()
    finally:
        server.should_exit = True
        thread.join(30)
