"""Tasks on models, one after the other in this process or shared out among several."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Lock
from threading import Thread, current_thread, main_thread
from typing import Any, Final, TypeVar

import torch

from trimtab.errors import InputError, TrimtabError
from trimtab.experiment.numbers import is_whole
from trimtab.experiment.progress import Progress, Silent
from trimtab.models import Model, load
from trimtab.threads import sleep_while_waiting

_OFTEN: Final = 0.1  # seconds between two looks at what other processes tell


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
    """Threads of each process: this one's, shared out."""
    return max(1, torch.get_num_threads() // workers)


def run_all(
    work: Work[T],
    tasks: Sequence[T],
    workers: int,
    progress: Progress,
    models: Models,
    finished: Callable[[T], None] = lambda task: None,
) -> None:
    """Carry out tasks; each keeps its own result, so that the order does not matter.

    Args:
        work: what is done of each.
        tasks: what can be sent to other processes.
        workers: processes; 1 for this one.
        progress: is told what the tasks tell, while they run.
        models: of this process.
        finished: is told, in this process, every task that is done.

    Raises:
        TrimtabError: a process was killed.
    """
    if workers == 1:
        for task in tasks:
            work(task, progress, models)
            finished(task)
        return
    others, context = active_children(), get_context("spawn")
    sleep_while_waiting()  # in the processes that begin here; this one's torch has been imported
    told, teller = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, context, _begin, (threads(workers), teller, context.Lock()))
    try:
        with _not_interrupted():
            running = {pool.submit(_done, work, task): task for task in tasks}
        while running:
            done, _ = wait(running, _OFTEN, FIRST_COMPLETED)
            while told.poll():
                _pass_on(progress, *told.recv())
            for future in done:
                task = running.pop(future)
                future.result()
                finished(task)
    except BrokenProcessPool as error:
        raise TrimtabError(
            "a worker process has ended, killed or out of memory; the same command goes on where it stopped",
            field="workers",
        ) from error
    except BaseException:
        for process in active_children():
            if process not in others:
                process.terminate()  # nobody waits for what it is at
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        told.close()
        teller.close()


@contextmanager
def _not_interrupted() -> Iterator[None]:
    """Processes that begin inside never hear of Ctrl-C, not even while they begin: this one ends them."""
    if current_thread() is not main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _pass_on(progress: Progress, name: str | None, method: str, arguments: tuple[Any, ...]) -> None:
    """Tell a progress of this process what another process told its own."""
    getattr(progress if name is None else progress.of(name), method)(*arguments)


@dataclass(frozen=True)
class _Teller:
    """The progress of a worker: sends what it is told to the process that shows it.

    Args:
        pipe: which all workers write to.
        lock: of the pipe.
        name: of the piece of work.
    """

    pipe: Connection
    lock: Lock
    name: str | None = None

    def begin(self, amount: int, seconds: float, unit: str = "tokens to compute") -> None:
        self._tell("begin", amount, seconds, unit)

    def advance(self, stage: str, amount: int) -> None:
        self._tell("advance", stage, amount)

    def say(self, line: str) -> None:
        self._tell("say", line)

    def end(self) -> None:
        self._tell("end")

    def of(self, name: str) -> Progress:
        return replace(self, name=name)

    def _tell(self, method: str, *arguments: object) -> None:
        with self.lock:
            self.pipe.send((self.name, method, arguments))


class _Worker:
    """What a worker process has from beginning to end; unused in others."""

    models = Models()
    progress: Progress = Silent()


def _begin(n_threads: int, pipe: Connection, lock: Lock) -> None:
    torch.set_num_threads(n_threads)
    _Worker.progress = _Teller(pipe, lock)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed works for nobody."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _done(work: Work[T], task: T) -> None:
    work(task, _Worker.progress, _Worker.models)
