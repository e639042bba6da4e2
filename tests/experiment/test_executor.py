"""Work shared out among processes: all of it is done, and a killed process is a message, not a wait without end."""

import os
import signal
from multiprocessing import active_children
from pathlib import Path

import pytest

from trimtab.errors import InputError, TrimtabError
from trimtab.experiment.executor import Models, check_workers, run_all
from trimtab.experiment.progress import Progress, Silent


class Told(Silent):
    def __init__(self) -> None:
        self.amounts: dict[str, int] = {}

    def advance(self, stage: str, amount: int) -> None:
        self.amounts[stage] = self.amounts.get(stage, 0) + amount


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
    run_all(write, files, workers, told, Models())
    assert told.amounts == {"writing": 10}
    assert (os.getpid() in {int(f.read_text()) for f in files}) is (workers == 1)


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [("killed", TrimtabError, "the same command goes on where it stopped"), ("refused", InputError, "cannot be done")],
)
def test_a_killed_process_and_an_error_end_the_work_with_a_message(tmp_path, name, error, said):
    with pytest.raises(error, match=said):
        run_all(write, [tmp_path / name, *(tmp_path / str(k) for k in range(3))], 2, Silent(), Models())
    for child in active_children():
        child.join(10)
    assert not active_children()


@pytest.mark.parametrize("workers", [0, -1, 1.5])
def test_less_than_one_process_is_refused(workers):
    with pytest.raises(InputError, match="give at least 1"):
        check_workers(workers)
