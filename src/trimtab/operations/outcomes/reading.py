"""Values of a release's metrics since a position, so that a decision every minute reads only what is new.

What counts: requests that the release decided for, answered at versions of it at which both arms were drawn. In other
versions (paused, 0 or 100 per cent) everybody got one arm, and who came then is not comparable. Units are the hashed
ones of the exposures. A request without a unit counts as its own where the release draws an arm for it, and else not,
as it always got control; those of a forgotten unit never do.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from sqlalchemy import ColumnElement, Connection, func, select

from trimtab.errors import InputError
from trimtab.operations.metrics.metric import Metric
from trimtab.operations.outcomes.answers import answered
from trimtab.operations.outcomes.feedback import fed_back
from trimtab.operations.outcomes.rows import Change, Window, parts_of_all
from trimtab.operations.outcomes.values import Position, UnitSums, Values, added, grouped
from trimtab.operations.releases.release import Release
from trimtab.operations.releases.rows import states
from trimtab.operations.store.database import Store
from trimtab.operations.store.tables import EXPOSURES, OUTCOMES

_FED_BACK: Final = ("edit_distance",)  # built-in outcomes that come with feedback


class OutcomeReader:
    """Reads the metrics of a release.

    Args:
        store: see `Store`.
        release: its name.
        versions: the first and the last version of its state that count; by default all at which both arms were
            drawn.
        dry_run: read what was recorded in a dry run, in which both arms were answered alike, and nothing else.
        after: of the default versions only those from this one on count.

    Raises:
        InputError: there is no such release.
        TrimtabError: the store cannot be read.

    Example:
        >>> from trimtab.operations import Arm, Definition, Exposure, ExposureLog, OutcomeReader, Releases, Store
        >>> warm = Arm(name="warm", artifact="5f2c", strength={"warm": 1.0})
        >>> made = Definition(name="a", model="m", treatment=warm, stages=(50, 100), salt="s", metric="latency")
        >>> with Store("read.db", create=True) as store:
        ...     releases = Releases(store, artifact_now=lambda arm: arm.artifact)
        ...     _ = releases.add(made, by="ada"), releases.act("a", "start", by="ada")
        ...     log, reader = ExposureLog(store), OutcomeReader(store, "a")
        ...     seen = dict(release="a", version=2, unit="ada", finish="stop")
        ...     _ = log.write([Exposure("r1", 0.0, "m", "treatment", seconds=0.5, **seen)])
        ...     sums = reader.sums("latency")
        ...     _ = log.write([Exposure("r2", 1.0, "m", "treatment", seconds=1.5, **seen)])
        ...     later = reader.sums("latency", sums.position)
        >>> sums.total, later.total, (sums + later).n
        (array([0.5]), array([1.5]), array([2]))
    """

    def __init__(
        self,
        store: Store,
        release: str,
        versions: tuple[int, int] | None = None,
        *,
        dry_run: bool = False,
        after: int = 1,
    ) -> None:
        self._store, self._release, self._versions, self.dry_run = store, release, versions, dry_run
        self._after = after
        with store.reading() as connection:
            found = list(states(connection, name=release))
        if not found:
            raise InputError(f"there is no release {release!r}", code="unknown-choice", field="release")
        definition = found[0].release.definition
        self.by_request = definition.without_unit == "request"
        self.metrics = {metric.name: metric for metric in definition.metrics}

    def values(
        self,
        metric: str | Metric,
        since: Position = Position(),  # noqa: B008 - it never changes
        until: Position | None = None,
        among: ColumnElement[bool] | None = None,
    ) -> Values:
        """What was added since a position, request by request.

        Args:
            metric: one of the release's by name, with the definition that it froze; or any definition.
            since: where the former reading ended.
            until: where this one ends; by default with all that there is.
            among: which exposures alone are read, see `trimtab.operations.outcomes.rows`; by default all.

        Raises:
            InputError: the release has no such metric; it is a ratio, which has no values.
            TrimtabError: the store cannot be read.
        """
        wanted = self._metric(metric)
        if wanted.kind == "ratio":
            raise InputError(f"metric {wanted.name!r} is a ratio, of which there are sums alone", field="metric")
        with self._store.reading() as connection:
            return self._values(connection, wanted, since, until or read_until(connection), among)

    def end(self) -> Position:
        """Of all that there is now.

        Raises:
            TrimtabError: the store cannot be read.
        """
        with self._store.reading() as connection:
            return read_until(connection)

    def parts(self, until: Position, size: int) -> list[ColumnElement[bool]]:
        """Conditions that deal the release's exposures into parts, of which no unit is in two.

        Args:
            until: where a reading ends.
            size: about how many exposures a part has at most.

        Raises:
            TrimtabError: the store cannot be read.
        """
        numbers = func.min(EXPOSURES.c.number), func.max(EXPOSURES.c.number)
        ours = EXPOSURES.c.release == self._release, EXPOSURES.c.number <= until.exposures
        with self._store.reading() as connection:
            first, last = connection.execute(select(*numbers).where(*ours)).one()
        if last is None:
            return []
        return list(parts_of_all(first, last, 1 + (last - first) // size))

    def sums(
        self,
        metric: str | Metric,
        since: Position = Position(),  # noqa: B008 - it never changes
        until: Position | None = None,
    ) -> UnitSums:
        """What was added since a position, by unit and arm.

        Args:
            metric: see `values`; a ratio too.
            since, until: see `values`.

        Raises:
            InputError: the release has no such metric.
            TrimtabError: the store cannot be read.
        """
        wanted = self._metric(metric)
        with self._store.reading() as connection:
            end = until or read_until(connection)
            if wanted.kind != "ratio":
                return self._values(connection, wanted, since, end).sums()
            numerator, denominator = (
                self._values(connection, self._metric(part), since, end).sums() for part in wanted.parts
            )
        return _ratio(numerator, denominator)

    def _metric(self, metric: str | Metric) -> Metric:
        if isinstance(metric, Metric):
            return metric
        if metric not in self.metrics:
            known = ", ".join(self.metrics) or "none"
            raise InputError(
                f"release {self._release!r} has no metric {metric!r}; it was made with {known}",
                code="unknown-choice",
                field="metric",
            )
        return self.metrics[metric]

    def _values(
        self, connection: Connection, metric: Metric, since: Position, end: Position,
        among: ColumnElement[bool] | None = None,
    ) -> Values:  # fmt: skip
        window = Window(self._release, self._drawn(connection), self.dry_run, since, end, among)
        left_out: Counter[str] = Counter()
        changes = changed(connection, metric, window, left_out)
        return _arrays(changes, metric, self.by_request, end, left_out)

    def _drawn(self, connection: Connection) -> tuple[int, ...]:
        """The versions that count."""
        found = [kept.release for kept in states(connection, name=self._release)]
        if self._versions is not None:
            first, last = self._versions
            return tuple(one.version for one in found if first <= one.version <= last)
        return tuple(drawn(found, self.dry_run, self._after))


def drawn(states: Iterable[Release], dry_run: bool, after: int) -> dict[int, float]:
    """The versions from one on at which both arms were drawn, and the per cent that treatment had."""
    state = "dry-run" if dry_run else "running"
    found = (one for one in states if one.version >= after)
    return {one.version: one.share for one in found if one.state == state and 0 < one.share < 100}


def changed(connection: Connection, metric: Metric, window: Window, left_out: Counter[str]) -> list[Change]:
    """What was added to a metric and taken back, request by request; of those that do not count the reasons."""
    return (fed_back if comes_back(metric) else answered)(connection, metric, window, left_out)


def comes_back(metric: Metric) -> bool:
    """Whether its values come with feedback, and not with the answer."""
    return metric.feedback is not None or metric.outcome in _FED_BACK


def read_until(connection: Connection) -> Position:
    """The last exposure and the last outcome that there are."""
    numbers = (connection.execute(select(func.max(table.c.number))).scalar() or 0 for table in (EXPOSURES, OUTCOMES))
    return Position(*numbers)


def _arrays(
    changes: Sequence[Change], metric: Metric, by_request: bool, end: Position, left_out: Counter[str]
) -> Values:
    kept = []
    for change in changes:
        unit = change.unit or (change.request if by_request else None)
        if unit is None:
            left_out["without a unit"] += change.sign
        else:
            kept.append((unit, change.arm == "treatment", change.value, change.sign, change.exposure))
    units, treated, values, signs, numbers = zip(*kept, strict=True) if kept else ((), (), (), (), ())
    value = np.array(values, dtype=np.float64)
    if metric.bounds is not None:
        within = np.clip(value, *metric.bounds)
        if n := int(np.array(signs, dtype=np.int64)[within != value].sum()):
            left_out["beyond the bounds"] += n
        value = within
    return Values(
        np.array(units, dtype=np.str_), np.array(treated, dtype=np.bool_), value, np.array(signs, dtype=np.int64), end,
        dict(left_out), np.array(numbers, dtype=np.int64),
    )  # fmt: skip


def _ratio(numerator: UnitSums, denominator: UnitSums) -> UnitSums:
    nothing, none = np.zeros_like(numerator.total), np.zeros_like(denominator.total)
    above = np.stack([numerator.n.astype(np.float64), numerator.total, numerator.squares, nothing])
    below = np.stack([none, none, none, denominator.total])
    unit, treated, (n, total, squares, under) = grouped(
        np.concatenate([numerator.unit, denominator.unit]),
        np.concatenate([numerator.treated, denominator.treated]),
        np.concatenate([above, below], axis=1),
    )
    return UnitSums(unit, treated, n.round().astype(np.int64), total, squares, under, numerator.position,
                    added(numerator.left_out, denominator.left_out))  # fmt: skip
