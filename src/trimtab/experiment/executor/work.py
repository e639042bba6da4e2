"""What is shared out: tasks on models, and who carries them out."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import torch

from trimtab.errors import InputError
from trimtab.experiment.numbers import is_whole
from trimtab.experiment.progress import Progress
from trimtab.model_source import ModelSource
from trimtab.models import Model, load_from


class Models:
    """The model that a process works on: loaded once for all its tasks in a row, and gone with this object."""

    def __init__(self) -> None:
        self._held: tuple[ModelSource, Model] | None = None

    def __call__(self, source: ModelSource) -> Model:
        """The model of a source; the one before is let go first."""
        if self._held is None or self._held[0] != source:
            self._held = None
            self._held = source, load_from(source)
        return self._held[1]


T = TypeVar("T")
Work = Callable[[T, Progress, Models], None]
"""Carries out a task and keeps what came of it: a function of a module, since processes are handed it by its name."""


class Executor(Protocol):
    """Carries out tasks, one after the other or several at a time.

    What comes of a task does not depend on where it is done: figures depend on the threads of a worker alone.
    """

    @property
    def workers(self) -> int:
        """How many tasks are in work at a time."""

    @property
    def threads(self) -> int:
        """Of each worker."""

    def run(
        self,
        work: Work[T],
        tasks: Sequence[T],
        folder: Path,
        progress: Progress,
        models: Models,
        finished: Callable[[T], None] = lambda task: None,
    ) -> None:
        """Carry out tasks; each keeps its own result, so that the order does not matter.

        Args:
            work: what is done of each.
            tasks: what can be sent to other processes.
            folder: below which tasks keep their results, and nowhere else.
            progress: is told what the tasks tell, while they run.
            models: of this process.
            finished: is told, in this process, every task that is done and whose result is in the folder.

        Raises:
            TrimtabError: of a task, or a worker was killed and its task was not done elsewhere.
        """


def check_workers(workers: int) -> None:
    """Check the number of workers.

    Raises:
        InputError: it is not a whole number of at least 1.
    """
    if not is_whole(workers) or workers < 1:
        raise InputError(f"workers {workers!r}: give at least 1", code="out-of-range", field="workers")


def threads_each(workers: int) -> int:
    """Threads of each worker: this process's, shared out."""
    return max(1, torch.get_num_threads() // workers)
