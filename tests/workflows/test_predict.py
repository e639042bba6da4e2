"""Predictions on a tiny random model: geometry as a study measures it, calibrated for one set of weights only."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.conftest import Run
from tests.reports.study_example import example
from tests.workflows.test_study import few

import trimtab as tt
from trimtab.behaviors import Behavior, Example
from trimtab.errors import InputError
from trimtab.model_source import ModelSource
from trimtab.models import Model
from trimtab.reports.prediction.files import save_calibrations
from trimtab.reports.study.files import save_study
from trimtab.results.calibration_files import load_calibrations, shipped
from trimtab.results.prediction import Calibrations
from trimtab.results.study import GeometryRow, Study
from trimtab.statistics.calibration import MIN_FAMILIES
from trimtab.workflows.predict.calibrate import FEATURES, calibrate
from trimtab.workflows.predict.predict import predict
from trimtab.workflows.study import Grid
from trimtab.workflows.study.grid import run_grid


@pytest.fixture(scope="module")
def measured() -> Study:
    """A made-up study of one model."""
    return example(1)


@pytest.fixture(scope="module")
def fitted(measured: Study) -> Calibrations:
    return calibrate([measured], command="trimtab predict --fit made-up")


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Model:
    return tt.load(tiny_folder, dtype="float32")


@pytest.fixture(scope="module")
def own(fitted: Calibrations, model: Model) -> Calibrations:
    """The made-up fit, as if it were of the tiny model at its block 1."""
    given = fitted.calibrations[0]
    mine = given.model.model_copy(update={"digest": model.digest})
    return fitted.model_copy(update={"calibrations": (given.model_copy(update={"model": mine, "block": 1}),)})


def test_success_is_both_bounds_at_equal_dose(measured: Study, fitted: Calibrations) -> None:
    (given,) = fitted.calibrations
    cells = [c for c in measured.cells if c.not_measured is None and not c.control]
    held = [c.equal_effect_low > 0.05 and c.equal_anti_steerable_high < 0.25 for c in cells]  # type: ignore[operator]
    assert (given.scores.cells, given.scores.successes) == (len(cells), sum(held))
    assert given.scores.families == len({c.family for c in cells}) >= MIN_FAMILIES
    assert (given.min_effect, given.max_anti_steerable, given.equal_dose) == (0.05, 0.25, measured.equal_dose)
    assert given.predictor.features == FEATURES
    assert given.controls == len({c.behavior for c in measured.cells if c.control and c.not_measured is None})
    assert given.scores_with_controls is not None
    assert given.scores_with_controls.cells > given.scores.cells


def test_a_bound_that_is_harder_to_keep_is_kept_by_fewer(measured: Study, fitted: Calibrations) -> None:
    harder = calibrate([measured], min_effect=0.15).calibrations[0]
    assert 0 < harder.scores.successes < fitted.calibrations[0].scores.successes


def test_a_cell_that_stands_in_two_studies_counts_once(measured: Study, fitted: Calibrations) -> None:
    assert calibrate([measured, measured], command=fitted.command) == fitted


def test_families_that_a_behavior_joins_count_as_one(measured: Study, fitted: Calibrations) -> None:
    """Another study knew fewer behaviors, so one of them stood there for itself."""
    cell = next(c for c in measured.cells if c.not_measured is None and not c.control and c.family != c.behavior)
    alone = [c.model_copy(update={"family": c.behavior}) for c in measured.cells if c.behavior == cell.behavior]
    copy = alone[0].model_copy(update={"behavior": f"{cell.behavior} shuffled 0", "control": True})
    other = measured.model_copy(update={"cells": (*alone, copy)})
    both = calibrate([measured, other]).calibrations[0]
    assert both.controls == fitted.calibrations[0].controls + 1
    assert both.scores.families == fitted.calibrations[0].scores.families


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda s: calibrate([]), "needs a study"),
        (lambda s: calibrate([s, s.model_copy(update={"equal_dose": 0.2})]), "do not mix"),
        (lambda s: calibrate([s], max_anti_steerable=25), "between 0 and 1"),
        (lambda s: calibrate([s], min_effect=float("nan")), "0 or more"),
        (lambda s: calibrate([s], min_effect=99.0), "one kind"),
        (lambda s: calibrate([s.model_copy(update={"cells": s.cells[:10]})]), "nothing to fit"),
    ],
)
def test_what_cannot_be_fitted_is_refused(make: Callable[[Study], object], words: str, measured: Study) -> None:
    with pytest.raises(InputError, match=words):
        make(measured)


def test_geometry_is_that_of_a_study(model: Model, tiny_folder: Path, tmp_path: Path) -> None:
    behavior = few("sentiment")
    grid = Grid(sites=("1",), train=12, evaluation=16)
    cells = run_grid([ModelSource(str(tiny_folder), model.id, dtype="float32")], [behavior], grid, tmp_path).cells
    result = predict(model, [behavior], site=1, train=12, evaluation=16)
    rows = {row.geometry.prompt_type: row.geometry for row in result.rows}
    assert len(rows) == len(cells) == 7
    for cell in cells:
        row = rows[cell.prompt_type].model_dump()
        given = {name: value for name, value in cell.model_dump().items() if name in GeometryRow.model_fields}
        assert row == pytest.approx(given)
        assert row["n_train"] == 12


def test_rows_are_expected_as_the_predictor_says_and_likely_ones_come_first(model: Model, own: Calibrations) -> None:
    result = predict(model, [few("sentiment"), few("formality")], site=1, calibrations=own)
    (calibration,) = result.calibrations
    assert result.uncalibrated == {}
    assert len(result.rows) == 14
    for row in result.rows:
        assert row.expected is not None
        given = calibration.predictor.expect({name: getattr(row.geometry, name) for name in FEATURES})
        assert row.expected.probability == given.probability
        assert row.expected.effect == given.effect
        assert set(given.outside) <= set(row.expected.outside)
        assert any("training examples" in reason for reason in row.expected.outside)
    likely = [row.expected.probability for row in result.rows if row.expected]
    assert likely == sorted(likely, reverse=True)
    by_rank = sorted(result.rows, key=lambda row: row.ranks["agreement_loo"])
    assert [row.ranks["agreement_loo"] for row in by_rank] == list(range(1, 15))
    agreement = [row.geometry.agreement_loo for row in by_rank]
    assert agreement == sorted(agreement, key=lambda a: -(a or 0.0))


def test_a_range_of_sites_is_predicted_block_by_block(model: Model, own: Calibrations) -> None:
    given = {"train": 12, "evaluation": 16, "prompt_types": ["prefilled", "instruction"], "calibrations": own}
    # within a block only: geometry does not rank sites against each other
    whole = predict(model, [few("sentiment"), few("formality")], site="0-2", **given)  # type: ignore[arg-type]
    assert [row.geometry.block for row in whole.rows] == [0] * 4 + [1] * 4 + [2] * 4
    for block in range(3):
        alone = predict(model, [few("sentiment"), few("formality")], site=block, **given)  # type: ignore[arg-type]
        rows = [row for row in whole.rows if row.geometry.block == block]
        assert [row.ranks for row in rows] == [row.ranks for row in alone.rows]
        assert [row.geometry.norm for row in rows] == pytest.approx([row.geometry.norm for row in alone.rows], rel=1e-5)
        assert [row.expected is None for row in rows] == [block != 1] * 4
    assert "not at block 0 residual, block 2 residual" in whole.uncalibrated["free text, pairs"]
    assert len(whole.calibrations) == 1
    middle = predict(model, [few("sentiment")], site="auto", **given)  # type: ignore[arg-type]
    assert {row.geometry.block for row in middle.rows} == {0}
    for odd in ("2-1", "0-3", "1-99"):
        with pytest.raises(InputError, match="blocks 0 to 2"):
            predict(model, [few("sentiment")], site=odd)


def test_the_command_shows_each_block_of_a_range(run: Run, tiny_folder: Path) -> None:
    given = ("--model", tiny_folder, "--dtype", "float32", "--prompt-type", "prefilled", "--site", "1-2")
    code, out, err = run("predict", "sentiment", *given)
    assert code == 0, err
    assert "blocks 1 to 2 residual" in out
    assert [line.split()[0] for line in out.splitlines() if line.split()[1:2] == ["prefilled"]] == ["1", "2"]


def test_other_weights_are_uncalibrated(model: Model, own: Calibrations, fitted: Calibrations) -> None:
    for known, site, word in (
        (fitted, 1, "no calibration for these weights"),
        (own, 2, "not at block 2"),
        (None, 1, "no"),
    ):
        result = predict(model, [few("sentiment")], site=site, prompt_types=["prefilled"], calibrations=known)
        assert result.calibrations == ()
        assert word in result.uncalibrated["free text, pairs"]
        (row,) = result.rows
        assert (row.expected, row.not_expected) == (None, "uncalibrated")
        assert row.ranks == {"separability_held_out": 1, "agreement_loo": 1}


def test_labelled_answers_need_their_own_calibration(model: Model, own: Calibrations) -> None:
    asked = [
        Example(f"Is {i} even?", " Yes" if i % 2 == 0 else " No", " No" if i % 2 == 0 else " Yes") for i in range(40)
    ]
    behavior = Behavior("even", asked)
    assert behavior.answer_kind == "choice"
    result = predict(model, [behavior, few("sentiment")], site=1, prompt_types=["prefilled"], calibrations=own)
    assert list(result.uncalibrated) == ["labelled answers, pairs"]
    assert [row.expected is None for row in result.rows] == [False, True]


def test_a_type_without_meaning_comes_last_with_its_reason(model: Model, own: Calibrations) -> None:
    same = few("sentiment")
    same = replace(same, examples=[replace(e, prompt="It was", group=str(i)) for i, e in enumerate(same.examples)])
    result = predict(model, [same], site=1, calibrations=own)
    missing = [row.geometry.not_measured is not None for row in result.rows]
    assert any(missing)
    assert missing == sorted(missing)
    assert result.rows[-1].not_expected == result.rows[-1].geometry.not_measured


def test_behaviors_that_repeat_or_a_site_that_is_not_there_are_refused(model: Model) -> None:
    with pytest.raises(InputError, match="two behaviors"):
        predict(model, [few("sentiment"), few("sentiment")])
    with pytest.raises(InputError, match="needs behaviors"):
        predict(model, [])
    with pytest.raises(InputError, match="99"):
        predict(model, [few("sentiment")], site=99)


# ---- Files ---------------------------------------------------------------------------------------------------------


def test_calibrations_come_back_from_disk(fitted: Calibrations, tmp_path: Path) -> None:
    save_calibrations(fitted, tmp_path)
    assert load_calibrations(tmp_path / "calibrations.json") == fitted
    assert sorted(p.name for p in tmp_path.iterdir()) == ["calibrations.json", "report.html"]
    assert "Probability against what happened" in (tmp_path / "report.html").read_text()


def test_the_shipped_ones_are_whole() -> None:
    kinds = {c.kind for c in shipped().calibrations}
    assert kinds >= {"free text, unpaired", "free text, pairs"}
    assert all(c.scores.auroc.low > 0.5 for c in shipped().calibrations)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda d: d.pop("calibrations"), "calibrations"),
        (lambda d: d.update(schema=3), "schema"),
        (lambda d: d["calibrations"][0].update(extra=1), "extra"),
        (lambda d: d["calibrations"][0]["predictor"].update(mean=[1.0]), "mean: made for 1"),
        (lambda d: d["calibrations"][0]["predictor"]["effect"].update(half="wide"), "half"),
        (lambda d: d["calibrations"][0]["scores"].update(brier=float("nan")), "NaN"),
        (lambda d: d["calibrations"][0]["scores"]["auroc"].pop("low"), "low"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_name(
    change: Callable[[dict[str, object]], object], word: str, fitted: Calibrations, tmp_path: Path
) -> None:
    document = json.loads(fitted.model_dump_json(by_alias=True))
    change(document)
    file = tmp_path / "odd.json"
    file.write_text(json.dumps(document))
    with pytest.raises(InputError, match=word) as given:
        load_calibrations(file)
    assert "odd.json" in str(given.value)


@pytest.mark.parametrize("content", [b"", b"[", b"[]", b"\xff\xfe", b"[" * 5000, b"7"])
def test_a_file_of_something_else_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.json"):
        load_calibrations(tmp_path / "x.json")


# ---- The command line ----------------------------------------------------------------------------------------------


def test_command_line_fits_and_predicts(measured: Study, tiny_folder: Path, run: Run, tmp_path: Path) -> None:
    digest = tt.load(tiny_folder, dtype="float32").digest
    mine = measured.models[0].model_copy(update={"digest": digest})
    cells = tuple(c.model_copy(update={"model_digest": digest, "block": 1}) for c in measured.cells)
    save_study(measured.model_copy(update={"models": (mine,), "cells": cells, "cosines": ()}), tmp_path / "study")
    code, out, err = run("predict", "--fit", tmp_path / "study", "--out", tmp_path / "fit")
    assert code == 0, err
    assert "AUROC" in out
    assert "alone" in out
    code, out, err = run("predict", "--fit", tmp_path / "study", "--out", tmp_path / "fit", "--json")
    assert json.loads(out)["calibrations"][0]["model"]["digest"] == digest
    calibration = ("--calibration", tmp_path / "fit" / "calibrations.json")
    about = ("sentiment", "--model", tiny_folder, "--dtype", "float32", "--site", 1, "--train", 12)
    code, out, err = run("predict", *about, *calibration)
    assert code == 0, err
    assert "prefilled+5-shot" in out
    assert "holds" in out
    assert "Families left out of the fit: AUROC" in out
    assert "Outside of what was fitted" in out
    assert "about" in err
    code, out, err = run("predict", *about, *calibration, "--json")
    document = json.loads(out)
    assert 0 <= document["rows"][0]["expected"]["probability"] <= 1
    code, out, err = run("predict", *about)
    assert code == 0, err
    assert "uncalibrated" in out
    assert "holds" not in out


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((), "name a behavior"),
        (("sentiment", "--fit", "x"), "studies only"),
        (("sentiment", "--out", "x"), "--out belongs to --fit"),
        (("sentiment", "--min-effect", "1"), "--min-effect belongs to --fit"),
        (("sentiment", "--calibration", "nowhere.json"), "nowhere.json does not exist"),
        (("--fit", "nowhere"), "nowhere"),
        (("sentiment", "sentiment"), "two behaviors"),
        (("sentiment", "--prompt-type", "guess"), "guess"),
    ],
)
def test_wrong_usage_ends_with_code_2(
    arguments: tuple[str, ...], word: str, run: Run, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = run("predict", *arguments, "--model", tiny_folder)
    assert code == 2
    assert word in err
    assert list(tmp_path.iterdir()) == []
