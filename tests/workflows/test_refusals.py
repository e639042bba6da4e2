"""What the verbs refuse before any work: places that nothing may be written to, and figures that are none."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.chat_server import Reply, serving, writes
from tests.conftest import Run
from tests.reports.study_example import example
from tests.workflows.test_study import SMALL, few

import trimtab as tt
from trimtab.behaviors import Behavior
from trimtab.behaviors.writing import write
from trimtab.clients.chat import Endpoint
from trimtab.errors import InputError
from trimtab.model_source import ModelSource
from trimtab.models import Model
from trimtab.reports.study.files import save_study
from trimtab.steering import Steering
from trimtab.workflows.draft import EndpointWriter, draft
from trimtab.workflows.fit.fit import fit
from trimtab.workflows.predict.calibrate import calibrate
from trimtab.workflows.study.grid import run_grid

SIZES: dict[str, Any] = {"train": 12, "evaluation": 16}


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Model:
    return tt.load(tiny_folder, dtype="float32")


def drafted(out: Any) -> None:
    with serving(lambda request, k: Reply(writes(request))) as server:
        try:
            draft(EndpointWriter(Endpoint(server.url, "m")), "rhymes", "speaks in rhymes", file=out, n=4)
        finally:
            assert server.requests == []  # refused before anything is asked


Writes = Callable[[Model, Path, Any], Any]  # model, its folder, place
WRITERS: dict[str, Writes] = {
    "check": lambda m, f, place: tt.check(m, few("sentiment"), folder=place, site=1, strength=1.0, **SIZES),
    "fit": lambda m, f, place: fit(m, [few("sentiment")], folder=place, site=[1], strength=1.0, **SIZES),
    "study": lambda m, f, place: run_grid([ModelSource(str(f), "tiny", dtype="float32")], [few("null")], SMALL, place),
    "draft": lambda m, f, place: drafted(place),
    "capture": lambda m, f, place: m.capture(["a text", "another"], [1], into=place),
    "capture_tokens": lambda m, f, place: m.capture_tokens(["a text", "another"], [1], into=place),
    "save_study": lambda m, f, place: save_study(example(1), place),
    "behavior": lambda m, f, place: write(Behavior.builtin("null"), place),
}


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_an_empty_place_is_refused_and_nothing_is_written(
    writer: Writes, model: Model, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for empty in ("", " "):
        with pytest.raises(InputError, match="is empty"):
            writer(model, tiny_folder, empty)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_nothing_is_written_into_a_steering(writer: Writes, model: Model, tiny_folder: Path, tmp_path: Path) -> None:
    steering = Steering.from_vector(1, torch.ones(4)).save(tmp_path / "s")
    before = {file.name: file.read_bytes() for file in steering.iterdir()}
    with pytest.raises(InputError, match="belongs to the steering"):
        writer(model, tiny_folder, steering / "inside")
    assert {file.name: file.read_bytes() for file in steering.iterdir()} == before
    Steering.load(steering)


def test_a_draft_into_a_steering_is_refused_before_a_model_is_loaded(run: Run, tmp_path: Path) -> None:
    steering = Steering.from_vector(1, torch.ones(4)).save(tmp_path / "s")
    given = ("draft", "rhymes", "--description", "speaks in rhymes", "--model", "no-such-model")
    code, _, err = run(*given, "--out", steering / "rhymes.jsonl")
    assert code == 2
    assert "belongs to the steering" in err
    code, _, err = run(*given, "--out", tmp_path / ("x" * 300))
    assert code == 2
    assert "bytes" in err


FIGURES: dict[str, Callable[[Model, Any], Any]] = {
    "strength": lambda m, x: tt.check(m, few("sentiment"), strength=x, **SIZES),
    "min_effect": lambda m, x: tt.check(m, few("sentiment"), min_effect=x, **SIZES),
    "max_kl": lambda m, x: tt.check(m, few("sentiment"), max_kl=x, **SIZES),
    "max_anti_steerable": lambda m, x: tt.check(m, few("sentiment"), max_anti_steerable=x, **SIZES),
    "max_capability_loss": lambda m, x: tt.check(m, few("sentiment"), max_capability_loss=x, **SIZES),
    "generate": lambda m, x: tt.check(m, few("sentiment"), generate=x, **SIZES),
    "train": lambda m, x: tt.check(m, few("sentiment"), train=x),
    "fit strength": lambda m, x: fit(m, [few("sentiment")], strength=x, **SIZES),
    "fit max_kl": lambda m, x: fit(m, [few("sentiment")], max_kl=x, **SIZES),
    "calibrate min_effect": lambda m, x: calibrate([example(1)], min_effect=x),
    "calibrate max_anti_steerable": lambda m, x: calibrate([example(1)], max_anti_steerable=x),
}


@pytest.mark.parametrize("value", ["1.5", "much", True, float("nan"), -1, 1j, [0.5]], ids=str)
@pytest.mark.parametrize(("name", "asked"), FIGURES.items(), ids=FIGURES)
def test_a_figure_that_is_none_is_refused_by_name(
    name: str, asked: Callable[[Model, Any], Any], value: object, model: Model
) -> None:
    with pytest.raises(InputError, match=name.split()[-1]):
        asked(model, value)
