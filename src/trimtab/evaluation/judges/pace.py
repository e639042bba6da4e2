"""When requests to a judge are sent: evenly spread, not while its server wishes to be left alone, and paid for."""

import threading
import time
from collections.abc import Callable
from typing import Final

from trimtab.clients.replies import Usage
from trimtab.evaluation.judges.costs import Purse, Spent, spent_by

_STEP: Final = 0.25  # seconds, in which a pause notices that it is over


class Stopped(Exception):  # noqa: N818 - no error: somebody ended the asking
    """No more requests are to be sent."""


class Pace:
    """Requests evenly spread, and none while the server wishes to be left alone, or after `stop`.

    Args:
        per_minute: at most; None for no limit.
        pause: called with the seconds to wait.
    """

    def __init__(self, per_minute: float | None, pause: Callable[[float], object]) -> None:
        self._gap = 60.0 / per_minute if per_minute else 0.0
        self._pause = pause
        self._next = 0.0
        self._lock = threading.Lock()
        self.stopped = False

    def stop(self) -> None:
        """Let nobody wait any longer, and nothing more be sent."""
        self.stopped = True

    def rest(self, seconds: float) -> None:
        """Wait so long, or until `stop`."""
        while seconds > 0 and not self.stopped:
            self._pause(min(seconds, _STEP))
            seconds -= _STEP

    def wait(self) -> None:
        """Until the next request may be sent."""
        with self._lock:
            now = time.monotonic()
            slot = max(now, self._next)
            self._next = slot + self._gap
        self.rest(slot - now)

    def hold(self, seconds: float) -> None:
        """Send nothing for so long, from any thread."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)


class PursedMeter:
    """Pays for the requests for one answer, and keeps their pace; see `trimtab.clients.chat.Meter`.

    Args:
        purse: that pays.
        pace: of all requests.
        most: that one request may take.
    """

    def __init__(self, purse: Purse, pace: Pace, most: Spent) -> None:
        self._purse, self._pace, self._most = purse, pace, most
        self._open = False
        self.spent = Spent()

    def sending(self) -> None:
        """Wait for the pace and for room in the budget.

        Raises:
            Stopped: nothing more is to be sent.
            BudgetReached: the budget has no room.
        """
        self._pace.wait()
        self._purse.reserve(self._most)
        if self._pace.stopped:
            self._purse.pay(self._most, Spent())
            raise Stopped
        self._open = True

    def rest(self, seconds: float) -> None:
        """Wait before the next attempt."""
        self._pace.rest(seconds)

    def heard(self, status: int | None, usage: Usage | None, wait: float | None) -> None:
        """Pay, and let everybody wait where the server wishes it."""
        if status != 200 and wait is not None:
            self._pace.hold(wait)
        self._pay(spent_by(status, usage, self._most))

    def close(self) -> None:
        """Pay for a request of which nothing was heard."""
        if self._open:
            self._pay(self._most)

    def _pay(self, spent: Spent) -> None:
        self._open = False
        self.spent = self.spent.plus(spent)
        self._purse.pay(self._most, spent)
