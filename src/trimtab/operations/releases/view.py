"""The releases as a server sees them: in memory, immutable, kept up by threads with the store and the off switch."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from threading import Event, Thread
from time import monotonic
from typing import Any, Final, Literal

from trimtab.errors import TrimtabError
from trimtab.operations.releases.adapting import CONTROL, Epoch
from trimtab.operations.releases.assignment import PLACES, bound, layer_place, place_of
from trimtab.operations.releases.emergency import OffSwitch
from trimtab.operations.releases.release import WHOLE, Arm, ArmName, Release
from trimtab.operations.releases.rows import newest, started
from trimtab.operations.store.database import CHANNEL, Store

POLL: Final = 0.25  # seconds between looks at the store, unless PostgreSQL tells of a change before
GRACE: Final = 60.0  # seconds that the last state is good for without a store
# After so many looks and seconds without an answer the store is lost, though it reports no error: a network may hang.
_LOOKS: Final = 4
_HANGS: Final = 2.0

Condition = Literal["live", "store-lost", "unsteered", "off"]
"""Up to date; the store is lost, and the last state still good; lost for too long; the emergency off."""


@dataclass(frozen=True)
class Assignment:
    """What a request gets by a release.

    Args:
        release: name.
        version: of its state, by which the request stays until it is answered.
        arm: the unit's: control, treatment, or one of several by name; in a dry run the one that it would have.
        steering: what to apply; None leaves the model as it is.
        dry_run: whether control is applied whatever the arm.
        propensity: probability of the arm, where a release with several drew it; None where nothing was drawn.

    Example:
        >>> from trimtab.operations import Assignment
        >>> Assignment("first", 2, "control", None).dry_run
        False
    """

    release: str
    version: int
    arm: str
    steering: Arm | None
    dry_run: bool = False
    propensity: float | None = None


class _Test:
    """A started release of two arms, ready to assign without a division."""

    def __init__(self, release: Release) -> None:
        definition = release.definition
        self.bound = bound(release.treated)
        self.salt = definition.salt
        self.draws = definition.without_unit == "request"
        dry = release.state == "dry-run"
        steerings: dict[ArmName, Arm | None] = {
            "control": definition.control,
            "treatment": definition.control if dry else definition.treatment,
        }
        self.answers = {arm: Assignment(release.name, release.version, arm, one, dry) for arm, one in steerings.items()}

    def assigned(self, unit: str | None, request: str) -> Assignment:
        if self.bound in (0, PLACES):
            return self.answers["treatment" if self.bound else "control"]
        drawn = unit if unit is not None else request if self.draws else None
        treated = drawn is not None and place_of(self.salt, drawn) < self.bound
        return self.answers["treatment" if treated else "control"]


class _Several:
    """A started release with several arms, likewise."""

    def __init__(self, release: Release, epoch: Epoch) -> None:
        self.epoch, self.salt = epoch, release.definition.salt
        self.draws = release.definition.without_unit == "request"
        self.live = release.treated > 0
        self.bounds = epoch.bounds
        self.kept = self.bounds[0][0] if len(self.bounds) == 1 and self.live else CONTROL  # what nobody is drawn for
        dry, drawn = release.state == "dry-run", release.state in ("running", "dry-run")
        self.answers = {
            arm: Assignment(
                release.name, release.version, arm, release.steering(arm), dry, epoch.shares[arm] if drawn else None
            )
            for arm in epoch.shares
        }
        self.undrawn = replace(self.answers[self.kept], propensity=None)

    def assigned(self, unit: str | None, request: str) -> Assignment:
        drawn = unit if unit is not None else request if self.draws else None
        if drawn is None or not self.live:
            return self.undrawn
        place = self.epoch.place(self.salt, drawn)
        return self.answers[next(arm for arm, end in self.bounds if place < end)]


class _Live:
    """A started release, and the slice of traffic that it decides for."""

    def __init__(self, release: Release) -> None:
        low, high = release.definition.traffic
        self.release = release
        self.whole = release.definition.traffic == WHOLE
        self.low, self.high = bound(low), bound(high)
        rule = _Test(release) if release.epoch is None else _Several(release, release.epoch)
        self.assigned = rule.assigned


@dataclass(frozen=True)
class _Snapshot:
    number: int
    live: tuple[_Live, ...]


class ReleaseView:
    """What each unit gets now. `assign` never waits: a thread keeps what it reads up to date.

    A lost store changes nothing for `grace` seconds; then nobody is steered by a release until it is found again.

    Args:
        store: see `Store`; not closed.
        model: by which this server knows its model.
        off: the emergency off.
        poll: seconds between looks at the store.
        grace: seconds that the last state is good for without a store.
        clock: of intervals, never set back.

    Raises:
        TrimtabError: the store cannot be read.

    Example:
        >>> from pathlib import Path
        >>> from trimtab.operations import Arm, Definition, OffSwitch, ReleaseView, Releases, Store
        >>> warm = Arm(name="warm", artifact="5f2c", strength={"warm": 1.0})
        >>> made = Definition(name="first", model="smollm2", treatment=warm, stages=(50, 100), salt="s")
        >>> with Store("viewed.db", create=True) as store:
        ...     releases = Releases(store, artifact_now=lambda arm: arm.artifact)
        ...     _ = releases.add(made, by="ada"), releases.act("first", "start", by="ada")
        ...     with ReleaseView(store, "smollm2", OffSwitch(Path("OFF"))) as view:
        ...         [view.assign(user, "request-1").arm for user in ("ada", "bob", None)]
        ['treatment', 'control', 'control']
    """

    def __init__(
        self,
        store: Store,
        model: str,
        off: OffSwitch,
        *,
        poll: float = POLL,
        grace: float = GRACE,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.model = model
        self.off = off
        self.grace = grace
        self._store, self._poll, self._clock = store, poll, clock
        self._patience = _LOOKS * poll + _HANGS
        self._off = off.reason
        self._fault: str | None = None
        self._snapshot = _Snapshot(-1, ())
        self._seen = clock()
        self._stop = Event()
        self._look()
        self._threads = [
            Thread(target=act, name=f"trimtab-{name}", daemon=True)
            for name, act in (("releases", self._follow), ("off-switch", self._watch))
        ]
        for thread in self._threads:
            thread.start()

    def assign(self, unit: str | None, request: str) -> Assignment | None:
        """What a request gets; takes microseconds, from memory.

        Args:
            unit: id of its unit, such as the user's; None if the request names none. Then it gets control until
                treatment has 100 %, or, where the release says so, the arm of its own id.
            request: id of the request.

        Returns:
            None where no release says anything: leave the model as it is.
        """
        live = self._snapshot.live
        if not live or self.condition in ("unsteered", "off"):
            return None
        place = None
        for one in live:
            if not one.whole:
                place = layer_place(self.model, request if unit is None else unit) if place is None else place
                if not one.low <= place < one.high:
                    continue
            return one.assigned(unit, request)
        return None

    @property
    def off_reason(self) -> str | None:
        """Why all steering is off; None if it is not."""
        return self._off

    @property
    def condition(self) -> Condition:
        """Whether what `assign` says is up to date."""
        if self._off is not None:
            return "off"
        age = self._clock() - self._seen
        if age > self.grace:
            return "unsteered"
        return "live" if self._fault is None and age <= self._patience else "store-lost"

    @property
    def record(self) -> dict[str, Any]:
        """For `/ready`, metrics and logs: condition, why, seconds since the store was read, and the releases."""
        return {
            "condition": self.condition,
            "reason": self._off or self._fault or (None if self.condition == "live" else "the store does not answer"),
            "seconds_since_store": round(self._clock() - self._seen, 3),
            "releases": [
                {"name": one.release.name, "state": one.release.state, "share": one.release.share,
                 "version": one.release.version}
                for one in self._snapshot.live
            ],
        }  # fmt: skip

    @property
    def releases(self) -> tuple[Release, ...]:
        """The releases that decide now, the last started first."""
        return tuple(one.release for one in self._snapshot.live)

    def close(self) -> None:
        """Stop following the store; `assign` goes on with the last state for `grace` seconds."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._fault = self._fault or "the view is closed"

    def __enter__(self) -> "ReleaseView":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _look(self) -> None:
        """Read the store, if anything changed since."""
        began = self._clock()
        with self._store.reading() as connection:
            number = newest(connection)
            if number != self._snapshot.number:
                self._snapshot = _Snapshot(number, _deciding([k.release for k in started(connection, self.model)]))
        self._seen, self._fault = began, None

    def _follow(self) -> None:
        while not self._stop.is_set():
            try:
                if self._store.is_postgresql:
                    self._listen()
                else:
                    self._look()
            except TrimtabError as error:
                self._fault = str(error)
            self._stop.wait(self._poll)

    def _watch(self) -> None:
        """Look at the off switch, for which no store is waited."""
        while not self._stop.wait(self._poll):
            self._off = self.off.reason

    def _listen(self) -> None:
        """Look whenever PostgreSQL tells of a change, and now and then in any case, until the connection is lost."""
        with closing(self._store.listening(CHANNEL)) as told:
            while not self._stop.is_set():
                self._look()
                told.wait(self._poll)


def _deciding(releases: list[Release]) -> tuple[_Live, ...]:
    """Those that can decide: behind one that has all of the traffic, none can."""
    live = []
    for release in releases:
        live.append(_Live(release))
        if live[-1].whole:
            break
    return tuple(live)
