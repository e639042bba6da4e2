"""How much a key may ask for, and how much the server does at a time."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from trimtab.errors import InputError
from trimtab.serving.errors import HttpError
from trimtab.serving.settings import Limits


@dataclass
class _Bucket:
    """Requests that a key may still send now."""

    left: float
    at: float


class Admission:
    """Counts requests and answers by key; belongs to one event loop.

    Args:
        limits: see `Limits`.
        clock: seconds that only grow.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}
        self._running: Counter[str] = Counter()

    @property
    def running(self) -> int:
        """Answers being made."""
        return self._running.total()

    def count(self, key: str) -> None:
        """Count a request of a key.

        Raises:
            HttpError: too many in the last minute (429).
        """
        most = self._limits.requests_per_minute
        rate = most / 60.0
        now = self._clock()
        bucket = self._buckets.setdefault(key, _Bucket(most, now))
        bucket.left = min(most, bucket.left + (now - bucket.at) * rate)
        bucket.at = now
        if bucket.left < 1:
            raise HttpError(
                f"more than {most:,} requests a minute with this key; wait",
                status=429,
                word="rate_limit_exceeded",
                retry_after=(1 - bucket.left) / rate,
            )
        bucket.left -= 1

    @contextmanager
    def answers(self, key: str, n: int) -> Iterator[None]:
        """Room for answers, while inside.

        Raises:
            InputError: more of them than ever fit at once.
            HttpError: there is none now (429).
        """
        limits = self._limits
        if n > min(limits.running, limits.running_per_key):
            raise InputError(
                f"{n} answers at once, those to compare with included, are more than this server makes; ask for fewer",
                code="out-of-range",
                field="n",
            )
        for whose, now, most in (
            ("of this key", self._running[key], limits.running_per_key),
            ("of all keys", self.running, limits.running),
        ):
            if now + n > most:
                raise HttpError(
                    f"{now} answers {whose} are being made, and at most {most} are; try again when some are done",
                    status=429,
                    word="too_many_requests",
                    retry_after=1.0,
                )
        self._running[key] += n
        try:
            yield
        finally:
            self._running[key] -= n
