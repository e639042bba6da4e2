"""Tasks on models, one after the other in this process or shared out among several."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import active_children, get_context, parent_process
from threading import Thread
from typing import TypeVar

import torch

from trimtab.errors import InputError, TrimtabError
from trimtab.experiment.numbers import is_whole
from trimtab.experiment.progress import Progress, Silent
from trimtab.models import Model, load


@dataclass(frozen=True)
class ModelSource:
    """A model to work on, as `trimtab.load` takes it.

    Args:
        source: `smollm2`, a Hugging Face id, a folder, or a `.gguf` file.
        label: its name in tables.
        revision, adapter, dtype, device: see `trimtab.load`.

    Example:
        >>> from trimtab.workflows.study import ModelSource
        >>> ModelSource("smollm2", "smollm2", dtype="bfloat16").dtype
        'bfloat16'
    """

    source: str
    label: str
    revision: str | None = None
    adapter: str | None = None
    dtype: str = "auto"
    device: str | None = None


class Models:
    """The model that a process works on: loaded once for all its tasks in a row, and gone with this object."""

    def __init__(self) -> None:
        self._held: tuple[ModelSource, Model] | None = None

    def __call__(self, source: ModelSource) -> Model:
        """The model of a source; the one before is let go first."""
        if self._held is None or self._held[0] != source:
            self._held = None
            options = {name: getattr(source, name) for name in ("revision", "adapter", "dtype", "device")}
            self._held = source, load(source.source, **options)
        return self._held[1]


T = TypeVar("T")
Work = Callable[[T, Progress, Models], None]
"""Carries out a task and keeps what came of it: a function of a module, since processes are handed it by its name."""


def check_workers(workers: int) -> None:
    """Check the number of processes.

    Raises:
        InputError: it is not a whole number of at least 1.
    """
    if not is_whole(workers) or workers < 1:
        raise InputError(f"workers {workers!r}: give at least 1", code="out-of-range", field="workers")


def threads(workers: int) -> int:
    """Threads of each process."""
    return torch.get_num_threads() if workers == 1 else max(1, (os.cpu_count() or 1) // workers)


def run_all(work: Work[T], tasks: Sequence[T], workers: int, progress: Progress, models: Models) -> None:
    """Carry out tasks; each keeps its own result, so that the order does not matter.

    Args:
        work: what is done of each.
        tasks: what can be sent to other processes.
        workers: processes; 1 for this one.
        progress: is told what the tasks tell.
        models: of this process.

    Raises:
        TrimtabError: a process was killed.
    """
    if workers == 1:
        for task in tasks:
            work(task, progress, models)
        return
    others = active_children()
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _begin, (threads(workers),))
    try:
        for done in as_completed([pool.submit(_done, work, task) for task in tasks]):
            for stage, amount in done.result().items():
                progress.advance(stage, amount)
    except BrokenProcessPool as error:
        raise TrimtabError(
            "a worker process has ended, killed or out of memory; the same command goes on where it stopped"
        ) from error
    except BaseException:
        for process in active_children():
            if process not in others:
                process.terminate()  # nobody waits for what it is at
        raise
    finally:
        pool.shutdown(cancel_futures=True)


_of_worker = Models()  # used in worker processes alone, which end with the work


def _begin(n_threads: int) -> None:
    torch.set_num_threads(n_threads)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed works for nobody."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


class _Counted(Silent):
    """Adds up what was told, by stage."""

    def __init__(self) -> None:
        self.told: dict[str, int] = {}

    def advance(self, stage: str, amount: int) -> None:
        self.told[stage] = self.told.get(stage, 0) + amount


def _done(work: Work[T], task: T) -> dict[str, int]:
    counted = _Counted()
    work(task, counted, _of_worker)
    return counted.told
