"""Outcomes that every answer has, read from its exposure."""

from collections import Counter
from collections.abc import Mapping
from itertools import chain
from typing import Any, Final

from pydantic_core import from_json
from sqlalchemy import Connection, select

from trimtab.operations.metrics.metric import Metric
from trimtab.operations.outcomes.rows import Change, Window
from trimtab.operations.store.tables import EXPOSURES

_WHOLE: Final = ("stop", "length")  # how an answer ends that came to its end
_FIELDS: Final = {
    "length": "answer_tokens",
    "latency": "seconds",
    "first_token_latency": "first_token_seconds",
    "repetition": "repetition",
    "refusal": "refusal",
    "degenerate": "degenerate",
}
_FETCHED: Final = 5000  # rows at once
_MISSING: Final = "without this outcome"


def answered(connection: Connection, metric: Metric, window: Window, left_out: Counter[str]) -> list[Change]:
    """The values of the exposures that were not read before.

    Args:
        connection: to the store.
        metric: with an `outcome`.
        window: which exposures.
        left_out: counts those that have no value, such as the length of an answer that failed.
    """
    e = EXPOSURES.c
    columns = (e.request, e.unit, e.arm, e.content, e.version, e.number, e.time)
    new = window.number > window.since.exposures
    rows = connection.execute(select(*columns).where(window.counts, new).order_by(window.number))
    changes = []
    for request, unit, arm, content, version, number, time in chain.from_iterable(rows.partitions(_FETCHED)):
        value = outcome_of(from_json(content), str(metric.outcome))
        if value is None:
            left_out[_MISSING] += 1
        else:
            changes.append(Change(request, unit, arm, value, 1, version, number, time))
    return changes


def outcome_of(details: Mapping[str, Any], outcome: str) -> float | None:
    """An outcome of an answer, from what its exposure keeps as JSON.

    `errors` and `cancelled` are of all answers; the others, but for `first_token_latency`, of those that came to their
    end, as a broken-off answer is short and fast for another reason.
    """
    finish = details.get("finish")
    if outcome == "requests":
        return 1.0
    if outcome == "errors":
        return float(finish == "error")
    if outcome == "cancelled":
        return float(finish == "cancelled")
    if outcome != "first_token_latency" and finish not in _WHOLE:
        return None
    value = details.get(_FIELDS[outcome])
    return None if value is None else float(value)
