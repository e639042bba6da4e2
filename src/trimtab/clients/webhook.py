"""Telling another server of an event: signed, tried again, and never in the way of who tells it.

The signature is HMAC-SHA256, in hexadecimal, over the time, a full stop and the body, keyed with a secret that both
sides know. Who receives it computes the same, compares in constant time, and refuses times that are minutes off.
"""

import hashlib
import hmac
import json
import os
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from queue import Full, Queue
from threading import Event, Thread
from time import time
from typing import Any, Final

import httpx2

from trimtab.errors import InputError

SECRET: Final = "TRIMTAB_WEBHOOK_SECRET"  # noqa: S105 - the variable's name
SECRET_FILE: Final = "TRIMTAB_WEBHOOK_SECRET_FILE"  # noqa: S105
SHORTEST: Final = 16  # characters of a secret
_WAITING: Final = 100  # events at most
_RETRIED: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_LONGEST: Final = 60.0  # seconds between two attempts
_CLOSING: Final = 5.0  # seconds to wait at the end for what is under way


def signature(secret: str, at: str, body: bytes) -> str:
    """What the header `x-trimtab-signature` says after `sha256=`.

    Args:
        secret: of both sides.
        at: the header `x-trimtab-timestamp`, seconds since 1970.
        body: as it was sent.
    """
    return hmac.new(secret.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()


def secret_from(environment: Mapping[str, str] = os.environ) -> str:
    """The secret: of `TRIMTAB_WEBHOOK_SECRET_FILE`'s file, else of `TRIMTAB_WEBHOOK_SECRET`.

    Raises:
        InputError: there is none, it is short, or its file cannot be read.
    """
    file = environment.get(SECRET_FILE)
    if file:
        try:
            secret = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise InputError(f"{SECRET_FILE}: {file}: {why}", code="unreadable-file", field="webhook") from None
    else:
        secret = environment.get(SECRET, "")
    if len(secret) < SHORTEST:
        raise InputError(
            f"a webhook is signed: put a secret of at least {SHORTEST} characters into a file that {SECRET_FILE} "
            f"names, or into {SECRET}",
            code="missing-value",
            field="webhook",
        )
    return secret


class Webhook:
    """Another server that is told of events.

    Events wait in a queue for a thread of its own; where too many wait, or no attempt succeeds, an event is given up
    and said so. The id of an event stays the same in all attempts, so that it can be told from another.

    Args:
        url: that is posted to.
        secret: for the signature.
        failed: is told of an event that was given up, and why.
        attempts: how often an event is sent.
        first_wait: seconds after the first attempt, doubled after each further one.
        timeout: seconds for the other server to answer.

    Raises:
        InputError: the URL is none.
    """

    def __init__(
        self,
        url: str,
        secret: str,
        failed: Callable[[str, str], None] = lambda event, why: None,
        *,
        attempts: int = 8,
        first_wait: float = 1.0,
        timeout: float = 10.0,
    ) -> None:
        self._url = _checked(url)
        self._secret, self._failed, self._attempts, self._first_wait = secret, failed, attempts, first_wait
        self._queue: Queue[tuple[str, bytes] | None] = Queue(_WAITING)
        self._stop = Event()
        self._client = httpx2.Client(timeout=timeout)
        self._thread = Thread(target=self._run, name="trimtab-webhook", daemon=True)
        self._thread.start()

    def send(self, id: str, event: Mapping[str, Any]) -> None:
        """Tell of an event; waits for nothing.

        Args:
            id: of the event.
            event: sent as JSON.
        """
        try:
            self._queue.put_nowait((id, json.dumps(event, sort_keys=True, default=dict).encode()))
        except Full:
            self._failed(id, f"{_WAITING} events wait already")

    def close(self) -> None:
        """Send once more what waits, and stop; waits a few seconds at most."""
        self._stop.set()
        with suppress(Full):
            self._queue.put_nowait(None)
        self._thread.join(_CLOSING)
        self._client.close()

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            fault = self._delivered(*item)
            if fault is not None:
                self._failed(item[0], fault)
            if self._stop.is_set() and self._queue.empty():
                return

    def _delivered(self, id: str, body: bytes) -> str | None:
        """Why it could not be delivered; None where it was."""
        why = ""
        for attempt in range(self._attempts):
            why, again = self._attempt(id, body)
            if not why or not again or self._stop.is_set():
                break
            spread = 0.5 + random.random() / 2  # noqa: S311 - so that many senders do not come at once
            self._stop.wait(min(_LONGEST, spread * self._first_wait * 2**attempt))
        return why or None

    def _attempt(self, id: str, body: bytes) -> tuple[str, bool]:
        """What went wrong, nothing if all is well, and whether another attempt may help."""
        at = str(int(time()))
        headers = {
            "content-type": "application/json",
            "x-trimtab-event": id,
            "x-trimtab-timestamp": at,
            "x-trimtab-signature": f"sha256={signature(self._secret, at, body)}",
        }
        try:
            status = self._client.post(self._url, content=body, headers=headers).status_code
        except httpx2.HTTPError as error:
            return f"{type(error).__name__}: {error}", True
        return ("" if 200 <= status < 300 else f"HTTP {status}"), status in _RETRIED


def _checked(url: str) -> str:
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, TypeError):
        parsed = httpx2.URL("")
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.userinfo:
        raise InputError(
            f"webhook {url!r}: give a URL such as https://host/path, without a user in it",
            code="invalid-endpoint",
            field="webhook",
        )
    return url
