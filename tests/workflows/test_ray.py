"""Work on a Ray cluster of this machine: what one process finds, whoever is killed; needs `pip install ray[client]`."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.experiment.test_executor import Told, tell

import trimtab as tt
from trimtab.behaviors import Behavior
from trimtab.errors import InputError, TrimtabError
from trimtab.experiment.executor import Models, executor_named
from trimtab.experiment.executor.schedule import TRIES
from trimtab.experiment.progress import Progress, Silent
from trimtab.model_source import ModelSource
from trimtab.workflows.check.several import check_several
from trimtab.workflows.evaluate import evaluate

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own

SETS = ("sentiment", "formality", "brevity", "honesty", "null", "refusal")
FEW = {"site": 1, "train": 12, "evaluation": 16}


@pytest.fixture(scope="session")
def ray(require: Any) -> Any:
    """Ray."""
    return require("ray", "ray")


@pytest.fixture
def cluster(ray: Any) -> Iterator[Any]:
    """A cluster of this machine that outlasts one piece of work."""
    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


@pytest.fixture(scope="module")
def source(tiny_folder: Path) -> ModelSource:
    return ModelSource(str(tiny_folder), "tiny", dtype="float32")


def sets() -> list[Behavior]:
    """The first rows of six built-in behaviors."""
    return [replace(own, examples=own.examples[:40]) for own in map(Behavior.builtin, SETS)]


def workers_of(process: int) -> list[int]:
    """Ray's workers that are at something, of the cluster that this process began."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            title, state = (folder / "cmdline").read_bytes(), (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(folder.name)] = int(state[1]), title.startswith(b"ray::Worker.do") and state[0] != "Z"
    return [p for p, (above, works) in parents.items() if works and parents.get(above, (0, False))[0] == process]


class Killing(Told):
    """Kills a worker at random, some times, when it hears of progress."""

    def __init__(self, times: int, seed: int) -> None:
        super().__init__()
        self.random, self.times, self.killed = random.Random(seed), times, 0

    def advance(self, stage: str, amount: int) -> None:
        super().advance(stage, amount)
        now = amount > 0 and self.killed < self.times and self.random.random() < 0.5
        if now and (found := workers_of(os.getpid())):
            os.kill(self.random.choice(found), signal.SIGKILL)
            self.killed += 1


def tables(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.glob("*.parquet")}


def test_a_study_of_six_sets_with_a_worker_killed_three_times_gives_the_same_tables(cluster, source, tmp_path):
    told, kept, behaviors = Killing(3, seed=1), Told(), sets()
    tt.study(source, behaviors, folder=tmp_path / "one", progress=kept, **FEW)
    tt.study(source, behaviors, folder=tmp_path / "ray", workers=2, executor="ray", progress=told, **FEW)
    assert told.killed == 3
    assert tables(tmp_path / "ray") == tables(tmp_path / "one")
    assert sorted(tables(tmp_path / "one")) == ["cells.parquet", "cosines.parquet"]
    assert pl.read_parquet(tmp_path / "ray" / "cells.parquet")["behavior"].n_unique() == 6
    assert not list((tmp_path / "ray").glob(".*"))


@contextmanager
def elsewhere(folder: Path) -> Iterator[str]:
    """A mark that no worker finds, as on a machine that has another disk."""
    folder.mkdir(parents=True, exist_ok=True)
    yield ".on-another-disk"


@pytest.mark.parametrize("shared", [True, False], ids=["same-disk", "another-disk"])
def test_comparisons_and_checks_are_those_of_one_process(cluster, source, tasks, tmp_path, monkeypatch, shared):
    if not shared:
        monkeypatch.setattr("trimtab.experiment.executor.ray_cluster.marked", elsewhere)
    settings: dict[str, Any] = {
        "seeds": 2, "damages": (0.02,), "trials": 1, "site": 1, "damage_texts": 3, "train": 8, "dev": 4, "test": 6,
    }  # fmt: skip
    on_ray: dict[str, Any] = {"workers": 2, "executor": "ray"}
    for name, own in (("one", {}), ("ray", on_ray)):
        evaluate(source, tasks, ["mean-difference"], folder=tmp_path / "compared" / name, **settings, **own)
    assert tables(tmp_path / "compared" / "ray") == tables(tmp_path / "compared" / "one")
    steerings = [tmp_path / "compared" / name / "steerings" / "seed-2" / "mean-difference" for name in ("one", "ray")]
    assert tt.Steering.load(steerings[0]).id == tt.Steering.load(steerings[1]).id

    checked: dict[str, Any] = {"site": 1, "prompt_types": "prefilled", "strength": 1.0, "train": 12, "evaluation": 12}
    one, two = (
        check_several(source, sets()[:2], folder=tmp_path / name, effort="quick", **checked, **own)
        for name, own in (("one", {"workers": 1}), ("two", on_ray))
    )
    apart = {"seconds", "command"}
    assert [r.model_dump(exclude=apart) for r in two] == [r.model_dump(exclude=apart) for r in one]
    assert [r.rows for r in two] == [r.rows for r in one]


def test_what_each_piece_of_work_tells_arrives_by_its_name_and_in_its_order(cluster, tmp_path):
    told = Told()
    finished: list[Path] = []
    files = [tmp_path / name for name in ("a", "b", "c")]
    executor_named("ray", 2).run(tell, files, tmp_path, told, Models(), finished.append)
    said = [(10, 2.5, "tokens to compute"), "effect: +0.5 after 8 of 16 examples", ("effect", 4), "end"]
    assert told.pieces == {"a": said, "b": said, "c": said}
    assert sorted(finished) == files


def load_and_note(file: Path, progress: Progress, models: Models) -> None:
    """Puts down which process and which model it was."""
    folder = file.parent.parent / "model"
    model = models(ModelSource(str(folder), "tiny", dtype="float32"))
    file.write_text(f"{os.getpid()} {id(model)}")


def test_a_model_is_loaded_once_by_each_worker(cluster, tiny_folder, tmp_path):
    (tmp_path / "model").symlink_to(tiny_folder)
    home = tmp_path / "out"
    files = [home / str(k) for k in range(12)]
    executor_named("ray", 2).run(load_and_note, files, home, Silent(), Models())
    seen = {tuple(file.read_text().split()) for file in files}
    assert len(seen) == len({process for process, _ in seen}) <= 2
    assert str(os.getpid()) not in {process for process, _ in seen}


def end_itself(file: Path, progress: Progress, models: Models) -> None:
    """A task that no worker survives, after it told how far it is."""
    progress.advance("writing", 5)
    with file.open("a") as tries:
        tries.write("x")
    if file.name == "survives" and len(file.read_text()) == 3:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_killed_worker_told_is_taken_back(cluster, tmp_path):
    told = Told()
    executor_named("ray", 1).run(end_itself, [tmp_path / "survives"], tmp_path, told, Models())
    assert (tmp_path / "survives").read_text() == "xxx"
    assert told.amounts == {"writing": 5}


def test_a_task_that_ends_every_worker_ends_the_work_with_a_message(cluster, tmp_path):
    with pytest.raises(TrimtabError, match=f"{TRIES} workers in a row ended at one task") as raised:
        executor_named("ray", 1).run(end_itself, [tmp_path / "fatal"], tmp_path, Silent(), Models())
    assert raised.value.field == "workers"
    assert len((tmp_path / "fatal").read_text()) == TRIES


def refuse(file: Path, progress: Progress, models: Models) -> None:
    raise InputError(f"{file.name} cannot be done", code="wrong-file", field="file")


def test_an_error_of_a_task_is_that_of_one_process(cluster, tmp_path):
    with pytest.raises(InputError) as raised:
        executor_named("ray", 2).run(refuse, [tmp_path / "this"], tmp_path, Silent(), Models())
    assert (str(raised.value), raised.value.code, raised.value.field) == ("this cannot be done", "wrong-file", "file")


def stall(file: Path, progress: Progress, models: Models) -> None:
    """One task stalls on the first worker that is at it."""
    if file.name == "stalls":
        try:
            file.with_suffix(".begun").touch(exist_ok=False)
        except FileExistsError:
            pass
        else:
            time.sleep(600)
    file.write_text("done")


def test_a_straggler_is_done_by_an_idle_worker(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr("trimtab.experiment.executor.schedule._BRIEF", 0.5)
    files = [tmp_path / name for name in ("stalls", "a", "b", "c", "d")]
    finished: list[Path] = []
    executor_named("ray", 2).run(stall, files, tmp_path, Silent(), Models(), finished.append)
    assert sorted(finished) == sorted(files)
    assert (tmp_path / "stalls.begun").exists()
    assert (tmp_path / "stalls").read_text() == "done"


def test_workers_of_another_version_are_refused(cluster, tmp_path, monkeypatch):
    from trimtab.experiment.executor import ray_cluster
    from trimtab.experiment.executor.ray_worker import installation

    own = installation()
    other = replace(own, versions=(*own.versions[:2], ("torch", "1.0"), own.versions[3]))
    monkeypatch.setattr(ray_cluster, "installation", lambda: other)
    with pytest.raises(InputError, match=r"has torch .*, this process 1\.0") as raised:
        executor_named("ray", 1).run(tell, [tmp_path / "a"], tmp_path, Silent(), Models())
    assert raised.value.field == "executor"


def wait_and_note(file: Path, progress: Progress, models: Models) -> None:
    """Tells that it is in work; the first two wait until one of them is tried again, elsewhere."""
    progress.say(file.name)
    with file.open("a") as tries:
        tries.write("x")
    if file.name in ("0", "1"):
        for _ in range(1200):
            if any(len((file.parent / k).read_text()) > 1 for k in ("0", "1") if (file.parent / k).exists()):
                return
            time.sleep(0.05)


def test_a_node_that_vanishes_costs_only_what_it_was_at(ray, tmp_path, monkeypatch):
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = nodes.add_node(num_cpus=1)
    monkeypatch.setenv("RAY_ADDRESS", nodes.address)

    class Losing(Silent):
        def __init__(self) -> None:
            self.begun: set[str] = set()

        def say(self, line: str) -> None:
            self.begun.add(line)
            if {"0", "1"} <= self.begun and second in nodes.worker_nodes:  # both nodes are at something
                nodes.remove_node(second, allow_graceful=False)

    files = [tmp_path / str(k) for k in range(6)]
    finished: list[Path] = []
    try:
        executor_named("ray:auto", 2).run(wait_and_note, files, tmp_path, Losing(), Models(), finished.append)
    finally:
        nodes.shutdown()
    assert sorted(finished) == files
    assert sorted(len(file.read_text()) for file in files) == [1, 1, 1, 1, 1, 2]


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def test_a_cluster_is_reached_through_its_client_server_with_its_token(ray, source, tmp_path):
    """By the command line, in a process that has the cluster's token, as people have it."""
    port, programs = free_port(), Path(sys.executable).parent
    own = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "of-the-tests-" + 32 * "0"}
    begun = subprocess.Popen(
        [programs / "ray", "start", "--head", "--block", "--num-cpus=2", "--include-dashboard=false",
         "--disable-usage-stats", f"--port={free_port()}", f"--ray-client-server-port={port}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, cwd=tmp_path, env=own,
    )  # fmt: skip
    asked = [
        programs / "trimtab", "study", "sentiment", "formality", "--model", source.source, "--site", "1",
        "--prompt-type", "prefilled", "--train", "12", "--eval", "16",
    ]  # fmt: skip
    try:
        for _ in range(600):
            assert begun.poll() is None, "it has ended"
            with socket.socket() as asking:
                if asking.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        for name, executor in (("one", []), ("two", ["--workers", "2", "--executor", f"ray://127.0.0.1:{port}"])):
            call = [*asked, "--out", name, *executor]
            done = subprocess.run(call, cwd=tmp_path, env=own, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
    finally:
        begun.send_signal(signal.SIGTERM)
        begun.wait(120)
    assert tables(tmp_path / "two") == tables(tmp_path / "one")


def test_a_cluster_that_does_not_answer_is_a_message(ray, tmp_path):
    address = f"ray://127.0.0.1:{free_port()}"
    with pytest.raises(TrimtabError, match="no Ray cluster answers at 'ray://127") as raised:
        executor_named(address, 1).run(tell, [tmp_path / "a"], tmp_path, Silent(), Models())
    assert (raised.value.code, raised.value.field) == ("endpoint-failed", "executor")


SLEEPERS = """
import sys, time
from pathlib import Path
from trimtab.experiment.executor import Models, executor_named
from trimtab.experiment.progress import Silent

def sleep(task, progress, models):
    progress.say("asleep")
    time.sleep(600)

class Saying(Silent):
    def say(self, line):
        print(line, flush=True)

if __name__ == "__main__":
    print("begun", flush=True)
    try:
        executor_named("ray", 2).run(sleep, [1, 2], Path("out"), Saying(), Models())
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        sys.exit(130)
"""


def test_ctrl_c_ends_the_cluster_that_was_begun_with_one_message(ray, tmp_path):
    from tests.experiment.test_executor import group_members

    (tmp_path / "sleepers.py").write_text(SLEEPERS)
    work = subprocess.Popen(
        [sys.executable, tmp_path / "sleepers.py"], start_new_session=True, cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert work.stdout is not None
    assert [work.stdout.readline() for _ in range(2)] == ["begun\n", "asleep\n"]
    os.killpg(work.pid, signal.SIGINT)
    out, err = work.communicate(timeout=120)
    assert work.returncode == 130
    assert out.splitlines()[-1] == "interrupted"
    assert "Traceback" not in err
    for _ in range(300):
        if not group_members(work.pid):
            break
        time.sleep(0.1)
    assert group_members(work.pid) == []
