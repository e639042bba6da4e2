"""A canary of a check whose rows are chats of several turns scores the same turns, through the chat template."""

import asyncio
import io
import json
from pathlib import Path

import polars as pl
import pytest
from tests.conftest import CHAT_TEMPLATE
from tests.workflows.test_written_and_scored import chats, pushing

import trimtab as tt
from trimtab.errors import InputError
from trimtab.models import Model
from trimtab.serving.engines.transformers import TransformersEngine
from trimtab.serving.logs import logger
from trimtab.serving.monitoring import Checked, Monitor, Watching
from trimtab.serving.monitoring.canary import CanaryRun
from trimtab.serving.registry import Registry
from trimtab.steering import Steering


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Model:
    found = tt.load(tiny_folder, dtype="float32")
    found.tokenizer.chat_template = CHAT_TEMPLATE
    return found


@pytest.fixture(scope="module")
def steerings(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("steerings")
    vector = pushing(model).vector(tt.Site(1))
    Steering.from_vector(1, vector, "kind", made_for=model.facts).save(folder / "kind")
    return folder


@pytest.fixture(scope="module")
def check(model: Model, steerings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checks") / "chats"
    steering = Steering.load(steerings / "kind")
    tt.check(
        model, chats(), steering=steering, train=12, evaluation=16, chat_template=True, effort="quick", folder=folder
    )
    return folder


def look(model: Model, steerings: Path, checked: Checked) -> CanaryRun:
    async def main() -> CanaryRun:
        engine = TransformersEngine(model, {checked.artifact: Steering.load(steerings / "kind")}.get)
        monitor = Monitor(engine, Registry(steerings), Watching(), logger(io.StringIO()), None)
        await monitor.start()
        try:
            (looked,) = await monitor.look(checked)
        finally:
            await monitor.stop()
            await engine.close()
        assert looked.run is not None, looked.fault
        return looked.run

    return asyncio.run(main())


def test_rows_that_are_chats_are_scored_as_the_same_turns(model: Model, steerings: Path, check: Path) -> None:
    checked = Checked.load(check)
    wanted = {example.prompt: example.messages for example in chats().examples}
    assert {example.prompt: example.messages for example in checked.examples}.items() <= wanted.items()
    assert all(len(example.messages) == 4 for example in checked.examples)
    run = look(model, steerings, checked)
    assert (run.verdict, run.reason) == ("as checked", "no row moved by more than rounding")
    assert run.base_change < 1e-4


def test_a_table_of_an_earlier_version_says_nothing_of_the_steering(
    model: Model, steerings: Path, check: Path, tmp_path: Path
) -> None:
    table = pl.read_parquet(check / "examples.parquet")
    table.drop("messages").write_parquet(tmp_path / "examples.parquet")
    (tmp_path / "report.json").write_bytes((check / "report.json").read_bytes())
    run = look(model, steerings, Checked.load(tmp_path))
    assert run.base_change > 0.01  # other texts


@pytest.mark.parametrize("messages", ["{", "7", '["hello"]', json.dumps([{"role": "user"}])])
def test_turns_that_are_none_are_refused(check: Path, tmp_path: Path, messages: str) -> None:
    table = pl.read_parquet(check / "examples.parquet").with_columns(messages=pl.lit(messages))
    table.write_parquet(tmp_path / "examples.parquet")
    (tmp_path / "report.json").write_bytes((check / "report.json").read_bytes())
    with pytest.raises(InputError, match="the turns of row") as error:
        Checked.load(tmp_path)
    assert (error.value.field, error.value.code) == ("canary", "damaged-file")
