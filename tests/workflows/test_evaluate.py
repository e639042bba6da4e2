"""Comparisons on a tiny random model: the protocol binds, figures are those of plain runs, killing changes nothing."""

import json
from collections.abc import Callable
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from shutil import copytree
from typing import Any

import polars as pl
import pytest

import trimtab as tt
from trimtab.errors import InputError
from trimtab.evaluation.tasks import Treatment, run
from trimtab.experiment.executor import Processes
from trimtab.experiment.task_parts import Sizes, deal
from trimtab.measurements.damage import DamageTexts, damages
from trimtab.model_source import ModelSource
from trimtab.results.evaluation import FLOORS, RANDOM, TEMPERATURE, UNSTEERED, Evaluation
from trimtab.workflows.evaluate import MethodSpec, TaskSpec, cells, evaluate
from trimtab.workflows.evaluate.contenders import Bench

SIZES: dict[str, Any] = {"train": 8, "dev": 4, "test": 6}
SETTINGS: dict[str, Any] = {
    "seeds": 2, "damages": (0.02, 0.08), "trials": 2, "site": 1, "damage_texts": 3, **SIZES,
}  # fmt: skip
MODULE = import_module("trimtab.workflows.evaluate.evaluate")
METHODS = ["mean-difference", "exclusive-gates?c=0.1,1", "instruction"]


@pytest.fixture(scope="module")
def source(tiny_folder: Path) -> ModelSource:
    return ModelSource(str(tiny_folder), "tiny", dtype="float32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compared") / "out"


@pytest.fixture(scope="module")
def found(source: ModelSource, tasks: list[str], folder: Path) -> Evaluation:
    side = [tasks[0].replace("label=sentiment", "label=aside")]
    return evaluate(source, tasks, METHODS, folder=folder, side=side, **SETTINGS)


@pytest.fixture(scope="module")
def units(found: Evaluation, folder: Path) -> pl.DataFrame:
    return pl.read_parquet(folder / "units.parquet")


def without_times(folder: Path, name: str = "evaluation.json") -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / name).read_text())
    return {key: value for key, value in record.items() if key not in ("seconds", "command")}


# --- what is measured ---


def test_the_unsteered_figures_are_those_of_a_plain_run_of_the_same_units(units, source, tasks):
    model, task = tt.load(source.source, dtype="float32"), TaskSpec.parse(tasks[0]).load()
    for seed in (1, 2):
        expected = run(deal(task, seed, Sizes(**SIZES)).test, model, Treatment(seed=seed)).rows
        some = units.filter((pl.col("contender") == UNSTEERED) & (pl.col("seed") == seed))
        got = some.filter(pl.col("task") == "sentiment")
        assert [(r.unit, r.figure) for r in expected] == list(zip(got["unit"], got["figure"], strict=True))
        assert got["value"].to_list() == pytest.approx([r.value for r in expected])


def test_a_method_is_measured_as_its_saved_steering_answers_at_the_strengths_put_down(source, tasks, folder, found):
    model, task = tt.load(source.source, dtype="float32"), TaskSpec.parse(tasks[1]).load()
    cell = next(c for c in kept(folder) if c["contender"] == "exclusive-gates" and c["seed"] == 2)
    steering = tt.Steering.load(folder / "steerings" / "seed-2" / "exclusive-gates")
    part = deal(task, 2, Sizes(**SIZES)).test
    for point in cell["points"]:
        expected = run(part, model, Treatment(steering, point["strengths"], seed=2))
        values = [r["value"] for r in point["rows"] if (r["task"], r["figure"]) == ("formality", "propensity")]
        assert values == pytest.approx(expected.values("propensity")[0].tolist(), abs=1e-5)


def kept(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in (folder / "cells").glob("*.json")]


def test_all_that_has_a_strength_does_the_same_damage_on_dev(found, folder):
    points = [(c["contender"], p) for c in kept(folder) for p in c["points"]]
    assert {name for name, _ in points} == set(found.protocol.contenders)
    for name, point in points:
        if point["budget"] is None:
            assert name in (UNSTEERED, "instruction")
        elif name in (TEMPERATURE, RANDOM, "mean-difference"):
            assert point["dev_damage"] == pytest.approx(point["budget"], rel=0.3)
    assert {p["budget"] for _, p in points} == {None, 0.02, 0.08}


def test_the_damage_in_the_record_is_that_of_the_test_texts(found, folder, source, tasks):
    model = tt.load(source.source, dtype="float32")
    cell = next(c for c in kept(folder) if c["contender"] == TEMPERATURE and c["seed"] == 1)
    examples = {}
    for text in tasks:
        spec = TaskSpec.parse(text)
        examples[spec.label] = deal(spec.load(), 1, Sizes(**SIZES)).test.behavior(spec.label).examples
    texts = DamageTexts.of(examples, 3, dev=False)
    for point in cell["points"]:
        treatment = Treatment(flatten=point["strengths"]["temperature"])
        assert point["damage"] == pytest.approx(dict(damages(model, texts, [treatment])[0].by_group), abs=1e-5)


def test_gains_are_differences_of_the_same_units_to_the_unsteered_model(found, units):
    keys = ["seed", "task", "unit", "figure"]
    base = units.filter(pl.col("contender") == UNSTEERED)
    own = units.filter((pl.col("contender") == "mean-difference") & (pl.col("damage") == 0.08))
    both = own.join(base, on=keys, suffix="_base").filter(pl.col("figure") == "propensity")
    for label in ("sentiment", "formality", "aside"):
        some = both.filter(pl.col("task") == label)
        row = found.row("mean-difference", label, "propensity", 0.08)
        assert row is not None
        assert row.gain is not None
        assert row.gain.value == pytest.approx((some["value"] - some["value_base"]).mean())
        assert row.mean.value == pytest.approx(some["value"].mean())
        assert set(row.above) == set(FLOORS)


def test_the_highest_floor_is_the_one_that_a_method_gains_least_over(found):
    rows = [r for r in found.figures if r.above]
    assert rows
    for row in rows:
        floors = {name: found.row(name, row.task, row.figure, row.budget) for name in FLOORS}
        gains = {name: r.gain.value for name, r in floors.items() if r is not None and r.gain is not None}
        assert row.floor == max(gains, key=lambda name: gains[name])


def test_a_steering_is_not_fitted_to_a_side_task_and_that_is_measured_all_the_same(found, folder):
    assert [t.label for t in found.protocol.tasks if not t.fitted] == ["aside"]
    steering = tt.Steering.load(folder / "steerings" / "seed-1" / "mean-difference")
    assert set(steering.attributes) == {"sentiment", "formality"}
    assert found.row("mean-difference", "aside", "propensity", 0.02) is not None


def test_no_method_has_more_candidates_than_trials_and_dev_takes_the_best(found):
    for by_seed in found.tried.values():
        for rows in by_seed.values():
            assert len(rows) <= 2
            (chosen,) = [row for row in rows if row.chosen]
            assert chosen.gain == max(row.gain for row in rows if row.gain is not None)
    assert {len(rows) for rows in found.tried["exclusive-gates"].values()} == {2}


def test_named_contrasts_are_the_first_method_against_every_other(found):
    assert [(c.first, c.second) for c in found.contrasts] == [
        ("mean-difference", "exclusive-gates"), ("mean-difference", "instruction"),
    ]  # fmt: skip
    assert all(set(c.by_task) == {"sentiment", "formality"} for c in found.contrasts)
    assert all(c.p is not None and c.p_holm is not None and c.p <= c.p_holm for c in found.contrasts)


def test_the_page_of_published_results_shows_every_contender_and_contrast(found, folder, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    record = Evaluation.model_validate_json((folder / "evaluation.json").read_text(encoding="utf-8"))
    page = import_module("compared").page(record)
    for part in ("## Over all tasks", "## Every figure", "## Named contrasts"):
        assert part in page
    whole = page.partition("## Over all tasks")[2].partition("## Every figure")[0].splitlines()
    rows = [line.split(" | ") for line in whole if line.startswith("| ")][2:]
    names = [row[0].removeprefix("| ") for row in rows]
    assert sorted(names) == sorted([*found.protocol.contenders] * 2)  # at both damages
    for row in rows:
        own = found.whole(row[0].removeprefix("| "), 0.02 if rows.index(row) < len(rows) / 2 else 0.08)
        if own.gain.value is not None and own.contender != UNSTEERED:
            rounded = float(row[1].split()[0].replace("\N{MINUS SIGN}", "-"))  # as finely as the interval allows
            assert rounded == pytest.approx(own.gain.value, abs=0.06 + 0.1 * (own.gain.high - own.gain.low))
    aside = found.row("mean-difference", "aside", "propensity", 0.02)
    assert f"{aside.gain.value:+.3f}" in page.partition("### aside, which nothing is fitted to")[2]


# --- the protocol ---


def test_the_protocol_is_there_before_anything_is_measured(source, tasks, tmp_path, monkeypatch):
    def stopped(*_: Any) -> None:
        assert (tmp_path / "protocol.json").is_file()
        raise KeyboardInterrupt

    monkeypatch.setattr(Processes, "run", stopped)
    with pytest.raises(KeyboardInterrupt):
        evaluate(source, tasks, METHODS, folder=tmp_path, **SETTINGS)
    assert json.loads((tmp_path / "protocol.json").read_text())["damages"] == [0.02, 0.08]


@pytest.mark.parametrize(
    ("change", "said"), [({"seeds": 3}, "another seeds"), ({"damages": (0.02,)}, "another damages")]
)
def test_another_protocol_in_the_same_folder_is_refused(found, source, tasks, folder, change, said):
    side = [tasks[0].replace("label=sentiment", "label=aside")]
    with pytest.raises(InputError, match=said):
        evaluate(source, tasks, METHODS, folder=folder, side=side, **{**SETTINGS, **change})


def test_a_protocol_that_was_edited_is_refused(source, tasks, tmp_path, monkeypatch):
    monkeypatch.setattr(Processes, "run", interrupt)
    with pytest.raises(KeyboardInterrupt):
        evaluate(source, tasks, METHODS, folder=tmp_path, **SETTINGS)
    file = tmp_path / "protocol.json"
    file.write_text(file.read_text().replace('"trials": 2', '"trials": 3'))
    with pytest.raises(InputError, match="was changed after it was written"):
        evaluate(source, tasks, METHODS, folder=tmp_path, **SETTINGS)


def test_a_protocol_of_a_trimtab_that_knew_no_stacks_is_the_same(source, tasks, tmp_path, monkeypatch):
    monkeypatch.setattr(Processes, "run", interrupt)
    file = tmp_path / "protocol.json"
    with pytest.raises(KeyboardInterrupt):
        evaluate(source, tasks, METHODS, folder=tmp_path, **SETTINGS)
    before = json.loads(file.read_text())
    del before["digest"]
    for plan in before["methods"]:
        assert plan.pop("stacked") == []
    digest = sha256(json.dumps(before, sort_keys=True).encode()).hexdigest()
    file.write_text(json.dumps({**before, "digest": digest}))
    with pytest.raises(KeyboardInterrupt):
        evaluate(source, tasks, METHODS, folder=tmp_path, **SETTINGS)
    with pytest.raises(InputError, match="methods"):
        evaluate(source, tasks, [*METHODS, "mean-difference+instruction"], folder=tmp_path, **SETTINGS)


def interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


# --- resuming ---


def test_rows_whose_labels_were_turned_are_another_protocol(source, tmp_path, monkeypatch):
    monkeypatch.setattr(Processes, "run", interrupt)
    file, given = tmp_path / "texts.jsonl", {**SETTINGS, "folder": tmp_path / "out", "dev": 20, "test": 20}
    for turned, error in ((0, KeyboardInterrupt), (0, KeyboardInterrupt), (1, InputError)):
        rows = [{"text": f"Text {k} says something of its kind.", "label": k % 2 ^ turned} for k in range(60)]
        file.write_text("\n".join(map(json.dumps, rows)))
        with pytest.raises(error):
            evaluate(source, [f"toxicity:{file}?form=texts"], METHODS[:1], **given)


def test_an_interrupted_comparison_goes_on_to_the_same_result(found, source, tasks, folder, tmp_path, monkeypatch):
    measured: list[str] = []
    real: Callable[..., None] = cells.measure

    def some(task: Any, progress: Any, models: Any) -> None:
        if len(measured) == 5:
            raise KeyboardInterrupt
        measured.append(task.name)
        real(task, progress, models)

    side = [tasks[0].replace("label=sentiment", "label=aside")]
    monkeypatch.setattr(MODULE, "measure", some)
    with pytest.raises(KeyboardInterrupt):
        evaluate(source, tasks, METHODS, folder=tmp_path, side=side, **SETTINGS)
    again: list[str] = []

    def counted(task: Any, progress: Any, models: Any) -> None:
        again.append(task.name)
        real(task, progress, models)

    monkeypatch.setattr(MODULE, "measure", counted)
    evaluate(source, tasks, METHODS, folder=tmp_path, side=side, **SETTINGS)
    assert not set(measured) & set(again)
    assert len(measured) + len(again) == 2 * len(found.protocol.contenders)
    assert without_times(tmp_path) == without_times(folder)
    assert not list(tmp_path.glob(".unfinished-*"))


@pytest.mark.slow
def test_two_workers_find_what_one_finds(found, source, tasks, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)  # one thread each, as this process has
    settings = {**SETTINGS, "seeds": 1, "damages": (0.02,)}
    one, two = (
        evaluate(source, tasks[:1], METHODS[:1], folder=tmp_path / str(n), workers=n, **settings) for n in (1, 2)
    )
    assert one.model_copy(update={"seconds": 0.0}) == two.model_copy(update={"seconds": 0.0})


# --- the lock-box ---


def test_the_lock_box_is_opened_once_after_test_and_holds_other_units(source, tasks, tmp_path, monkeypatch):
    settings = {**SETTINGS, "seeds": 1, "damages": (0.05,), "site": None}
    methods = ["mean-difference", "instruction"]
    with pytest.raises(InputError, match="opened once, after everything"):
        evaluate(source, tasks[:1], methods, folder=tmp_path, open_lockbox=True, **settings)
    first = evaluate(source, tasks[:1], methods, folder=tmp_path, **settings)
    opened = evaluate(
        source, tasks[:1], methods, folder=tmp_path, open_lockbox=True, command="trimtab evaluate …", **settings
    )
    assert (first.part, opened.part) == ("test", "lockbox")
    assert "trimtab evaluate …" in str(opened.opened)
    tables = [pl.read_parquet(tmp_path / f"units{end}.parquet") for end in ("", "-lockbox")]
    assert not set(tables[0]["unit"]) & set(tables[1]["unit"])
    assert set(tables[0]["contender"]) == set(tables[1]["contender"]) == set(first.protocol.contenders)
    assert json.loads((tmp_path / "lockbox.json").read_text())["protocol"] == first.protocol_digest
    monkeypatch.setattr(Processes, "run", interrupt)  # nothing is measured again
    again = evaluate(source, tasks[:1], methods, folder=tmp_path, open_lockbox=True, command="another", **settings)
    assert again.opened == opened.opened
    assert again.figures == opened.figures


def test_the_lock_box_sees_the_candidate_that_dev_chose(source, tasks, tmp_path, monkeypatch):
    settings = {**SETTINGS, "seeds": 1, "damages": (0.05,), "site": None}
    given, tables = (source, tasks[:1], ["mean-difference"]), []
    evaluate(*given, folder=tmp_path / "a", **settings)
    copytree(tmp_path / "a", tmp_path / "b")
    real = Bench.candidates
    for name, step in (("a", 1), ("b", -1)):
        monkeypatch.setattr(Bench, "candidates", lambda self, contender, step=step: real(self, contender)[::step])
        evaluate(*given, folder=tmp_path / name, open_lockbox=True, **settings)
        tables.append(pl.read_parquet(tmp_path / name / "units-lockbox.parquet"))
    assert tables[0].equals(tables[1])
    assert {len(c["tried"]) for c in kept(tmp_path / "a") if c["contender"] == RANDOM and c["tried"]} == {2}


# --- faults of single cells ---


def test_a_fault_of_the_moment_is_no_result(source, tasks, tmp_path, monkeypatch):
    def busy(*_: Any, **__: Any) -> None:
        raise InputError("another process is writing", code="busy")

    settings = {**SETTINGS, "seeds": 1, "damages": (0.05,)}
    with monkeypatch.context() as broken:
        broken.setattr(import_module("trimtab.workflows.fit.materials"), "token_sides", busy)
        with pytest.raises(InputError, match="another process is writing"):
            evaluate(source, tasks[:1], ["exclusive-gates"], folder=tmp_path, **settings)
    result = evaluate(source, tasks[:1], ["exclusive-gates"], folder=tmp_path, **settings)
    assert result.whole("exclusive-gates", 0.05) is not None


def test_where_the_unsteered_model_cannot_be_measured_nothing_is(source, tasks, tmp_path, monkeypatch):
    def refused(*_: Any, **__: Any) -> None:
        raise InputError("row 7 is too long")

    monkeypatch.setattr(import_module("trimtab.workflows.evaluate.room"), "run", refused)
    with pytest.raises(InputError, match="row 7 is too long"):
        evaluate(source, tasks[:1], METHODS[:1], folder=tmp_path, **SETTINGS)


def test_with_a_single_seed_nothing_is_claimed(source, tasks, tmp_path):
    settings = {**SETTINGS, "seeds": 1, "damages": (0.05,), "trials": 1}
    result = evaluate(source, tasks[:1], ["mean-difference", "pca"], folder=tmp_path, **settings)
    assert [row.p_above for row in result.figures if row.p_above is not None] == []
    assert [row.p_above for row in result.overall if row.p_above is not None] == []
    assert [c.p for c in result.contrasts] == [None]
    assert result.contrasts[0].difference.value is not None


def test_the_saved_steering_has_the_measured_strengths_as_defaults_and_presets(found, folder):
    for cell in kept(folder):
        if cell["contender"] == "mean-difference":
            steering = tt.Steering.load(folder / "steerings" / f"seed-{cell['seed']}" / "mean-difference")
            first, second = (p["strengths"] for p in cell["points"])
            assert dict(steering.attributes) == pytest.approx(first)
            assert dict(steering.presets["damage-0.08"]) == pytest.approx(second)


# --- hostile input ---


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tasks": ["sentiment"]}, "write NAME:SOURCE"),
        ({"tasks": ["nothing:x"]}, "nothing"),
        ({"tasks": ["behavior:sentiment", "behavior:formality"]}, r"tell them apart by \?label="),
        ({"tasks": ["behavior:sentiment?figure=warmth"]}, "no figure 'warmth'"),
        ({"tasks": ["behavior:sentiment?label=a/b"]}, "label"),
        ({"methods": ["mean-difference?label=../out"]}, "label"),
        ({"methods": ["pca?label=A b", "mean-difference?label=a B"]}, "letters' case aside"),
        ({"methods": ["pca?label=" + "x" * 300]}, "label"),
        ({"methods": ["exclusive-gates?c=0.1,0.2,0.3"], "trials": 2}, "3 combinations of values and may try 2"),
        ({"contrasts": [("mean-difference", "mean-difference")]}, "names one label twice"),
        ({"tasks": []}, "at least one of the tasks"),
        ({"methods": []}, "at least one of the methods"),
        ({"methods": ["magic"]}, "magic"),
        ({"methods": ["cast"]}, "needs prompts to act on"),
        ({"methods": ["pca", "pca+magic"]}, "'magic', which is not in the comparison"),
        ({"methods": ["pca", "instruction", "pca+instruction", "pca+instruction+pca"]}, "write LABEL\\+LABEL"),
        ({"methods": ["pca", "instruction", "pca+instruction?c=1"]}, "options belong to these"),
        ({"methods": ["pca", "mean-difference", "pca+mean-difference"]}, "one method that edits activations and one"),
        ({"methods": ["lito", "instruction", "lito+instruction"]}, "is no part of one"),
        ({"methods": ["pca", "instruction", "pca+instruction", "instruction+pca"]}, "the order of parts means nothing"),
        ({"methods": ["pca", "instruction", "a+b?label=x", "x+pca"]}, "not in the comparison"),
        ({"methods": ["mean-difference?c=1"]}, "no hyperparameter 'c'"),
        ({"methods": ["mean-difference?label=unsteered"]}, "called 'unsteered'"),
        ({"contrasts": [("mean-difference", "magic")]}, "a contrast names 'magic'"),
        ({"seeds": 0}, "seeds 0"),
        ({"damages": ()}, "at least one damage"),
        ({"damages": (0.0,)}, "damages"),
        ({"damages": (0.1, 0.1)}, "twice"),
        ({"trials": 1000}, "trials 1000"),
        ({"test": 1}, "test 1"),
        ({"site": 99}, "99"),
        ({"workers": 0}, "workers 0"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(source, tmp_path, given, said):
    asked: dict[str, Any] = {"tasks": ["behavior:sentiment"], "methods": ["mean-difference"], **given}
    tasks, methods = asked.pop("tasks"), asked.pop("methods")
    with pytest.raises(InputError, match=said):
        evaluate(source, tasks, methods, folder=tmp_path / "out", **asked)
    assert not (tmp_path / "out" / "protocol.json").exists()


def test_a_method_that_cannot_be_made_is_a_row_with_its_reason(source, tasks, tmp_path):
    settings = {**SETTINGS, "seeds": 1, "damages": (0.05,), "trials": 1}
    result = evaluate(source, tasks, ["mean-difference", "in-context-examples?shots=99"], folder=tmp_path, **settings)
    whole = result.whole("in-context-examples", 0.05)
    assert whole is not None
    assert whole.gain.value is None
    assert "shots 99" in str(whole.failed)
    assert result.contrasts[0].p is None


def test_a_stack_is_the_edits_of_one_with_the_text_of_the_other(source, tasks, tmp_path):
    settings = {**SETTINGS, "damages": (0.02,)}
    methods = ["instruction+mean-difference", "mean-difference", "instruction"]
    result = evaluate(source, tasks[:1], methods, folder=tmp_path, **settings)
    whole = result.whole("instruction+mean-difference", 0.02)
    assert whole is not None
    assert (whole.budget, whole.n_seeds, whole.p_above) == (None, 2, None)
    model, task = tt.load(source.source, dtype="float32"), TaskSpec.parse(tasks[0]).load()
    for seed in (1, 2):
        saved = {name: tt.Steering.load(tmp_path / "steerings" / f"seed-{seed}" / name) for name in methods}
        both, edits = saved[methods[0]], saved["mean-difference"]
        assert both.prompts == saved["instruction"].prompts
        assert dict(both.attributes) == pytest.approx(dict(edits.attributes))
        assert (dict(both.presets), list(edits.presets)) == ({}, ["damage-0.02"])  # which text in front changes
        cell = next(c for c in kept(tmp_path) if (c["contender"], c["seed"]) == (methods[0], seed))
        by_hand = edits.changed(prompts=saved["instruction"].prompts)
        part = deal(task, seed, Sizes(**SIZES)).test
        expected = run(part, model, Treatment(by_hand, seed=seed)).values("propensity")[0]
        (point,) = cell["points"]
        got = [r["value"] for r in point["rows"] if r["figure"] == "propensity"]
        assert got == pytest.approx(expected.tolist(), abs=1e-5)
        (damage,) = damages(
            model, DamageTexts.of({"sentiment": part.behavior("sentiment").examples}, 3, dev=False),
            [Treatment(by_hand)],
        )  # fmt: skip
        assert point["damage"] == pytest.approx(dict(damage.by_group), abs=1e-5)
    pairs = [(c.first, c.second) for c in result.contrasts]
    assert set(pairs) == {(methods[0], "instruction"), (methods[0], "mean-difference")}
    opened = evaluate(source, tasks[:1], methods, folder=tmp_path, open_lockbox=True, **settings)
    assert opened.whole(methods[0], 0.02) is not None


def test_a_stack_of_something_that_gave_nothing_says_which(source, tasks, tmp_path):
    settings = {**SETTINGS, "seeds": 1, "damages": (0.05,), "trials": 1}
    methods = ["mean-difference", "in-context-examples?shots=99", "mean-difference+in-context-examples"]
    result = evaluate(source, tasks[:1], methods, folder=tmp_path, **settings)
    whole = result.whole(methods[2], 0.05)
    assert whole is not None
    assert "in-context-examples gave nothing in this seed" in str(whole.failed)
    assert "shots 99" in str(whole.failed)


def test_a_part_whose_steering_is_gone_is_no_result_of_the_stack(source, tasks, tmp_path, monkeypatch):
    settings = {**SETTINGS, "seeds": 1, "damages": (0.05,), "trials": 1}
    given = source, tasks[:1], ["mean-difference", "instruction", "mean-difference+instruction"]
    real: Callable[..., None] = cells.measure

    def parts_alone(task: Any, progress: Any, models: Any) -> None:
        if task.is_stack:
            raise KeyboardInterrupt
        real(task, progress, models)

    with monkeypatch.context() as stopped:
        stopped.setattr(MODULE, "measure", parts_alone)
        with pytest.raises(KeyboardInterrupt):
            evaluate(*given, folder=tmp_path, **settings)
    part = tmp_path / "steerings" / "seed-1" / "instruction"
    away = part.rename(tmp_path / "away")
    with pytest.raises(InputError, match="instruction"):
        evaluate(*given, folder=tmp_path, **settings)
    away.rename(part)
    whole = evaluate(*given, folder=tmp_path, **settings).whole("mean-difference+instruction", 0.05)
    assert whole is not None
    assert whole.gain.value is not None


def test_lito_chooses_between_answers_around_the_strength_that_does_the_damage(source, tmp_path):
    words = (" Yes", " No")
    choices = [{"prompt": f"Is {k} even?", "positive": words[k % 2], "negative": words[1 - k % 2]} for k in range(60)]
    (tmp_path / "even.jsonl").write_text("\n".join(map(json.dumps, choices)))
    settings = {**SETTINGS, "seeds": 1, "damages": (0.05,), "site": None, "dev": 8}
    given = [f"behavior:{tmp_path / 'even.jsonl'}"], ["lito?share=0.5", "iti?share=0.5"]
    result = evaluate(source, *given, folder=tmp_path / "out", **settings)
    lito, iti = (c for name in ("lito", "iti") for c in kept(tmp_path / "out") if c["contender"] == name)
    assert result.whole("lito", 0.05) is not None
    assert lito["points"][0]["strengths"] == pytest.approx(iti["points"][0]["strengths"])
    assert lito["points"][0]["damage"] == pytest.approx(iti["points"][0]["damage"])
    assert lito["points"][0]["rows"] != iti["points"][0]["rows"]
    assert "2405.00301" in next(m.source for m in result.protocol.methods if m.label == "lito")


def test_specs_are_read_with_their_options():
    spec = TaskSpec.parse("bbq:a?b.jsonl?unknown=Hard to say&label=x")
    assert (spec.source, spec.options, spec.label) == ("a?b.jsonl", {"unknown": "Hard to say"}, "x")
    assert TaskSpec.parse("truthfulqa:hub:org/name@:part:split").source == "hub:org/name@:part:split"
    method = MethodSpec.parse("mat-steer?c=0.1,1&gate=hard&label=m")
    assert (method.options, method.label) == ({"c": [0.1, 1], "gate": "hard"}, "m")
    with pytest.raises(InputError, match="given twice"):
        MethodSpec.parse("mat-steer?c=1&c=2")
