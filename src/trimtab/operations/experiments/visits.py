"""The visits of a release with several arms: what a unit asked in one epoch, by the arm that was drawn for it.

Within an epoch a unit keeps its arm, so that its requests are one draw; in the next it is drawn anew. A visit's value
is the mean of its requests' values. Feedback that comes late, or takes the place of an earlier one, changes the value
of the visit in which the request was made, with the probabilities that held then.

Once an epoch is over for so long that no record and no feedback of it can come any more, its visits are handed on to
whoever keeps sums, and forgotten here: memory holds the visits of the present epoch and of the metric's window before
it. Should something of such an epoch come all the same (`is_contradicted`), all is to be read anew.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from trimtab.operations.experiments.seen_units import SeenUnits
from trimtab.operations.metrics.metric import Metric
from trimtab.operations.outcomes.reading import changed, read_until
from trimtab.operations.outcomes.rows import Change, Window
from trimtab.operations.outcomes.values import Floats, Position
from trimtab.operations.releases.release import Definition
from trimtab.operations.releases.rows import states
from trimtab.operations.store.database import Store
from trimtab.statistics.sequential import Draws

CHUNK: Final = 50_000
"""Answers that are read at once."""
SLACK_DAYS: Final = 1.0
"""After the end of an epoch, and the metric's window for feedback, before its visits are taken for settled."""
_DAY: Final = 86_400.0  # seconds
_NEWEST: Final = 9  # visits whose time is now


@dataclass(slots=True)
class _Visit:
    arm: int
    n: int
    total: float
    exposure: int
    time: float


class _Drawn(NamedTuple):
    """An epoch: its number, and the probabilities of the arms."""

    number: int
    shares: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Visited:
    """Visits in the order of their first requests.

    Args:
        draws: of the arms, control first.
        time: of each visit's first request with a value, in seconds since 1970, `[n]`.
        requests: with a value, `[k]` by arm; those of settled visits too.
        settled: visits that were handed on before, `[k]` by arm.
    """

    draws: Draws
    time: Floats
    requests: Sequence[int]
    settled: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, dtype=np.int64))

    @property
    def counts(self) -> NDArray[np.int64]:
        """All visits, `[k]`."""
        return self.draws.counts + self.settled


def newest(time: Floats) -> float:
    """What counts as now: the median of the newest visits' times, of which there is one at least.

    So it is a function of the store alone, and a clock that jumps once is not believed.
    """
    return float(np.median(time[-_NEWEST:]))


class Visits:
    """Visits with a value of one metric, brought up to date by `read`.

    Args:
        store: see `Store`.
        definition: of the release.
        metric: as the release froze it.
        dry_run: whether those of a dry run count, and nothing else.
        since: version of the state from which on evidence counts.
        slack_days: how long after the end of an epoch, and after the metric's window for feedback, its visits are
            settled; None for never.
        firsts: whether the value of each unit's first request is kept, for bets.
    """

    def __init__(
        self, store: Store, definition: Definition, metric: Metric, *, dry_run: bool, since: int,
        slack_days: float | None = None, firsts: bool = False,
    ) -> None:  # fmt: skip
        self.metric = metric
        self.position = Position()
        self.left_out: Counter[str] = Counter()
        self.firsts: dict[int, array[float]] = {i: array("d") for i in range(len(definition.arms) + 1)}
        self.takers: list[Callable[[Visited], None]] = []  # of settled visits
        self.is_contradicted = False
        self._store, self._definition, self._dry_run, self._since = store, definition, dry_run, since
        self._arms = {name: i for i, name in enumerate(("control", *definition.arms))}
        k = len(self._arms)
        self._wait = (
            inf if slack_days is None else _DAY * (slack_days + (0.0 if metric.is_final else metric.window_days))
        )
        self._epochs: dict[int, _Drawn] = {}  # by version of the state
        self._ended: dict[int, float] = {}  # when the epoch after it began, by number
        self._visits: dict[tuple[str, int], _Visit] = {}
        self._seen = SeenUnits() if firsts and metric.is_final else None
        self._over = 0  # number of the last epoch that is settled
        self._latest = -inf  # time of a settled visit
        self._settled, self._requests = np.zeros(k, dtype=np.int64), np.zeros(k, dtype=np.int64)
        self._counted: dict[int, list[int]] = {}  # settled visits by epoch and arm

    def __len__(self) -> int:
        """How many visits are held."""
        return len(self._visits)

    def read(self, until: Position | None = None) -> None:
        """Read what is new, up to a position; by default all.

        Raises:
            TrimtabError: the store cannot be read.
        """
        with self._store.reading() as connection:
            self._read_epochs(connection)
            end = until or read_until(connection)
            while True:
                step = Position(min(end.exposures, self.position.exposures + CHUNK), end.outcomes)
                window = Window(self._definition.name, tuple(self._epochs), self._dry_run, self.position, step)
                for change in changed(connection, self.metric, window, self.left_out):
                    self._note(change)
                self.position = step
                self._settle()
                if step.exposures == end.exposures:
                    break

    @property
    def now(self) -> Visited:
        """As far as they were read and are not settled; the same whenever and in how many steps they were read.

        A visit of an arm that could not be drawn is a fault of the records: it is among `counts` alone.
        """
        return self._visited(self._drawn())

    @property
    def shares(self) -> Mapping[int, tuple[float, ...]]:
        """Probabilities of the arms by epoch."""
        return dict(self._epochs.values())

    @property
    def counts(self) -> dict[int, list[int]]:
        """Visits by epoch and arm."""
        found = {number: list(n) for number, n in self._counted.items()}
        for (_, number), visit in self._visits.items():
            if visit.n:
                found.setdefault(number, [0] * len(self._arms))[visit.arm] += 1
        return dict(sorted(found.items()))

    def _read_epochs(self, connection: Connection) -> None:
        before: int | None = None
        for one in states(connection, name=self._definition.name):
            release = one.release
            drawn = release.state == ("dry-run" if self._dry_run else "running")
            if not drawn or release.epoch is None or release.version < self._since:
                continue
            number = release.epoch.number
            if release.version not in self._epochs:
                shares = tuple(release.epoch.shares[name] for name in self._arms)
                self._epochs[release.version] = _Drawn(number, shares)
            if before is not None and before < number:
                self._ended.setdefault(before, release.time)
            before = number

    def _note(self, change: Change) -> None:
        unit = change.unit or (change.request if self._definition.without_unit == "request" else None)
        arm = self._arms.get(change.arm)
        if unit is None or arm is None:
            self.left_out["without a unit" if unit is None else "of an unknown arm"] += 1
            return
        value = change.value if self.metric.bounds is None else float(np.clip(change.value, *self.metric.bounds))
        number = self._epochs[change.version].number
        self.is_contradicted = self.is_contradicted or number <= self._over
        visit = self._visits.setdefault((unit, number), _Visit(arm, 0, 0.0, change.exposure, change.time))
        visit.n, visit.total = visit.n + change.sign, visit.total + change.sign * value
        if change.exposure < visit.exposure:
            visit.exposure, visit.time = change.exposure, change.time
        if self._seen is not None and self._seen.add(f"{arm} {unit}"):
            self.firsts[arm].append(value)

    def _drawn(self) -> list[tuple[int, tuple[str, int], _Visit]]:
        """Visits that count, in their order."""
        shares = self.shares
        found = ((v.exposure, key, v) for key, v in self._visits.items() if v.n and shares[key[1]][v.arm])
        return sorted(found, key=_order)

    def _visited(self, found: Sequence[tuple[int, tuple[str, int], _Visit]]) -> Visited:
        shares, k = self.shares, len(self._arms)
        value = np.array([v.total / v.n for *_, v in found], dtype=np.float64)
        arm = np.array([v.arm for *_, v in found], dtype=np.int64)
        probability = np.array([shares[number] for _, (_, number), _ in found], dtype=np.float64)
        draws = Draws(value, arm, probability.reshape(len(found), k))
        requests = np.bincount(arm, [v.n for *_, v in found], k).astype(np.int64) + self._requests
        return Visited(draws, np.array([v.time for *_, v in found]), [int(n) for n in requests], self._settled)

    def _settle(self) -> None:
        """Hand on the visits of epochs that are over, as far as they come before all others."""
        found = self._drawn() if self._wait < inf else []
        if not found or self.is_contradicted:
            return
        now = newest(np.array([v.time for *_, v in found]))
        over = max((number for number, end in self._ended.items() if end + self._wait <= now), default=0)
        self.is_contradicted = now < self._latest
        stop = next((i for i, (_, (_, number), _) in enumerate(found) if number > over), len(found))
        rows = found[: min(stop, len(found) - _NEWEST)]
        self._over = max(self._over, over)
        if not rows:
            return
        seen = self._visited(rows)
        for taker in self.takers:
            taker(seen)
        for _, key, visit in rows:
            self._counted.setdefault(key[1], [0] * len(self._arms))[visit.arm] += 1
            del self._visits[key]
        self._settled, self._requests = self._settled + seen.draws.counts, np.array(seen.requests)
        self._latest = max(self._latest, float(np.max(seen.time[seen.time <= now], initial=-inf)))


def _order(found: tuple[int, tuple[str, int], _Visit]) -> int:
    return found[0]
