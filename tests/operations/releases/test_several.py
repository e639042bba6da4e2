"""Arms of several: drawn by the epoch's probabilities, the same everywhere; what contradicts is refused."""

from collections import Counter
from pathlib import Path

import pytest
from scipy import stats
from sqlalchemy import text
from tests.operations.releases.conftest import COLD, WARM, defined, releases_of
from tests.operations.releases.test_view import UNITS, until
from tests.serving.steerings import write_steering

from trimtab.errors import InputError, TrimtabError
from trimtab.operations import (
    Adapt,
    ConflictError,
    Epoch,
    OffSwitch,
    Releases,
    ReleaseView,
    Store,
    Wish,
    adapting,
    factorial_arms,
    named_arms,
    wished,
)

SHARES = {"control": 0.1, "mild": 0.3, "bold": 0.6}


def several(name: str = "first", **fields: object) -> object:
    given = {"arms": {"mild": WARM, "bold": COLD}, "adapt": Adapt(), "stages": (100,), "metric": "errors"}
    return defined(name, **(given | fields))


def test_shares_are_those_of_the_epoch_and_another_epoch_draws_anew() -> None:
    first, second = (Epoch(number=number, shares=SHARES) for number in (2, 3))
    units = [f"unit-{i}" for i in range(100_000)]
    drawn = [(first.arm("s", unit), second.arm("s", unit)) for unit in units]
    for k in (0, 1):
        counts = Counter(pair[k] for pair in drawn)
        expected = [share * len(units) for share in SHARES.values()]
        assert stats.chisquare([counts[name] for name in SHARES], expected).pvalue > 1e-4
    both = Counter(drawn)
    grid = [[both[a, b] for b in SHARES] for a in SHARES]
    assert stats.chi2_contingency(grid).pvalue > 1e-4  # independent
    assert [first.arm("other", unit) for unit in units[:200]] != [pair[0] for pair in drawn[:200]]


def test_an_arm_without_a_share_gets_nobody_and_the_last_place_is_somebodys() -> None:
    epoch = Epoch(number=2, shares={"control": 0.7, "mild": 0.3, "bold": 0.0})
    assert {epoch.arm("s", f"u{i}") for i in range(1000)} == {"control", "mild"}
    assert epoch.bounds[-1][1] == 2**64


def test_servers_follow_epochs_and_say_by_which_probability_an_arm_was_drawn(
    releases: Releases, tmp_path: Path
) -> None:
    url = releases.store.url.render_as_string(hide_password=False)
    off = OffSwitch(tmp_path / "OFF")
    with Store(url) as other, ReleaseView(releases.store, "tiny", off) as one, ReleaseView(other, "tiny", off) as two:
        releases.add(several(), by="ada")  # type: ignore[arg-type]
        releases.act("first", "start", by="ada")
        until(lambda: all(len(view.releases) == 1 for view in (one, two)))
        assert {view.assign(u, "r").propensity for view in (one, two) for u in UNITS} == {1 / 3}  # type: ignore[union-attr]
        release = releases.adapt("first", SHARES, by="ada", expected=2)
        until(lambda: all(view.releases[0].version == 3 for view in (one, two)))
        for unit in UNITS:
            mine, theirs = one.assign(unit, "r"), two.assign(unit, "r")
            assert mine == theirs
            assert mine is not None
            assert (mine.arm, mine.propensity) == (release.arm(unit), SHARES[release.arm(unit)])
            assert mine.steering == {"control": None, "mild": WARM, "bold": COLD}[mine.arm]
        undrawn = one.assign(None, "r")
        assert undrawn is not None
        assert (undrawn.arm, undrawn.propensity) == ("control", None)
        releases.act("first", "finish", by="ada", keep="bold")
        until(lambda: one.releases[0].state == "finished")
        for somebody in (*UNITS, None):
            given = one.assign(somebody, "r")
            assert given is not None
            assert (given.arm, given.steering, given.propensity) == ("bold", COLD, None)


def test_the_store_itself_refuses_to_change_the_shares_of_an_epoch(releases: Releases) -> None:
    releases.add(several(), by="ada")  # type: ignore[arg-type]
    releases.act("first", "start", by="ada")
    with pytest.raises(TrimtabError, match="append-only"), releases.store.writing() as connection:
        connection.execute(text("UPDATE release_states SET epoch = '{}' WHERE version = 2"))


def test_four_eyes_hold_for_an_arm_that_is_kept_for_everybody(lite: Store) -> None:
    releases = releases_of(lite)
    releases.add(several(four_eyes=True), by="ada")  # type: ignore[arg-type]
    releases.act("first", "start", by="ada")
    assert releases.act("first", "finish", by="ada", keep="bold").state == "running"
    assert releases.act("first", "finish", by="bob", keep="bold").state == "finished"


def test_the_second_of_four_eyes_agrees_to_the_arm_that_the_first_one_asked_for(lite: Store) -> None:
    releases = releases_of(lite)
    releases.add(several(four_eyes=True), by="ada")  # type: ignore[arg-type]
    releases.act("first", "start", by="ada")
    asked = releases.act("first", "finish", by="ada", keep="mild")
    assert "100 % mild asked for by ada" in str(asked)
    releases.adapt("first", SHARES, by="watch", expected=asked.version)  # which takes nothing back
    with pytest.raises(ConflictError, match="mild asked for by ada"):
        releases.act("first", "finish", by="bob", keep="bold")
    releases.act("first", "pause", by="bob")
    resumed = releases.act("first", "resume", by="bob")
    assert resumed.epoch is not None
    assert (resumed.asked_by, resumed.epoch.asked_for) == (None, None)
    releases.act("first", "finish", by="bob", keep="bold")
    done = releases.act("first", "finish", by="ada", keep="bold")
    assert (done.state, done.arm("somebody")) == ("finished", "bold")


def test_a_dry_run_records_the_arm_and_answers_with_control(lite: Store, tmp_path: Path) -> None:
    releases = releases_of(lite)
    releases.add(several(), by="ada")  # type: ignore[arg-type]
    releases.act("first", "dry-run", by="ada")
    with ReleaseView(lite, "tiny", OffSwitch(tmp_path / "OFF")) as view:
        given = [view.assign(unit, "r") for unit in UNITS]
    assert {one.arm for one in given if one} == set(SHARES)
    assert all(one is not None and one.steering is None and one.dry_run for one in given)


def test_presets_become_arms_called_by_their_names(tmp_path: Path) -> None:
    folder = write_steering(tmp_path / "warm", {"warm": 1.0}, presets={"mild": {"warm": 0.5}, "bold": {"warm": 2.0}})
    arms = named_arms([(folder, "mild"), (folder, "bold"), (folder, None)])
    assert {name: dict(arm.strength) for name, arm in arms.items()} == {
        "mild": {"warm": 0.5}, "bold": {"warm": 2.0}, "warm": {"warm": 1.0},
    }  # fmt: skip
    with pytest.raises(InputError, match="called 'mild'"):
        named_arms([(folder, "mild"), (folder, "mild")])
    with pytest.raises(InputError, match="serve the same"):
        named_arms([(folder, "mild"), (folder, 0.5)])


def test_a_factorial_release_has_an_arm_for_every_combination_of_attributes(tmp_path: Path) -> None:
    folder = write_steering(tmp_path / "two", {"kind": 1.0, "brief": 2.0, "loud": 0.0})
    factors, arms = factorial_arms(folder)
    assert factors == ("kind", "brief")
    assert {name: dict(arm.strength) for name, arm in arms.items()} == {
        "cell-01": {"kind": 0.0, "brief": 2.0, "loud": 0.0}, "cell-10": {"kind": 1.0, "brief": 0.0, "loud": 0.0},
        "cell-11": {"kind": 1.0, "brief": 2.0, "loud": 0.0},
    }  # fmt: skip
    for attributes in ({"one": 1.0}, {f"a{i}": 1.0 for i in range(5)}):
        with pytest.raises(InputError, match="2 to 4"):
            factorial_arms(write_steering(tmp_path / f"n{len(attributes)}", attributes))


def test_every_arm_needs_a_check(lite: Store, tmp_path: Path) -> None:
    folder = write_steering(tmp_path / "warm", {"warm": 1.0}, presets={"mild": {"warm": 0.5}, "bold": {"warm": 2.0}})
    served = wished(Wish(arms=((folder, "mild"), (folder, "bold"))))
    releases = releases_of(lite)
    with pytest.raises(InputError, match="no check is given"):
        releases.create("first", by="ada", model="tiny", metric="errors", **served)
    made = releases.create("first", by="ada", model="tiny", metric="errors", unchecked="a trial", **served)
    assert list(made.definition.arms) == ["mild", "bold"]
    assert made.definition.treatment == made.definition.arms["mild"]


@pytest.mark.parametrize(("wish", "field"), [
    (Wish(("warm", None), adapt=Adapt(), arms=(("warm", "mild"),)), "treatment"), (Wish(adapt=Adapt()), "arms"),
    (Wish(arms=(("warm", "mild"),), stages=(1.0,)), "stages"), (Wish(), "treatment"),
    (Wish(("warm", None), factorial=True, stages=(1.0,)), "stages"),
    (Wish(("warm", None), factorial=True, adapt=Adapt()), "factorial"),
])  # fmt: skip
def test_options_of_a_test_and_of_an_adaptive_release_do_not_mix(wish: Wish, field: str) -> None:
    with pytest.raises(InputError) as error:
        wished(wish)
    assert error.value.field == field


@pytest.mark.parametrize("settings", [{"explore": 0}, {"half_life_days": -1}, {"epoch_visits": 3}, {"scale": 0}])
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(InputError) as error:
        adapting(**settings)
    assert str(error.value.field).startswith(next(iter(settings)).removesuffix("_days"))
