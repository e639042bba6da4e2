"""`trimtab vllm`: what it starts, and what it refuses; vLLM itself is not started."""

import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Run

import trimtab as tt
from trimtab.integrations.vllm.setup import Setup


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, str]]]:
    """What the process would have become."""
    calls: list[tuple[list[str], dict[str, str]]] = []

    def become(program: str, command: list[str], environment: dict[str, str]) -> None:
        assert program == sys.executable
        calls.append((command, environment))

    monkeypatch.setattr(import_module("trimtab.cli.vllm"), "find_spec", lambda name: object())
    monkeypatch.setattr(os, "execve", become)
    return calls


def test_it_becomes_vllms_server_with_the_plugin_named_and_the_weights_known(
    run: Run, started: list[Any], tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_PLUGINS", "other")
    code, _, err = run("vllm", tiny_folder, "--steerings", tmp_path, "--", "--port", "9", "--dtype", "float32")
    assert code == 0, err
    ((command, environment),) = started
    assert environment["VLLM_PLUGINS"] == "other,trimtab"
    config = command[command.index("--additional-config") + 1]
    assert Setup.of(json.loads(config)) == Setup(tmp_path, facts=tt.load(tiny_folder).facts)
    assert command[1:5] == ["-m", "vllm.entrypoints.openai.api_server", "--model", str(tiny_folder)]
    assert command[-6:] == ["--served-model-name", tiny_folder.name, "--port", "9", "--dtype", "float32"]
    assert command[-8:-6] == ["--structured-outputs-config", '{"backend": "guidance"}']


def test_weights_need_not_be_compared(run: Run, started: list[Any], tmp_path: Path) -> None:
    given = ("vllm", "org/large", "--steerings", tmp_path, "--no-compare-weights", "--allow-mismatch", "--")
    own = ("--structured-outputs-config.backend", "xgrammar", "--served-model-name", "mine")
    assert run(*given, *own)[0] == 0
    command = started[0][0]
    assert tuple(command[-4:]) == own
    assert sum("structured" in word for word in command) == 1
    assert command.count("--served-model-name") == 1
    config = command[command.index("--additional-config") + 1]
    assert Setup.of(json.loads(config)) == Setup(tmp_path, allow_mismatch=True)


def test_what_a_file_of_vllms_settings_says_holds(run: Run, started: list[Any], tmp_path: Path) -> None:
    given = ("vllm", "org/large", "--steerings", tmp_path, "--no-compare-weights", "--", "--config", "vllm.yaml")
    assert run(*given)[0] == 0
    assert not any("structured" in word for word in started[0][0])
    assert run(*given[:-2], "--config-format", "hf")[0] == 0  # another setting than that
    assert "--structured-outputs-config" in started[1][0]


def test_a_folder_that_is_none_is_refused(run: Run, started: list[Any], tmp_path: Path) -> None:
    code, _, err = run("vllm", "org/large", "--steerings", tmp_path / "nowhere")
    assert (code, started) == (2, [])
    assert "nowhere is no folder" in err
    assert "--steerings" in err


def test_without_vllm_it_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(import_module("trimtab.cli.vllm"), "find_spec", lambda name: None)
    code, _, err = run("vllm", "org/large", "--steerings", tmp_path)
    assert code == 2
    assert "trimtab[vllm]" in err
