"""Exposures on their way to the store: put into a queue at once, written in batches by a thread."""

from collections import deque
from itertools import islice
from math import inf
from threading import Condition, Thread
from time import monotonic
from typing import Any, Final

from trimtab.errors import TrimtabError
from trimtab.operations.exposures.exposure import Exposure
from trimtab.operations.exposures.log import ExposureLog

SECONDS: Final = 0.1  # that an exposure waits at most: a kill loses little, and small batches hold up no answer
BATCH: Final = 1000
WAITING: Final = 100_000  # exposures in memory while the store is lost
_RETRY: Final = 1.0  # seconds
_LAST_RETRY: Final = 0.1  # seconds, while it closes


class ExposureWriter:
    """Takes exposures without waiting, and writes them within a second.

    A clean stop (`close`) loses none. A kill loses at most what came within the last second. While the store cannot be
    written, exposures wait in memory, up to a number; beyond that the newest are left out, and counted.

    Args:
        log: where they go.
        seconds: that one waits at most.
        waiting: how many may wait.

    Example:
        >>> from trimtab.operations import Exposure, ExposureLog, ExposureWriter, Store
        >>> with Store("written.db", create=True) as store:
        ...     log = ExposureLog(store)
        ...     with ExposureWriter(log) as writer:
        ...         writer.put(Exposure("request-1", 0.0, "smollm2", "treatment", release="first", version=2))
        ...     log.counts()[0].requests
        1
    """

    def __init__(self, log: ExposureLog, *, seconds: float = SECONDS, waiting: int = WAITING) -> None:
        self._log, self._seconds, self._most = log, seconds, waiting
        self._queue: deque[Exposure] = deque()
        self._changed = Condition()
        self._closing = False
        self._deadline = inf
        self._written = self._left_out = 0
        self._fault: str | None = None
        self._thread = Thread(target=self._write, name="trimtab-exposures", daemon=True)
        self._thread.start()

    def put(self, exposure: Exposure) -> None:
        """Take an exposure; never waits for the store."""
        with self._changed:
            if len(self._queue) >= self._most or self._closing:
                self._left_out += 1
                return
            self._queue.append(exposure)
            if len(self._queue) in (1, BATCH):
                self._changed.notify()

    def close(self, seconds: float = 10.0) -> int:
        """Write what waits, for so long at most, and stop.

        Returns:
            How many exposures could not be written.
        """
        with self._changed:
            self._closing, self._deadline = True, monotonic() + seconds
            self._changed.notify()
        self._thread.join(seconds)
        with self._changed:
            return len(self._queue) + self._left_out

    @property
    def record(self) -> dict[str, Any]:
        """For metrics and `/ready`: written, waiting and left out, and why the store cannot be written, if so."""
        with self._changed:
            return {
                "written": self._written,
                "waiting": len(self._queue),
                "left_out": self._left_out,
                "fault": self._fault,
            }

    def __enter__(self) -> "ExposureWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closing)
                due = monotonic() + self._seconds
                while not self._closing and len(self._queue) < BATCH and (left := due - monotonic()) > 0:
                    self._changed.wait(left)
                batch = list(islice(self._queue, BATCH))
            if not batch:
                return
            if not self._kept(batch):
                if monotonic() > self._deadline:
                    return
                continue
            with self._changed:
                for _ in batch:  # only now: until they are kept, they wait
                    self._queue.popleft()

    def _kept(self, batch: list[Exposure]) -> bool:
        try:
            self._log.write(batch)
        except TrimtabError as error:
            self._fault = str(error)
            with self._changed:
                self._changed.wait(_LAST_RETRY if self._closing else _RETRY)
            return False
        except Exception as error:  # a fault of ours must not stop the records of all that comes after
            self._fault = f"{type(error).__name__}: {error}"
            with self._changed:
                self._left_out += len(batch)
            return True
        self._fault = None
        self._written += len(batch)
        return True
