"""Reporting the progress of long work."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """Receives the amount of work, in tokens or requests, and every finished piece of it."""

    def begin(self, amount: int, seconds: float, unit: str = "tokens to compute") -> None:
        """A piece of work begins, about so large; `seconds` is a first estimate from a timed part of it."""
        ...

    def advance(self, stage: str, amount: int) -> None:
        """A stage took so many tokens or requests further."""
        ...

    def say(self, line: str) -> None:
        """A message before the work is done."""
        ...


class Silent:
    """Reports nothing."""

    def say(self, line: str) -> None:
        """Nothing."""

    def begin(self, amount: int, seconds: float, unit: str = "tokens to compute") -> None:
        """Nothing."""

    def advance(self, stage: str, amount: int) -> None:
        """Nothing."""


class Tally:
    """Hands everything on, and adds up what was done.

    Args:
        to: that is told.
    """

    def __init__(self, to: Progress) -> None:
        self._to = to
        self.amount = 0

    def say(self, line: str) -> None:
        """Handed on."""
        self._to.say(line)

    def begin(self, amount: int, seconds: float, unit: str = "tokens to compute") -> None:
        """Handed on."""
        self._to.begin(amount, seconds, unit)

    def advance(self, stage: str, amount: int) -> None:
        """Added up, and handed on."""
        self.amount += amount
        self._to.advance(stage, amount)


class OnTerminal:
    """A bar on standard error, with the estimate first."""

    def __init__(self, title: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self.title = title
        self.console = Console(stderr=True)
        self.bar = Bar(
            TextColumn("{task.description:<34}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        )
        self.task = self.bar.add_task(title, total=None)

    def begin(self, amount: int, seconds: float, unit: str = "tokens to compute") -> None:
        """Print how long it may take."""
        time = f"{seconds / 60:.1f} minutes" if seconds > 90 else f"{seconds:.0f} seconds"
        line = f"{self.title}: about {amount:,} {unit}, roughly {time}"
        self.console.print(line, highlight=False, markup=False)
        self.bar.reset(self.task, total=amount)

    def say(self, line: str) -> None:
        """A line above the bar."""
        self.console.print(f"{self.title}: {line}", highlight=False, markup=False)

    def advance(self, stage: str, amount: int) -> None:
        """Move the bar."""
        self.bar.update(self.task, description=f"{self.title}: {stage}", advance=amount)

    @staticmethod
    @contextmanager
    def shown(title: str) -> Iterator["OnTerminal"]:
        """The bar, while inside."""
        progress = OnTerminal(title)
        with progress.bar:
            yield progress
