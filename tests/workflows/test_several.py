"""Several behaviors checked: the same reports as one by one, in one process or several, and none measured twice."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.reports.conftest import build

import trimtab as tt
from trimtab.behaviors import Behavior
from trimtab.errors import InputError
from trimtab.model_source import ModelSource
from trimtab.results.report import Report
from trimtab.workflows.check.several import RUNTIME, check_several, workers_for

MODULE = sys.modules["trimtab.workflows.check.several"]
SMALL: dict[str, Any] = {
    "site": 1, "prompt_types": "prefilled", "strength": 1.0, "train": 12, "evaluation": 12, "effort": "quick",
}  # fmt: skip


def few(name: str, n: int = 60) -> Behavior:
    """The first rows of a built-in behavior."""
    whole = Behavior.builtin(name)
    return replace(whole, examples=whole.examples[:n])


@pytest.fixture(scope="module")
def source(tiny_folder: Path) -> ModelSource:
    return ModelSource(str(tiny_folder), "tiny", dtype="float32")


def figures(report: Report) -> dict[str, Any]:
    """All that a report says, but when it was made; its rows too."""
    return {**report.model_dump(exclude={"seconds", "command"}), "rows": report.rows}


def test_reports_are_those_of_one_check_after_another_in_the_order_given(source: ModelSource, tmp_path: Path) -> None:
    behaviors = [few("sentiment"), few("formality")]
    finished: list[Any] = []
    found = check_several(source, behaviors, folder=tmp_path, workers=2, finished=finished.append, **SMALL)
    assert [r.behavior for r in found] == ["sentiment", "formality"]
    assert sorted(r.behavior for r in finished) == ["formality", "sentiment"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["formality", "index.html", "sentiment"]
    model = tt.load(source.source, dtype="float32")
    for report, behavior, other in zip(found, behaviors, behaviors[::-1], strict=True):
        alone = tt.check(model, behavior, others=[other], **SMALL)
        assert figures(report) == figures(alone)
        assert Report.load(tmp_path / behavior.name) == report


def test_a_finished_steering_is_checked_in_other_processes_too(source: ModelSource, tmp_path: Path) -> None:
    torch.manual_seed(0)
    steering = tt.Steering.from_vector(1, torch.randn(32))
    settings = {"train": 12, "evaluation": 12, "effort": "quick"}
    behaviors = [few("sentiment"), few("formality")]
    found = check_several(source, behaviors, folder=tmp_path, workers=2, steering=steering, **settings)
    model = tt.load(source.source, dtype="float32")
    alone = tt.check(model, behaviors[1], others=behaviors[:1], steering=steering, folder=tmp_path / "one", **settings)
    assert figures(found[1]) == figures(alone)


Calls = list[str]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Checks are made up: each writes a report on its behavior, and is put down here."""
    called: Calls = []

    def made_up(model: Any, behavior: Behavior, *, folder: Path, **settings: Any) -> Report:
        called.append(behavior.name)
        if behavior.name == settings.get("command"):
            raise InputError("too few examples", code="too-few-examples", field="train")
        known = build().model.model_copy(update={"digest": model.digest})
        report = build(behavior=behavior.name, model=known, seconds=float(len(called)))
        report.save(folder)
        return report

    monkeypatch.setattr(MODULE, "check", made_up)
    return called


def interrupted_after_the_first(source: ModelSource, folder: Path) -> None:
    def stop(report: Report) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_several(source, [few("sentiment"), few("formality")], folder=folder, workers=1, finished=stop)


def test_what_was_finished_before_an_interruption_is_not_measured_again(
    source: ModelSource, tmp_path: Path, calls: Calls
) -> None:
    interrupted_after_the_first(source, tmp_path)
    found = check_several(source, [few("sentiment"), few("formality")], folder=tmp_path, workers=1)
    assert calls == ["sentiment", "formality"]
    assert [(r.behavior, r.seconds) for r in found] == [("sentiment", 1.0), ("formality", 2.0)]
    assert not list(tmp_path.glob(".unfinished*"))


def other_weights(folder: Path) -> None:
    file = folder / "model.safetensors"
    save_file({name: 1.5 * tensor for name, tensor in load_file(file).items()}, file, {"format": "pt"})


@pytest.mark.parametrize(
    ("change", "settings"),
    [
        (lambda model, out: other_weights(model), {}),
        (lambda model, out: (out / "sentiment" / "report.json").write_text("{}"), {}),
        (lambda model, out: (out / "sentiment" / "report.json").unlink(), {}),
        (lambda model, out: None, {"seed": 1}),
    ],
    ids=["weights", "file", "no file", "settings"],
)
def test_it_is_measured_again_where_anything_changed(
    change: Callable[[Path, Path], None], settings: Any, source: ModelSource, tmp_path: Path, calls: Calls
) -> None:
    own = replace(source, source=str(copytree(source.source, tmp_path / "model")))
    interrupted_after_the_first(own, tmp_path / "out")
    change(tmp_path / "model", tmp_path / "out")
    check_several(own, [few("sentiment"), few("formality")], folder=tmp_path / "out", workers=1, **settings)
    assert calls == ["sentiment", "sentiment", "formality"]


def test_an_error_names_its_behavior_and_leaves_what_was_finished(
    source: ModelSource, tmp_path: Path, calls: Calls
) -> None:
    behaviors = [few("sentiment"), few("formality")]
    with pytest.raises(InputError, match=r"^formality: too few examples") as refused:
        check_several(source, behaviors, folder=tmp_path, workers=1, command="formality")
    assert (refused.value.code, refused.value.field) == ("too-few-examples", "train")
    check_several(source, behaviors, folder=tmp_path, workers=1, command="another")
    assert calls == ["sentiment", "formality", "formality"]


def test_an_error_of_another_process_names_its_behavior(source: ModelSource, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^(sentiment|formality): .*block"):
        check_several(source, [few("sentiment"), few("formality")], folder=tmp_path, workers=2, **{**SMALL, "site": 99})


def test_workers_are_bounded_by_threads_checks_and_memory_and_share_no_gpu(
    source: ModelSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tt.load(source.source, dtype="float32")
    weights = sum(p.numel() * 4 for p in model.hf.state_dict().values())
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    memory = {"cpu": 100 * (RUNTIME + 2 * weights)}
    monkeypatch.setattr("accelerate.utils.get_max_memory", lambda: memory)
    assert [workers_for(n, model) for n in (2, 4, 9)] == [2, 4, 4]
    memory["cpu"] = 3 * (RUNTIME + 2 * weights) + RUNTIME // 2
    assert workers_for(9, model) == 3
    memory["cpu"] = 1
    assert workers_for(9, model) == 1
    memory["cpu"] = 100 * (RUNTIME + 2 * weights)
    gpu: Any = SimpleNamespace(device=SimpleNamespace(type="cuda"), hf=model.hf)
    assert workers_for(9, gpu) == 1
