"""Releases with several arms: shares follow what is liked, harm is excluded, attributes are told apart."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from random import Random
from time import time
from typing import Any

import numpy as np
import pytest
from scipy import stats
from tests.operations.experiments.conftest import METRICS, Launch

from trimtab.errors import InputError
from trimtab.operations import (
    Adapt,
    Arm,
    ConflictError,
    Definition,
    Exposure,
    ExposureLog,
    Metric,
    Outcome,
    OutcomeLog,
    Releases,
    Store,
    adapting,
    import_metrics,
    planned,
    verify,
)
from trimtab.operations.experiments import OverTime, Watch, Watched, experiment_of, policy_value
from trimtab.operations.experiments.learning import learned, next_shares
from trimtab.operations.experiments.visits import Visited
from trimtab.statistics.sequential import Draws

DAY = 86_400.0
BEGAN = time() - 40 * DAY
FAIL = {"control": 0.7, "mild": 0.5, "bold": 0.25}  # of the answers, by arm: the least is best
NO_FAULT = dict.fromkeys(FAIL, 0.0)
NONE: dict[str, float] = {}


def warm(strength: float = 1.0) -> Arm:
    return Arm(name="warm", artifact="5f2c", strength={"warm": strength})


@dataclass
class Several:
    """A release with several arms in a store, and simulated users."""

    store: Store
    releases: Releases
    random: Random = field(default_factory=lambda: Random(1))
    numbers: Any = field(default_factory=count)

    def visits(
        self, n: int, failing: dict[str, float], cancelled: dict[str, float] = NONE, day: float = 0.0
    ) -> Counter[str]:
        """Requests of new users, of which some fail or are hung up on; how many each arm had."""
        release, exposures, arms = self.releases.get("a"), [], Counter[str]()
        for _ in range(n):
            number = next(self.numbers)
            arm = release.arm(f"u{number}")
            failed, hung_up = self.random.random() < failing[arm], self.random.random() < cancelled.get(arm, 0.0)
            exposures.append(Exposure(
                f"r{number}", BEGAN + day * DAY, "tiny", arm, f"u{number}", "a", release.version,
                finish="cancelled" if hung_up else "error" if failed else "stop",
            ))  # fmt: skip
            arms[arm] += 1
        ExposureLog(self.store).write(exposures)
        return arms

    def heavy(self, unit: str, n: int) -> None:
        """Many requests of one user."""
        release = self.releases.get("a")
        ExposureLog(self.store).write([
            Exposure(f"{unit}{i}", BEGAN, "tiny", release.arm(unit), unit, "a", release.version, finish="stop")
            for i in range(n)
        ])  # fmt: skip

    def watch(self) -> Watched:
        (found,) = Watch(self.releases).once()
        assert found.fault is None
        return found

    @property
    def shares(self) -> dict[str, float]:
        epoch = self.releases.get("a").epoch
        assert epoch is not None
        return dict(epoch.shares)


Make = Callable[..., Several]


@pytest.fixture
def make(lite: Store) -> Make:
    """In SQLite."""
    return maker(lite)


@pytest.fixture
def make_both(store: Store) -> Make:
    """In both databases."""
    return maker(store)


def maker(store: Store) -> Make:
    """A started release; by default an adaptive one of two presets, judged by `errors`."""

    def made(
        guardrails: tuple[str, ...] = (), start: bool = True, metric: str | None = "errors", **fields: Any
    ) -> Several:
        import_metrics(store, [one.model_copy(update={"window_days": 90.0}) for one in METRICS], by="ada")
        releases = Releases(store, artifact_now=lambda arm: arm.artifact)
        given = {"arms": {"mild": warm(0.5), "bold": warm()}, "adapt": Adapt(explore=0.05, epoch_visits=200)}
        releases.add(Definition.made(
            name="a", model="tiny", treatment=warm(0.5), stages=(100,), salt="s", **planned(metric, guardrails),
            **(given | fields),
        ), by="ada")  # fmt: skip
        if start:
            releases.act("a", "start", by="ada")
        return Several(store, releases)

    return made


def test_traffic_goes_to_the_arm_that_is_liked_and_every_arm_keeps_its_floor(make_both: Make) -> None:
    several = make_both()
    assert several.shares == pytest.approx(dict.fromkeys(FAIL, 1 / 3))
    assert several.watch().decision is None  # nothing was seen
    for _ in range(3):
        several.visits(250, FAIL)
        several.watch()
    assert several.shares["bold"] > 0.85
    assert min(several.shares.values()) == pytest.approx(0.05)
    arms = several.visits(1000, FAIL)
    assert arms["bold"] / 1000 == pytest.approx(several.shares["bold"], abs=0.04)
    entry = several.releases.history("a")[-1].entry
    assert (entry.who, entry.what) == ("watch", "release.adapt")
    assert "bold" in entry.why
    assert (entry.after or {})["epoch"]["shares"] == several.shares
    assert verify(several.store).holds


def test_an_epoch_lasts_until_enough_was_seen_and_a_restart_finds_the_same(make: Make) -> None:
    several = make()
    several.visits(150, FAIL)
    assert several.watch().decision is None
    several.visits(100, FAIL)
    look = experiment_of(several.store, "a").look()
    assert look == experiment_of(several.store, "a").look()
    done = several.watch().done
    assert done is not None
    assert look.decision is not None
    assert done.epoch is not None
    assert (done.version, done.epoch.number, dict(done.epoch.shares)) == (3, 3, look.decision.shares)
    paused = several.releases.act("a", "pause", by="ada")
    resumed = several.releases.act("a", "resume", by="ada")
    units = [f"u{i}" for i in range(200)]
    assert [paused.arm(unit) for unit in units] == ["control"] * 200
    assert [resumed.arm(unit) for unit in units] == [done.arm(unit) for unit in units]


def test_of_two_watches_one_sets_the_shares_and_the_other_finds_it_done(make_both: Make) -> None:
    several = make_both()
    several.visits(250, FAIL)
    look = several.watch().look
    assert look is not None
    assert look.decision is not None
    with pytest.raises(ConflictError, match="changed after version 2"):
        several.releases.adapt("a", look.decision.shares, by="other", expected=look.version)


def test_a_harmful_arm_is_excluded_though_it_fails_least(make_both: Make) -> None:
    several = make_both(guardrails=("cancelled:0.02",))
    cancelled = {"bold": 0.4}
    for _ in range(6):
        several.visits(250, FAIL, cancelled)
        several.watch()
        if not several.shares["bold"]:
            break
    epoch = several.releases.get("a").epoch
    assert epoch is not None
    assert set(epoch.excluded) == {"bold"}
    assert "cancelled: Worse by" in epoch.excluded["bold"]
    assert several.visits(300, FAIL, cancelled)["bold"] == 0
    figures: Any = (several.releases.history("a")[-1].entry.after or {})["figures"]
    assert figures["guardrails"]["bold cancelled"]["low"] > 0.02


def test_when_only_control_is_left_the_release_pauses_and_cannot_be_resumed(make: Make) -> None:
    several = make(guardrails=("cancelled:0.02",))
    for _ in range(8):
        several.visits(250, FAIL, {"bold": 0.4, "mild": 0.4})
        several.watch()
        if several.releases.get("a").state == "paused":
            break
    release = several.releases.get("a")
    assert (release.state, release.arm("ada")) == ("paused", "control")
    assert several.shares == {"control": 1.0, "mild": 0.0, "bold": 0.0}
    assert "Only control is left" in several.releases.history("a")[-1].entry.why
    with pytest.raises(ConflictError, match="nothing is left to resume"):
        several.releases.act("a", "resume", by="ada")


def test_a_change_of_tastes_is_followed_with_a_half_life_and_not_without(make: Make) -> None:
    several = make(adapt=Adapt(explore=0.05, half_life_days=2.0))
    for day in range(4):
        several.visits(300, FAIL, day=day)
        several.watch()
    assert several.shares["bold"] > 0.8
    turned = {"control": 0.7, "mild": 0.2, "bold": 0.8}
    for day in range(20, 24):
        several.visits(300, turned, day=day)
        several.watch()
    assert several.shares["mild"] > 0.8


def test_records_that_are_lost_of_one_arm_pause_the_release(make: Make) -> None:
    several = make()
    release = several.releases.get("a")
    kept = [
        Exposure(f"x{i}", 0.0, "tiny", arm, f"u{i}", "a", 2, finish="stop")
        for i in range(3000) if (arm := release.arm(f"u{i}")) != "bold" or i % 3
    ]  # fmt: skip
    ExposureLog(several.store).write(kept)
    watched = several.watch()
    assert watched.done is not None
    assert watched.done.state == "paused"
    assert "do not get their shares" in several.releases.history("a")[-1].entry.why


def test_late_feedback_changes_the_visit_in_which_it_was_asked(make: Make) -> None:
    several = make(metric="liked")
    several.visits(250, NO_FAULT)
    log = OutcomeLog(several.store)
    log.write([Outcome("thumbs", f"r{i}", label="down") for i in range(240)])
    assert policy_value(several.store, "a", "bold").estimates[0].value == 0.0
    several.watch()
    assert several.releases.get("a").version == 3
    log.write([Outcome("thumbs", f"r{i}", label="up") for i in range(240)])  # of the epoch before
    after = policy_value(several.store, "a", "bold")
    assert after.visits == (240, 240)
    assert [one.value for one in after.estimates[1:]] == pytest.approx([1.0, 1.0], abs=0.02)


def test_what_a_rarely_drawn_preset_would_have_given_is_estimated_with_the_truth_inside(make: Make) -> None:
    several = make()
    for _ in range(8):
        several.visits(250, FAIL)
        several.watch()
    for policy, truth in (("mild", 0.5), ("uniform", sum(FAIL.values()) / 3), ("bold=0.5,control=0.5", 0.475)):
        found = policy_value(several.store, "a", policy)
        assert found.visits == (2000, 2000)
        for one in found.estimates:
            assert one.low is not None
            assert one.high is not None
            assert one.low <= truth <= one.high
        narrow = found.estimates[2]
        assert narrow.high - narrow.low < 0.5  # type: ignore[operator]


@pytest.mark.parametrize(
    "policy", ["none", "bold=0.4", "bold=x,mild=1", "bold=2,mild=-1", "bold=0.5,mild=0.5,bold=0.5", ""]
)
def test_a_policy_that_is_none_is_refused(make: Make, policy: str) -> None:
    several = make()
    with pytest.raises(InputError) as error:
        policy_value(several.store, "a", policy)
    assert error.value.field == "policy"


def test_a_test_has_no_estimates_of_policies(launch: Launch) -> None:
    live = launch(metric="errors")
    with pytest.raises(InputError, match="two arms"):
        policy_value(live.store, "first", "uniform")


CELLS = {"cell-01": warm(), "cell-10": warm(0.5), "cell-11": warm(0.25)}


def test_a_factorial_release_says_which_attribute_moves_what(make: Make) -> None:
    several = make(arms=CELLS, adapt=None, factors=("kind", "brief"))
    failing = {"control": 0.6, "cell-01": 0.6, "cell-10": 0.4, "cell-11": 0.4}  # kind helps, brief does nothing
    several.visits(3000, failing)
    watched = several.watch()
    assert watched.decision is None
    assert watched.look is not None
    effects = {one.attributes: one for one in watched.look.effects}
    assert set(effects) == {("kind",), ("brief",), ("kind", "brief")}
    kind = effects["kind",]
    assert kind.shown
    assert kind.low is not None
    assert kind.high is not None
    assert kind.low <= -0.2 <= kind.high < 0
    assert not effects["brief",].shown
    assert not effects["kind", "brief"].shown
    assert watched.look.note.startswith("kind moves errors down by 0.")
    assert "which is better. brief: not shown to move anything." in watched.look.note
    assert several.shares == dict.fromkeys(several.shares, 0.25)


def test_an_interaction_is_the_effect_where_the_other_is_on_minus_that_where_it_is_off(make: Make) -> None:
    several = make(arms=CELLS, adapt=None, factors=("kind", "brief"))
    several.visits(3000, {"control": 0.5, "cell-01": 0.5, "cell-10": 0.5, "cell-11": 0.9})
    look = several.watch().look
    assert look is not None
    both = next(one for one in look.effects if len(one.attributes) == 2)
    assert both.shown
    assert both.low is not None
    assert both.high is not None
    assert 0 < both.low <= 0.4 <= both.high


def test_harm_in_a_factorial_release_pauses_it(make: Make) -> None:
    several = make(guardrails=("cancelled:0.05:rollback",), arms=CELLS, adapt=None, factors=("kind", "brief"))
    several.visits(2000, dict.fromkeys(("control", *CELLS), 0.5), {"cell-11": 0.4})
    done = several.watch().done
    assert done is not None
    assert done.state == "rolled-back"


def test_each_point_of_the_course_is_what_a_look_found_at_that_moment(make_both: Make) -> None:
    several = make_both(guardrails=("cancelled",))
    course, found = OverTime(several.store, "a"), []
    assert course.read() == ()
    for _ in range(3):
        several.visits(250, FAIL)
        look = experiment_of(several.store, "a").look()
        found.append({one.arm: (one.visits, one.mean, one.low, one.high) for one in look.arms})
        point = course.read()[-1]
        assert {name: tuple(vars(arm).values()) for name, arm in point.arms.items()} == found[-1]
        assert (point.units, point.difference) == ((found[-1]["control"][0], sum(n for n, *_ in found[-1].values())
                                                    - found[-1]["control"][0]), None)  # fmt: skip
        several.watch()  # sets the shares anew
    assert several.shares["bold"] > 0.5
    anew = OverTime(several.store, "a", points=3).read()  # by somebody who comes late
    assert [{name: tuple(vars(arm).values()) for name, arm in point.arms.items()} for point in anew] == found
    assert list(OverTime(several.store, "a", "cancelled").read()[-1].arms) == ["control", "mild", "bold"]
    with pytest.raises(InputError, match="not judged by latency; it is judged by errors, cancelled"):
        OverTime(several.store, "a", "latency")


def test_a_factorial_release_has_a_course_of_every_cell(make: Make) -> None:
    several = make(arms=CELLS, adapt=None, factors=("kind", "brief"))
    several.visits(400, dict.fromkeys(("control", *CELLS), 0.5))
    point = OverTime(several.store, "a").read()[-1]
    assert set(point.arms) == {"control", *CELLS}
    assert sum(arm.visits for arm in point.arms.values()) == 400


def test_an_arm_is_kept_by_its_name_and_an_excluded_one_is_not(make: Make) -> None:
    several = make()
    with pytest.raises(InputError, match="no arm 'treatment' to keep; name control or one of mild, bold"):
        several.releases.act("a", "finish", by="ada")
    with pytest.raises(ConflictError, match="no stages"):
        several.releases.act("a", "promote", by="ada")
    shares = {"control": 0.5, "mild": 0.5, "bold": 0.0}
    several.releases.adapt("a", shares, {"bold": "it shouts"}, by="ada", expected=2)
    with pytest.raises(InputError, match="it shouts"):
        several.releases.act("a", "finish", by="ada", keep="bold")
    kept = several.releases.act("a", "finish", by="ada", keep="mild")
    assert {kept.arm(f"u{i}") for i in range(50)} == {"mild"}
    with pytest.raises(ConflictError, match="serves this steering"):
        several.releases.check_unused("5f2c")


@pytest.mark.parametrize("shares", [
    {"control": 0.5, "mild": 0.5}, {"control": 0.0, "mild": 0.5, "bold": 0.5},
    {"control": 0.5, "mild": 0.5, "bold": 0.5}, {"control": 0.5, "bold": 0.25, "mild": 0.25},
])  # fmt: skip
def test_shares_that_do_not_fit_the_arms_are_refused(make: Make, shares: dict[str, float]) -> None:
    several = make()
    with pytest.raises(InputError) as error:
        several.releases.adapt("a", shares, by="ada", expected=2)
    assert error.value.field == "shares"
    assert several.releases.get("a").version == 2


@pytest.mark.parametrize(("fields", "field"), [
    ({"adapt": Adapt(explore=0.34)}, "explore"), ({"arms": {}}, "arms"), ({"arms": {"control": warm()}}, "arms"),
    ({"arms": {"x" * 21: warm()}}, "arms"), ({"arms": {"a=b": warm()}}, "arms"), ({"arms": {"a,b": warm()}}, "arms"),
    ({"arms": {"a\0b": warm()}}, "arms"), ({"adapt": None}, "arms"), ({"factors": ("kind",)}, "factors"),
    ({"adapt": None, "factors": ("kind", "brief")}, "arms"), ({"metric": "complaint"}, "scale"),
    ({"metric": "slow"}, "metric"), ({"metric": None}, "metric"), ({"guardrails": ("slow",)}, "metric"),
])  # fmt: skip
def test_what_does_not_fit_an_adaptive_release_is_refused(make: Make, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as error:
        make(start=False, **fields)
    assert error.value.field == field


def test_records_of_an_arm_that_could_not_be_drawn_pause_the_release(make: Make) -> None:
    several = make()
    several.releases.adapt("a", {"control": 0.5, "mild": 0.5, "bold": 0.0}, {"bold": "bad"}, by="ada", expected=2)
    several.visits(20, NO_FAULT)
    wrong = [Exposure(f"w{i}", BEGAN, "tiny", "bold", f"w{i}", "a", 3, finish="stop") for i in range(3)]
    ExposureLog(several.store).write(wrong)
    watched = several.watch()
    assert watched.look is not None
    assert watched.look.sample_ratio.mismatch
    assert watched.done is not None
    assert watched.done.state == "paused"


def seen(values: list[float], arms: list[int], days: list[float]) -> Visited:
    n = len(values)
    drawn = Draws(np.array(values), np.array(arms), np.full((n, 2), 0.5))
    return Visited(drawn, np.array(days) * DAY, [int(n) for n in drawn.counts])


def two_arms(**adapt: Any) -> tuple[Definition, Metric]:
    metric = Metric.made(name="stars", feedback="stars", bounds=(0, 1))
    fields = {"arms": {"bold": warm()}, "adapt": Adapt(**adapt), "metric": "stars"}
    return Definition.made(name="a", model="tiny", treatment=warm(), stages=(100,), salt="s", **fields), metric


@pytest.mark.parametrize("spread", [0.0, 0.01, 0.1])
def test_an_arm_is_not_better_for_having_had_more_visits(spread: float) -> None:
    """Alike arms, unequal visits, values far from the middle of the bounds: the chance to be best is anything."""
    draw, arms, chances = np.random.default_rng(0), [0] * 60 + [1] * 3000, []
    for _ in range(40):
        values = [(0.9 + 0.9 + 0.9) / 3 if i % 2 else 0.9 for i in range(len(arms))]  # the same, but for rounding
        noisy = np.clip(values + draw.normal(0.0, spread, len(arms)), 0, 1)
        chances.append(learned(*two_arms(half_life_days=None), seen(list(noisy), arms, [0.0] * len(arms)))["bold"])
    assert 0.35 < np.mean(chances) < 0.65
    assert spread == 0 or stats.kstest(chances, "uniform").pvalue > 1e-3


def test_a_clock_that_jumps_once_does_not_take_back_what_was_learned() -> None:
    values, arms = [0.0, 1.0] * 200, [0, 1] * 200
    of, days = two_arms(), [i / 400 for i in range(400)]
    before = learned(*of, seen(values, arms, days))["bold"]
    wrong = learned(*of, seen([*values, 1.0], [*arms, 0], [*days, 400.0]))["bold"]
    assert (before, wrong) == pytest.approx((1.0, 1.0), abs=1e-6)
    later = learned(*of, seen([*values, *[1.0, 0.0] * 40], [*arms, *[0, 1] * 40], [*days, *[90.0] * 80]))["bold"]
    assert later < 0.05  # what is long ago counts little all the same


def test_a_floor_that_rounding_would_take_away_is_refused() -> None:
    with pytest.raises(InputError, match=r"0\.001"):
        adapting(explore=1e-7)
    shares = next_shares({"control": 0.0, "mild": 0.0, "bold": 1.0}, (), adapting(explore=0.001).explore)
    assert shares == pytest.approx({"control": 0.001, "mild": 0.001, "bold": 0.998})


def test_requests_of_a_forgotten_unit_are_no_units_of_their_own(make_both: Make) -> None:
    """They were drawn together: counted one by one they would say that the arms do not get their shares."""
    several = make_both(without_unit="request")
    several.visits(60, NO_FAULT)
    several.heavy("ada", 100)
    exposures = ExposureLog(several.store)
    before = experiment_of(several.store, "a").look()
    exposures.forget("ada", by="ada")
    after = experiment_of(several.store, "a").look()
    assert (sum(before.stage_units), sum(after.stage_units)) == (61, 60)
    assert not after.sample_ratio.mismatch
