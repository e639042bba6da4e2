"""How the interval of a release's metric came about: the same figures as those of a look, at former moments."""

from dataclasses import dataclass
from math import nan
from threading import Lock
from typing import Final

from sqlalchemy import Connection, func, select

from trimtab.errors import InputError
from trimtab.operations.experiments.experiment import evidence_from, is_dry, measures
from trimtab.operations.experiments.findings import rounded
from trimtab.operations.experiments.measuring import Measure
from trimtab.operations.metrics.metric import Metric
from trimtab.operations.outcomes.reading import OutcomeReader
from trimtab.operations.outcomes.values import Position
from trimtab.operations.releases.releases import Releases
from trimtab.operations.store.database import Store
from trimtab.operations.store.tables import EXPOSURES, OUTCOMES

POINTS: Final = 40
_WORK: Final = 2_000_000  # answers times points that a first reading may cost; with more answers there are fewer points


@dataclass(frozen=True)
class Point:
    """A metric as it stood at a moment.

    Args:
        time: of the last answer that counts, seconds since 1970, UTC.
        units: of control and treatment with a value.
        control, treatment: of either arm; None without a unit.
        difference, low, high: treatment minus control and its interval, valid at all moments together; None where
            nothing is known.

    Example:
        >>> from trimtab.operations.experiments import Point
        >>> Point(0.0, (0, 0), None, None, None, None, None).low is None
        True
    """

    time: float
    units: tuple[int, int]
    control: float | None
    treatment: float | None
    difference: float | None
    low: float | None
    high: float | None


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
        self._measure = self._begin(metric)

    @property
    def metric(self) -> Metric:
        """Whose course it is, as the release froze it."""
        return self._measure.wanted.metric

    @property
    def dry_run(self) -> bool:
        """Whether a dry run is compared, in which both arms were answered alike."""
        return self._begun is not None and self._begun[1]

    def read(self) -> tuple[Point, ...]:
        """The points, the oldest first; those without a unit in either arm are left out.

        Raises:
            TrimtabError: the store cannot be read.
        """
        with self._lock:
            self._measure = self._begin(self.metric.name)
            with self._store.reading() as connection:
                moments = self._moments(connection)
            for position, time in moments:
                self._measure.read(position)
                if self._points and self._points[-1][0].exposures == position.exposures:
                    self._points.pop()  # nothing but feedback came since
                self._points.append((position, self._point(time)))
            self._thin()
            return tuple(point for _, point in self._points if all(point.units))

    def _begin(self, metric: str | None) -> Measure:
        """What is measured, anew where evidence begins anew."""
        steps = self._releases.history(self._release)
        begun = evidence_from(steps), is_dry(steps)
        if begun == self._begun:
            return self._measure
        self._begun, self._points = begun, []
        since, dry_run = begun
        reader = OutcomeReader(self._store, self._release, dry_run=dry_run, after=since)
        found = measures(reader, steps[-1].release.definition)
        named = [one for one in found if metric in (None, one.wanted.metric.name)]
        if not named:
            known = ", ".join(one.wanted.metric.name for one in found) or "nothing"
            raise InputError(
                f"release {self._release!r} is not judged by {metric or 'anything'}; it is judged by {known}",
                code="unknown-choice",
                field="metric",
            )
        return named[0]

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

    def _point(self, time: float) -> Point:
        now = self._measure.now
        control, treatment = (len(self._measure.series.arm(treated).total) for treated in (False, True))
        found = now.interval
        return Point(time, (control, treatment), rounded(now.control), rounded(now.treatment), rounded(found.value),
                     rounded(found.low), rounded(found.high))  # fmt: skip

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
