"""What the shell is offered: names of this installation and this folder, quickly, and never an error."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import Run
from tests.serving.steerings import write_steering

from trimtab.cli import completion


def offered(*words: str, folder: Path, **environment: str) -> list[str]:
    """What bash is offered for the last word."""
    line = " ".join(("trimtab", *words))
    code = (
        "import sys; sys.argv = ['trimtab']\n"
        "from trimtab.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'polars', 'sqlalchemy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    asked = {
        "_TRIMTAB_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words)),
        "HF_HUB_CACHE": str(folder / "hub"),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **asked, **environment},
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_bash_is_offered_verbs_and_built_in_behaviors_without_heavy_imports(tmp_path: Path) -> None:
    assert offered("con", folder=tmp_path) == ["convert", "convert-data"]
    assert offered("lint", "se", folder=tmp_path) == ["sentiment"]


def test_behaviors_are_the_built_in_ones_and_files_of_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("sent.jsonl", "sense.csv", "sea.png", ".secret.jsonl"):
        (tmp_path / name).touch()
    assert completion.behaviors("se") == ["sentiment", "sense.csv", "sent.jsonl"]
    assert completion.behaviors("folder/x") == []  # left to the shell, which completes files


def test_models_are_the_embedded_one_those_of_the_cache_and_files_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "hub" / "models--org--small").mkdir(parents=True)
    (tmp_path / "hub" / "datasets--org--rows").mkdir()
    (tmp_path / "mine.gguf").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "config.json").touch()
    assert completion.models("") == ["smollm2", "org/small", "folder", "mine.gguf"]
    assert completion.models("org/") == ["org/small"]


def test_steerings_and_reports_are_found_here_and_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("warm", "out/cold", "out/deep/mild", "too/far/down/there"):
        (tmp_path / folder).mkdir(parents=True)
        write_steering(tmp_path / folder, {"a": 1.0})
    assert completion.steerings("") == ["warm", "out/cold", "out/deep/mild"]
    assert completion.steerings("out/c") == ["out/cold"]
    (tmp_path / "out" / "check").mkdir()
    (tmp_path / "out" / "check" / "report.html").touch()
    assert completion.reports("o") == ["out/check"]


def test_releases_are_those_of_the_store_that_is_named(tmp_path: Path, run: Run) -> None:
    write_steering(tmp_path / "warm", {"warm": 1.0})
    for name in ("cheerful", "cheap", "kind"):
        code, _, err = run(
            "release", "create", name, "--treatment", tmp_path / "warm", "--unchecked", "a test", "--by", "ada",
            "--store", tmp_path,
        )  # fmt: skip
        assert code == 0, err
    assert offered("release", "start", "ch", folder=tmp_path) == ["cheerful", "cheap"]
    assert offered("release", "start", "k", folder=tmp_path.parent, TRIMTAB_STORE=str(tmp_path)) == ["kind"]
    assert offered("release", "start", "k", folder=tmp_path.parent) == []


@pytest.mark.parametrize("content", [b"", b"no database at all"])
def test_a_store_that_cannot_be_read_offers_nothing(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "operations.db").write_bytes(content)
    assert offered("release", "start", "c", folder=tmp_path) == []
