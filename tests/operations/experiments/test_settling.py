"""Visits that are over are kept in sums, and every look is what the whole history says."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from math import inf
from random import Random
from unittest.mock import patch

import pytest
from tests.operations.experiments.conftest import METRICS

from trimtab.operations import (
    Adapt,
    Arm,
    Definition,
    Exposure,
    ExposureLog,
    Outcome,
    OutcomeLog,
    Releases,
    Store,
    import_metrics,
    planned,
)
from trimtab.operations.experiments import OverTime, Watch, experiment_of
from trimtab.operations.experiments.findings import Look
from trimtab.operations.experiments.seen_units import SeenUnits
from trimtab.operations.experiments.several import SeveralArms

DAY = 86_400.0
BEGAN = 1.7e9
LIKED = {"control": 0.3, "mild": 0.5, "bold": 0.6}
HANGS_UP = {"control": 0.02, "mild": 0.02, "bold": 0.1}
TIMES = ("outcomes.log", "releases.releases", "releases.rows", "releases.several")


def at(now: float) -> AbstractContextManager[None]:
    """The store's clock stands at a time."""
    stack = ExitStack()
    for module in TIMES:
        stack.enter_context(patch(f"trimtab.operations.{module}.time", lambda: now))
    return stack  # type: ignore[return-value]


@dataclass
class Simulated:
    """An adaptive release, and users who come back and say late, and again, what they liked."""

    store: Store
    metric: str = "liked"
    random: Random = field(default_factory=lambda: Random(3))
    said_later: list[tuple[float, str, str]] = field(default_factory=list)
    n: int = 0

    def __post_init__(self) -> None:
        import_metrics(self.store, [one.model_copy(update={"window_days": 2.0}) for one in METRICS], by="ada")
        self.releases = Releases(self.store, artifact_now=lambda arm: arm.artifact)
        arms = {
            name: Arm(name="warm", artifact="5f2c", strength={"warm": s}) for name, s in (("mild", 0.5), ("bold", 1.0))
        }
        fields = planned(self.metric, ["cancelled:0.02"])
        with at(BEGAN):
            self.releases.add(Definition.made(
                name="a", model="tiny", treatment=arms["mild"], stages=(100,), salt="s", arms=arms,
                adapt=Adapt(explore=0.05, epoch_visits=40, half_life_days=4.0), **fields,
            ), by="ada")  # fmt: skip
            self.releases.act("a", "start", by="ada")

    def day(self, day: int, visits: int = 80) -> None:
        """A day's requests of a hundred users, and the feedback of that day."""
        release, made = self.releases.get("a"), []
        for i in range(visits):
            unit, now = f"u{self.random.randrange(100)}", BEGAN + (day + i / visits) * DAY
            arm = release.arm(unit)
            hung_up = self.random.random() < HANGS_UP[arm]
            finish, seconds = "cancelled" if hung_up else "stop", self.random.gauss(2, 0.5)
            made.append(Exposure(
                f"r{self.n}", now, "tiny", arm, unit, "a", release.version, finish=finish, seconds=seconds
            ))  # fmt: skip
            for _ in range(self.random.choice((0, 1, 1, 2))):
                word = "up" if self.random.random() < LIKED[arm] else "down"
                self.said_later.append((now + self.random.random() * 2.5 * DAY, f"r{self.n}", word))
            self.n += 1
        ExposureLog(self.store).write(made)
        due = sorted(one for one in self.said_later if one[0] < BEGAN + (day + 1) * DAY)
        self.said_later = [one for one in self.said_later if one not in due]
        for some in (due[i : i + 12] for i in range(0, len(due), 12)):
            with at(some[-1][0]):
                OutcomeLog(self.store).write([Outcome("thumbs", request, label=word) for _, request, word in some])

    def whole(self) -> Look:
        """What somebody finds who reads everything and settles nothing."""
        with patch("trimtab.operations.experiments.several.SLACK_DAYS", inf):
            return experiment_of(self.store, "a").look()


Simulate = Callable[..., Simulated]


def test_every_look_and_decision_is_that_of_the_whole_history_while_few_visits_are_held(lite: Store) -> None:
    live = Simulated(lite)
    lasting = SeveralArms(lite, "a")
    held, epochs = [], 0
    for day in range(13):
        live.day(day)
        look = lasting.look()
        assert look == live.whole()
        held.append(len(lasting._primary) + len(lasting._all))
        if look.decision is not None:
            epochs += look.decision.action == "adapt"
            with at(BEGAN + (day + 1) * DAY):
                Watch(live.releases).once()
    assert epochs > 7
    assert max(held[8:]) < 1.4 * held[6]  # of the window and a day, whatever came before
    assert sum(one.visits for one in look.arms) > 2 * len(lasting._primary)
    assert lasting._slack == 1.0
    point = OverTime(lite, "a", points=6).read()[-1]
    assert {name: (arm.visits, arm.mean, arm.low, arm.high) for name, arm in point.arms.items()} == {
        one.arm: (one.visits, one.mean, one.low, one.high) for one in look.arms
    }


def settled(lite: Store) -> tuple[Simulated, SeveralArms]:
    """A release of which the first epochs are over."""
    live, lasting = Simulated(lite, "latency"), SeveralArms(lite, "a")
    for day in range(6):
        live.day(day)
        lasting.look()
        with at(BEGAN + (day + 1) * DAY):
            Watch(live.releases).once()
    assert len(lasting._primary) < 0.8 * sum(one.visits for one in lasting.look().arms)
    return live, lasting


def test_a_record_that_comes_when_its_epoch_is_over_counts_all_the_same(lite: Store) -> None:
    live, lasting = settled(lite)
    first = next(step.release for step in live.releases.history("a") if step.release.state == "running")
    ExposureLog(lite).write([
        Exposure("late", BEGAN, "tiny", first.arm("u1"), "u1", "a", first.version, finish="stop", seconds=30.0)
    ])  # fmt: skip
    assert lasting.look() == live.whole()
    assert lasting._slack == 2.0
    course = OverTime(lite, "a")
    before = course.read()[-1].arms
    ExposureLog(lite).write([
        Exposure("later", BEGAN, "tiny", first.arm("u2"), "u2", "a", first.version, finish="stop", seconds=30.0)
    ])  # fmt: skip
    assert course.read()[-1].arms != before
    assert course.read()[-1] == OverTime(lite, "a").read()[-1]


def test_a_visit_by_a_clock_that_was_ahead_is_weighed_as_if_nothing_was_settled(lite: Store) -> None:
    live = Simulated(lite, "latency")
    release = live.releases.get("a")
    ExposureLog(lite).write([
        Exposure(f"ahead{i}", BEGAN + days * DAY, "tiny", release.arm(f"x{i}"), f"x{i}", "a", release.version,
                 finish="stop", seconds=9.0)
        for i, days in enumerate((3.5, 400.0))
    ])  # fmt: skip
    lasting = SeveralArms(lite, "a")
    for day in range(7):
        live.day(day)
        assert lasting.look() == live.whole()
        with at(BEGAN + (day + 1) * DAY):
            Watch(live.releases).once()
    assert len(lasting._primary) < 0.8 * sum(one.visits for one in lasting.look().arms)


def test_what_is_read_in_pieces_is_what_is_read_at_once(lite: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    live = Simulated(lite)
    for day in range(6):
        live.day(day)
        with at(BEGAN + (day + 1) * DAY):
            Watch(live.releases).once()
    whole = live.whole()
    monkeypatch.setattr("trimtab.operations.experiments.visits.CHUNK", 37)
    assert experiment_of(lite, "a").look() == whole


def test_units_are_known_again_after_they_were_sorted_in() -> None:
    seen, names = SeenUnits(), [f"unit {i}" for i in range(25_000)]
    assert all(seen.add(name) for name in names)
    assert not any(seen.add(name) for name in names)
    assert seen.add("another")
