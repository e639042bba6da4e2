"""A server with two steerings and a key of each scope, over the spelling engine, without a network."""

import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from tests.serving.speller import Letters, Speller
from tests.serving.steerings import CHECKED, write_steering

from trimtab.operations import OffSwitch, Store
from trimtab.serving.app import create_app
from trimtab.serving.keys import KeyFile
from trimtab.serving.live import Operations
from trimtab.serving.logs import logger
from trimtab.serving.monitoring import Monitor, Watching
from trimtab.serving.registry import Registry
from trimtab.serving.settings import Limits, Settings

Call = Callable[[httpx2.AsyncClient], Awaitable[Any]]


@dataclass
class Server:
    """A server's parts, where its keys are kept, and one by each scope."""

    app: FastAPI
    engine: Speller
    registry: Registry
    held: KeyFile
    keys: dict[str, str]
    log: io.StringIO = field(default_factory=io.StringIO)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What was logged."""
        return [json.loads(line) for line in self.log.getvalue().splitlines()]

    @asynccontextmanager
    async def client(self, scope: str | None = "infer") -> AsyncIterator[httpx2.AsyncClient]:
        headers = {} if scope is None else {"authorization": f"Bearer {self.keys[scope]}"}
        transport = httpx2.ASGITransport(self.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
            yield client


Make = Callable[..., Server]


@pytest.fixture
def steerings(tmp_path: Path) -> Path:
    folder = tmp_path / "steerings"
    write_steering(folder / "warm", {"warm": 1.0}, {"warm": CHECKED}, presets={"gentle": {"warm": 0.5}})
    write_steering(folder / "brief", {"brief": 0.25})
    return folder


@pytest.fixture
def make(tmp_path: Path, steerings: Path) -> Iterator[Make]:
    """Make a server, with limits and the like, and a store and a monitor where a store is asked for."""
    opened: list[Operations] = []

    def made(
        vocabulary: bool = True,
        no_auth: bool = False,
        log_text: bool = False,
        playground: bool = True,
        console: bool = True,
        max_length: int = 64,
        store: bool = False,
        **limits: Any,
    ) -> Server:
        held = KeyFile(tmp_path / "keys.json")
        keys = {} if held.keys else {scope: held.create(scope, [scope]) for scope in ("read", "infer", "operate")}
        engine, registry, log = Speller(max_length), Registry(steerings), io.StringIO()
        pages = {"playground": playground, "console": console}
        settings = Settings("tiny", no_auth=no_auth, log_text=log_text, limits=Limits(**limits), **pages)
        if store:
            kept = Store(tmp_path / "operations.db", create=True)
            opened.append(Operations(kept, "tiny", registry, OffSwitch.beside(tmp_path), logger(log)))
        app = create_app(
            engine, registry, None if no_auth else held, settings, vocabulary=Letters() if vocabulary else None,
            log=log, operations=opened[-1] if store else None,
            monitor=Monitor(engine, registry, Watching(), logger(log), opened[-1]) if store else None,
        )  # fmt: skip
        return Server(app, engine, registry, held, keys, log)

    yield made
    for one in opened:
        one.close()


@pytest.fixture
def server(make: Make) -> Server:
    return make()
