"""A server assigns from memory, sees a switch within a second, and outlives its store for a stated time."""

import shutil
from collections.abc import Callable
from pathlib import Path
from threading import Event
from time import monotonic, perf_counter, sleep

import pytest
from sqlalchemy import text
from tests.operations.releases.conftest import COLD, WARM, defined, releases_of

from trimtab.operations import OffSwitch, Release, Releases, ReleaseView, Store

UNITS = [f"user-{i}" for i in range(200)]


def until(true: Callable[[], bool], seconds: float = 30.0) -> float:
    """Wait until something is so; says how long it took."""
    began = monotonic()
    while not true():
        assert monotonic() - began < seconds, "it did not come to be so"
        sleep(0.002)
    return monotonic() - began


def arms(view: ReleaseView) -> set[str]:
    return {unit for unit in UNITS if (one := view.assign(unit, "r")) is not None and one.steering == WARM}


@pytest.fixture
def off(tmp_path: Path) -> OffSwitch:
    return OffSwitch(tmp_path / "OFF")


def test_without_a_release_nothing_is_said(store: Store, off: OffSwitch) -> None:
    with ReleaseView(store, "tiny", off) as view:
        releases_of(store).add(defined(), by="ada")
        assert view.assign("ada", "r") is None
        assert view.condition == "live"


def test_every_step_is_seen_within_a_second_by_two_servers(releases: Releases, off: OffSwitch) -> None:
    url = releases.store.url.render_as_string(hide_password=False)
    with (
        Store(url) as other_store,
        ReleaseView(releases.store, "tiny", off) as view,
        ReleaseView(other_store, "tiny", off) as other,
    ):
        releases.add(defined(stages=(50, 100)), by="ada")
        treated = {u for u in UNITS if at(releases, 50).arm(u) == "treatment"}
        for action, expected in (("start", treated), ("pause", set()), ("resume", treated), ("promote", set(UNITS)),
                                 ("rollback", set())):  # fmt: skip
            version = releases.act("first", action, by="ada").version
            for one in (view, other):
                seen = lambda one=one: [r.version for r in one.releases] == [version]  # noqa: E731, B023
                assert until(seen) < 1.0
                assert arms(one) == expected


def at(releases: Releases, share: float) -> Release:
    return Release(releases.get("first").definition, 1, "running", share)


def test_a_request_without_a_unit_follows_the_rule(local: Releases, off: OffSwitch) -> None:
    local.add(defined("control", traffic=(0, 50), stages=(50, 100)), by="ada")
    local.add(defined("request", traffic=(50, 100), stages=(50, 100), without_unit="request"), by="ada")
    for name in ("control", "request"):
        local.act(name, "start", by="ada")
    with ReleaseView(local.store, "tiny", off) as view:
        given = [view.assign(None, request) for request in UNITS]
        assert given == [view.assign(None, request) for request in UNITS]
        by_rule = {name: {one.arm for one in given if one.release == name} for name in ("control", "request")}
        assert by_rule == {"control": {"control"}, "request": {"control", "treatment"}}
        local.act("control", "promote", by="ada")
        until(lambda: {r.share for r in view.releases} == {50, 100})
        assert {one.arm for r in UNITS if (one := view.assign(None, r)).release == "control"} == {"treatment"}


def test_slices_of_traffic_do_not_disturb_each_other(local: Releases, off: OffSwitch) -> None:
    local.add(defined("one", traffic=(0, 50), stages=(50, 100)), by="ada")
    local.act("one", "start", by="ada")
    with ReleaseView(local.store, "tiny", off) as view:
        before = {unit: view.assign(unit, "r") for unit in UNITS}
        assert {None, "one"} == {None if a is None else a.release for a in before.values()}
        local.add(defined("two", traffic=(50, 100), treatment=COLD, stages=(50, 100)), by="ada")
        local.act("two", "start", by="ada")
        until(lambda: len(view.releases) == 2)
        after = {unit: view.assign(unit, "r") for unit in UNITS}
        assert {u: a for u, a in after.items() if a.release == "one"} == {u: a for u, a in before.items() if a}
        assert {a.release for u, a in after.items() if before[u] is None} == {"two"}


def test_a_finished_release_serves_on_until_the_next_one_decides(local: Releases, off: OffSwitch) -> None:
    local.add(defined("one", stages=(100,)), by="ada")
    local.act("one", "start", by="ada")
    local.act("one", "finish", by="ada")
    local.add(defined("two", treatment=COLD, control=WARM, stages=(50, 100)), by="ada")
    with ReleaseView(local.store, "tiny", off) as view:
        assert arms(view) == set(UNITS)
        local.act("two", "start", by="ada")
        until(lambda: [r.name for r in view.releases] == ["two"])
        assert 0 < len(arms(view)) < len(UNITS)
        local.act("two", "rollback", by="ada")
        until(lambda: arms(view) == set(UNITS))


def test_a_dry_run_is_assigned_but_not_applied(local: Releases, off: OffSwitch) -> None:
    local.add(defined(stages=(50, 100), control=COLD), by="ada")
    local.act("first", "dry-run", by="ada")
    with ReleaseView(local.store, "tiny", off) as view:
        given = [view.assign(unit, "r") for unit in UNITS]
        assert {(one.arm, one.dry_run) for one in given} == {("control", True), ("treatment", True)}
        assert all(one.steering == COLD for one in given)


def test_the_emergency_off_is_seen_within_a_second_and_with_the_store_gone(
    local: Releases, off: OffSwitch, tmp_path: Path
) -> None:
    local.add(defined(stages=(100,)), by="ada")
    local.act("first", "start", by="ada")
    with ReleaseView(local.store, "tiny", off) as view:
        assert arms(view) == set(UNITS)
        with local.store.changing():  # nobody can write meanwhile
            off.pull(by="ada", why="complaints")
            assert until(lambda: view.condition == "off") < 1.0
        assert arms(view) == set()
        assert view.record["reason"] == f"the file {off.file} is there"
        off.release()
        until(lambda: view.condition == "live")
        assert arms(view) == set(UNITS)


def test_a_lost_store_is_outlived_for_a_stated_time_and_found_again(
    tmp_path: Path, off: OffSwitch, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    folder = tmp_path / "store"
    folder.mkdir()
    with Store(folder, create=True) as store:
        releases = releases_of(store)
        releases.add(defined(stages=(100,)), by="ada")
        releases.act("first", "start", by="ada")
        with ReleaseView(store, "tiny", off, poll=0.01, grace=60, clock=lambda: now[0]) as view:
            store.close()  # so that its file is opened anew
            shutil.move(folder, tmp_path / "away")
            until(lambda: view.condition == "store-lost")
            now[0] = 59.0
            assert arms(view) == set(UNITS)
            assert "was it moved" in view.record["reason"] or "cannot be opened" in view.record["reason"]
            assert view.record["seconds_since_store"] == pytest.approx(59.0)
            now[0] = 61.0
            assert view.record["condition"] == "unsteered"
            assert arms(view) == set()
            shutil.move(tmp_path / "away", folder)
            until(lambda: view.condition == "live")
            assert arms(view) == set(UNITS)


def test_a_store_that_hangs_is_lost_without_an_error(
    local: Releases, off: OffSwitch, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, hangs, released = [0.0], Event(), Event()
    local.add(defined(stages=(100,)), by="ada")
    local.act("first", "start", by="ada")
    with ReleaseView(local.store, "tiny", off, poll=0.01, grace=60, clock=lambda: now[0]) as view:

        def hanging() -> None:
            hangs.set()
            released.wait(10)

        monkeypatch.setattr(view, "_look", hanging)
        assert hangs.wait(5)
        said = []
        for now[0] in (1.0, 30.0, 61.0):
            said.append((view.condition, view.record["reason"], len(arms(view))))
        released.set()
    silent = "the store does not answer"
    assert said == [("live", None, 200), ("store-lost", silent, 200), ("unsteered", silent, 0)]


@pytest.mark.postgres
def test_postgresql_that_restarts_is_found_again(postgres, off: OffSwitch) -> None:
    with Store(postgres("restarts"), create=True) as store:
        releases = releases_of(store)
        releases.add(defined(stages=(100,)), by="ada")
        releases.act("first", "start", by="ada")
        with ReleaseView(store, "tiny", off, poll=0.05) as view:
            before = view._seen
            with store.reading() as connection:  # as a restart does, all connections but this one end
                others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                connection.execute(text(f"{others} WHERE datname = 'restarts' AND pid <> pg_backend_pid()"))
            until(lambda: view._seen > before and view.condition == "live")
            releases.act("first", "pause", by="ada")
            assert until(lambda: arms(view) == set()) < 1.0


def test_an_assignment_takes_less_than_a_tenth_of_a_millisecond(local: Releases, off: OffSwitch) -> None:
    local.add(defined("one", traffic=(0, 50)), by="ada")
    local.add(defined("two", traffic=(50, 100)), by="ada")
    for name in ("one", "two"):
        local.act(name, "start", by="ada")
    with ReleaseView(local.store, "tiny", off) as view:
        times = []
        for unit in UNITS * 20:
            began = perf_counter()
            view.assign(unit, "r")
            times.append(perf_counter() - began)
    assert sorted(times)[len(times) // 2] < 1e-4


def test_a_closed_view_says_so(local: Releases, off: OffSwitch) -> None:
    view = ReleaseView(local.store, "tiny", off)
    view.close()
    assert view.condition == "store-lost"
    assert view.record["reason"] == "the view is closed"
