"""What an experiment holds does not grow with users, and it finds and decides what the whole history would."""

from random import Random
from typing import Any

import pytest
from tests.operations.experiments.conftest import Launch, Live
from tests.operations.experiments.test_experiment import RAILS

from trimtab.operations import Exposure, ExposureLog, Metric, Outcome, OutcomeLog, import_metrics
from trimtab.operations.experiments import Experiment, series, shares

CALM = Metric.made(name="calm", outcome="latency", bounds=(0, 60), direction="lower", past_days=7)
WAYS = {
    "read on": {"CHUNK": 10**6, "ANEW": 1},
    "read on in small steps": {"CHUNK": 25, "ANEW": 1},
    "read anew in many parts": {"CHUNK": 20, "ANEW": 10**9},
}


def bounded(monkeypatch: pytest.MonkeyPatch, **sizes: int) -> None:
    for module in (series, shares):
        for name, size in ({"HELD": 5, "AT_ONCE": 3} | sizes).items():
            monkeypatch.setattr(module, name, size)


def is_small(experiment: Experiment) -> bool:
    return max(experiment._shares.held, *(one.series.held for one in experiment._measures)) <= 5


def traffic(live: Live, random: Random) -> None:
    """Users that come back, and feedback on what they were answered now or before, some of it twice."""
    batch = [
        live.exposure(
            random.choice([f"u{random.randrange(60)}", f"u{random.randrange(9)}", None]), seconds=random.random(),
            answer_tokens=random.randrange(9), finish=random.choice(["stop", "stop", "error"]),
        )
        for _ in range(50)
    ]  # fmt: skip
    ExposureLog(live.store).write(batch[:45])
    with live.store.reading() as connection:
        known = connection.exec_driver_sql("SELECT request FROM exposures WHERE release = 'first'").scalars().all()
    said = [*random.sample(sorted(known), 20), *(one.request for one in batch[40:])]
    outcomes = [Outcome("thumbs", request, label=random.choice(["up", "down"])) for request in said]
    OutcomeLog(live.store).write([*outcomes, Outcome("complaint", said[0], value=1.0)], may_come=True)
    ExposureLog(live.store).write(batch[45:])


@pytest.mark.parametrize(("way", "without_unit"), [*zip(WAYS, ("control", "request", "request"), strict=True)])
def test_every_look_is_that_of_the_whole_history_read_at_once(
    launch: Launch, store: Any, monkeypatch: pytest.MonkeyPatch, way: str, without_unit: str
) -> None:
    import_metrics(store, [CALM], by="ada")
    live = launch("first", "liked:0.05", (*RAILS, "calm:0.2"), stages=(20, 50, 100), without_unit=without_unit)
    began, random = live.release.time, Random(7)
    ExposureLog(store).write([
        Exposure(f"before-{i}", began - 60, "first", "none", unit=f"u{i % 40}", seconds=random.random(), finish="stop")
        for i in range(60)
    ])  # fmt: skip
    kept = live.experiment
    for k in range(6):
        if k == 3:
            live.act("promote")
        traffic(live, random)
        with monkeypatch.context() as small:
            bounded(small, **WAYS[way])
            found = kept.look()
        assert is_small(kept)
        assert found == live.experiment.look()
    liked, *_, calm = found.findings
    assert min(calm.units) > 10
    assert min(liked.requests) > 10
    assert calm.variance_removed is not None


@pytest.mark.parametrize("way", WAYS)
def test_harm_is_decided_at_the_same_look(launch: Launch, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    live, random = launch("first", guardrails=("errors:0.05:rollback", "slow_users:0.5")), Random(2)
    kept = live.experiment
    for k in range(12):
        live.answer(
            60, lambda arm: {"finish": "error" if random.random() < _RATES[arm] else "stop", "seconds": 1.0}, 40 * k
        )
        with monkeypatch.context() as small:
            bounded(small, **WAYS[way])
            found = kept.look()
        whole = live.experiment.look()
        assert found == whole
        if whole.decision is not None:
            break
    assert whole.decision.action == "rollback"


_RATES = {"control": 0.0, "treatment": 0.3}


def test_units_that_are_held_are_not_read_from_the_store_again(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    live = launch("first", guardrails=("errors",))
    live.answer(30)
    kept, asked = live.experiment, []
    kept.look()
    monkeypatch.setattr(series, "of_units", lambda *names: asked.append(names))
    live.answer(30)
    assert kept.look() == live.experiment.look()
    assert asked == []
