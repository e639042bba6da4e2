"""Each step is one row with its entry in the audit; of two at once, one wins."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from tests.operations.releases.conftest import COLD, WARM, defined, releases_of
from tests.serving.steerings import write_steering

from trimtab.errors import InputError
from trimtab.operations import ConflictError, OffSwitch, Releases, Store, entries, verify


def started(releases: Releases, name: str = "first", **fields: object) -> None:
    releases.add(defined(name, **fields), by="ada")
    releases.act(name, "start", by="ada")


def test_a_release_goes_from_draft_to_all_and_back(releases: Releases) -> None:
    releases.add(defined(), by="ada", why="a pilot")
    said = [str(releases.get("first"))]
    actions = ("start", "promote", "promote", "pause", "resume", "promote", "promote", "finish", "rollback")
    said += [str(releases.act("first", action, by="ada", why=f"to {action}")) for action in actions]
    assert said == [
        "release 'first' is draft (version 1)",
        "release 'first' is running at 1 % (version 2)",
        "release 'first' is running at 5 % (version 3)",
        "release 'first' is running at 25 % (version 4)",
        "release 'first' is paused at 25 % (version 5)",
        "release 'first' is running at 25 % (version 6)",
        "release 'first' is running at 50 % (version 7)",
        "release 'first' is running at 100 % (version 8)",
        "release 'first' is finished (version 9)",
        "release 'first' is rolled-back (version 10)",
    ]
    steps = releases.history("first")
    assert [step.release.version for step in steps] == list(range(1, 11))
    assert steps[4].entry.what == "release.pause"
    assert steps[4].entry.why == "to pause"
    assert [kept["share"] for kept in (steps[4].entry.before, steps[4].entry.after) if kept] == [25, 25]
    assert steps[0].entry.record["after"]["treatment"]["artifact"] == WARM.artifact
    assert verify(releases.store).size == 10


@pytest.mark.parametrize(
    ("state", "action"),
    [
        ([], "promote"), ([], "pause"), ([], "finish"), (["start"], "start"), (["start"], "resume"),
        (["start", "pause"], "promote"), (["dry-run"], "promote"), (["rollback"], "start"),
        (["start", "rollback"], "resume"),
    ],
)  # fmt: skip
def test_a_step_that_the_state_does_not_allow_is_a_conflict_with_the_state(
    local: Releases, state: list[str], action: str
) -> None:
    local.add(defined(), by="ada")
    for step in state:
        local.act("first", step, by="ada")
    before = verify(local.store).size
    with pytest.raises(ConflictError, match=r"it allows .*, not") as raised:
        local.act("first", action, by="ada")
    assert raised.value.record == local.get("first").record
    assert verify(local.store).size == before


def test_stages_are_taken_in_order(local: Releases) -> None:
    started(local)
    with pytest.raises(InputError, match="the next stage is 5 %, not 50 %"):
        local.act("first", "promote", by="ada", to=50)
    assert local.act("first", "promote", by="ada", to=5).share == 5
    with pytest.raises(InputError, match="only while it runs at 100 %"):
        local.act("first", "finish", by="ada")
    assert local.act("first", "finish", by="ada", keep="control").treated == 0


def test_behind_the_last_stage_there_is_none(local: Releases) -> None:
    started(local, stages=(100,))
    with pytest.raises(ConflictError, match="that is its last stage"):
        local.act("first", "promote", by="ada")


def test_of_two_promotions_at_once_one_wins_and_the_other_sees_the_state(releases: Releases) -> None:
    started(releases)
    barrier, version = Barrier(4), releases.get("first").version

    def promote(by: str) -> object:
        barrier.wait()
        try:
            return releases.act("first", "promote", by=by, expected=version).share
        except ConflictError as error:
            return error

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(promote, ["ada", "bob", "cyd", "dan"]))
    assert [r for r in results if not isinstance(r, ConflictError)] == [5.0]
    for error in results:
        if isinstance(error, ConflictError):
            assert error.release.share == 5.0
            assert "decide again" in str(error)
    assert releases.get("first").version == version + 1
    assert verify(releases.store).holds


def test_all_of_the_traffic_needs_a_second_person_where_four_eyes_are_asked_for(local: Releases) -> None:
    started(local, stages=(50, 100), four_eyes=True)
    asked = local.act("first", "promote", by="ada", why="looks good")
    assert (asked.share, asked.asked_by) == (50, "ada")
    with pytest.raises(ConflictError, match="somebody else than ada"):
        local.act("first", "promote", by="ada")
    done = local.act("first", "promote", by="bob", why="agreed")
    assert (done.share, done.asked_by) == (100, None)
    assert [e.what for e in entries(local.store)][-2:] == ["release.promote.asked", "release.promote"]
    local.act("first", "pause", by="ada")
    assert local.act("first", "resume", by="ada").share == 100


def test_whoever_asked_for_all_has_to_ask_again_after_a_pause(local: Releases) -> None:
    started(local, stages=(50, 100), four_eyes=True)
    local.act("first", "promote", by="ada")
    local.act("first", "pause", by="ada")
    local.act("first", "resume", by="ada")
    assert local.act("first", "promote", by="bob").asked_by == "bob"


def test_a_dry_run_answers_with_control_and_knows_the_arm(local: Releases) -> None:
    local.add(defined(stages=(50, 100), control=COLD), by="ada")
    release = local.act("first", "dry-run", by="ada")
    arms = {release.arm(f"user-{i}") for i in range(50)}
    assert arms == {"control", "treatment"}
    assert [release.steering(arm) for arm in arms] == [COLD, COLD]
    live = local.act("first", "start", by="ada")
    assert live.steering("treatment") == WARM
    assert [live.arm(f"user-{i}") for i in range(50)] == [release.arm(f"user-{i}") for i in range(50)]


def test_two_releases_of_one_model_need_slices_apart(releases: Releases) -> None:
    started(releases, "one", traffic=(0, 50))
    releases.add(defined("two", traffic=(40, 100)), by="ada")
    with pytest.raises(ConflictError, match=r"has 0–50 % of the traffic of 'tiny'"):
        releases.act("two", "start", by="ada")
    started(releases, "three", traffic=(50, 100))
    started(releases, "elsewhere", model="other")
    releases.act("one", "rollback", by="ada")
    with pytest.raises(ConflictError, match="'three' is running"):
        releases.act("two", "start", by="ada")


def test_a_release_after_another_takes_what_that_left_as_control(local: Releases) -> None:
    started(local, "one", stages=(100,))
    local.act("one", "finish", by="ada")
    local.add(defined("two", treatment=COLD), by="ada")
    with pytest.raises(ConflictError, match="left its traffic with the steering warm"):
        local.act("two", "start", by="ada")
    started(local, "three", treatment=COLD, control=WARM, stages=(100,))
    local.act("three", "rollback", by="ada")
    with pytest.raises(ConflictError, match="left its traffic with the steering warm"):
        local.act("two", "start", by="ada")
    started(local, "four", treatment=COLD, control=WARM)


def test_a_steering_under_a_release_cannot_be_removed(local: Releases) -> None:
    local.check_unused(WARM.artifact)
    local.add(defined("one", control=COLD, stages=(100,)), by="ada")
    local.check_unused(WARM.artifact)
    local.act("one", "start", by="ada")
    for artifact in (WARM.artifact, COLD.artifact):
        with pytest.raises(ConflictError, match="serves this steering"):
            local.check_unused(artifact)
    local.act("one", "finish", by="ada")
    local.check_unused(COLD.artifact)
    with pytest.raises(ConflictError, match="is finished"):
        local.check_unused(WARM.artifact)
    local.act("one", "rollback", by="ada")
    local.check_unused(WARM.artifact)
    with pytest.raises(ConflictError, match="rolled-back"):
        local.check_unused(COLD.artifact)  # which everybody gets now


def test_a_steering_that_was_changed_or_is_gone_gets_no_traffic_and_can_be_rolled_back(
    lite: Store, tmp_path: Path
) -> None:
    folder = write_steering(tmp_path / "warm", {"warm": 1.0})
    releases = Releases(lite)
    releases.create("first", folder, by="ada", model="tiny", unchecked="a test")
    releases.act("first", "start", by="ada")
    shutil.rmtree(folder)
    write_steering(folder, {"warm": 2.0})
    with pytest.raises(InputError, match="was changed: it is"):
        releases.act("first", "promote", by="ada")
    shutil.rmtree(folder)
    with pytest.raises(InputError, match="is not there"):
        releases.act("first", "promote", by="ada")
    assert releases.get("first").share == 1
    assert releases.act("first", "rollback", by="ada").state == "rolled-back"


def test_names_are_used_once_and_unknown_ones_named(local: Releases) -> None:
    started(local)
    local.act("first", "rollback", by="ada")
    with pytest.raises(InputError, match="names are never used again"):
        local.add(defined(), by="ada")
    with pytest.raises(InputError, match="there is no release 'second'; there is first"):
        local.act("second", "start", by="ada")
    assert [release.name for release in local.all()] == ["first"]
    assert local.all("other") == []


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"name": "a/b"}, "name: the name contains"), ({"model": " "}, "model's name is empty"),
        ({"stages": (5, 1)}, "rising per cents"), ({"stages": ()}, "rising per cents"), ({"stages": (0, 1)}, "rising"),
        ({"stages": (1, 101)}, "stages"), ({"stages": (float("nan"),)}, "stages"), ({"traffic": (50, 50)}, "a slice"),
        ({"without_unit": "maybe"}, "without_unit"),
    ],
)  # fmt: skip
def test_a_definition_that_is_none_names_the_field(fields: dict[str, object], why: str) -> None:
    name = fields.pop("name", "first")
    with pytest.raises(InputError, match=why) as raised:
        defined(str(name), **fields)
    assert raised.value.field in ("name", "model", "stages", "traffic", "without_unit")


def test_a_clock_that_is_set_back_changes_no_order(local: Releases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimtab.operations.releases.releases.time", lambda: 10.0)
    started(local)
    monkeypatch.setattr("trimtab.operations.releases.releases.time", lambda: 5.0)
    assert local.act("first", "pause", by="ada").time == 5.0
    assert local.get("first").state == "paused"


def test_nothing_is_half_written_when_the_audit_cannot_be(local: Releases, monkeypatch: pytest.MonkeyPatch) -> None:
    started(local)

    def broken(*_: object) -> int:
        raise RuntimeError

    monkeypatch.setattr("trimtab.operations.releases.rows.record", broken)
    with pytest.raises(RuntimeError):
        local.act("first", "promote", by="ada")
    monkeypatch.undo()
    assert local.get("first").share == 1
    assert verify(local.store).size == 2


def test_the_emergency_off_needs_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRIMTAB_OFF", raising=False)
    switch = OffSwitch(tmp_path / "OFF")
    said = [switch.reason]
    switch.pull(by="ada", why="complaints")
    said.append(switch.reason)
    assert switch.file.read_text().endswith("ada: complaints\n")
    assert switch.release()
    assert not switch.release()
    for value in ("0", "1"):
        monkeypatch.setenv("TRIMTAB_OFF", value)
        said.append(switch.reason)
    assert said == [None, f"the file {tmp_path / 'OFF'} is there", None, "TRIMTAB_OFF is set"]


def test_the_emergency_off_takes_a_reason_that_is_no_utf8(tmp_path: Path) -> None:
    switch = OffSwitch(tmp_path / "OFF")
    switch.pull(by="ada", why="\udcff")
    assert switch.reason is not None


def test_an_emergency_pauses_what_somebody_else_changes_at_the_same_time(
    local: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, traffic in (("first", (0, 50)), ("second", (50, 100))):
        local.add(defined(name, traffic=traffic), by="ada")
        local.act(name, "start", by="ada")
    act, others = local.act, Releases(local.store, artifact_now=lambda arm: arm.artifact)

    def slower(name: str, action: Any, **more: Any) -> Any:
        seen = local.get(name).version
        if seen == 2:
            others.act(name, "promote", by="watch")
        return act(name, action, expected=seen, **more)

    monkeypatch.setattr(local, "act", slower)
    assert list(local.pause_all(by="ada")) == ["first", "second"]
    assert {one.state for one in local.all()} == {"paused"}


def test_the_emergency_off_lies_beside_the_store_or_where_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRIMTAB_OFF_FILE", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert OffSwitch.beside(tmp_path).file == tmp_path / "OFF"
    assert OffSwitch.beside("postgresql://x/y").file == tmp_path / "trimtab" / "OFF"
    monkeypatch.setenv("TRIMTAB_OFF_FILE", "/elsewhere")
    assert OffSwitch.beside("postgresql://x/y").file == Path("/elsewhere")


def test_releases_of_one_store_are_seen_by_another_process(releases: Releases) -> None:
    started(releases)
    with Store(releases.store.url.render_as_string(hide_password=False)) as other:
        assert releases_of(other).get("first").state == "running"
