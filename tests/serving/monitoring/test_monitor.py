"""The monitor beside the answers of a server: what is scored, what is told, and that nobody waits for it."""

import asyncio
import io
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.serving.conftest import Server
from tests.serving.monitoring.checks import checked, scores_of
from tests.serving.speller import Letters, Speller

from trimtab.errors import InputError
from trimtab.interventions import AnswerScore, Capabilities, RequestSteering
from trimtab.serving.app import create_app
from trimtab.serving.keys import KeyFile
from trimtab.serving.logs import logger
from trimtab.serving.monitoring import Answered, Monitor, Setup, Watching
from trimtab.serving.monitoring.canary import compared
from trimtab.serving.monitoring.monitor import QUEUE
from trimtab.serving.monitoring.observations import FOLLOWED, Looked, Observations
from trimtab.serving.registry import Registry
from trimtab.serving.settings import Settings
from trimtab.texts import Message

CHAT = "/v1/chat/completions"
Watch = Callable[..., tuple[Server, Monitor]]


@pytest.fixture
def watch(tmp_path: Path, steerings: Path) -> Watch:
    def make(**options: Any) -> tuple[Server, Monitor]:
        engine, registry, log, held = Speller(), Registry(steerings), io.StringIO(), KeyFile(tmp_path / "keys.json")
        keys = {scope: held.create(scope, [scope]) for scope in ("read", "infer", "operate")}
        monitor = Monitor(engine, registry, Watching(**options), logger(log))
        app = create_app(engine, registry, held, Settings("tiny"), vocabulary=Letters(), log=log, monitor=monitor)
        return Server(app, engine, registry, held, keys, log), monitor

    return make


def run(monitor: Monitor, work: Callable[[], Awaitable[Any]]) -> Any:
    """What some work comes to while the monitor is at work."""

    async def main() -> Any:
        await monitor.start()
        try:
            return await asyncio.wait_for(work(), 60)
        finally:
            await monitor.stop()

    return asyncio.run(main())


async def until(done: Callable[[], bool]) -> None:
    while not done():
        await asyncio.sleep(0.005)


async def ask(client: httpx2.AsyncClient, text: str, model: str = "tiny@warm", **body: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    answer = await client.post(CHAT, json={"model": model, "messages": messages, **body})
    assert answer.status_code == 200, answer.text
    return dict(answer.json()) if not body.get("stream") else {}


def answered(i: int, unit: str | None = None, **fields: Any) -> Answered:
    setup = Setup("warm", RequestSteering("5f2c", {"warm": 1.0}))
    return replace(
        Answered(f"req_{i}", unit, setup, (Message("user", "hi"),), (104, 105), {"warm": 0.5}, 0.1), **fields
    )


def test_steered_answers_are_scored_as_they_were_written_and_others_are_not(watch: Watch) -> None:
    server, monitor = watch(shadow=1.0)

    async def work() -> dict[str, Any]:
        async with server.client() as client:
            await ask(client, "hello", "tiny")  # unsteered
            await ask(client, "hello", user="ada")
            await ask(client, "good day", user="bob", stream=True)
            await until(lambda: len(server.engine.scored) == 2)
        async with server.client("read") as client:
            return dict((await client.get("/v1/monitoring")).json())

    record = run(monitor, work)
    first, second = server.engine.scored
    assert [one.prompt for one in first.texts] == [(Message("user", "hello"),)]  # type: ignore[union-attr]
    assert ["".join(map(chr, one.texts[0].answer)) for one in (first, second)] == ["HELLO", "GOOD DAY"]  # type: ignore[arg-type]
    assert first.steering.strength == {"warm": 1.5}
    assert first.random is not None
    (warm,) = record["steerings"]
    assert (warm["steering"], warm["strength"]) == ("warm", {"warm": 1.5})
    assert warm["shadow"]["n"] == 2
    assert warm["shadow"]["kl"]["value"] == 1.5
    assert {row["figure"] for row in warm["drift"]} == {"edit size", "gate of warm", "κ of warm at 1"}
    assert record["alarms"] == record["canaries"] == []


def test_nothing_is_scored_without_a_share(watch: Watch) -> None:
    server, monitor = watch()

    async def work() -> None:
        async with server.client() as client:
            await ask(client, "hello")
            await asyncio.sleep(0.05)

    run(monitor, work)
    assert server.engine.scored == []
    assert {row["figure"] for row in monitor.observations.record["steerings"][0]["drift"]} == {
        "edit size", "gate of warm",
    }  # fmt: skip


def test_whoever_asks_for_ever_new_strengths_fills_no_memory_and_hides_no_release() -> None:
    seen, released = Observations(), Setup("warm", RequestSteering("a" * 64, {"warm": 9.0}), ("first",))
    for k in range(FOLLOWED + 10):
        seen.add_answer(Setup("warm", RequestSteering("a" * 64, {"warm": 1 + k / 1000})), None, {}, 0.1)
    assert (len(seen.setups), len(seen.drift.streams)) == (FOLLOWED, FOLLOWED)
    assert seen.dropped == {"too many strengths": 10}
    seen.add_answer(released, None, {}, 0.1)
    assert released.key in seen.setups


def test_the_same_finding_in_a_further_release_is_told_again() -> None:
    seen = Observations(max_kl=0.5)
    first, second = (Setup("warm", RequestSteering("5f2c", {"warm": 1.0}), (name,)) for name in ("first", "second"))
    check = checked([0.5, 0.6] * 20)
    worse = compared(check, scores_of([-0.5, -0.6] * 20))

    def told(setup: Setup) -> list[str]:
        alarms = seen.add_canary(Looked("kind", setup, worse))
        for i in range(80):  # the same units in both
            alarms += seen.add_shadow(setup, str(i), AnswerScore(1, -1.0, -1.0, 1.0 + i % 2 / 10, -1.0, 0.1))
        return [alarm.kind for alarm in alarms]

    assert [told(setup) for setup in (first, first, second, second)] == [
        ["canary", "shadow"],
        [],
        ["canary", "shadow"],
        [],
    ]


def test_answers_beyond_the_queue_are_dropped_and_counted(watch: Watch) -> None:
    _, monitor = watch(shadow=1.0)
    for i in range(QUEUE + 6):
        monitor.answered(answered(i))
    monitor.answered(answered(0, answer=()))
    monitor.answered(answered(0, answer=(5,) * 2000))
    assert monitor.observations.dropped == {"queue full": 6, "empty": 1, "too long": 1}


def test_an_answer_that_cannot_be_scored_stops_nothing(watch: Watch) -> None:
    server, monitor = watch(shadow=1.0)

    async def work() -> None:
        monitor.answered(answered(1, answer=tuple(map(ord, "fail"))))
        monitor.answered(answered(2))
        await until(lambda: len(server.engine.scored) == 2)
        await asyncio.sleep(0.01)

    run(monitor, work)
    assert monitor.observations.dropped == {"failed": 1}
    (shadow,) = monitor.observations.shadows.values()
    assert shadow.gain.n == 1
    assert [line["reason"] for line in server.lines if line["event"] == "shadow_failed"] == [
        "the engine's process ended"
    ]


def test_alarms_are_told_to_all_who_listen_and_logged(watch: Watch) -> None:
    server, monitor = watch(shadow=1.0, max_kl=0.5)
    told: list[tuple[str, str, Any]] = []
    monitor.on_alarm += [lambda *_: 1 / 0, lambda kind, reason, figures: told.append((kind, reason, dict(figures)))]  # type: ignore[list-item, func-returns-value]

    async def work() -> None:
        for i in range(60):
            monitor.answered(answered(i, unit=str(i), answer=(104,) * (1 + i % 2)))
            await until(lambda i=i: len(server.engine.scored) > i)  # type: ignore[misc]
        await asyncio.sleep(0.05)

    server.engine.score = _spread(server.engine.score)  # type: ignore[method-assign]
    run(monitor, work)
    ((kind, reason, figures),) = told
    assert (kind, figures["steering"]) == ("shadow", "warm")
    assert "above 0.5 nats per token" in reason
    lines = [line for line in server.lines if line["event"] in ("alarm", "alarm_not_told")]
    assert [line["event"] for line in lines] == ["alarm", "alarm_not_told"]
    assert lines[0]["kind"] == "shadow"
    assert json.dumps(monitor.observations.record)


def _spread(score: Any) -> Any:
    """Scores that differ a little, as real ones do: without any spread there is no interval."""

    async def spread(request: Any) -> Any:
        found = await score(request)
        return tuple(replace(one, kl=one.kl + 0.1 * (one.n_tokens - 1.5)) for one in found)

    return spread


def test_figures_and_their_labels_are_there_for_prometheus(watch: Watch) -> None:
    server, monitor = watch(shadow=1.0)

    async def work() -> str:
        async with server.client() as client:
            await ask(client, "hello", user="ada")
            await until(lambda: bool(server.engine.scored))
            await asyncio.sleep(0.01)
        async with server.client("read") as client:
            return (await client.get("/metrics")).text

    samples = {
        (sample.name, sample.labels.get("kind", sample.labels.get("steering"))): sample.value
        for family in text_string_to_metric_families(run(monitor, work))
        for sample in family.samples
    }
    assert samples["trimtab_shadow_answers", "warm"] == 1
    assert samples["trimtab_shadow_kl", "warm"] == 1.5
    assert samples["trimtab_shadow_random_kl", "warm"] == 0
    assert samples["trimtab_alarms_total", "canary"] == 0


def test_only_keys_that_may_read_see_it(watch: Watch) -> None:
    server, _ = watch()

    async def status(scope: str) -> int:
        async with server.client(scope) as client:
            return (await client.get("/v1/monitoring")).status_code

    assert [asyncio.run(status(scope)) for scope in ("read", "infer", "operate")] == [200, 403, 403]


def test_an_engine_that_scores_nothing_is_refused_where_something_is_to_be_scored(watch: Watch) -> None:
    server, monitor = watch(shadow=0.5)

    async def unable() -> Capabilities:
        return replace(await Speller().capabilities(), scores=False)

    server.engine.capabilities = unable  # type: ignore[method-assign]
    with pytest.raises(InputError, match="scores no answers"):
        asyncio.run(monitor.start())


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"shadow": 1.5}, "shadow"),
        ({"shadow": float("nan")}, "shadow"),
        ({"every": 0.0}, "canary_every"),
        ({"max_kl": -1.0}, "shadow_max_kl"),
        ({"alpha": 1.0}, "alpha"),
        ({"canaries": (checked([0.1] * 12), checked([0.2] * 12))}, "canary"),
    ],
)
def test_what_cannot_be_watched_is_refused(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as error:
        Watching(**options)
    assert error.value.field == field
