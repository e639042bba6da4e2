"""A server with a store, over the spelling engine, and a release of its steering `warm`."""

import io
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.serving.asking import sent
from tests.serving.conftest import Server
from tests.serving.speller import Letters, Speller

from trimtab.operations import Definition, OffSwitch, Releases, Store, arm_of
from trimtab.serving.app import create_app
from trimtab.serving.keys import KeyFile
from trimtab.serving.live import Operations
from trimtab.serving.logs import logger
from trimtab.serving.registry import Registry
from trimtab.serving.settings import Settings

CHAT = "/v1/chat/completions"


@dataclass
class Operated:
    """A server, its operations, and the store as somebody else sees it."""

    server: Server
    operations: Operations
    store: Store
    steerings: Path

    @property
    def releases(self) -> Releases:
        return Releases(self.store)

    def release(self, name: str = "first", action: str | None = "start", **fields: Any) -> Releases:
        """Make a release of `warm` for everybody, and take a step; returns when the server has seen it."""
        given = {"model": "tiny", "treatment": arm_of(self.steerings / "warm")[0], "stages": (100,), "salt": name}
        releases = self.releases
        releases.add(Definition.made(name=name, **(given | fields)), by="ada")
        if action is not None:
            releases.act(name, action, by="ada")
            self.seen(name)
        return releases

    def seen(self, name: str = "first") -> None:
        """Wait until the server follows the release in its newest state."""
        version = self.releases.get(name).version
        until(lambda: any(r.name == name and r.version == version for r in self.operations.view.releases))

    def ask(self, text: str = "hello", model: str = "tiny", headers: Any = None, **body: Any) -> dict[str, Any]:
        asked = {"model": model, "messages": [{"role": "user", "content": text}], **body}
        answer = sent(self.server, "POST", CHAT, json=asked, headers=headers or {})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def exposures(self) -> list[dict[str, Any]]:
        """All that the store keeps, once nothing waits."""
        until(lambda: not self.operations.writer.record["waiting"])
        with self.store.reading() as connection:
            rows = connection.exec_driver_sql("SELECT * FROM exposures ORDER BY number").mappings().all()
        return [dict(row) | json.loads(row["content"]) for row in rows]


def until(done: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


def text_of(answer: dict[str, Any]) -> str:
    return str(answer["choices"][0]["message"]["content"])


MakeOperated = Callable[..., Operated]


@pytest.fixture
def operate(tmp_path: Path, steerings: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeOperated]:
    """Make a server with a store."""
    for name in ("TRIMTAB_OFF", "TRIMTAB_OFF_FILE", "TRIMTAB_TEXT_KEY"):
        monkeypatch.delenv(name, raising=False)
    made: list[Operated] = []

    def make(engine: Any = None, **options: Any) -> Operated:
        place, log = tmp_path / "store" / "operations.db", io.StringIO()
        place.parent.mkdir()
        store = Store(place, create=True)
        held = KeyFile(tmp_path / "keys.json")
        keys = {scope: held.create(scope, [scope]) for scope in ("read", "infer", "operate")}
        engine, registry = engine or Speller(), Registry(steerings)
        operations = Operations(Store(place), "tiny", registry, OffSwitch.beside(place), logger(log), **options)
        app = create_app(engine, registry, held, Settings("tiny"), vocabulary=Letters(), log=log, operations=operations)
        made.append(Operated(Server(app, engine, registry, held, keys, log), operations, store, steerings))
        return made[-1]

    yield make
    for one in made:
        one.operations.close()
        one.store.close()


@pytest.fixture
def operated(operate: MakeOperated) -> Operated:
    return operate()
