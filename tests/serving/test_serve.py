"""`trimtab serve` as a process, with the model in another: what it answers, a model that dies, and its end."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import openai
import pytest
import torch
import uvicorn

import trimtab as tt
from trimtab.cli import app
from trimtab.models import Model

PROMPTS = ["It was", "The harbour in the morning", "Say that again"]


@dataclass
class Serving:
    """A server process and where it listens."""

    process: subprocess.Popen[str]
    url: str

    def post(self, body: dict[str, Any], timeout: float = 60.0) -> httpx2.Response:
        return httpx2.post(f"{self.url}/completions", json=body, timeout=timeout)

    @property
    def engine(self) -> int:
        """Process id of the model's process."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        named = [int(p) for p in children if "resource_tracker" not in Path(f"/proc/{p}/cmdline").read_text()]
        return named[-1]


@contextmanager
def serving(*arguments: object) -> Iterator[Serving]:
    command = [sys.executable, "-m", "trimtab", "serve", "--port", "0", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if found := re.search(r"serving at (\S+)", line):
                yield Serving(process, found.group(1))
                break
        else:
            pytest.fail("".join(lines))
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Model:
    return tt.load(tiny_folder, dtype="float32")


@pytest.fixture(scope="module")
def steerings(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("steerings")
    for k, name in enumerate(("warm", "brief")):
        vector = 3 * torch.randn(32, generator=torch.Generator().manual_seed(k))
        tt.Steering.from_vector(1, vector, name, made_for=model.facts).save(folder / name)
    return folder


@pytest.fixture(scope="module")
def live(tiny_folder: Path, steerings: Path) -> Iterator[Serving]:
    with serving(
        "--model", tiny_folder, "--dtype", "float32", "--name", "tiny", "--steerings", steerings, "--no-auth"
    ) as s:
        yield s


def test_served_text_is_the_text_of_the_library(live: Serving, model: Model, steerings: Path) -> None:
    cases = product(PROMPTS, ((None, 0.0), ("warm", 1.0), ("brief", 0.5)))
    with openai.OpenAI(base_url=live.url, api_key="none", max_retries=0) as client:
        for prompt, (name, strength) in cases:
            body = {} if name is None else {"steering": {"name": name, "strength": {name: strength}}}
            answer = client.completions.create(
                model="tiny", prompt=prompt, max_tokens=8, temperature=0, extra_body=body
            )
            options = {} if name is None else {"steering": tt.Steering.load(steerings / name), "strength": strength}
            assert answer.choices[0].text == model.generate(prompt, max_new_tokens=8, **options)
            told = (answer.model_extra or {})["trimtab"]
            assert (told["steering"], told["touched"] > 0) == (name, name is not None)


def test_a_model_that_dies_is_started_again_and_nobody_hangs(live: Serving) -> None:
    body = {"model": "tiny", "prompt": "It was", "max_tokens": 4, "temperature": 0}
    before = live.post(body).json()["choices"][0]["text"]
    os.kill(live.engine, signal.SIGKILL)
    end, refused = time.monotonic() + 60, 0
    while (answer := live.post(body)).status_code != 200:
        assert answer.status_code == 503
        assert answer.json()["error"]["message"]
        refused += 1
        assert time.monotonic() < end
        time.sleep(0.2)
    assert refused
    assert answer.json()["choices"][0]["text"] == before


def test_told_to_stop_it_finishes_what_runs_and_leaves_no_process(tiny_folder: Path) -> None:
    with serving("--model", tiny_folder, "--dtype", "float32", "--name", "tiny", "--no-auth") as own:
        body = {"model": "tiny", "prompt": "It was", "max_tokens": 200, "temperature": 0, "stream": True}
        engine = own.engine
        with httpx2.stream("POST", f"{own.url}/completions", json=body, timeout=60) as answer:
            lines = answer.iter_lines()
            first = next(line for line in lines if line.startswith("data:"))
            own.process.send_signal(signal.SIGTERM)
            rest = [line for line in lines if line.startswith("data:")]
        assert json.loads(first.removeprefix("data:"))["choices"]
        assert rest[-1] == "data: [DONE]"
        assert own.process.wait(60) in (0, -signal.SIGTERM)
        assert not Path(f"/proc/{engine}").exists()


async def status(served: Any) -> int:
    transport = httpx2.ASGITransport(served)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return (await client.get("/")).status_code


@pytest.mark.parametrize(("arguments", "there"), [((), True), (("--no-playground",), False)])
def test_the_page_is_at_the_servers_address_unless_it_is_switched_off(
    arguments: tuple[str, ...], there: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    served: list[Any] = []

    class Server:
        def __init__(self, config: uvicorn.Config) -> None:
            served.append(config.app)

        def run(self, sockets: list[Any]) -> None:
            pass

    engine = SimpleNamespace(started=SimpleNamespace(tokenizer=None))
    monkeypatch.setattr("trimtab.serving.engines.process.ProcessEngine", lambda *given: engine)
    monkeypatch.setattr(uvicorn, "Server", Server)
    app(["serve", "--no-auth", "--port", "0", *arguments], standalone_mode=False)
    assert asyncio.run(status(served[0])) == (200 if there else 404)
    assert ("playground at http://127.0.0.1:" in capsys.readouterr().err) == there


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--model", "no/such/folder", "--no-auth"), "no/such/folder"),
        (("--steerings", "nowhere", "--no-auth"), "nowhere"),
        (("--host", "0.0.0.0", "--no-auth"), "needs keys"),
        ((), "trimtab keys create"),
        (("--name", " ", "--no-auth"), "name is empty"),
    ],
)
def test_what_cannot_be_served_is_refused_before_it_listens(
    arguments: tuple[str, ...], word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {**os.environ, "TRIMTAB_KEYS": str(tmp_path / "keys.json"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "trimtab", "serve", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
    )
    assert done.returncode == 2, done.stderr
    assert word in done.stderr
    assert "Traceback" not in done.stderr
