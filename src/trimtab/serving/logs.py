"""One line of JSON for each request: who, what, how long; what was written and answered only if asked to."""

from typing import Any, TextIO

import structlog


def logger(out: TextIO) -> Any:
    """A logger of JSON lines.

    Args:
        out: where they go.
    """
    return structlog.wrap_logger(
        structlog.PrintLogger(out),
        processors=[
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.EventRenamer("event"),
            structlog.processors.JSONRenderer(),
        ],
    )
