"""A tiny Llama whose heads are as wide as vLLM's attention on CPUs takes them, its steerings, and vLLM serving both."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import torch
from tests.integrations.vllm_plugin.steerings import write_steerings

import trimtab as tt


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What vLLM leaves open is noticed whenever it is collected, in whatever test of this folder that is."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))


@pytest.fixture(scope="session")
def wide_folder(chat_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model's folder, with a tokenizer and a chat template that begins as vLLM and this project both take it."""
    from transformers import AutoConfig, AutoTokenizer, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("wide") / "wide-llama"
    shutil.copytree(chat_folder, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = "{{ bos_token }}" + tokenizer.chat_template
    tokenizer.save_pretrained(folder)
    config = AutoConfig.from_pretrained(folder)
    config.update({"hidden_size": 64, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32})
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def model(wide_folder: Path) -> tt.Model:
    """The model as this project runs it."""
    return tt.load(wide_folder, dtype="float32")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the steerings."""
    return tmp_path_factory.mktemp("steerings")


@pytest.fixture(scope="session")
def steerings(model: tt.Model, folder: Path) -> dict[str, tt.Steering]:
    """By name; one more was made for another model."""
    made = write_steerings(folder, model)
    tt.Steering.from_vector(1, torch.ones(2), "narrow").save(folder / "narrow")
    return made


@pytest.fixture(scope="session")
def python(require: Any) -> str:
    """That of TRIMTAB_VLLM, or this one, which has vLLM."""
    if named := os.environ.get("TRIMTAB_VLLM"):
        return named
    require("vllm", "vllm")
    return sys.executable


@pytest.fixture(scope="session")
def url(python: str, wide_folder: Path, folder: Path, steerings: Any, tmp_path_factory: Any) -> Iterator[str]:
    """Of `trimtab vllm`, with four requests a batch and a key."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log"
    command = [
        python, "-m", "trimtab", "vllm", str(wide_folder), "--steerings", str(folder), "--",
        "--port", str(port), "--dtype", "float32", "--max-model-len", "512", "--max-num-seqs", "4", "--enforce-eager",
        "--served-model-name", "tiny", "--api-key", "secret",
    ]  # fmt: skip
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1"}
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)
    try:
        while process.poll() is None and not _answers(port):
            time.sleep(0.5)
        assert process.poll() is None, log.read_text()[-5000:]
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)


def _answers(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/health", timeout=5).status_code == 200
    except httpx2.HTTPError:
        return False
