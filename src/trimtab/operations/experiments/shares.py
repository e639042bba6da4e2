"""Which units each arm was first seen with, stage by stage: what the test of shares needs.

Units are counted, and only those that came last are held, up to a number; whether others were seen before says the
store when they come back.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, select

from trimtab.operations.experiments.series import ANEW, AT_ONCE, CHUNK, HELD
from trimtab.operations.outcomes.reading import drawn
from trimtab.operations.outcomes.rows import of_units, parts_of_all, remembered
from trimtab.operations.releases.rows import states
from trimtab.operations.store.database import Store
from trimtab.operations.store.tables import EXPOSURES
from trimtab.statistics.sequential import ShareCounts

Seen = set[tuple[float, bool]]
"""The shares at which a unit was seen, and whether it was treated."""


class Shares:
    """Units of a release, each counted once, in the stage in which it was first seen.

    A unit is what the metrics count as one: requests without a unit are left out, or are units of their own where the
    release draws an arm for each.

    Args:
        store: see `Store`.
        release: its name.
        by_request: whether a request without a unit is one.
        dry_run: count what a dry run recorded, and nothing else.
        after: the first version of its state that counts.
    """

    def __init__(self, store: Store, release: str, *, by_request: bool, dry_run: bool, after: int) -> None:
        self._store, self._release, self._by_request = store, release, by_request
        self._dry_run, self._after = dry_run, after
        self._read_to = 0
        self._begin()

    def read(self) -> None:
        """Read what is new.

        Raises:
            TrimtabError: the store cannot be read.
        """
        number = EXPOSURES.c.number
        with self._store.reading() as connection:
            found = (kept.release for kept in states(connection, name=self._release))
            shares = drawn(found, self._dry_run, self._after)
            end = int(connection.execute(select(func.max(number))).scalar() or 0)
            if not self._read_to or end - self._read_to > max(CHUNK, self._read_to // ANEW):
                self._begin()
                for part in self._parts(connection, end):
                    self._note_all(connection, shares, and_(part, number + 0 <= end), {})
                self._read_to = end
            while self._read_to < end:
                to = min(end, self._read_to + CHUNK)
                new = and_(number > self._read_to, number <= to)
                self._note_all(connection, shares, new, self._known(connection, shares, new))
                self._read_to = to

    @property
    def position(self) -> int:
        """Number of the last exposure that was read."""
        return self._read_to

    @property
    def held(self) -> int:
        """Units of which more than the counts is known."""
        return len(self._units)

    @property
    def stages(self) -> list[ShareCounts]:
        """Units first seen in each stage, control first; the smallest share first, as stages only grow."""
        found = []
        for share, n in sorted(self._first.items()):
            treated = share / 100
            found.append(ShareCounts((1 - treated, treated), (n[False], n[True])))
        return found

    def in_stage(self, share: float) -> tuple[int, int]:
        """Units of control and treatment that were seen in the stage with this share, new or not."""
        if not self._seen_at or share != max(self._seen_at):
            return 0, 0
        return self._seen_at[share][False], self._seen_at[share][True]

    def _begin(self) -> None:
        self._first: dict[float, Counter[bool]] = {}  # units first seen at each share, by whether they are treated
        self._seen_at: dict[float, Counter[bool]] = {}  # all that were seen at each share
        self._units: OrderedDict[str, Seen] = OrderedDict()  # those that came last, at the end

    def _parts(self, connection: Connection, end: int) -> Iterable[ColumnElement[bool]]:
        number = EXPOSURES.c.number
        ours = EXPOSURES.c.release == self._release, number <= end
        first, last = connection.execute(select(func.min(number), func.max(number)).where(*ours)).one()
        return () if last is None else parts_of_all(first, last, 1 + (last - first) // CHUNK)

    def _asked(self, shares: dict[int, float], which: ColumnElement[bool], *columns: Any) -> Select[Any]:
        e = EXPOSURES.c
        ours = (e.release == self._release, e.version.in_(tuple(shares)), e.dry_run == self._dry_run, remembered())
        return select(e.unit, e.request, *columns).where(*ours, which)

    def _known(self, connection: Connection, shares: dict[int, float], new: ColumnElement[bool]) -> dict[str, Seen]:
        """Where the units of new exposures were seen before."""
        e = EXPOSURES.c
        names = {name for row in connection.execute(self._asked(shares, new)) if (name := self._name(*row)) is not None}
        found = {name: self._units[name] for name in names if name in self._units}
        others = sorted(names - found.keys())
        for i in range(0, len(others), AT_ONCE):
            theirs = and_(of_units(others[i : i + AT_ONCE], self._by_request), e.number + 0 <= self._read_to)
            for unit, request, version, arm in connection.execute(self._asked(shares, theirs, e.version, e.arm)):
                found.setdefault(unit or request, set()).add((shares[version], arm == "treatment"))
        return found

    def _note_all(
        self, connection: Connection, shares: dict[int, float], which: ColumnElement[bool], known: dict[str, Seen]
    ) -> None:
        e = EXPOSURES.c
        wanted = self._asked(shares, which, e.version, e.arm).order_by(
            e.number + 0
        )  # not by its index, see Window.number
        for unit, request, version, arm in connection.execute(wanted).all():
            if (name := self._name(unit, request)) is not None:
                self._note(known.setdefault(name, set()), shares[version], arm == "treatment")
                self._units[name] = known[name]
                self._units.move_to_end(name)
        while len(self._units) > HELD:
            self._units.popitem(last=False)

    def _note(self, seen: Seen, share: float, treated: bool) -> None:
        if not seen:
            self._first.setdefault(share, Counter())[treated] += 1
        if (share, treated) not in seen:
            self._seen_at.setdefault(share, Counter())[treated] += 1
            seen.add((share, treated))

    def _name(self, unit: str | None, request: str) -> str | None:
        return unit or (request if self._by_request else None)
