"""Which units each arm was first seen with, stage by stage: what the test of shares needs."""

from collections import Counter

from sqlalchemy import func, select

from trimtab.operations.outcomes.reading import drawn
from trimtab.operations.outcomes.rows import remembered
from trimtab.operations.releases.rows import states
from trimtab.operations.store.database import Store
from trimtab.operations.store.tables import EXPOSURES
from trimtab.statistics.sequential import ShareCounts


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
        self._seen: set[str] = set()
        self._first: dict[float, Counter[bool]] = {}  # units first seen at each share, by whether they are treated
        self._now: dict[bool, set[str]] = {False: set(), True: set()}  # units seen at the highest share
        self._highest = 0.0

    def read(self) -> None:
        """Read what is new.

        Raises:
            TrimtabError: the store cannot be read.
        """
        e = EXPOSURES.c
        with self._store.reading() as connection:
            found = (kept.release for kept in states(connection, name=self._release))
            shares = drawn(found, self._dry_run, self._after)
            end = int(connection.execute(select(func.max(e.number))).scalar() or 0)
            wanted = select(e.version, e.unit, e.request, e.arm).where(
                e.release == self._release, e.version.in_(tuple(shares)), e.dry_run == self._dry_run,
                e.number > self._read_to, e.number <= end, remembered(),
            )  # fmt: skip
            for version, unit, request, arm in connection.execute(wanted.order_by(e.number)):
                one = unit or (request if self._by_request else None)
                if one is not None:
                    self._note(shares[version], one, arm == "treatment")
        self._read_to = end

    @property
    def position(self) -> int:
        """Number of the last exposure that was read."""
        return self._read_to

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
        if share != self._highest:
            return 0, 0
        return len(self._now[False]), len(self._now[True])

    def _note(self, share: float, unit: str, treated: bool) -> None:
        if share > self._highest:
            self._highest, self._now = share, {False: set(), True: set()}
        if share == self._highest:
            self._now[treated].add(unit)
        if unit not in self._seen:
            self._seen.add(unit)
            self._first.setdefault(share, Counter())[treated] += 1
