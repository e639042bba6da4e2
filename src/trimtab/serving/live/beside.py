"""What is done with a sample of answers beside their way: a queue, a thread, and counts of what became of them.

Whether an answer is in the sample is decided by its request's id. Its text is held in memory until then, and nowhere
else. Nobody waits for it: what cannot be done in time is left out, and counted.
"""

from abc import ABC, abstractmethod
from collections import Counter
from hashlib import sha256
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Any, Final

from trimtab.errors import InputError

QUEUE: Final = 100
"""Answers that may wait; further ones are left out."""
_CLOSING: Final = 5.0  # seconds


def drawn(what: str, request: str, share: float) -> bool:
    """Whether a request is in the sample of a share: the same on every server, and in every larger sample."""
    return int.from_bytes(sha256(f"{what} {request}".encode()).digest()[:8]) < share * 2**64


def check_sample(name: str, share: float, per_minute: float) -> None:
    """Refuse a share or a pace that means nothing.

    Args:
        name: of the work, with which the field's name begins.
        share: of answers.
        per_minute: how many at most.

    Raises:
        InputError: a number out of range.
    """
    if not 0 < share <= 1:
        raise out_of_range(f"{name}_share", share, "a share above 0, 1 at most")
    if not 0 < per_minute <= 6000:
        raise out_of_range(f"{name}_per_minute", per_minute, "from 0 to 6,000, 0 left out")


def out_of_range(field: str, value: float, wanted: str) -> InputError:
    """The error that says what is wanted."""
    return InputError(f"{field} {value!r} must be {wanted}", code="out-of-range", field=field)


class Beside(ABC):
    """Takes answers, one after another, in a thread of its own, which `begin` starts.

    Args:
        name: of the work, such as `judge`.
        log: takes lines about what fails.
    """

    def __init__(self, name: str, log: Any) -> None:
        self.counts: Counter[str] = Counter()  # answers by what became of them
        self._name, self._log = name, log
        self._stop = Event()
        self._queue: Queue[tuple[str, str, str]] = Queue(QUEUE)
        self._fault: str | None = None
        self._thread = Thread(target=self._run, name=f"trimtab-{name}", daemon=True)

    def begin(self) -> None:
        """Start."""
        self._thread.start()

    @abstractmethod
    def takes(self, request: str) -> bool:
        """Whether a request's answer is in the sample."""

    @abstractmethod
    def _take(self, request: str, prompt: str, answer: str) -> None:
        """Do it, count what became of it, and keep the pace by `_wait`."""

    def put(self, request: str, prompt: str, answer: str) -> None:
        """An answer has come to its end; waits for nothing."""
        if not self.takes(request):
            return
        if not answer.strip():
            self.counts["empty"] += 1
            return
        try:
            self._queue.put_nowait((request, prompt, answer))
        except Full:
            self.counts["queue full"] += 1

    @property
    def waiting(self) -> int:
        """Answers that wait."""
        return self._queue.qsize()

    def close(self) -> None:
        """Stop; what waits is left."""
        self._stop.set()
        self._thread.join(_CLOSING)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                one = self._queue.get(timeout=0.2)
            except Empty:
                continue
            try:
                self._take(*one)
            except Exception as error:  # of any kind, whose words may repeat the text: the next answer may do
                self._failed("failed", type(error).__name__)

    def _wait(self, seconds: float) -> None:
        """So long, or until the end."""
        self._stop.wait(seconds)

    def _failed(self, what: str, why: str) -> None:
        """Count a failure, and log it where it is another than the last one."""
        self.counts[what] += 1
        if self._fault != why and not self._stop.is_set():
            self._log.error(f"{self._name}_failed", outcome=what, reason=why)
        self._fault = why

    def _worked(self) -> None:
        """The next failure is logged, even if it is like the last one."""
        self._fault = None
