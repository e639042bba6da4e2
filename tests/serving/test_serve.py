"""`trimtab serve` as a process, with the model in another: what it answers, a model that dies, and its end."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import openai
import pytest
import torch
import uvicorn
from tests.conftest import Run
from tests.serving.engines.vllm_like import answer, lists, vllm_like
from tests.serving.process import Serving, serving
from transformers import AutoTokenizer

import trimtab as tt
from trimtab.cli import app
from trimtab.cli.serve import _watching
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


@pytest.fixture(scope="module")
def bloom_folder(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that cannot be batched, with marks around its thinking."""
    from transformers import AutoTokenizer, BloomConfig, BloomForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(tiny_folder)
    tokenizer.add_tokens(["<think>", "</think>"])
    torch.manual_seed(0)
    config = BloomConfig(
        vocab_size=len(tokenizer), hidden_size=32, n_layer=3, n_head=4, initializer_range=0.2, pad_token_id=0,
        bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("bloom") / "tiny-bloom"
    BloomForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_model_that_cannot_be_batched_is_served_one_request_after_the_other_and_says_so(bloom_folder: Path) -> None:
    model = tt.load(bloom_folder, dtype="float32")
    why = "requests run one after the other: transformers cannot batch BloomForCausalLM continuously"
    with serving("--model", bloom_folder, "--dtype", "float32", "--name", "tiny", "--no-auth") as own:
        assert f"loading {bloom_folder} …\n" in own.said
        assert f"note: {why}" in own.said
        (card,) = httpx2.get(f"{own.url}/models", timeout=60).json()["data"]
        assert (card["max_running"], card["note"].startswith(why)) == (1, True)
        body = {"model": "tiny", "max_tokens": 8, "temperature": 0, "n": 2}
        for prompt in PROMPTS:
            choices = own.post({**body, "prompt": prompt}).json()["choices"]
            assert [choice["text"] for choice in choices] == [model.generate(prompt, max_new_tokens=8)] * 2


def test_a_request_steers_the_models_thinking_or_the_rest(bloom_folder: Path, live: Serving, tmp_path: Path) -> None:
    model, vector = (
        tt.load(bloom_folder, dtype="float32"),
        3 * torch.randn(32, generator=torch.Generator().manual_seed(1)),
    )
    warm = tt.Steering.from_vector(1, vector, "warm", made_for=model.facts)
    warm.save(tmp_path / "warm")
    arguments = ("--model", bloom_folder, "--dtype", "float32", "--name", "tiny", "--steerings", tmp_path, "--no-auth")
    with serving(*arguments) as own:
        for prompt, inside in (("It was <think>", "thinking"), ("<think>It was</think> so", "answer")):
            for scope in ("thinking", "answer"):
                asked = {"name": "warm", "strength": 1.0, "scope": scope}
                body = {"model": "tiny", "prompt": prompt, "max_tokens": 6, "temperature": 0, "steering": asked}
                answer = own.post(body).json()
                wanted = model.generate(prompt, steering=warm, scope=scope, max_new_tokens=6)
                assert answer["choices"][0]["text"] == wanted
                assert (answer["trimtab"]["selected"] > 0) == (scope == inside)
    refused = live.post({"model": "tiny@warm", "prompt": "It was", "steering": {"scope": "thinking"}})
    assert refused.status_code == 400
    assert "needs a model with marks around its thinking" in refused.json()["error"]["message"]


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


def test_a_server_in_front_of_another_takes_its_name_and_the_tokenizer_of_a_folder(
    tiny_folder: Path, steerings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[Any] = []

    class Server:
        def __init__(self, config: uvicorn.Config) -> None:
            served.append(config.app)

        def run(self, sockets: list[Any]) -> None:
            pass

    async def asked(body: dict[str, Any]) -> dict[str, Any]:
        transport = httpx2.ASGITransport(served[0])
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return dict((await client.post("/v1/completions", json=body)).json())

    monkeypatch.setattr(uvicorn, "Server", Server)
    with vllm_like(lambda body, _: answer(body), lists("theirs")) as upstream:
        given = ["--upstream", upstream.url, "--tokenizer", str(tiny_folder), "--steerings", str(steerings)]
        app(["serve", "--no-auth", "--port", "0", *given], standalone_mode=False)
        said = asyncio.run(asked({"model": "theirs", "prompt": "A film", "logprobs": 0}))
    assert said["choices"][0]["text"] == "Good day"
    assert len(said["choices"][0]["logprobs"]["tokens"]) == 2
    tokenizer = AutoTokenizer.from_pretrained(tiny_folder)
    assert upstream.asked[0]["prompt"] == [1, *tokenizer("A film", add_special_tokens=False)["input_ids"]]


def test_an_upstream_server_that_is_not_there_is_an_error_without_a_traceback(run: Run) -> None:
    code, _, err = run("serve", "--upstream", "http://127.0.0.1:9/v1", "--no-auth")
    assert code == 4
    assert "no upstream server answers: http://127.0.0.1:9/v1: no connection" in err


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

    engine = SimpleNamespace(started=SimpleNamespace(tokenizer=None, capabilities=SimpleNamespace(note="")))
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
        (("--canary", "nowhere", "--no-auth"), "nowhere"),
        (("--canary-every", "0", "--no-auth"), "canary-every"),
        (("--shadow-max-kl", "0.1", "--no-auth"), "shadow"),
        (("--figures-since", "yesterday", "--no-auth"), "figures-since"),
        (("--figures-since", "2026-11-30", "--no-auth"), "read back from a store"),
        (("--upstream", "nonsense", "--no-auth"), "give the server's base URL"),
        (("--upstream", "http://127.0.0.1:9/v1", "--upstream-key-env", "NO_KEY", "--no-auth"), "NO_KEY holds no key"),
        (("--tokenizer", "nowhere", "--no-auth"), "belong to an upstream"),
        (
            ("--upstream", "http://127.0.0.1:9/v1", "--dtype", "auto", "--no-auth"),
            "--dtype means nothing with --upstream",
        ),
        (("--judge-share", "0.5", "--no-auth"), "--judge-share belongs to --judge, which is missing"),
        (("--classifier-per-minute", "9", "--no-auth"), "belongs to --classifier, which is missing"),
        (("--upstream", "http://127.0.0.1:9/v1", "--shadow", "0.1", "--no-auth"), "canary and shadow score answers"),
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


def test_figures_are_read_back_from_a_moment_that_is_meant_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        since = _watching(0.0, None, [], 60.0, datetime.fromisoformat("2026-11-30T14:00:00")).since
    finally:
        monkeypatch.undo()
        time.tzset()
    assert since == datetime(2026, 11, 30, 14, tzinfo=UTC).timestamp()
    assert _watching(0.0, None, [], 60.0, None).since == 0.0
