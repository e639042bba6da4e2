"""The engine in a process of its own: how it is closed while it starts again, and how its threads wait."""

import asyncio
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.serving.engines.asking import to_serve

from trimtab.errors import TrimtabError
from trimtab.serving.engines.process import ProcessEngine


def children() -> list[int]:
    return [process.pid or 0 for process in multiprocessing.active_children()]


async def killed(engine: ProcessEngine) -> int:
    """Kill the process of an engine that is up, and wait until that was noticed; gives its id."""
    await engine.capabilities()
    (before,) = children()
    os.kill(before, signal.SIGKILL)
    while await is_up(engine):
        await asyncio.sleep(0.01)
    return before


async def is_up(engine: ProcessEngine) -> bool:
    try:
        await engine.capabilities()
    except TrimtabError:
        return False
    return True


@pytest.mark.parametrize("begun", [False, True])
def test_closed_while_it_starts_again_it_leaves_no_process(tiny_folder: Path, begun: bool) -> None:
    engine = ProcessEngine(to_serve(tiny_folder), lambda artifact: None)

    async def work() -> None:
        before = await killed(engine)
        while begun and not set(children()) - {before}:
            await asyncio.sleep(0.01)
        start = time.monotonic()
        await engine.close()
        assert time.monotonic() - start < 8  # a model that loads is not waited for
        with pytest.raises(TrimtabError, match="closed"):
            await engine.capabilities()
        await asyncio.sleep(1.5)  # longer than a process waits to be started again

    asyncio.run(work())
    assert children() == []


def test_it_comes_back_and_is_closed_then(tiny_folder: Path) -> None:
    engine = ProcessEngine(to_serve(tiny_folder), lambda artifact: None)

    async def work() -> None:
        first = await engine.capabilities()
        before = await killed(engine)
        async with asyncio.timeout(120):
            while not await is_up(engine):
                await asyncio.sleep(0.01)
        assert await engine.capabilities() == first
        assert set(children()) - {before}
        await engine.close()

    asyncio.run(work())
    assert children() == []


CHILD = """
import json, os, sys, types
from trimtab.model_source import ModelSource
from trimtab.serving.engines.process import ModelToServe, _run

def work(pipe, model):
    early = "torch" in sys.modules
    import torch
    names = ("OMP_WAIT_POLICY", "OMP_NUM_THREADS")
    print(json.dumps([early, {name: os.environ.get(name) for name in names}, torch.get_num_threads()]))

sys.modules["trimtab.serving.engines.worker"] = types.SimpleNamespace(work=work)
threads = json.loads(sys.argv[1])
_run(None, ModelToServe(ModelSource("some", "some"), threads=threads))
"""


def child(threads: int | None, **environment: str) -> tuple[list[object], str]:
    """What the model's process has in its environment once torch is imported, and what OpenMP says that it heeds."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    own |= {"OMP_DISPLAY_ENV": "TRUE", **environment}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, json.dumps(threads)], env=own, capture_output=True, text=True, check=True
    )
    told: list[object] = json.loads(done.stdout)
    return told, done.stderr


def test_threads_of_the_models_process_sleep_while_they_wait() -> None:
    told, heeded = child(1)
    assert told == [False, {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1"}, 1]
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in heeded
    told, heeded = child(None, OMP_WAIT_POLICY="ACTIVE", OMP_NUM_THREADS="1")
    assert told == [False, {"OMP_WAIT_POLICY": "ACTIVE", "OMP_NUM_THREADS": "1"}, 1]
