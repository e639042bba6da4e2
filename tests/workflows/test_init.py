"""`trimtab init`: a project whose files work, written without touching what is there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]
from tests.conftest import Run

from trimtab.behaviors import lint, load
from trimtab.workflows.init import FILES, create_project


@pytest.fixture
def project(tmp_path: Path, run: Run) -> Path:
    folder = tmp_path / "my project"
    code, out, err = run("init", folder)
    assert (code, err) == (0, "")
    assert out.splitlines()[:-1] == [f"written: {folder / target}" for target in FILES.values()]
    return folder


def made(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """make in the project, with the trimtab of this interpreter."""
    if sys.platform == "win32" or shutil.which("make") is None:
        pytest.skip("there is no make here, or none that starts programs by Unix paths")
    environment = {**os.environ, "TRIMTAB": f"{sys.executable} -m trimtab"}
    return subprocess.run(["make", *words], cwd=folder, env=environment, capture_output=True, text=True)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_example_behavior_is_clean_and_its_sides_differ_in_the_behavior_alone(project: Path) -> None:
    behavior = load(project / "behaviors" / "encouragement.jsonl")
    assert [finding.code for finding in lint(behavior)] == ["few-clusters"]
    lengths = [len(e.positive.split()) - len(e.negative.split()) for e in behavior.examples]
    assert abs(sum(lengths)) / len(lengths) < 0.5


def test_make_lints_and_would_check_and_compare_every_behavior(project: Path) -> None:
    shutil.copy(project / "behaviors" / "encouragement.jsonl", project / "behaviors" / "second.jsonl")
    listed = made(project)
    assert all(word in listed.stdout for word in ("lint", "check", "accept", "against"))
    done = made(project, "lint")
    assert done.returncode == 0, done.stderr
    assert "encouragement: 40 examples" in done.stdout
    planned = made(project, "-n", "check", "accept", "against", "MODEL=org/name").stdout
    for name in ("encouragement", "second"):
        assert f"check behaviors/{name}.jsonl --model org/name --out out/check/{name}" in planned
        assert f"cp out/check/{name}/report.json out/check/{name}/examples.parquet accepted/{name}/" in planned
        assert f"--out out/against/{name} --against accepted/{name}" in planned


def test_the_ci_calls_what_is_there(project: Path) -> None:
    workflow = yaml.safe_load((project / ".github" / "workflows" / "steering.yml").read_text())
    steps = workflow["jobs"]["steering"]["steps"]
    (ran,) = [step["run"] for step in steps if "run" in step]
    assert ran == "sh ci/steering.sh"
    assert subprocess.run(["sh", "-n", "ci/steering.sh"], cwd=project).returncode == 0
    script = (project / "ci" / "steering.sh").read_text().splitlines()
    assert script[-1] == "make lint against"
    assert made(project, "-n", *script[-1].split()[1:]).returncode == 0


@pytest.mark.slow
def test_what_was_accepted_is_held_against_a_second_check(project: Path, tiny_folder: Path) -> None:
    words = (f"MODEL={tiny_folder}", "OPTIONS=--quick --site 1 --prompt-type prefilled")
    for verb in ("check", "accept", "against"):
        done = made(project, verb, *words)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "· same  encouragement, against the earlier report" in done.stdout
    shutil.rmtree(project / "accepted")
    assert made(project, "against", *words).returncode != 0


def test_nothing_is_overwritten_and_a_refusal_writes_nothing(tmp_path: Path, run: Run) -> None:
    (tmp_path / "Makefile").write_text("mine")
    (tmp_path / ".gitignore").mkdir()
    code, out, err = run("init", tmp_path)
    assert (code, out) == (2, "")
    assert ".gitignore, Makefile already" in err
    assert files_of(tmp_path) == {"Makefile": b"mine"}


def test_an_interrupted_start_is_finished_by_the_same_command(tmp_path: Path) -> None:
    create_project(tmp_path / "whole")
    create_project(tmp_path / "half")
    (tmp_path / "half" / "Makefile").unlink()
    assert create_project(tmp_path / "half") == (tmp_path / "half" / "Makefile",)
    assert files_of(tmp_path / "half") == files_of(tmp_path / "whole")
    assert create_project(tmp_path / "half") == ()


def test_a_folder_that_cannot_be_one_is_refused(tmp_path: Path, run: Run) -> None:
    (tmp_path / "file").write_text("mine")
    code, _, err = run("init", tmp_path / "file")
    assert code == 2
    assert "is a file; give a folder" in err


def test_a_folder_inside_a_file_is_refused_for_what_it_is(tmp_path: Path, run: Run) -> None:
    (tmp_path / "file").write_text("here")
    code, _, error = run("init", tmp_path / "file" / "x")
    assert code == 2
    assert "overwritten" not in error
    assert (tmp_path / "file").read_text() == "here"
