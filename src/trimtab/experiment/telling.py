"""What a worker tells of its progress, on its way to the process that shows it; without torch."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from trimtab.experiment.progress import Progress

Told = tuple[str | None, str, tuple[Any, ...]]
"""Name of the piece of work, a method of `Progress`, and its arguments."""


@dataclass(frozen=True)
class Teller:
    """The progress of a worker: sends what it is told.

    Args:
        send: takes it to the process that shows it.
        name: of the piece of work.
    """

    send: Callable[[Told], None]
    name: str | None = None

    def begin(self, amount: int, seconds: float, unit: str = "tokens to compute") -> None:
        self.send((self.name, "begin", (amount, seconds, unit)))

    def advance(self, stage: str, amount: int) -> None:
        self.send((self.name, "advance", (stage, amount)))

    def say(self, line: str) -> None:
        self.send((self.name, "say", (line,)))

    def end(self) -> None:
        self.send((self.name, "end", ()))

    def of(self, name: str) -> Progress:
        return replace(self, name=name)


def pass_on(progress: Progress, told: Told) -> None:
    """Tell a progress of this process what a worker told its own."""
    name, method, arguments = told
    getattr(progress if name is None else progress.of(name), method)(*arguments)


class Ear:
    """Hears what workers tell, until it is taken."""

    def __init__(self) -> None:
        self._heard: list[tuple[int, Told]] = []

    def tell(self, attempt: int, told: Told) -> None:
        """Hear it.

        Args:
            attempt: during which it was told.
            told: by the worker.
        """
        self._heard.append((attempt, told))

    def take(self) -> list[tuple[int, Told]]:
        """What was heard since the last time, in its order."""
        heard, self._heard = self._heard, []
        return heard
