"""A reversed steering that is live is found by a canary on the engine that serves it, and the right one is not."""

import asyncio
import io
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from tests.serving.live.conftest import until
from tests.workflows.test_study import few

import trimtab as tt
from trimtab.behaviors import render_bare
from trimtab.errors import InputError
from trimtab.interventions import Capabilities, Condition, Site
from trimtab.models import Model
from trimtab.models.capture import capture
from trimtab.models.conditions import prompt_alone
from trimtab.operations import Definition, OffSwitch, Releases, Store, arm_of
from trimtab.operations.releases.plan import OnAlarm
from trimtab.serving.engines.transformers import TransformersEngine
from trimtab.serving.live import Operations
from trimtab.serving.logs import logger
from trimtab.serving.monitoring import Checked, Monitor, Watching
from trimtab.serving.monitoring.observations import Looked
from trimtab.serving.registry import Registry

SITE = 1


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Model:
    return tt.load(tiny_folder, dtype="float32")


@pytest.fixture(scope="module")
def steerings(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a steering `kind` that works: along the gradient of what is wanted, on a random model."""
    pull = torch.zeros(model.d_model, requires_grad=True)
    handle = model.anatomy.blocks[SITE].register_forward_hook(
        lambda module, args, out: out + pull if isinstance(out, torch.Tensor) else (out[0] + pull, *out[1:])
    )
    for example in few("sentiment").examples:
        for side, sign in (("positive", 1.0), ("negative", -1.0)):
            (row,) = model.encoder().encode([render_bare(example, side)])  # type: ignore[arg-type]
            ids, n = torch.tensor([row.ids]), row.prompt_len
            logged = model.hf(ids).logits[0, n - 1 : -1].float().log_softmax(-1)
            (sign * logged.gather(1, ids[0, n:, None]).mean()).backward()
    handle.remove()
    assert pull.grad is not None
    folder = tmp_path_factory.mktemp("steerings")
    vector = 0.7 * pull.grad / pull.grad.norm()
    tt.Steering.from_vector(SITE, vector, "kind", made_for=model.facts).save(folder / "kind")
    return folder


@pytest.fixture(scope="module")
def check(model: Model, steerings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checks") / "kind-check"
    steering = tt.Steering.load(steerings / "kind")
    report = tt.check(model, few("sentiment"), steering=steering, train=12, evaluation=20, folder=folder)
    (result,) = report.prompt_types.values()
    assert result.effect is not None
    assert result.effect.low > 0  # else there is nothing that a canary could miss
    return folder


@pytest.fixture
def operations(steerings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operations]:
    for name in ("TRIMTAB_OFF", "TRIMTAB_OFF_FILE"):
        monkeypatch.delenv(name, raising=False)
    store = Store(tmp_path / "operations.db", create=True)
    made = Operations(store, "tiny", Registry(steerings), OffSwitch.beside(tmp_path), logger(io.StringIO()))
    yield made
    made.close()


def looks(
    model: Model,
    steerings: Path,
    checked: Checked,
    operations: Operations | None = None,
    times: int = 1,
    act: bool = False,
) -> tuple[list[list[Looked]], list[tuple[str, Mapping[str, Any]]], list[dict[str, Any]]]:
    """What a canary comes to at several looks, the alarms that were told, and the lines that were logged."""
    told: list[tuple[str, Mapping[str, Any]]] = []
    log = io.StringIO()

    async def main() -> list[list[Looked]]:
        engine = TransformersEngine(model, {checked.artifact: tt.Steering.load(steerings / "kind")}.get)
        monitor = Monitor(engine, Registry(steerings), Watching(), logger(log), operations)
        if act and operations is not None:
            monitor.on_alarm.append(operations.watching.alarmed)
        monitor.on_alarm.append(lambda kind, reason, figures: told.append((kind, figures)))
        await monitor.start()
        try:
            return [await monitor.look(checked) for _ in range(times)]
        finally:
            await monitor.stop()
            await engine.close()

    return asyncio.run(main()), told, [json.loads(line) for line in log.getvalue().splitlines()]


def test_what_is_served_as_checked_is_as_checked_at_every_look(model: Model, steerings: Path, check: Path) -> None:
    found, told, lines = looks(model, steerings, Checked.load(check), times=3)
    assert [[one.run and one.run.verdict for one in looked] for looked in found] == [["as checked"]] * 3
    report = tt.Report.load(check)
    (result,) = report.prompt_types.values()
    (run,) = [one.run for one in found[0]]
    assert run is not None
    assert result.effect is not None
    assert run.n == report.n_eval
    assert run.effect.value == pytest.approx(result.effect.mean, abs=1e-4)
    assert run.base_change < 1e-4
    assert run.known_risk == sum(effect < -report.noise.value for effect in result.effects)
    assert told == []
    assert [line["verdict"] for line in lines if line["event"] == "canary"] == ["as checked"] * 3


def test_of_one_that_leaves_prompts_alone_the_share_is_that_of_the_check(
    model: Model, steerings: Path, tmp_path: Path
) -> None:
    """Half of the prompts meet a condition; which ones, the model itself says here."""
    behavior, direction = few("sentiment"), torch.randn(model.d_model, generator=torch.Generator().manual_seed(1))
    prompts = [model.encoder().encode([render_bare(e, "positive")])[0] for e in behavior.examples]
    (own,) = capture(model, [prompt_alone(row) for row in prompts], [Site(SITE)], "mean").activations.values()
    cosines = torch.cosine_similarity(own, direction[None], dim=1)
    condition = Condition(SITE, direction, float(cosines.median()) + 1e-5)
    picky = tt.Steering.load(steerings / "kind").changed(conditions={"kind": condition})
    folder, check = tmp_path / "steerings", tmp_path / "check"
    picky.save(folder / "kind")
    report = tt.check(model, behavior, steering=picky, train=12, evaluation=20, folder=check)
    (result,) = report.prompt_types.values()
    meets = {e.prompt: bool(c > condition.threshold) for e, c in zip(behavior.examples, cosines, strict=True)}
    rows = [row for row in report.rows if row.strength == report.verdict.strength]
    assert [row.acts_positive for row in rows] == [meets[row.prompt] for row in rows]
    effects = np.array([row.effect for row in rows if meets[row.prompt]])
    checked = Checked.load(check)
    (((looked,),), told, _) = looks(model, folder, checked)
    run = looked.run
    assert run is not None
    assert run.verdict == "as checked"
    assert result.acting is not None
    assert run.acts is not None
    assert run.acts.value == result.acting.share.value == np.mean([meets[row.prompt] for row in rows])
    assert 0 < run.acts.value < 1
    assert run.anti_steerable.value == checked.anti_steerable.value == np.mean(effects < 0)
    assert told == []
    table = pl.read_parquet(check / "examples.parquet").drop("acts_positive", "acts_negative")
    table.write_parquet(check / "examples.parquet")
    with pytest.raises(InputError, match="an earlier version, whose table does not hold which rows") as refused:
        Checked.load(check)
    assert refused.value.field == "canary"


def live(steerings: Path, operations: Operations, strength: float, on_alarm: OnAlarm = "pause") -> Releases:
    """Releases, of which one is live for everybody."""
    releases = Releases(operations.store)
    arm, _ = arm_of(steerings / "kind", strength)
    made = Definition.made(
        name="first", model="tiny", treatment=arm, stages=(100,), salt="s", on_alarm=on_alarm, digest=None
    )
    releases.add(made, by="ada")
    releases.act("first", "start", by="ada")
    until(lambda: bool(operations.view.releases))
    return releases


@pytest.mark.parametrize(("on_alarm", "state"), [("pause", "paused"), ("rollback", "rolled-back")])
def test_a_reversed_release_is_taken_back_by_itself(
    model: Model, steerings: Path, check: Path, operations: Operations, on_alarm: OnAlarm, state: str
) -> None:
    releases = live(steerings, operations, -1.0, on_alarm)
    able = Capabilities(model.facts, 64, 8, frozenset({"additive"}), frozenset({"all"}), messages=True)
    assert operations.follow("ada", "request", able, chat=True).resolved is not None
    looks(model, steerings, Checked.load(check), operations, act=True)
    assert releases.get("first").state == state
    last = releases.history("first")[-1].entry
    assert (last.who, last.what) == ("watch", f"release.{on_alarm}")
    assert last.why.startswith("canary: ")
    until(lambda: operations.follow("ada", "request", able, chat=True).resolved is None)


def test_a_right_release_stays(model: Model, steerings: Path, check: Path, operations: Operations) -> None:
    releases = live(steerings, operations, 1.0, "rollback")
    looks(model, steerings, Checked.load(check), operations, act=True)
    assert releases.get("first").state == "running"


def test_what_comes_live_between_two_looks_is_looked_at_at_once(
    model: Model, steerings: Path, check: Path, operations: Operations
) -> None:
    checked = Checked.load(check)

    async def main() -> str:
        engine = TransformersEngine(model, {checked.artifact: tt.Steering.load(steerings / "kind")}.get)
        watching, log = Watching(canaries=(checked,), every=600.0), logger(io.StringIO())
        monitor = Monitor(engine, Registry(steerings), watching, log, operations, (operations.watching.alarmed,))
        await monitor.start()
        try:
            async with asyncio.timeout(60):
                while not monitor.observations.canaries:
                    await asyncio.sleep(0.01)
                releases = await asyncio.to_thread(live, steerings, operations, -1.0, "rollback")
                while (state := releases.get("first").state) == "running":
                    await asyncio.sleep(0.05)
            return state
        finally:
            await monitor.stop()
            await engine.close()

    assert asyncio.run(main()) == "rolled-back"


def test_a_reversed_release_is_found_and_told_once(
    model: Model, steerings: Path, check: Path, operations: Operations
) -> None:
    live(steerings, operations, -1.0)
    found, told, lines = looks(model, steerings, Checked.load(check), operations, times=2)
    by_releases = {one.setup.releases: one.run for one in found[1] if one.run is not None}
    assert {releases: run.verdict for releases, run in by_releases.items()} == {
        ("first",): "worse than checked", (): "as checked",
    }  # fmt: skip
    (right, wrong) = by_releases[()], by_releases[("first",)]
    assert wrong.effect.value < 0 < right.effect.value
    ((kind, figures),) = told
    assert (kind, figures["releases"], figures["strength"]) == ("canary", ["first"], {"kind": -1.0})
    assert [line["event"] for line in lines].count("alarm") == 1


def test_a_check_of_nothing_that_is_served_looks_at_nothing_and_a_folder_without_rows_is_refused(
    model: Model, steerings: Path, check: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "none"
    empty.mkdir()

    async def main() -> list[Looked]:
        engine = TransformersEngine(model, {}.get)
        monitor = Monitor(engine, Registry(empty), Watching(), logger(io.StringIO()))
        try:
            return await monitor.look(Checked.load(check))
        finally:
            await engine.close()

    assert asyncio.run(main()) == []
    bare = tmp_path / "bare"
    shutil.copytree(check, bare)
    (bare / "examples.parquet").unlink()
    for folder, words in ((bare, "examples.parquet"), (empty, "does not exist")):
        with pytest.raises(InputError, match=words) as error:
            Checked.load(folder)
        assert error.value.field == "canary"


def test_a_look_that_fails_says_why_and_raises_no_alarm(model: Model, steerings: Path, check: Path) -> None:
    async def main() -> tuple[list[Looked], dict[str, Any]]:
        engine = TransformersEngine(model, {}.get)  # which does not have the steering
        monitor = Monitor(engine, Registry(steerings), Watching(), logger(io.StringIO()))
        try:
            return await monitor.look(Checked.load(check)), monitor.observations.record
        finally:
            await engine.close()

    (looked,), record = asyncio.run(main())
    assert looked.run is None
    assert "there is no steering" in str(looked.fault)
    assert record["alarms"] == []
