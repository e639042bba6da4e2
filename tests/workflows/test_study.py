"""The study on a tiny random model: its cells are those of a check, and killing it changes nothing."""

import gc
import json
import os
import signal
import subprocess
import sys
import time
import weakref
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from tests.conftest import Run

import trimtab as tt
from trimtab.behaviors import Behavior, Example
from trimtab.behaviors.controls import shuffled
from trimtab.errors import InputError
from trimtab.experiment.progress import Silent
from trimtab.model_source import ModelSource
from trimtab.results.study import Cell, Study
from trimtab.results.study_files import load_study
from trimtab.workflows.study import Grid, families_of
from trimtab.workflows.study.grid import run_grid

FEW = Behavior.builtin("sentiment").examples[:40]
SMALL = Grid(sites=("1",), train=12, evaluation=16)
TYPES = ("prefilled", "instruction", "prefilled+5-shot")


def few(name: str, n: int = 40) -> Behavior:
    """The first rows of a built-in behavior."""
    whole = Behavior.builtin(name)
    return replace(whole, examples=whole.examples[:n])


@pytest.fixture(scope="module")
def source(tiny_folder: Path) -> ModelSource:
    return ModelSource(str(tiny_folder), "tiny", dtype="float32")


@pytest.fixture(scope="module")
def result(source: ModelSource, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return run_grid([source], [few("sentiment"), few("formality")], SMALL, tmp_path_factory.mktemp("study"))


def figures(cells: Any) -> list[dict[str, Any]]:
    return [cell.model_dump() for cell in cells]


def test_a_cell_is_what_a_check_finds_at_the_same_site(result: Study, tiny_folder: Path) -> None:
    model = tt.load(tiny_folder, dtype="float32")
    report = tt.check(model, few("sentiment"), site=1, strength=1.0, train=12, evaluation=16, effort="thorough")
    cells = {c.prompt_type: c for c in result.cells if c.behavior == "sentiment"}
    assert len(cells) == 7
    for name, described in report.prompt_types.items():
        cell = cells[name]
        assert described.effect is not None
        assert described.anti_steerable is not None
        assert cell.effect == pytest.approx(described.effect.mean, abs=1e-6)
        assert cell.odd == pytest.approx(described.effect.odd, abs=1e-6)
        assert cell.anti_steerable == pytest.approx(described.anti_steerable.share)
        assert cell.agreement_loo == pytest.approx(described.directional_agreement_loo.value, abs=1e-6)
        assert cell.separability_held_out == pytest.approx(described.separability_held_out.value, rel=1e-5)
        assert cell.edit_size_ratio == pytest.approx(described.edit_size_ratio, rel=1e-6)
    assert report.length_auroc.value == pytest.approx(cells["prefilled"].length_auroc)
    found = next(c for c in result.cosines if c.behavior == "sentiment")
    assert found.types == report.prompt_type_cosine.types
    assert np.allclose(found.matrix, report.prompt_type_cosine.matrix, atol=1e-6)


def test_at_equal_dose_every_vector_has_that_dose_and_its_own_effect(result: Study, tiny_folder: Path) -> None:
    for cell in result.cells:
        assert cell.edit_size_ratio is not None
        assert cell.equal_strength is not None
        assert cell.edit_size_ratio * cell.equal_strength == pytest.approx(SMALL.equal_dose)
    cell = next(c for c in result.cells if c.behavior == "formality" and c.prompt_type == "prefilled")
    model = tt.load(tiny_folder, dtype="float32")
    options: dict[str, Any] = {"site": 1, "prompt_types": "prefilled", "train": 12, "evaluation": 16}
    report = tt.check(model, few("formality"), strength=cell.equal_strength or 0.0, **options)
    described = report.prompt_types["prefilled"]
    assert described.effect is not None
    assert cell.equal_effect == pytest.approx(described.effect.mean, abs=1e-6)
    assert cell.equal_odd == pytest.approx(described.effect.odd, abs=1e-6)


def test_slopes_are_those_of_a_check(source: ModelSource, tmp_path: Path, tiny_folder: Path) -> None:
    grid = replace(SMALL, slopes=True, prompt_types=("prefilled",))
    found = run_grid([source], [few("sentiment")], grid, tmp_path).cells[0]
    options: dict[str, Any] = {"site": 1, "prompt_types": "prefilled", "train": 12, "evaluation": 16}
    report = tt.check(tt.load(tiny_folder, dtype="float32"), few("sentiment"), strength=1.0, **options)
    assert found.steerability == pytest.approx(report.prompt_types["prefilled"].steerability.mean, abs=1e-6)
    assert found.spearman == pytest.approx(report.curve.spearman, abs=1e-6)


class Stop(Silent):
    """Interrupts after so many steps."""

    def __init__(self, after: int) -> None:
        self.left = after

    def advance(self, stage: str, amount: int) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def test_an_interrupted_study_goes_on_with_the_same_cells(result: Study, source: ModelSource, tmp_path: Path) -> None:
    behaviors = [few("sentiment"), few("formality")]
    for after in (1, 9, 14):
        with pytest.raises(KeyboardInterrupt):
            run_grid([source], behaviors, SMALL, tmp_path, progress=Stop(after))
    again = run_grid([source], behaviors, SMALL, tmp_path)
    assert figures(again.cells) == figures(result.cells)
    assert again.cosines == result.cosines
    assert again.associations == result.associations
    assert not list(tmp_path.glob(".unfinished*"))


@pytest.mark.parametrize("stops", [3, 6, 9])  # in the first part, and twice in the second one
def test_a_study_resumed_after_the_weights_changed_measures_all_anew(
    stops: int, tiny_folder: Path, tmp_path: Path
) -> None:
    changing = tmp_path / "model"
    copytree(tiny_folder, changing)
    behaviors, grid = [few("sentiment"), few("formality")], replace(SMALL, prompt_types=TYPES)
    source = ModelSource(str(changing), "tiny", dtype="float32")
    with pytest.raises(KeyboardInterrupt):
        run_grid([source], behaviors, grid, tmp_path / "out", progress=Stop(stops))
    file = changing / "model.safetensors"
    weights = {name: 1.5 * tensor for name, tensor in load_file(file).items()}
    save_file(weights, file, {"format": "pt"})
    resumed = run_grid([source], behaviors, grid, tmp_path / "out")
    fresh = run_grid([source], behaviors, grid, tmp_path / "fresh")
    assert figures(resumed.cells) == figures(fresh.cells)
    assert len({c.model_digest for c in resumed.cells}) == 1


def test_no_model_outlives_the_study(source: ModelSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[weakref.ref[tt.Model]] = []

    def counted(*given: Any, **options: Any) -> tt.Model:
        model = tt.load(*given, **options)
        made.append(weakref.ref(model))
        return model

    monkeypatch.setattr(import_module("trimtab.models.loading"), "load", counted)
    run_grid([source], [few("sentiment"), few("formality")], replace(SMALL, prompt_types=("prefilled",)), tmp_path)
    gc.collect()
    assert len(made) == 1  # loaded once for all parts
    assert made[0]() is None


def test_two_workers_find_what_one_finds(source: ModelSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)  # one thread each, as this process has
    behaviors = [few("sentiment"), few("formality")]
    grid = replace(SMALL, prompt_types=TYPES)
    one, two = (run_grid([source], behaviors, grid, tmp_path / str(n), workers=n) for n in (1, 2))
    assert figures(two.cells) == figures(one.cells)


def test_what_is_saved_is_read_back(source: ModelSource, tmp_path: Path) -> None:
    made = run_grid([source], [few("sentiment")], replace(SMALL, prompt_types=TYPES), tmp_path)
    assert load_study(tmp_path) == made
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_a_behavior_that_cannot_be_measured_says_so_and_stops_nobody(source: ModelSource, tmp_path: Path) -> None:
    small = Behavior("tiny", [Example(f"Say {i}.", " yes indeed", " no never") for i in range(4)])
    grid = replace(SMALL, prompt_types=("prefilled", "instruction"))
    found = run_grid([source], [small, few("sentiment")], grid, tmp_path)
    absent = [c for c in found.cells if c.behavior == "tiny"]
    assert len(absent) == 2
    assert all(c.not_measured and "different questions" in c.not_measured and c.effect is None for c in absent)
    assert any("tiny" in note for note in found.notes)
    assert all(c.effect is not None for c in found.cells if c.behavior == "sentiment")


def test_controls_stand_in_the_table_and_in_no_summary(source: ModelSource, tmp_path: Path) -> None:
    whole = few("sentiment")
    null = replace(shuffled(whole, 0), name="null")
    grid = replace(SMALL, prompt_types=("prefilled",), controls=("null",))
    found = run_grid([source], [whole, null], grid, tmp_path)
    assert [c.control for c in found.cells] == [False, True]
    assert {t.effect.n or t.effect.reason for t in found.types} != {2}
    assert sum(sum(t.ranks) for t in found.types if t.at == "strength 1") == 1


def test_a_range_of_sites_is_measured_block_by_block(source: ModelSource, tmp_path: Path) -> None:
    grid = replace(SMALL, prompt_types=("prefilled",))
    spread = run_grid([source], [few("sentiment")], replace(grid, sites=("0-1", "1", "attention:2")), tmp_path / "a")
    named = run_grid([source], [few("sentiment")], replace(grid, sites=("0", "1", "attention:2")), tmp_path / "b")
    assert [(c.block, c.component) for c in spread.cells] == [(0, "residual"), (1, "residual"), (2, "attention")]
    assert figures(spread.cells) == figures(named.cells)
    with pytest.raises(InputError, match="blocks 0 to 2"):
        run_grid([source], [few("sentiment")], replace(grid, sites=("1-7",)), tmp_path / "c")


def test_names_that_begin_alike_are_a_family() -> None:
    names = ["desire-for-power", "desire-to-create", "risk-neutral", "openness"]
    assert families_of(names) == {
        "desire-for-power": "desire",
        "desire-to-create": "desire",
        "risk-neutral": "risk-neutral",
        "openness": "openness",
    }


def test_what_makes_no_sense_is_refused_before_any_work(source: ModelSource, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="two behaviors are called"):
        run_grid([source], [few("sentiment"), few("sentiment")], SMALL, tmp_path)
    with pytest.raises(InputError, match="two models are called"):
        run_grid([source, source], [few("sentiment")], SMALL, tmp_path)
    with pytest.raises(InputError, match="equal dose"):
        run_grid([source], [few("sentiment")], replace(SMALL, equal_dose=0.0), tmp_path)
    with pytest.raises(InputError, match="site"):
        run_grid([source], [few("sentiment")], replace(SMALL, sites=("99",)), tmp_path)
    assert not list(tmp_path.rglob("*.json"))


def test_the_command_writes_a_report_and_prints_one_document(run: Run, tiny_folder: Path, tmp_path: Path) -> None:
    described = (
        "study",
        "sentiment",
        "--model",
        tiny_folder,
        "--dtype",
        "float32",
        "--site",
        1,
        "--train",
        12,
        "--eval",
        16,
    )
    arguments = (*described, "--prompt-type", "prefilled", "--nulls", 1, "--out", tmp_path / "a")
    code, out, err = run(*arguments, "--json")
    assert code == 0, err
    document = json.loads(out)
    assert [(c["behavior"], c["control"]) for c in document["cells"]] == [
        ("sentiment", False),
        ("sentiment shuffled 0", True),
    ]
    assert "about" in err
    code, out, err = run(*arguments)
    assert code == 0, err
    assert "prefilled" in out
    assert (tmp_path / "a" / "cells.parquet").is_file()


def test_copies_of_behaviors_with_the_longest_names_have_names_of_their_own(
    run: Run, tiny_folder: Path, tmp_path: Path
) -> None:
    head = json.dumps({"trimtab": "behavior", "name": "NAME"})
    rows = [json.dumps({"prompt": e.prompt, "positive": e.positive, "negative": e.negative}) for e in FEW]
    names = ["ü" * 49 + "ab", "ü" * 49 + "ac"]  # 100 bytes each, alike up to the last
    for i, name in enumerate(names):
        (tmp_path / f"{i}.jsonl").write_text("\n".join([head.replace("NAME", name), *rows]), encoding="utf-8")
    sizes = ("--model", tiny_folder, "--dtype", "float32", "--site", 1, "--train", 12, "--eval", 16, "--nulls", 2)
    arguments = (*sizes, "--prompt-type", "prefilled", "--out", tmp_path / "out", "--json")
    code, out, err = run("study", tmp_path / "0.jsonl", tmp_path / "1.jsonl", *arguments)
    assert code == 0, err
    cells = json.loads(out)["cells"]
    assert len({c["behavior"] for c in cells}) == 6
    assert sum(c["control"] for c in cells) == 4
    assert all("shuffled" in c["behavior"] for c in cells if c["control"])
    assert {c["family"] for c in cells if c["control"]} == {c["family"] for c in cells if not c["control"]}


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--control", "nobody"), "--control nobody"),
        (("--site", "99"), "99"),
        (("--prompt-type", "guess"), "guess"),
        (("--equal-dose", "-1"), "equal dose"),
        (("--workers", "0"), "workers"),
    ],
)
def test_wrong_usage_ends_with_code_2(
    options: tuple[str, ...], word: str, run: Run, tiny_folder: Path, tmp_path: Path
) -> None:
    code, _, err = run("study", "sentiment", "--model", tiny_folder, "--out", tmp_path / "out", *options)
    assert code == 2
    assert word in err


@pytest.mark.slow
def test_kill_9_at_random_moments_leaves_the_same_table(tiny_folder: Path, tmp_path: Path) -> None:
    """Three studies, each killed three times before it may end."""
    command = [sys.executable, "-m", "trimtab", "study", "sentiment", "formality", "--model", str(tiny_folder)]
    command += ["--dtype", "float32", "--site", "1", "--train", "40", "--eval", "60", "--out"]
    subprocess.run([*command, str(tmp_path / "whole")], check=True, capture_output=True)
    whole = load_study(tmp_path / "whole")
    rng = np.random.default_rng(0)
    for k in range(3):
        for _ in range(3):
            process = subprocess.Popen(
                [*command, str(tmp_path / str(k))], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            time.sleep(float(rng.uniform(5, 12)))
            process.send_signal(signal.SIGKILL)
            process.wait()
        subprocess.run([*command, str(tmp_path / str(k))], check=True, capture_output=True)
        again = load_study(tmp_path / str(k))
        assert figures(again.cells) == figures(whole.cells)
        assert again.cosines == whole.cosines


def test_every_cell_names_its_model_and_site(result: Study) -> None:
    assert all(isinstance(c, Cell) and (c.model, c.block, c.component) == ("tiny", 1, "residual") for c in result.cells)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="children are looked up in /proc")
def test_workers_end_with_a_parent_that_is_killed(tiny_folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "trimtab", "study", "sentiment", "formality", "--model", str(tiny_folder)]
    command += ["--workers", "2", "--out", str(tmp_path / "out")]
    parent = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    listed = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    children: list[str] = []
    for _ in range(3000):  # two workers and the process that keeps track of semaphores
        children = listed.read_text().split()
        if len(children) == 3:
            break
        time.sleep(0.1)
    assert len(children) == 3
    time.sleep(1.0)
    parent.kill()
    parent.wait()
    for _ in range(3000):
        if not any(_running(pid) for pid in children):
            return
        time.sleep(0.1)
    raise AssertionError("a worker outlives its parent")


def _running(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
