"""Tasks on models, one after the other in this process or shared out among several."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Lock
from pathlib import Path
from threading import Thread, current_thread, main_thread
from typing import Final

from trimtab.errors import TrimtabError
from trimtab.experiment.executor.work import Models, T, Work, check_workers, threads_each
from trimtab.experiment.progress import Progress, Silent
from trimtab.experiment.telling import Teller, Told, pass_on
from trimtab.threads import compute_with, sleep_while_waiting

_OFTEN: Final = 0.1  # seconds between two looks at what other processes tell


@dataclass(frozen=True)
class Processes:
    """This process, or several of this machine.

    Args:
        workers: processes; 1 for this one.

    Raises:
        InputError: less than one.
    """

    workers: int = 1

    def __post_init__(self) -> None:
        check_workers(self.workers)

    @property
    def threads(self) -> int:
        """Of each process."""
        return threads_each(self.workers)

    def run(
        self,
        work: Work[T],
        tasks: Sequence[T],
        folder: Path,
        progress: Progress,
        models: Models,
        finished: Callable[[T], None] = lambda task: None,
    ) -> None:
        """See `Executor`.

        Raises:
            TrimtabError: of a task; a process was killed.
        """
        if self.workers == 1:
            for task in tasks:
                work(task, progress, models)
                finished(task)
            return
        others, context = active_children(), get_context("spawn")
        sleep_while_waiting()  # in the processes that begin here; this one's torch has been imported
        told, teller = context.Pipe(duplex=False)
        pool = ProcessPoolExecutor(self.workers, context, _begin, (self.threads, teller, context.Lock()))
        try:
            with _not_interrupted():
                running = {pool.submit(_done, work, task): task for task in tasks}
            while running:
                done, _ = wait(running, _OFTEN, FIRST_COMPLETED)
                while told.poll():
                    pass_on(progress, told.recv())
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


@dataclass(frozen=True)
class _Pipe:
    """Sends what a worker tells.

    Args:
        pipe: which all workers write to.
        lock: of the pipe.
    """

    pipe: Connection
    lock: Lock

    def __call__(self, told: Told) -> None:
        with self.lock:
            self.pipe.send(told)


class _Worker:
    """What a worker process has from beginning to end; unused in others."""

    models = Models()
    progress: Progress = Silent()


def _begin(n_threads: int, pipe: Connection, lock: Lock) -> None:
    compute_with(n_threads)
    _Worker.progress = Teller(_Pipe(pipe, lock))
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed works for nobody."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _done(work: Work[T], task: T) -> None:
    work(task, _Worker.progress, _Worker.models)
