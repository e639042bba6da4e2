"""A worker on a Ray cluster."""

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import torch
import transformers

from trimtab.errors import TrimtabError
from trimtab.experiment.executor.folders import Files, News, seen, unpacked
from trimtab.experiment.executor.work import Models
from trimtab.experiment.telling import Teller, Told
from trimtab.threads import compute_with
from trimtab.version import __version__

_OURS: Final = "trimtab-"


@dataclass(frozen=True)
class Installation:
    """What figures depend on besides the input.

    Args:
        host: name of the machine, for messages.
        versions: by name of package; workers must have the same.
        processor: instructions that torch uses; where they differ, last digits may.
    """

    host: str
    versions: tuple[tuple[str, str], ...]
    processor: str


def installation() -> Installation:
    """That of this process."""
    versions = (
        ("Python", platform.python_version()),
        ("trimtab", __version__),
        ("torch", torch.__version__),
        ("transformers", transformers.__version__),
    )
    return Installation(platform.node(), versions, f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}")


@dataclass(frozen=True)
class Place:
    """Where the process that shares out tasks stands.

    Args:
        current: its current folder.
        folder: of results, absolute.
        mark: name of a file in it.
    """

    current: str
    folder: Path
    mark: str


@dataclass(frozen=True)
class Answer:
    """What came of a task.

    Args:
        files: that the worker wrote where nobody else sees them.
        error: what ended the task.
    """

    files: Files
    error: TrimtabError | None = None


class Worker:
    """Does tasks one after another, with one model at a time.

    Args:
        threads: that compute.
        place: where the process that shares out the tasks stands.
        wait: for an answer of the ear.
    """

    def __init__(self, threads: int, place: Place, wait: Callable[[Any], object]) -> None:
        compute_with(threads)
        self._place, self._wait = place, wait
        self._models = Models()
        self._own: TemporaryDirectory[str] | None = None
        self._news: News | None = None

    def begin(self, sent: bytes, ear: Any) -> Installation:
        """Unpack the tasks.

        Args:
            sent: the work and its tasks, packed.
            ear: hears what the tasks tell.
        """
        if os.path.isdir(self._place.current):
            os.chdir(self._place.current)  # what tasks name by relative paths, such as models
        folder = self._place.folder
        if not seen(folder, self._place.mark):
            self._own = TemporaryDirectory(prefix=_OURS)
            folder = Path(self._own.name)
            self._news = News(folder)
        self._work, self._tasks = unpacked(sent, folder)
        self._ear = ear
        return installation()

    def do(self, task: int, attempt: int) -> Answer:
        """Do a task.

        Args:
            task: its number.
            attempt: what it tells is told as of this one.
        """
        last: list[Any] = [None]

        def tell(told: Told) -> None:
            last[0] = self._ear.tell.remote(attempt, told)

        error = None
        try:
            self._work(self._tasks[task], Teller(tell), self._models)
        except TrimtabError as raised:
            error = raised
        if last[0] is not None:
            self._wait(last[0])  # all of it is heard before the answer
        return Answer(self._news.take() if self._news else {}, error)

    def end(self) -> None:
        """Remove the folder of one's own."""
        if self._own is not None:
            self._own.cleanup()
