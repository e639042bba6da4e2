"""Work shared out among processes: all of it is done, and a killed process is a message, not a wait without end."""

import json
import os
import signal
import subprocess
import sys
import time
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import pytest
import torch

from trimtab.errors import InputError, TrimtabError
from trimtab.experiment.executor import Models, Processes, check_workers, executor_named
from trimtab.experiment.progress import Progress, Silent


class Told(Silent):
    """Adds up amounts by stage, and keeps what was told by the name of the piece of work."""

    def __init__(self) -> None:
        self.amounts: dict[str, int] = {}
        self.pieces: dict[str, list[object]] = {}

    def advance(self, stage: str, amount: int) -> None:
        self.amounts[stage] = self.amounts.get(stage, 0) + amount

    def of(self, name: str) -> Progress:
        return Piece(self.pieces.setdefault(name, []))


class Piece(Silent):
    def __init__(self, told: list[object]) -> None:
        self.told = told

    def begin(self, amount: int, seconds: float, unit: str = "tokens to compute") -> None:
        self.told.append((amount, seconds, unit))

    def say(self, line: str) -> None:
        self.told.append(line)

    def advance(self, stage: str, amount: int) -> None:
        self.told.append((stage, amount))

    def end(self) -> None:
        self.told.append("end")


def write(file: Path, progress: Progress, models: Models) -> None:
    """Puts down which process it was."""
    if file.name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if file.name == "refused":
        raise InputError("this one cannot be done", field="file")
    file.write_text(str(os.getpid()))
    progress.advance("writing", 2)


@pytest.mark.parametrize("workers", [1, 2])
def test_every_task_is_done_once_and_told(tmp_path, workers):
    told, files = Told(), [tmp_path / str(k) for k in range(5)]
    Processes(workers).run(write, files, tmp_path, told, Models())
    assert told.amounts == {"writing": 10}
    assert (os.getpid() in {int(f.read_text()) for f in files}) is (workers == 1)


def fit(file: Path, progress: Progress, models: Models) -> None:
    """Puts down how many threads each library has, SciPy's too, which a task loads when it needs it."""
    import scipy.linalg  # noqa: F401
    from threadpoolctl import threadpool_info

    file.write_text(json.dumps({pool["filepath"]: pool["num_threads"] for pool in threadpool_info()}))


def test_workers_compute_with_their_share_of_the_threads_whatever_the_library(tmp_path, monkeypatch):
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)  # each library would take a thread for every core
    Processes(2).run(fit, [tmp_path / "0", tmp_path / "1"], tmp_path, Silent(), Models())
    pools = json.loads((tmp_path / "0").read_text())
    assert sum("blas" in library.lower() for library in pools) >= 2, pools  # NumPy's and SciPy's
    assert max(pools.values()) <= Processes(2).threads, pools


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [("killed", TrimtabError, "the same command goes on where it stopped"), ("refused", InputError, "cannot be done")],
)
def test_a_killed_process_and_an_error_end_the_work_with_a_message(tmp_path, name, error, said):
    files = [tmp_path / name, *(tmp_path / str(k) for k in range(3))]
    with pytest.raises(error, match=said):
        Processes(2).run(write, files, tmp_path, Silent(), Models())
    for child in active_children():
        child.join(10)
    assert not active_children()


def tell(file: Path, progress: Progress, models: Models) -> None:
    """Tells what a check would."""
    own = progress.of(file.name)
    own.begin(10, 2.5)
    own.say("effect: +0.5 after 8 of 16 examples")
    own.advance("effect", 4)
    own.end()


@pytest.mark.parametrize("workers", [1, 2])
def test_what_each_piece_of_work_tells_arrives_by_its_name_and_in_its_order(tmp_path, workers):
    told, files = Told(), [tmp_path / name for name in ("a", "b", "c")]
    finished: list[Any] = []
    Processes(workers).run(tell, files, tmp_path, told, Models(), finished.append)
    said = [(10, 2.5, "tokens to compute"), "effect: +0.5 after 8 of 16 examples", ("effect", 4), "end"]
    assert told.pieces == {"a": said, "b": said, "c": said}
    assert sorted(finished) == files


def wait_until_seen(file: Path, progress: Progress, models: Models) -> None:
    """Goes on when somebody has reacted to what was said."""
    progress.say("begun")
    for _ in range(600):
        if file.exists():
            return
        time.sleep(0.05)
    raise InputError("nobody heard it in time")


def test_what_is_said_is_heard_while_the_work_goes_on(tmp_path):
    class Reacting(Silent):
        def say(self, line: str) -> None:
            (tmp_path / "seen").touch()

    Processes(2).run(wait_until_seen, [tmp_path / "seen"], tmp_path, Reacting(), Models())


def test_threads_are_shared_out_among_processes():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(5)
        assert [Processes(n).threads for n in (1, 2, 5, 8)] == [5, 2, 1, 1]
    finally:
        torch.set_num_threads(before)


SLEEPERS = """
import sys, time
from pathlib import Path
from trimtab.experiment.executor import Models, Processes
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
        Processes(2).run(sleep, [1, 2], Path("."), Saying(), Models())
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        sys.exit(130)
"""


def group_members(leader: int) -> list[int]:
    """Processes of a process group, without zombies."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(group) == leader and state != "Z":
            found.append(int(stat.parent.name))
    return found


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_ctrl_c_ends_every_process_with_one_message_and_no_traceback(tmp_path):
    (tmp_path / "sleepers.py").write_text(SLEEPERS)
    work = subprocess.Popen(
        [sys.executable, tmp_path / "sleepers.py"], start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert work.stdout is not None
    assert [work.stdout.readline() for _ in range(2)] == ["begun\n", "asleep\n"]  # the other may still be beginning
    os.killpg(work.pid, signal.SIGINT)  # as a terminal does
    out, err = work.communicate(timeout=180)
    assert work.returncode == 130
    assert out.splitlines()[-1] == "interrupted"
    assert "Traceback" not in err
    for _ in range(100):
        if not group_members(work.pid):
            break
        time.sleep(0.1)
    assert group_members(work.pid) == []


@pytest.mark.parametrize("workers", [0, -1, 1.5])
def test_less_than_one_process_is_refused(workers):
    with pytest.raises(InputError, match="give at least 1"):
        check_workers(workers)


@pytest.mark.parametrize(
    ("name", "field", "said"),
    [
        ("dask", "executor", "ray://HOST:PORT"),
        ("ray://", "executor", "ray://HOST:PORT"),
        ("ray://host", "executor", "ray://HOST:PORT"),
        ("ray://host:many", "executor", "ray://HOST:PORT"),
        ("ray?gpus=-1", "executor", "at least 0"),
        ("ray?gpus=nan", "executor", "0 or more"),
        ("ray?cpus=1", "executor", "only option is gpus"),
    ],
)
def test_an_executor_that_there_is_none_of_is_refused(name, field, said):
    with pytest.raises(InputError, match=said) as raised:
        executor_named(name, 2)
    assert raised.value.field == field


def test_ray_is_told_how_many_workers_fit():
    with pytest.raises(InputError, match="give the number of workers") as raised:
        executor_named("ray", None)
    assert raised.value.field == "workers"


def test_without_ray_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"trimtab\[ray\]"):
        executor_named("ray://head:10001", 2)
