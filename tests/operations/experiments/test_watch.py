"""Harm is taken back with its reason on record, once, whoever looks; what is well goes on."""

import subprocess
import sys
from random import Random
from threading import Barrier, Thread
from typing import Any

import pytest
from tests.operations.experiments.conftest import Launch, Live, errors

from trimtab.errors import TrimtabError
from trimtab.operations import ExposureLog, Outcome, OutcomeLog, Store, verify
from trimtab.operations.experiments import Watch, Watched

NULL = {"control": 0.1, "treatment": 0.1}
HARM = {"control": 0.1, "treatment": 0.3}  # twice the margin of 0.1 more


def watch(live: Live) -> Watched | None:
    found = Watch(live.releases).once()
    return found[0] if found else None


def simulated(live: Live, rates: dict[str, float], looks: int = 40, seed: int = 0) -> int | None:
    """Fifty new users between two looks; how many there were when the release was stopped."""
    random, watching = Random(seed), Watch(live.releases)
    for k in range(looks):
        live.answer(50, errors(random, rates), first=50 * k)
        if any(one.done for one in watching.once()):
            return 50 * (k + 1)
    return None


def test_a_harm_of_twice_the_margin_is_rolled_back_with_reason_and_figures_in_the_audit(launch: Launch) -> None:
    live = launch(guardrails=("errors:0.1:rollback",))
    needed = simulated(live, HARM)
    assert needed is not None
    assert needed < 2000
    assert live.release.state == "rolled-back"
    entry = live.releases.history("first")[-1].entry
    assert (entry.who, entry.what) == ("watch", "release.rollback")
    assert "errors: Worse by " in entry.why
    assert "harm of more than 0.1 is shown" in entry.why
    figures: Any = (entry.after or {})["figures"]["metrics"]["errors"]
    assert sum(figures["units"]) == needed
    assert figures["low"] > 0.1
    assert figures["difference"] == pytest.approx(figures["treatment"] - figures["control"])
    assert verify(live.store).holds


@pytest.mark.parametrize("seed", range(3))
def test_a_release_that_changes_nothing_stays(launch: Launch, seed: int) -> None:
    live = launch(guardrails=("errors:0.1:rollback", "length", "latency"))
    assert simulated(live, NULL, looks=30, seed=seed) is None
    assert live.release.version == 2


def test_a_server_that_drops_records_of_treatment_is_caught(launch: Launch) -> None:
    live, log = launch(guardrails=("errors:0.1",)), None
    log = ExposureLog(live.store)
    for k in range(40):
        made = [live.exposure(f"u{i}") for i in range(100 * k, 100 * k + 100)]
        log.write([one for i, one in enumerate(made) if one.arm == "control" or i % 4])
        if (one := watch(live)) is None or one.done:
            break
    assert live.release.state == "paused"
    entry = live.releases.history("first")[-1].entry
    assert "Treatment does not get its share of the units" in entry.why
    assert (entry.after or {})["figures"]["sample_ratio"]["mismatch"] is True


def test_a_primary_metric_that_gets_worse_pauses_and_feedback_counts(launch: Launch) -> None:
    live = launch(metric="liked:0.05")
    outcomes = OutcomeLog(live.store)
    random = Random(1)
    made = live.answer(600)
    given = [(one, random.random() < (0.3 if one.arm == "treatment" else 0.7)) for one in made]
    outcomes.write([Outcome("thumbs", one.request, label="up" if up else "down") for one, up in given])
    found = watch(live)
    assert found is not None
    assert str(found.done) == "release 'first' is paused at 50 % (version 3)"
    assert found.event is not None
    assert found.event["event"] == "release.pause"


def test_two_watches_at_once_decide_once(launch: Launch) -> None:
    live = launch(guardrails=("errors:0.1",))
    live.answer(400, errors(Random(2), {"control": 0, "treatment": 1}))
    watches, barrier, found = [Watch(live.releases) for _ in range(4)], Barrier(4), []

    def run(one: Watch) -> None:
        one.look("first")
        barrier.wait()
        found.extend(one.once())

    threads = [Thread(target=run, args=(one,)) for one in watches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(one.done is not None for one in found) == 1
    assert [one.fault for one in found] == [None] * len(found)
    assert [step.entry.what for step in live.releases.history("first")][2:] == ["release.pause"]


def test_what_a_person_did_meanwhile_is_not_undone(launch: Launch) -> None:
    live = launch(guardrails=("errors:0.1",))
    live.answer(400, errors(Random(2), {"control": 0, "treatment": 1}))
    look = live.experiment.look()
    live.act("pause", why="lunch")
    found = Watch(live.releases)._acted  # with the look of before
    with pytest.raises(TrimtabError, match="it was changed after version 2"):
        found(look)
    assert watch(live) is None
    assert live.release.version == 3


def test_a_resumed_release_is_not_paused_again_by_the_same_evidence(launch: Launch) -> None:
    live, random = launch(guardrails=("errors:0.1",)), Random(3)
    live.answer(400, errors(random, HARM | {"treatment": 0.9}))
    found = watch(live)
    assert found is not None
    assert found.done is not None
    live.act("resume", why="the fault is mended")
    for k in range(10):
        live.answer(50, errors(random, NULL), first=1000 + 50 * k)
        now = watch(live)
        assert now is not None
        assert now.done is None
    assert now.look is not None
    assert now.look.since == 4
    assert sum(now.look.findings[0].units) == 500
    live.answer(400, errors(random, HARM | {"treatment": 0.9}), first=2000)
    again = watch(live)
    assert again is not None
    assert again.done is not None


def test_a_pause_by_a_person_keeps_the_evidence(launch: Launch) -> None:
    live = launch(guardrails=("errors:0.1",))
    live.answer(100)
    live.act("pause")
    live.act("resume")
    look = live.experiment.look()
    assert look.since == 1
    assert sum(look.findings[0].units) == 100


def test_harm_found_after_the_last_stage_is_acted_on(launch: Launch) -> None:
    """Feedback comes late: everybody has the treatment by then."""
    live = launch(metric="liked:0.05")
    made = live.answer(600)
    live.act("promote")
    random = Random(1)
    given = [(one, random.random() < (0.3 if one.arm == "treatment" else 0.7)) for one in made]
    OutcomeLog(live.store).write([Outcome("thumbs", one.request, label="up" if up else "down") for one, up in given])
    found = watch(live)
    assert found is not None
    assert str(found.done) == "release 'first' is paused at 100 % (version 4)"


def test_stages_are_taken_by_itself_only_where_asked_and_only_with_enough_units(launch: Launch) -> None:
    given = {"guardrails": ("errors:0.2",), "stages": (20, 50, 100), "min_units": 100}
    asked, plain = launch("asked", auto_promote=True, **given), launch("plain", **given)
    random, stages = Random(5), []
    for k in range(24):
        for live in (asked, plain):
            live.answer(100, errors(random, NULL), first=100 * k)
        for one in Watch(asked.releases).once():
            if one.done is not None:
                assert one.look is not None
                stages.append((one.release, one.done.share))
                assert min(one.look.stage_units) >= 100
    assert stages == [("asked", 50), ("asked", 100)]
    assert plain.release.version == 2
    entry = asked.releases.history("asked")[2].entry
    assert (entry.who, entry.what) == ("watch", "release.promote")
    assert "errors no harm shown" in entry.why
    assert (entry.after or {})["figures"]["metrics"]["errors"]["high"] < 0.2


def test_the_last_stage_is_left_to_people_where_it_needs_two(launch: Launch) -> None:
    live = launch(guardrails=("errors:0.2",), auto_promote=True, four_eyes=True)
    live.answer(2000, errors(Random(5), NULL))
    found = watch(live)
    assert found is not None
    assert found.look is not None
    assert found.look.findings[0].state == "no harm shown"
    assert live.release.version == 2


def test_a_steering_that_was_changed_on_disk_is_not_promoted_and_the_fault_is_told(launch: Launch) -> None:
    live = launch(guardrails=("errors:0.2",), auto_promote=True)
    live.answer(2000, errors(Random(5), NULL))
    live.releases._artifact_now = lambda arm: "another"
    found = watch(live)
    assert found is not None
    assert found.fault is not None
    assert "was changed" in found.fault
    assert live.release.version == 2


def test_a_fault_of_one_release_keeps_no_other_from_being_watched(launch: Launch) -> None:
    bad, good = launch("bad", guardrails=("errors:0.1",)), launch("good", guardrails=("errors:0.1",))
    for live in (bad, good):
        live.answer(400, errors(Random(2), {"control": 0, "treatment": 1}))
    watching = Watch(good.releases)

    def broken() -> Any:
        raise TrimtabError("the store does not answer")

    watching.look("bad")
    watching._experiments["bad"].look = broken  # type: ignore[method-assign]
    first, second = watching.once()
    assert (first.fault, first.done) == ("the store does not answer", None)
    assert second.done is not None


KILLED = """
import os, signal, sys
from trimtab.operations import Releases, Store
from trimtab.operations.experiments import Watch
from trimtab.operations.releases import releases, rows
at = sys.argv[2]
def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
store = Store(sys.argv[1])
if at == "decided":
    Releases.act = kill
elif at == "audited":  # its entry is written, and the row of the state is not
    was = rows.record
    rows.record = lambda *given: (was(*given), kill())
else:  # both are written, and not committed
    was = releases.advance
    releases.advance = lambda *given: (was(*given), kill())
Watch(Releases(store, artifact_now=lambda arm: arm.artifact)).once()
"""


@pytest.mark.parametrize("at", ["decided", "audited", "written"])
def test_a_kill_between_decision_and_audit_leaves_one_state(launch: Launch, store: Store, at: str) -> None:
    live = launch(guardrails=("errors:0.1:rollback",))
    live.answer(400, errors(Random(2), {"control": 0, "treatment": 1}))
    place = store.url.render_as_string(hide_password=False)
    done = subprocess.run([sys.executable, "-c", KILLED, place, at], capture_output=True, text=True, timeout=120)
    assert done.returncode == -9, done.stderr
    assert live.release.version == 2
    assert verify(store).holds
    found = watch(live)
    assert found is not None
    assert found.done is not None
    assert [step.entry.what for step in live.releases.history("first")][1:] == ["release.start", "release.rollback"]
    assert verify(store).holds
