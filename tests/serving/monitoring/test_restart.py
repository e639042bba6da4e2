"""What monitoring knew is there again after a restart, from the store alone."""

import asyncio
import io
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.serving.conftest import Server
from tests.serving.live.conftest import until
from tests.serving.monitoring.checks import checked, scores_of
from tests.serving.speller import Letters, Speller

from trimtab.errors import TrimtabError
from trimtab.interventions import AnswerScore, RequestSteering
from trimtab.operations import Definition, Exposure, ExposureLog, OffSwitch, Releases, SteeredAnswers, Store, arm_of
from trimtab.operations.experiments.watch import BY
from trimtab.serving.app import create_app
from trimtab.serving.keys import KeyFile
from trimtab.serving.live import Operations
from trimtab.serving.logs import logger
from trimtab.serving.monitoring import Alarm, Monitor, Observations, Setup, Watching
from trimtab.serving.monitoring.before import answers_before, told_before
from trimtab.serving.monitoring.canary import compared
from trimtab.serving.monitoring.observations import Looked
from trimtab.serving.registry import Registry
from trimtab.serving.settings import Settings

Begin = Callable[[], Operations]
FIRST = 40


@pytest.fixture
def place(tmp_path: Path, steerings: Path) -> Path:
    """A store with a running release of `warm` to half of the users."""
    file = tmp_path / "store" / "operations.db"
    file.parent.mkdir()
    with closing(Store(file, create=True)) as store:
        releases = Releases(store)
        treatment = arm_of(steerings / "warm")[0]
        releases.add(
            Definition.made(name="first", model="tiny", treatment=treatment, stages=(50, 100), salt="s"), by="ada"
        )
        releases.act("first", "start", by="ada")
    return file


@pytest.fixture
def begin(place: Path, steerings: Path) -> Iterator[Begin]:
    """A server's operations, begun anew on the same store."""
    begun: list[Operations] = []

    def make() -> Operations:
        log = logger(io.StringIO())
        begun.append(Operations(Store(place), "tiny", Registry(steerings), OffSwitch.beside(place), log, watch_every=0))
        return begun[-1]

    yield make
    for one in begun:
        one.close()


def setup_of(operations: Operations) -> Setup:
    """What treatment gets."""
    (release,) = operations.view.releases
    arm = release.definition.treatment
    return Setup(arm.name, RequestSteering(arm.artifact, dict(arm.strength), arm.scope), (release.name,))


def answer(operations: Operations, seen: Observations, i: int, unit: str, size: float, kl: float) -> list[Alarm]:
    """One steered answer: what the server sees of it, and what it writes."""
    setup, score = setup_of(operations), AnswerScore(2, -2.0, -1.5, kl, -1.9, 0.1, {"warm": {"1": size}})
    one, gates = setup.steering, {"warm": size / 2}
    operations.exposures.write([
        Exposure(f"r{i}", 100.0 + i, "tiny", "treatment", unit, "first", 2, artifact=one.artifact,
                 strength=one.strength, scope=one.scope, gates=gates, edit_size_ratio=size, finish="stop")
    ])  # fmt: skip
    SteeredAnswers(operations.store).scored(f"r{i}", score)
    hashed = operations.exposures.hashed(unit)
    seen.add_answer(setup, hashed, gates, size)
    return [*seen.add_shadow(setup, hashed, score), *seen.settle()]


def again(operations: Operations, since: float = 0.0, **options: Any) -> Observations:
    """A server that has just started."""
    seen = Observations(first=FIRST, **options)
    seen.read_back(answers_before(operations, operations.registry, since), told_before(operations))
    return seen


def test_figures_go_on_where_they_ended_and_no_unit_counts_twice(begin: Begin) -> None:
    operations, seen, random = begin(), Observations(first=FIRST), Random(0)
    for i in range(90):
        answer(operations, seen, i, f"u{i % 70}", random.gauss(0.1, 0.01), random.gauss(0.2, 0.02))
    for _ in range(2):  # as often as one likes
        restarted = begin()
        anew = again(restarted)
        assert anew.record["steerings"] == seen.record["steerings"]
    figures = {one["figure"]: one for one in anew.record["steerings"][0]["drift"]}
    assert (figures["edit size"]["n_reference"], figures["edit size"]["n"]) == (FIRST, 30)
    assert anew.shadows[setup_of(restarted).key].gain.n == 70
    for i in range(90, 120):
        for one in (seen, anew):
            one.add_answer(setup_of(restarted), restarted.exposures.hashed(f"u{i % 70}"), {"warm": 0.1}, 0.1)
    seen.settle()
    anew.settle()
    assert anew.record["steerings"] == seen.record["steerings"]
    assert again(restarted, since=150.0).record["steerings"][0]["shadow"]["n"] == 40  # from a moment on, if one asks


def test_what_drifts_after_a_restart_is_held_against_what_was_before(begin: Begin) -> None:
    operations, seen, random = begin(), Observations(first=FIRST), Random(0)
    for i in range(60):
        answer(operations, seen, i, f"u{i}", random.gauss(0.1, 0.01), 0.2)
    seen = again(begin())
    assert not seen.alarms
    raised = []
    for i in range(60, 160):  # who begins anew would take these for the reference
        raised += answer(operations, seen, i, f"u{i}", random.gauss(0.2, 0.01), 0.2)
    assert "drift" in {alarm.kind for alarm in raised}
    anew = again(begin())
    found, there = anew.record["steerings"][0]["drift"], seen.record["steerings"][0]["drift"]
    assert [(one["figure"], one["n"], one["alarm"]) for one in found] == [
        (one["figure"], one["n"], one["alarm"]) for one in there
    ]
    assert [one["p_value"] for one in found] == pytest.approx([one["p_value"] for one in there])
    assert not anew.alarms  # of which nobody is told again
    assert sum(anew.raised.values()) == 0


def test_live_projections_from_before_are_held_against_the_check_once_it_is_looked_at(begin: Begin) -> None:
    operations, seen = begin(), Observations(first=FIRST)
    run = compared(checked([0.5, 0.6] * 20), scores_of([0.5, 0.6] * 20))
    assert run.projections == {}
    for i in range(50):
        answer(operations, seen, i, f"u{i}", 0.1 + i / 1000, 0.2)
    anew = again(begin())
    anew.drift.refer(setup_of(operations).key, "κ of warm at 1", [0.1 + i / 1000 for i in range(30)])
    anew.settle()
    found = next(one for one in anew.record["steerings"][0]["drift"] if one["reference"] == "check")
    assert (found["figure"], found["n_reference"], found["n"]) == ("κ of warm at 1", 30, 50)


def test_answers_of_forgotten_units_failed_ones_and_those_of_other_steerings_are_left_out(begin: Begin) -> None:
    operations, seen = begin(), Observations(first=FIRST)
    for i in range(5):
        answer(operations, seen, i, f"u{i}", 0.1, 0.2)
    one = setup_of(operations).steering
    given: dict[str, Any] = {"strength": one.strength, "scope": one.scope, "edit_size_ratio": 9.0}
    operations.exposures.write([
        Exposure("failed", 0.0, "tiny", "named", "x", artifact=one.artifact, finish="error", **given),
        Exposure("other", 0.0, "tiny", "named", "y", artifact="0" * 64, finish="stop", **given),
        Exposure("elsewhere", 0.0, "tiny-er", "named", "z", artifact=one.artifact, finish="stop", **given),
        Exposure("older", 0.0, "tiny", "named", "w", artifact=one.artifact, strength=one.strength, scope=one.scope,
                 finish="stop"),
    ])  # fmt: skip
    ExposureLog(operations.store).forget("u3", by="ada")
    found = answers_before(operations, operations.registry, 0.0)
    assert sorted(answer.edit_size or 0 for _, answer in found) == [0, 0.1, 0.1, 0.1, 0.1]
    assert len(again(begin()).drift.streams) == 3  # edit size, gate, projection


def paused(operations: Operations, figures: dict[str, Any], why: str) -> None:
    releases = Releases(operations.store, artifact_now=lambda arm: arm.artifact)
    releases.act("first", "pause", by=BY, why=why, figures=figures)
    releases.act("first", "resume", by="ada", why="looked at")


def test_whoever_resumed_a_release_is_believed_after_a_restart(begin: Begin) -> None:
    operations, seen = begin(), Observations(first=FIRST, max_kl=0.5)
    raised = [one for i in range(60) for one in answer(operations, seen, i, f"u{i}", 0.1, 1 + i % 2 / 10)]
    (shadow,) = [one for one in raised if one.kind == "shadow"]
    anew = again(begin(), max_kl=0.5)  # the server was killed before it acted: it acts now
    assert "shadow" in {one.kind for one in answer(operations, anew, 60, "v", 0.1, 1.0)}
    paused(operations, shadow.record["figures"], f"shadow: {shadow.reason}")
    restarted = begin()
    until(lambda: bool(restarted.view.releases))
    anew = again(restarted, max_kl=0.5)
    assert not answer(operations, anew, 61, "w", 0.1, 1.0)


def test_a_canary_that_somebody_has_seen_is_not_told_again_and_another_check_is(begin: Begin) -> None:
    operations, seen = begin(), Observations()
    worse = compared(checked([0.5, 0.6] * 20), scores_of([-0.5, -0.6] * 20))
    setup = setup_of(operations)
    (alarm,) = seen.add_canary(Looked("kind", setup, worse))
    assert [one.kind for one in again(begin()).add_canary(Looked("kind", setup, worse))] == ["canary"]
    paused(operations, dict(alarm.figures), f"canary: {alarm.reason}")
    anew = again(begin())
    assert anew.add_canary(Looked("kind", setup, worse)) == []
    assert [one.kind for one in anew.add_canary(Looked("brief", setup, worse))] == ["canary"]
    fine = compared(checked([0.5, 0.6] * 20), scores_of([0.5, 0.6] * 20))
    assert anew.add_canary(Looked("kind", setup, fine)) == []
    assert [one.kind for one in anew.add_canary(Looked("kind", setup, worse))] == ["canary"]  # a new finding


def test_a_server_reads_its_figures_back_when_it_starts(begin: Begin, tmp_path: Path, steerings: Path) -> None:
    def served(operations: Operations) -> tuple[Server, Monitor, io.StringIO]:
        engine, log, held = Speller(), io.StringIO(), KeyFile(tmp_path / "keys.json")
        monitor = Monitor(engine, operations.registry, Watching(shadow=1.0), logger(log), operations)
        app = create_app(engine, operations.registry, held, Settings("tiny"), vocabulary=Letters(), log=log,
                         operations=operations, monitor=monitor)  # fmt: skip
        keys = {"infer": held.create(f"infer-{len(held.keys)}", ["infer"])}
        return Server(app, engine, operations.registry, held, keys, log), monitor, log

    async def asked(server: Server, monitor: Monitor, users: list[str]) -> dict[str, Any]:
        await monitor.start()
        try:
            async with server.client() as client:
                for user in users:
                    body = {"model": "tiny@warm", "messages": [{"role": "user", "content": "hi"}], "user": user}
                    assert (await client.post("/v1/chat/completions", json=body)).status_code == 200
            while len(server.engine.scored) < len(users):
                await asyncio.sleep(0.01)
        finally:
            await asyncio.sleep(0.1)
            await monitor.stop()
        return monitor.observations.record

    operations = begin()
    server, monitor, _ = served(operations)
    before = asyncio.run(asked(server, monitor, ["ada", "bob"]))
    until(lambda: not operations.writer.record["waiting"])
    assert before["steerings"][0]["shadow"]["n"] == 2
    server, monitor, log = served(begin())
    after = asyncio.run(asked(server, monitor, ["bob", "cleo"]))
    assert after["steerings"][0]["shadow"]["n"] == 3
    assert '"figures_read_back"' in log.getvalue()
    assert {one["n_reference"] for one in after["steerings"][0]["drift"]} == {3}


def test_a_store_that_does_not_answer_is_told_and_the_server_starts(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise TrimtabError("the store is gone", code="store-failed", field="store")

    monkeypatch.setattr("trimtab.serving.monitoring.monitor.answers_before", failing)
    operations, log = begin(), io.StringIO()
    monitor = Monitor(Speller(), operations.registry, Watching(), logger(log), operations)

    async def main() -> None:
        await monitor.start()
        await monitor.stop()

    asyncio.run(main())
    assert '"figures_begin_anew"' in log.getvalue()
    assert "the store is gone" in log.getvalue()
