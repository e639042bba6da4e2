"""`trimtab serve` as a process, with the model in another: what it answers, a model that dies, and its end."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import httpx2
import openai
import pytest
import torch
from tests.serving.process import Serving, serving

import trimtab as tt
from trimtab.models import Model

PROMPTS = ["It was", "The harbour in the morning", "Say that again"]


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
