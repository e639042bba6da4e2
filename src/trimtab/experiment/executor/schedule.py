"""Which task is done next and where: workers that vanish cost their tasks one more try, slow ones get a competitor."""

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from statistics import median
from typing import Final, Generic, TypeVar

TRIES: Final = 6  # of one task; more workers than that do not vanish by chance
_SLOW: Final = 2.0  # times as long as most tasks took: a straggler
_BRIEF: Final = 10.0  # seconds within which nothing is a straggler
_ENOUGH: Final = 3  # finished tasks that say how long one takes

W = TypeVar("W", bound=Hashable)


@dataclass(frozen=True)
class Attempt:
    """A task that a worker is at.

    Args:
        task: its number.
        since: when it began, in seconds by any clock.
    """

    task: int
    since: float


class Schedule(Generic[W]):
    """Tasks by number, and the workers that are at them.

    Args:
        n: tasks.
    """

    def __init__(self, n: int) -> None:
        self._left = n
        self._waiting = deque(range(n))
        self._tries = [0] * n
        self._finished: set[int] = set()
        self._seconds: list[float] = []
        self._at: dict[W, Attempt] = {}

    @property
    def over(self) -> bool:
        """Whether all tasks are finished."""
        return self._left == 0

    def next(self, worker: W, now: float) -> int | None:
        """A task for a worker that has none: the next one that waits, else a copy of the slowest straggler."""
        task = self._waiting.popleft() if self._waiting else self._straggler(now)
        if task is not None:
            self._tries[task] += 1
            self._at[worker] = Attempt(task, now)
        return task

    def done(self, worker: W, now: float) -> int | None:
        """A worker has done its task: which one, or None if another was faster."""
        attempt = self._at.pop(worker)
        if attempt.task in self._finished:
            return None
        self._finished.add(attempt.task)
        self._seconds.append(now - attempt.since)
        self._left -= 1
        return attempt.task

    def lost(self, worker: W) -> int | None:
        """A worker has vanished: its task is first in line again, unless another worker is at it.

        Returns:
            The task that was tried too often to be tried again; None where there is none.
        """
        attempt = self._at.pop(worker, None)
        if attempt is None or self._cared_for(attempt.task):
            return None
        if self._tries[attempt.task] >= TRIES:
            return attempt.task
        self._waiting.appendleft(attempt.task)
        return None

    def failed(self, worker: W) -> bool:
        """A worker could not do its task: whether that is the last word, since nobody else is at it or has done it."""
        return not self._cared_for(self._at.pop(worker).task)

    def _cared_for(self, task: int) -> bool:
        """Whether a task is finished, or a worker is at it."""
        return task in self._finished or any(attempt.task == task for attempt in self._at.values())

    def _straggler(self, now: float) -> int | None:
        """The task that one worker has been at for far longer than tasks took, if there is one."""
        if len(self._seconds) < _ENOUGH:
            return None
        alone = [a for a in self._at.values() if sum(b.task == a.task for b in self._at.values()) == 1]
        slow = [a for a in alone if now - a.since > max(_BRIEF, _SLOW * median(self._seconds))]
        open_ = [a for a in slow if a.task not in self._finished and self._tries[a.task] < TRIES]
        return min(open_, key=lambda a: a.since).task if open_ else None
