"""The visits of a release with several arms: what a unit asked in one epoch, by the arm that was drawn for it.

Within an epoch a unit keeps its arm, so that its requests are one draw; in the next it is drawn anew. A visit's value
is the mean of its requests' values. Feedback that comes late, or takes the place of an earlier one, changes the value
of the visit in which the request was made, with the probabilities that held then.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trimtab.operations.metrics.metric import Metric
from trimtab.operations.outcomes.reading import changed, read_until
from trimtab.operations.outcomes.rows import Change, Window
from trimtab.operations.outcomes.values import Floats, Position
from trimtab.operations.releases.adapting import Epoch
from trimtab.operations.releases.release import Definition
from trimtab.operations.releases.rows import states
from trimtab.operations.store.database import Store
from trimtab.statistics.sequential import Draws


@dataclass
class _Visit:
    arm: int
    n: int
    total: float
    exposure: int
    time: float


@dataclass(frozen=True, eq=False)
class Visited:
    """Visits in the order of their first requests.

    Args:
        draws: of the arms, control first.
        time: of each visit's first request with a value, in seconds since 1970, `[n]`.
        requests: with a value, `[k]` by arm.
    """

    draws: Draws
    time: Floats
    requests: Sequence[int]


class Visits:
    """Visits with a value of one metric, brought up to date by `read`.

    Args:
        store: see `Store`.
        definition: of the release.
        metric: as the release froze it.
        dry_run: whether those of a dry run count, and nothing else.
        since: version of the state from which on evidence counts.
    """

    def __init__(self, store: Store, definition: Definition, metric: Metric, *, dry_run: bool, since: int) -> None:
        self.metric = metric
        self.position = Position()
        self.left_out: Counter[str] = Counter()
        self.firsts: dict[int, list[float]] = {i: [] for i in range(len(definition.arms) + 1)}
        self._store, self._definition, self._dry_run, self._since = store, definition, dry_run, since
        self._arms = {name: i for i, name in enumerate(("control", *definition.arms))}
        self._epochs: dict[int, Epoch] = {}  # by version of the state
        self._visits: dict[tuple[str, int], _Visit] = {}
        self._seen: set[tuple[str, int]] = set()

    def read(self, until: Position | None = None) -> None:
        """Read what is new, up to a position; by default all.

        Raises:
            TrimtabError: the store cannot be read.
        """
        with self._store.reading() as connection:
            for one in states(connection, name=self._definition.name):
                release = one.release
                drawn = release.state == ("dry-run" if self._dry_run else "running")
                if drawn and release.epoch is not None and release.version >= self._since:
                    self._epochs[release.version] = release.epoch
            end = until or read_until(connection)
            window = Window(self._definition.name, tuple(self._epochs), self._dry_run, self.position, end)
            found = changed(connection, self.metric, window, self.left_out)
        for change in found:
            self._note(change)
        self.position = end

    @property
    def now(self) -> Visited:
        """As far as they were read; the same whenever and in how many steps they were read.

        A visit of an arm that could not be drawn is a fault of the records: it is among `counts` alone.
        """
        shares = self.shares
        drawn = ((v.exposure, number, v) for (_, number), v in self._visits.items() if v.n and shares[number][v.arm])
        found = sorted(drawn, key=_order)
        value = np.array([v.total / v.n for _, _, v in found], dtype=np.float64)
        arm = np.array([v.arm for _, _, v in found], dtype=np.int64)
        probability = np.array([shares[number] for _, number, _ in found], dtype=np.float64)
        draws = Draws(value, arm, probability.reshape(len(found), len(self._arms)))
        requests = np.bincount(arm, [v.n for _, _, v in found], len(self._arms)) if found else np.zeros(len(self._arms))
        return Visited(draws, np.array([v.time for _, _, v in found]), [int(n) for n in requests])

    @property
    def shares(self) -> Mapping[int, tuple[float, ...]]:
        """Probabilities of the arms by epoch."""
        return {one.number: tuple(one.shares[name] for name in self._arms) for one in self._epochs.values()}

    @property
    def counts(self) -> dict[int, list[int]]:
        """Visits by epoch and arm."""
        found: dict[int, list[int]] = {}
        for (_, number), visit in sorted(self._visits.items(), key=lambda item: item[0][1]):
            if visit.n:
                found.setdefault(number, [0] * len(self._arms))[visit.arm] += 1
        return found

    def _note(self, change: Change) -> None:
        unit = change.unit or (change.request if self._definition.without_unit == "request" else None)
        arm = self._arms.get(change.arm)
        if unit is None or arm is None:
            self.left_out["without a unit" if unit is None else "of an unknown arm"] += 1
            return
        value = change.value if self.metric.bounds is None else float(np.clip(change.value, *self.metric.bounds))
        number = self._epochs[change.version].number
        visit = self._visits.setdefault((unit, number), _Visit(arm, 0, 0.0, change.exposure, change.time))
        visit.n, visit.total = visit.n + change.sign, visit.total + change.sign * value
        if change.exposure < visit.exposure:
            visit.exposure, visit.time = change.exposure, change.time
        if self.metric.is_final and (unit, arm) not in self._seen:
            self._seen.add((unit, arm))
            self.firsts[arm].append(value)


def _order(found: tuple[int, int, _Visit]) -> int:
    return found[0]
