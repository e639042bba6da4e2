"""A server on an address, until it is told to stop."""

import socket
import sys

import uvicorn
from fastapi import FastAPI
from rich.console import Console

from trimtab.errors import InputError
from trimtab.serving.changes import Changes

GRACE = 30  # seconds for answers to end when the server is told to stop
KEPT = 75  # seconds that a connection may lie idle: longer than clients and proxies (nginx: 60) keep one, who would
# otherwise send a request into a connection that is being closed
SWITCH = 0.001  # seconds that a thread that writes records or reads the engine may hold up the event loop


def listen(app: FastAPI, host: str, port: int, console: Console, *, playground: bool, on_duty: bool = False) -> None:
    """Serve until SIGINT or SIGTERM; answers that run are finished first.

    Args:
        app: see `trimtab.serving.app.create_app`.
        host, port: where; port 0 takes a free one.
        console: is told the address.
        playground: whether the app has a page at `/`, which is told too.
        on_duty: whether it has one at `/console`, likewise.

    Raises:
        InputError: the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as bound:  # TCP: or asyncio leaves Nagle on
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((host, port))
            bound.listen()  # before the address is told: who connects at once waits for the server to accept
        except OSError as error:
            raise InputError(
                f"cannot listen on {host}:{port}: {error.strerror or error}; give another port", field="port"
            ) from error
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{bound.getsockname()[1]}"
        console.print(f"serving at {address}/v1", highlight=False, markup=False)
        for page, path, there in (("playground", "/", playground), ("console", "/console", on_duty)):
            if there:
                console.print(f"{page} at {address}{path}", highlight=False, markup=False)
        sys.setswitchinterval(SWITCH)
        config = uvicorn.Config(
            app, log_config=None, timeout_graceful_shutdown=GRACE, timeout_keep_alive=KEPT, server_header=False
        )
        server = uvicorn.Server(config)
        if isinstance(told := getattr(app.state, "changes", None), Changes):
            told.stopping = lambda: server.should_exit  # streams of events have no end of their own
        server.run(sockets=[bound])
