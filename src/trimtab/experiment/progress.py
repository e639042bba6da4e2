"""Reporting the progress of long work."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import RenderableType


class Progress(Protocol):
    """Receives the amount of work, in tokens or requests, and every finished piece of it."""

    def begin(self, amount: int, seconds: float, unit: str = "tokens to compute") -> None:
        """A piece of work begins, about so large; `seconds` is a first estimate from a timed part of it."""
        ...

    def advance(self, stage: str, amount: int) -> None:
        """A stage took so many tokens or requests further."""
        ...

    def say(self, line: str) -> None:
        """A message before the work is done, such as what it looks like so far."""
        ...

    def of(self, name: str) -> "Progress":
        """The progress of one of several pieces of work, which may be in work at the same time."""
        ...

    def end(self) -> None:
        """The work is done, be it more or less than was expected."""
        ...


class Silent:
    """Reports nothing."""

    def say(self, line: str) -> None:
        """Nothing."""

    def begin(self, amount: int, seconds: float, unit: str = "tokens to compute") -> None:
        """Nothing."""

    def advance(self, stage: str, amount: int) -> None:
        """Nothing."""

    def of(self, name: str) -> Progress:
        """The same."""
        return self

    def end(self) -> None:
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

    def of(self, name: str) -> Progress:
        """Handed on, and not added up."""
        return self._to.of(name)

    def end(self) -> None:
        """Handed on."""
        self._to.end()


class OnTerminal:
    """A bar on standard error with the estimate first, and above it what was said; without a terminal the lines alone.

    Args:
        title: what is in work.
        pieces: how many pieces of work will be told of by `of`; where several are in work, each has a line above the
            bar with its stage and what it said last.
    """

    def __init__(self, title: str, pieces: int = 1) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        shown = self

        class WithLines(Bar):
            def get_renderables(self) -> "Iterator[RenderableType]":
                yield from shown.lines()
                yield from super().get_renderables()

        self.title, self.n_pieces = title, pieces
        self.console = Console(stderr=True)
        self.pieces: dict[str, _Piece] = {}
        self.bar = WithLines(
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
        self.say(expected(amount, seconds, unit))
        self.bar.reset(self.task, total=amount)

    def say(self, line: str) -> None:
        """A line above the bar."""
        self.console.print(f"{self.title}: {line}", highlight=False, markup=False)

    def advance(self, stage: str, amount: int) -> None:
        """Move the bar."""
        self.bar.update(self.task, description=f"{self.title}: {stage}", advance=amount)

    def of(self, name: str) -> Progress:
        """One piece of the work; the bar shows all of them together."""
        return self.pieces.setdefault(name, _Piece(self, name))

    def end(self) -> None:
        """Fill the bar."""
        self.bar.update(self.task, total=self.bar.tasks[0].completed)

    def lines(self) -> "Iterator[RenderableType]":
        """Where several pieces are in work: each one's stage, and what it said last."""
        from rich.text import Text

        in_work = [piece for piece in self.pieces.values() if not piece.ended]
        if len(in_work) > 1:
            width = max(len(piece.name) for piece in in_work)
            for piece in in_work:
                yield Text(f"{piece.name:<{width}}  {piece.now}", no_wrap=True, overflow="ellipsis")

    def moved(self) -> None:
        """Put the bar where all pieces together are; those that have not begun are taken to be like the others."""
        pieces = self.pieces.values()
        begun = [piece.total for piece in pieces if piece.total]
        in_work = [piece for piece in pieces if not piece.ended]
        ahead = self.n_pieces - sum(piece.ended or piece.total > 0 for piece in pieces)
        total = sum(begun) * (1 + ahead / len(begun)) if begun else None
        alone = f"{in_work[0].name}: {in_work[0].stage}" if len(in_work) == 1 else self.title
        self.bar.update(
            self.task,
            description=f"{alone} ({len(pieces) - len(in_work)} of {self.n_pieces} done)",
            total=total,
            completed=sum(piece.done for piece in pieces),
        )

    @contextmanager
    def paused(self) -> Iterator[None]:
        """No bar while inside, for what goes to standard output."""
        if not self.console.is_terminal:  # where there is none
            yield
            return
        self.bar.stop()
        yield
        self.bar.start()

    @staticmethod
    @contextmanager
    def shown(title: str, pieces: int = 1) -> Iterator["OnTerminal"]:
        """The bar, while inside."""
        progress = OnTerminal(title, pieces)
        with progress.bar:
            yield progress


class _Piece:
    """One of several pieces of work on a terminal."""

    def __init__(self, whole: OnTerminal, name: str) -> None:
        self.whole, self.name = whole, name
        self.total = self.done = 0
        self.stage, self.said, self.ended = "", "", False

    @property
    def now(self) -> str:
        """Its stage, and what it said last."""
        return self.said if self.said.startswith(self.stage) else f"{self.stage} · {self.said}".removesuffix(" · ")

    def begin(self, amount: int, seconds: float, unit: str = "tokens to compute") -> None:
        self.say(expected(amount, seconds, unit))
        self.total = self.done + amount
        self.whole.moved()

    def say(self, line: str) -> None:
        self.said = line
        self.whole.console.print(f"{self.name}: {line}", highlight=False, markup=False)

    def advance(self, stage: str, amount: int) -> None:
        self.stage, self.done = stage, self.done + amount
        self.whole.moved()

    def of(self, name: str) -> Progress:
        return self.whole.of(f"{self.name}, {name}")

    def end(self) -> None:
        self.total, self.ended = self.done, True
        self.whole.moved()


def expected(amount: int, seconds: float, unit: str) -> str:
    """How large work is and how long it may take, in words."""
    time = f"{seconds / 60:.1f} minutes" if seconds > 90 else f"{seconds:.0f} seconds"
    return f"about {amount:,} {unit}, roughly {time}"
