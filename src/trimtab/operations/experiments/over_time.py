"""How the interval of a release's metric came about: the same figures as those of a look, at former moments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from threading import Lock
from typing import Final, Protocol

import numpy as np
from sqlalchemy import Connection, func, select

from trimtab.errors import InputError
from trimtab.operations.experiments.experiment import evidence_from, is_dry, measures
from trimtab.operations.experiments.findings import rounded
from trimtab.operations.experiments.measuring import Measure
from trimtab.operations.experiments.visits import SLACK_DAYS, Visited, Visits
from trimtab.operations.metrics.metric import Metric
from trimtab.operations.outcomes.reading import OutcomeReader
from trimtab.operations.outcomes.values import Position
from trimtab.operations.releases.adapting import CONTROL
from trimtab.operations.releases.plan import Plan
from trimtab.operations.releases.release import Definition
from trimtab.operations.releases.releases import Releases
from trimtab.operations.store.database import Store
from trimtab.operations.store.tables import EXPOSURES, OUTCOMES
from trimtab.statistics.sequential import AsymptoticSequence, PolicySums

POINTS: Final = 40
_WORK: Final = 2_000_000  # answers times points that a first reading may cost; with more answers there are fewer points


@dataclass(frozen=True)
class ArmPoint:
    """One of several arms as it stood at a moment.

    Args:
        visits: with a value.
        mean, low, high: what it would have given on all visits, with an interval valid at all moments together; None
            where nothing is known.

    Example:
        >>> from trimtab.operations.experiments import ArmPoint
        >>> ArmPoint(0, None, None, None).mean is None
        True
    """

    visits: int
    mean: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Point:
    """A metric as it stood at a moment.

    Args:
        time: of the last answer that counts, seconds since 1970, UTC.
        units: of control and treatment with a value; with several arms the visits of control and of all others.
        control, treatment: of either arm; None without a unit.
        difference, low, high: treatment minus control and its interval, valid at all moments together; None where
            nothing is known.
        arms: by name, where there are several; then nothing is said of two.

    Example:
        >>> from trimtab.operations.experiments import Point
        >>> Point(0.0, (0, 0), None, None, None, None, None).low is None
        True
    """

    time: float
    units: tuple[int, int]
    control: float | None
    treatment: float | None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    arms: Mapping[str, ArmPoint] = field(default_factory=dict)

    @property
    def is_known(self) -> bool:
        """Whether there is something to compare."""
        return bool(any(self.units) if self.arms else all(self.units))


class _Source(Protocol):
    """One metric, read on from point to point."""

    metric: Metric

    @property
    def is_contradicted(self) -> bool:
        """Whether all is to be read anew (see `Visits`)."""

    def point(self, until: Position, time: float) -> Point:
        """Read on to a position, and say how the metric stands there."""


class _Pair:
    """Treatment and control."""

    def __init__(self, measure: Measure) -> None:
        self.metric = measure.wanted.metric
        self.is_contradicted = False
        self._measure = measure

    def point(self, until: Position, time: float) -> Point:
        self._measure.read(until)
        now = self._measure.now
        control, treatment = (self._measure.series.arm(treated).units for treated in (False, True))
        found = now.interval
        return Point(time, (control, treatment), rounded(now.control), rounded(now.treatment), rounded(found.value),
                     rounded(found.low), rounded(found.high))  # fmt: skip


class _Several:
    """Arms that are drawn by probabilities."""

    def __init__(self, visits: Visits, definition: Definition, plan: Plan) -> None:
        self.metric = visits.metric
        self._visits = visits
        self._names = (CONTROL, *definition.arms)
        self._sequence = AsymptoticSequence(plan.decide_by, plan.alpha)
        self._sums = [PolicySums.begun(policy) for policy in np.eye(len(self._names))]
        visits.takers.append(self._take)

    @property
    def is_contradicted(self) -> bool:
        return self._visits.is_contradicted

    def _take(self, seen: Visited) -> None:
        self._sums = [sums.add(seen.draws) for sums in self._sums]

    def point(self, until: Position, time: float) -> Point:
        self._visits.read(until)
        seen, arms = self._visits.now, {}
        for name, sums, n in zip(self._names, self._sums, map(int, seen.counts), strict=True):
            found = self._sequence.interval(sums.add(seen.draws).estimate)
            arms[name] = ArmPoint(n, *map(rounded, (found.value, found.low, found.high)))
        control = arms[CONTROL]
        return Point(time, (control.visits, sum(one.visits for one in arms.values()) - control.visits), control.mean,
                     None, arms=arms)  # fmt: skip


class OverTime:
    """The course of a release's metric.

    It keeps what it read and the points that it found, so that each reading adds what is new. The first reading finds
    the points of before from the store alone, evenly spaced in requests. Feedback counts from when it came.

    Args:
        store: see `Store`.
        release: its name.
        metric: one that the release is judged by; by default the first.
        points: about how many are kept.

    Raises:
        InputError: there is no such release, or it is not judged by this metric.
        TrimtabError: the store cannot be read.

    Example:
        >>> from trimtab.operations import Arm, Definition, Exposure, ExposureLog, Releases, Store
        >>> from trimtab.operations.experiments import OverTime
        >>> warm = Arm(name="warm", artifact="5f2c", strength={"warm": 1.0})
        >>> made = Definition(name="a", model="m", treatment=warm, stages=(50, 100), salt="s", guardrails=("errors",))
        >>> with Store("course.db", create=True) as store:
        ...     releases = Releases(store, artifact_now=lambda arm: arm.artifact)
        ...     _ = releases.add(made, by="ada"), releases.act("a", "start", by="ada")
        ...     ends = {"control": "stop", "treatment": "error"}
        ...     _ = ExposureLog(store).write([
        ...         Exposure(f"{arm}{i}", 0.0, "m", arm, unit=f"{arm}{i}", release="a", version=2, finish=ends[arm])
        ...         for i in range(100) for arm in ends])
        ...     course = OverTime(store, "a", points=4).read()
        >>> [point.units for point in course]
        [(25, 25), (50, 50), (75, 75), (100, 100)]
    """

    def __init__(self, store: Store, release: str, metric: str | None = None, points: int = POINTS) -> None:
        self._store, self._release, self._most = store, release, points
        self._releases, self._lock = Releases(store), Lock()
        self._points: list[tuple[Position, Point]] = []
        self._begun: tuple[int, bool] | None = None
        self._slack = SLACK_DAYS
        self._source = self._begin(metric)

    @property
    def metric(self) -> Metric:
        """Whose course it is, as the release froze it."""
        return self._source.metric

    @property
    def dry_run(self) -> bool:
        """Whether a dry run is compared, in which all arms were answered alike."""
        return self._begun is not None and self._begun[1]

    def read(self) -> tuple[Point, ...]:
        """The points, the oldest first; those without a unit in either arm, or in any of several, are left out.

        Raises:
            TrimtabError: the store cannot be read.
        """
        with self._lock:
            self._read()
            while self._source.is_contradicted:
                self._begun, self._slack = None, 2 * self._slack
                self._read()
            self._thin()
            return tuple(point for _, point in self._points if point.is_known)

    def _read(self) -> None:
        """Add the points of what is new."""
        self._source = self._begin(self.metric.name)
        with self._store.reading() as connection:
            moments = self._moments(connection)
        for position, time in moments:
            point = self._source.point(position, time)
            if self._points and self._points[-1][0].exposures == position.exposures:
                self._points.pop()  # nothing but feedback came since
            self._points.append((position, point))

    def _begin(self, metric: str | None) -> _Source:
        """What is measured, anew where evidence begins anew."""
        steps = self._releases.history(self._release)
        begun = evidence_from(steps), is_dry(steps)
        if begun == self._begun:
            return self._source
        self._begun, self._points = begun, []
        found = self._sources(steps[-1].release.definition, *begun)
        named = [one for one in found if metric in (None, one.metric.name)]
        if not named:
            known = ", ".join(one.metric.name for one in found) or "nothing"
            raise InputError(
                f"release {self._release!r} is not judged by {metric or 'anything'}; it is judged by {known}",
                code="unknown-choice",
                field="metric",
            )
        return named[0]

    def _sources(self, definition: Definition, since: int, dry_run: bool) -> Sequence[_Source]:
        """The metrics that the release is judged by, unread."""
        plan, metrics = definition.plan, {one.name: one for one in definition.metrics}
        if not definition.arms or plan is None:
            reader = OutcomeReader(self._store, self._release, dry_run=dry_run, after=since)
            return [_Pair(measure) for measure in measures(self._store, reader, definition)]
        names = [str(definition.metric), *(rail.metric for rail in plan.guardrails)]
        slack = None if definition.adapt is None else self._slack
        return [
            _Several(Visits(
                self._store, definition, metrics[name], dry_run=dry_run, since=since, slack_days=slack,
            ), definition, plan)
            for name in names
        ]  # fmt: skip

    def _moments(self, connection: Connection) -> list[tuple[Position, float]]:
        """Positions that were not read yet, with the time of the last answer at each; none where nothing is new."""
        e, o = EXPOSURES.c, OUTCOMES.c
        ours = e.release == self._release
        first, last = connection.execute(select(func.min(e.number), func.max(e.number)).where(ours)).one()
        end = Position(last or 0, int(connection.execute(select(func.max(o.number))).scalar() or 0))
        if last is None or (self._points and self._points[-1][0] == end):
            return []
        n = min(self._most, max(4, _WORK // (last - first + 1)))
        cuts = [] if self._points else sorted({first + (last - first + 1) * i // n - 1 for i in range(1, n)})
        moments = []
        for cut in cuts:
            wanted = select(e.number, e.time).where(ours, e.number <= cut).order_by(e.number.desc()).limit(1)
            if (row := connection.execute(wanted).first()) is not None:
                moments.append((Position(row.number, _came_by(connection, row.time, end.outcomes)), float(row.time)))
        newest = connection.execute(select(e.time).where(e.number == last)).scalar_one()
        return [*moments, (end, float(newest))]

    def _thin(self) -> None:
        """Every second point, the last one kept, once there are too many."""
        while len(self._points) > 2 * self._most:
            self._points = self._points[-1::-2][::-1]


def _came_by(connection: Connection, time: float, last: int) -> int:
    """Number of the last outcome that came by a time; outcomes are numbered as they came."""
    low, high = 0, last
    while low < high:
        middle = (low + high + 1) // 2
        wanted = select(OUTCOMES.c.came).where(OUTCOMES.c.number >= middle).order_by(OUTCOMES.c.number).limit(1)
        came = connection.execute(wanted).scalar()
        low, high = (middle, high) if (nan if came is None else came) <= time else (low, middle - 1)
    return low
