"""Ids of requests: random, and they say when the request came, so that it is known which may still be unrecorded."""

import re
import secrets
import time
from typing import Final

_FORM: Final = re.compile(r"req_([0-9a-f]{12})[0-9a-f]{20}")


def new_request_id() -> str:
    """`req_` and 32 hexadecimal digits: milliseconds since 1970 in 12, 80 random bits in 20."""
    return f"req_{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


def age_of(request_id: str) -> float | None:
    """Seconds since a request came, by its id; below 0 where another machine's clock is ahead; None if it is no id."""
    found = _FORM.fullmatch(request_id)
    return None if found is None else time.time() - int(found[1], 16) / 1000
