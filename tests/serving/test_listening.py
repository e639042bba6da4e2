"""Where the server listens: what it sends goes out at once."""

import asyncio
import io
import socket

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
