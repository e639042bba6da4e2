"""New definitions of metrics in the store, with their entry in the audit; releases keep those they were made with."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import time
from typing import Any

from sqlalchemy import Connection, insert

from trimtab.errors import InputError
from trimtab.operations.audit import Change, record
from trimtab.operations.metrics.built_in import BUILT_IN
from trimtab.operations.metrics.file import check_parts
from trimtab.operations.metrics.kept import kept
from trimtab.operations.metrics.metric import Metric
from trimtab.operations.releases.rows import latest
from trimtab.operations.store.database import Store
from trimtab.operations.store.tables import METRIC_DEFINITIONS


@dataclass(frozen=True)
class MetricChanges:
    """What an import changes.

    Args:
        new: names that were not known.
        changed: names with a higher version now.
        unchanged: names whose definitions are kept already.
        live: open releases that were made with an earlier version of a changed one, and keep it.

    Example:
        >>> from trimtab.operations import MetricChanges
        >>> MetricChanges(("liked",), (), (), ()).new
        ('liked',)
    """

    new: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]
    live: tuple[str, ...]


def import_metrics(
    store: Store, metrics: Sequence[Metric], *, by: str, why: str = "", check_only: bool = False
) -> MetricChanges:
    """Keep definitions for releases to come, all or none; recorded in the audit if any is new.

    Args:
        store: see `Store`.
        metrics: see `read_metrics`.
        by: who does it.
        why: in words.
        check_only: say what would change, and change nothing.

    Raises:
        InputError: a definition was changed and its version not raised; a part of a ratio is missing.
        TrimtabError: the store cannot be written.

    Example:
        >>> from trimtab.operations import Metric, Store, import_metrics
        >>> liked = Metric.made(name="liked", feedback="thumbs", labels={"up": 1, "down": 0})
        >>> with Store("defined.db", create=True) as store:
        ...     print(import_metrics(store, [liked], by="ada").new, import_metrics(store, [liked], by="ada").new)
        ('liked',) ()
    """
    with store.reading() if check_only else store.changing() as connection:
        before = kept(connection)
        check_parts(metrics, dict(BUILT_IN) | before | {metric.name: metric for metric in metrics})
        changes = _changes(connection, before, metrics)
        if not check_only and (changes.new or changes.changed):
            _write(connection, before, metrics, changes, by, why)
    return changes


def _changes(connection: Connection, before: dict[str, Metric], metrics: Sequence[Metric]) -> MetricChanges:
    unchanged = tuple(one.name for one in metrics if before.get(one.name) == one)
    new = tuple(one.name for one in metrics if one.name not in before)
    changed = tuple(one.name for one in metrics if one.name not in (*unchanged, *new))
    for one in metrics:
        if one.name in changed and one.version <= before[one.name].version:
            raise InputError(
                f"metric {one.name!r} is another than version {before[one.name].version} in the store; raise its "
                f"version to {before[one.name].version + 1}, so that both stay known",
                code="conflicting-arguments",
                field=f"{one.name}.version",
            )
    open_ = (kept.release for kept in latest(connection) if kept.release.is_open)
    live = tuple(one.name for one in open_ if any(metric.name in changed for metric in one.definition.metrics))
    return MetricChanges(new, changed, unchanged, live)


def _write(
    connection: Connection, before: dict[str, Metric], metrics: Sequence[Metric], changes: MetricChanges, by: str,
    why: str,
) -> None:  # fmt: skip
    touched = [metric for metric in metrics if metric.name not in changes.unchanged]
    then = {one.name: _brief(before[one.name]) for one in touched if one.name in before}
    now: dict[str, Any] = {one.name: _brief(one) for one in touched}
    after = {"metrics": now, "releases_that_keep_the_former": list(changes.live)}
    entry = record(connection, Change(by, "metrics.import", "metrics", why, {"metrics": then}, after))
    rows = [
        {"name": one.name, "version": one.version, "digest": one.digest, "content": one.model_dump_json(),
         "time": time(), "entry": entry}
        for one in touched
    ]  # fmt: skip
    connection.execute(insert(METRIC_DEFINITIONS), rows)


def _brief(metric: Metric) -> dict[str, Any]:
    return {"version": metric.version, "digest": metric.digest}
