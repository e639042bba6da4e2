"""Feedback as values: of each request the last that came in time.

What was read before and what is there now differ by the rows of outcomes that came since, and by those that waited for
an exposure that is there now. Only requests with such a row are looked at.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, and_, select, union

from trimtab.operations.metrics.metric import Metric
from trimtab.operations.outcomes.rows import Change, Window
from trimtab.operations.outcomes.values import Position
from trimtab.operations.store.tables import EXPOSURES, OUTCOMES

_DAY: Final = 86_400.0  # seconds


def fed_back(connection: Connection, metric: Metric, window: Window, left_out: Counter[str]) -> list[Change]:
    """What feedback added since, and what it took back.

    Args:
        connection: to the store.
        metric: with `feedback`, or the outcome `edit_distance`.
        window: which exposures.
        left_out: counts new rows that came too late, and those whose value the definition does not know.
    """
    changes: list[Change] = []
    for _, rows in groupby(connection.execute(_asked(metric, window)), key=lambda row: row.request):
        changes += _changed(list(rows), metric, window, left_out)
    return changes


def of_metric(metric: Metric) -> ColumnElement[bool]:
    """That an outcome is one of a metric's."""
    return and_(
        OUTCOMES.c.metric == (metric.feedback or metric.outcome),
        OUTCOMES.c.source == (metric.source if metric.feedback else "system"),
    )


def _asked(metric: Metric, window: Window) -> Select[Any]:
    """All feedback on the requests that have something new, request by request in the order in which it came."""
    ours = and_(of_metric(metric), OUTCOMES.c.number <= window.end.outcomes)
    joined = OUTCOMES.join(EXPOSURES, EXPOSURES.c.request == OUTCOMES.c.request)
    columns = (
        OUTCOMES.c.number, OUTCOMES.c.request, OUTCOMES.c.value, OUTCOMES.c.label, OUTCOMES.c.came,
        EXPOSURES.c.number.label("exposure"), EXPOSURES.c.unit, EXPOSURES.c.arm, EXPOSURES.c.time,
        EXPOSURES.c.version,
    )  # fmt: skip
    wanted = select(*columns).select_from(joined).where(ours, window.counts)
    wanted = wanted.order_by(OUTCOMES.c.request, OUTCOMES.c.number)
    if window.since == Position():
        return wanted
    came = select(OUTCOMES.c.request).where(ours, OUTCOMES.c.number > window.since.outcomes)
    found = select(OUTCOMES.c.request).select_from(joined)
    found = found.where(ours, window.counts, EXPOSURES.c.number > window.since.exposures)
    changed = union(came, found).subquery()
    return wanted.where(OUTCOMES.c.request.in_(select(changed.c.request)))


def _changed(rows: list[Any], metric: Metric, window: Window, left_out: Counter[str]) -> Iterator[Change]:
    """How one request's value changed."""
    read = [row for row in rows if row.exposure <= window.since.exposures and row.number <= window.since.outcomes]
    for row in rows[len(read) :]:
        if _late(row, metric):
            left_out["too late"] += 1
        elif metric.value(row.value, row.label) is None:
            left_out["of another value than the definition knows"] += 1
    before, after = last_known(read, metric), last_known(rows, metric)
    if before is not after:
        for row, sign in ((before, -1), (after, 1)):
            if row is not None:
                value = metric.value(row.value, row.label)
                assert value is not None
                yield Change(row.request, row.unit, row.arm, value, sign, row.version, row.exposure, row.time)


def last_known(rows: list[Any], metric: Metric) -> Any:
    """The row of a request's feedback that counts: the last in time whose value is known; None without one."""
    fitting = (row for row in reversed(rows) if not _late(row, metric))
    return next((row for row in fitting if metric.value(row.value, row.label) is not None), None)


def _late(row: Any, metric: Metric) -> bool:
    return bool(row.came - row.time > metric.window_days * _DAY)
