"""Two server processes on one store: a switch is seen by both within a second under load, and a kill loses little."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
import torch
from tests.operations.conftest import emptied as emptied
from tests.operations.conftest import place as place
from tests.serving.live.conftest import until
from tests.serving.process import Serving, serving

import trimtab as tt
from trimtab.operations import Releases, Store, verify

SEEN = 1.0  # seconds from a switch until every server follows it
LOST = 1.0  # seconds whose exposures a kill may lose
CLIENTS = 3  # of each server


@pytest.fixture
def store(place: str) -> Iterator[Store]:
    with Store(place, create=True) as made:
        yield made


@pytest.fixture
def release(store: Store, tiny_folder: Path, tmp_path: Path) -> Releases:
    """A steering that every word of an answer shows, as a draft release."""
    model = tt.load(tiny_folder, dtype="float32")
    vector = 3 * torch.randn(32, generator=torch.Generator().manual_seed(0))
    folder = tt.Steering.from_vector(1, vector, "warm", made_for=model.facts).save(tmp_path / "steerings" / "warm")
    releases = Releases(store)
    releases.create("first", folder, by="ada", model="tiny", stages=(50, 100), unchecked="a test")
    return releases


@pytest.fixture
def arguments(place: str, tiny_folder: Path, tmp_path: Path) -> list[object]:
    return [
        "--model", tiny_folder, "--dtype", "float32", "--name", "tiny", "--steerings", tmp_path / "steerings",
        "--no-auth", "--no-playground", "--store", place, "--requests-per-minute", 10**6,
    ]  # fmt: skip


class Load:
    """Clients that ask without a pause, and what they were told, with the time of asking and of the answer."""

    def __init__(self, *servers: Serving) -> None:
        self.told: list[tuple[float, float, dict[str, Any]]] = []
        self.failed: list[str] = []
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(server, k)) for server in servers for k in range(CLIENTS)
        ]
        for thread in self._threads:
            thread.start()

    def _ask(self, server: Serving, k: int) -> None:
        body = {"model": "tiny", "prompt": "It was", "max_tokens": 2, "temperature": 0}
        with httpx2.Client(timeout=60) as client:
            for n in range(10**6):
                if self._stop.is_set():
                    return
                began = time.time()
                try:
                    answer = client.post(f"{server.url}/completions", json=body | {"user": f"user-{k}-{n}"})
                except httpx2.HTTPError as error:  # of a server that is killed
                    self.failed.append(type(error).__name__)
                    return
                if answer.status_code == 200:
                    self.told.append((began, time.time(), answer.json()["trimtab"]))
                else:
                    self.failed.append(answer.text)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def exposures(store: Store) -> list[dict[str, Any]]:
    with store.reading() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM exposures ORDER BY number").mappings().all()
    return [dict(row) | json.loads(row["content"]) for row in rows]


def test_every_switch_is_seen_by_both_servers_within_a_second_under_load(
    store: Store, release: Releases, arguments: list[object]
) -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(*arguments)) for _ in range(2)]
        load, switched = Load(*servers), []
        try:
            for action in ("start", "promote", "pause", "resume", "rollback"):
                before = time.time()
                release.act("first", action, by="ada")
                switched.append((before, time.time(), release.get("first").version))
                time.sleep(2 * SEEN)
        finally:
            load.stop()
        for server in servers:
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(60) == -signal.SIGTERM  # told by uvicorn after a clean stop
    assert load.failed == []
    assert len(load.told) > 20
    found = exposures(store)
    assert {one["request"] for one in found} == {told["request_id"] for _, _, told in load.told}  # none lost
    began = {told["request_id"]: at for at, _, told in load.told}  # what a request begins with it keeps, however long
    for _, at, version in switched:
        later = [one for one in found if began[one["request"]] > at + SEEN]
        assert later
        assert all(one["version"] is not None and one["version"] >= version for one in later)
    (before_pause, paused, _), (resumed, _, _), (_, over, _) = switched[2:]
    steered = [began[one["request"]] for one in found if one["artifact"] is not None]
    assert any(switched[1][1] + SEEN < at < before_pause for at in steered)
    assert not any(paused + SEEN < at < resumed or at > over + SEEN for at in steered)
    assert verify(store).holds


def test_a_killed_server_loses_at_most_the_exposures_of_the_stated_second(
    store: Store, release: Releases, arguments: list[object]
) -> None:
    release.act("first", "start", by="ada")
    with serving(*arguments) as server:
        load = Load(server)
        try:
            until(lambda: len(load.told) > 10, 60)
            time.sleep(2 * LOST)
            killed = time.time()
            server.process.send_signal(signal.SIGKILL)
        finally:
            load.stop()
    kept = {one["request"] for one in exposures(store)}
    told = [(done, one["request_id"]) for _, done, one in load.told]
    missing = [done for done, id in told if id not in kept]
    assert all(done > killed - LOST for done in missing)
    assert len(kept) >= len([done for done, _ in told if done < killed - LOST]) > 0


def test_a_server_refuses_a_store_that_is_none_and_names_the_command(tiny_folder: Path, tmp_path: Path) -> None:
    command = ["--model", str(tiny_folder), "--no-auth", "--store", str(tmp_path / "none.db")]

    done = subprocess.run([sys.executable, "-m", "trimtab", "serve", *command], capture_output=True, text=True)
    assert done.returncode == 2
    assert "trimtab store migrate" in done.stderr
