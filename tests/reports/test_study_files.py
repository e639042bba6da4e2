"""Studies on disk."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.reports.study_example import example

from trimtab.errors import InputError
from trimtab.reports.study import html as study_html
from trimtab.reports.study.files import save_study
from trimtab.results.study import Cell, Study, TypeCosines
from trimtab.results.study_files import load_study

FILES = ["cells.parquet", "cosines.parquet", "report.html", "study.json"]


@pytest.fixture(scope="module")
def study() -> Study:
    return example()


@pytest.fixture(scope="module")
def written(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_study(study, tmp_path_factory.mktemp("study"))


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    for name in FILES:
        (tmp_path / name).write_bytes((written / name).read_bytes())
    return tmp_path


def spoil(folder: Path, table: str, change: Any) -> None:
    """Put a changed table in place of the one that was written."""
    file = folder / f"{table}.parquet"
    change(pl.read_parquet(file)).write_parquet(file)


def test_a_study_survives_saving_and_loading(study: Study, folder: Path) -> None:
    assert sorted(file.name for file in folder.iterdir()) == FILES
    again = load_study(folder)
    assert again == study
    assert again.cells == study.cells
    assert again.cosines == study.cosines
    assert len(again.cells) == 420


def test_rows_are_kept_out_of_the_json(folder: Path) -> None:
    record = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    assert record["schema"] == 2
    assert not {"cells", "cosines"} & record.keys()
    assert {"types", "associations", "models"} <= record.keys()


@pytest.mark.parametrize("cells", [(), "not measured"])
def test_tables_without_rows_or_figures_keep_their_columns(study: Study, cells: Any, tmp_path: Path) -> None:
    kept = tuple(cell for cell in study.cells if cells and cell.not_measured is not None)
    bare = study.model_copy(update={"cells": kept, "cosines": ()})
    save_study(bare, tmp_path)
    assert load_study(tmp_path) == bare
    schema = pl.read_parquet_schema(tmp_path / "cells.parquet")
    assert list(schema) == list(Cell.model_fields)
    assert schema["effect"] == pl.Float64
    assert schema["control"] == pl.Boolean
    assert schema["block"] == pl.Int64
    assert list(pl.read_parquet_schema(tmp_path / "cosines.parquet")) == list(TypeCosines.model_fields)


def test_a_study_that_cannot_be_drawn_leaves_the_old_one(
    study: Study, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(study_html, "study_page", fails)
    with pytest.raises(InputError, match=r"No space left on device; give another folder"):
        save_study(study.model_copy(update={"seed": 9, "cells": ()}), folder)
    assert sorted(file.name for file in folder.iterdir()) == FILES
    assert load_study(folder) == study


def test_a_folder_that_is_a_file_is_an_input_error(study: Study, tmp_path: Path) -> None:
    (tmp_path / "study").write_text("")
    with pytest.raises(InputError, match="cannot write the study"):
        save_study(study, tmp_path / "study")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "cannot be read"),
        ("{", "cannot be read"),
        ("\ufffe", "cannot be read"),
        ("9" * 5000, "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("[]", "not a study of this version"),
        ('{"schema": 3, "trimtab": "9"}', "not a study of this version: schema"),
        ('{"schema": 2}', "not a study of this version: trimtab"),
    ],
)
def test_a_broken_or_foreign_record_is_an_input_error(content: str, message: str, folder: Path) -> None:
    (folder / "study.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=rf"study\.json.*{message}"):
        load_study(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"surprise": 1}, "surprise"),
        ({"equal_dose": float("nan")}, "equal_dose"),
        ({"notes": [3]}, r"notes\.0"),
        ({"types": [{"at": "strength 2"}]}, r"types\.0"),
        ({"cells": []}, None),
        ({"cosines": [{"model": "m", "behavior": "b", "block": 1, "component": "c", "types": [], "matrix": []}]},
         r"holds cosines, which belong into cosines\.parquet"),
    ],
)  # fmt: skip
def test_a_field_that_does_not_fit_is_named(change: dict[str, Any], message: str | None, folder: Path) -> None:
    file = folder / "study.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | change), encoding="utf-8")
    if message is None:
        assert load_study(folder).cells
        return
    with pytest.raises(InputError, match=rf"study\.json.*{message}"):
        load_study(folder)


@pytest.mark.parametrize("name", ["study.json", "cells.parquet", "cosines.parquet"])
def test_a_missing_file_is_named(name: str, folder: Path) -> None:
    (folder / name).unlink()
    with pytest.raises(InputError, match=rf"{name} does not exist"):
        load_study(folder)


@pytest.mark.parametrize("table", ["cells", "cosines"])
@pytest.mark.parametrize("content", [b"", b"PAR1 no", b"PAR1" * 40, b"model,behavior\na,b\n"])
def test_what_is_no_parquet_is_an_input_error(table: str, content: bytes, folder: Path) -> None:
    (folder / f"{table}.parquet").write_bytes(content)
    with pytest.raises(InputError, match=rf"{table}\.parquet cannot be read"):
        load_study(folder)


def test_damaged_bytes_never_come_through_as_another_error(folder: Path, study: Study) -> None:
    file = folder / "cells.parquet"
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    # The footer, which describes the table, takes most of the blows.
    for place in [*rng.integers(0, len(whole), 10), *rng.integers(len(whole) - 4000, len(whole), 30)]:
        spoiled = bytearray(whole)
        spoiled[place] ^= int(rng.integers(1, 256))
        file.write_bytes(spoiled)
        try:
            load_study(folder)
        except InputError as error:
            assert "cells.parquet" in str(error)  # noqa: PT017 - most blows hit nothing that matters


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop("effect_low"), "has no column 'effect_low'"),
        (lambda t: t.with_columns(surprise=1), "has a column 'surprise'"),
        (lambda t: t.with_columns(pl.col("effect").cast(pl.String)), "column 'effect' holds String"),
        (lambda t: t.with_columns(pl.col("block").cast(pl.Float64)), "column 'block' holds Float64"),
        (lambda t: t.with_columns(effect=pl.lit(float("nan"))), "row 0: effect: "),
        (lambda t: t.with_columns(edit_size_ratio=pl.lit(float("inf"))), "row 0: edit_size_ratio: "),
        (lambda t: t.with_columns(behavior=pl.lit(None, pl.String)), "row 0: behavior: "),
        (lambda t: t.with_columns(answer_kind=pl.lit("essay")), "row 0: answer_kind: "),
        (lambda t: pl.concat([t, t[7:8]]), "row 420: model 'smollm2', block 14, .* stands there twice"),
    ],
)
def test_cells_that_do_not_fit_are_refused_with_file_and_field(change: Any, message: str, folder: Path) -> None:
    spoil(folder, "cells", change)
    with pytest.raises(InputError, match=rf"cells\.parquet.*{message}"):
        load_study(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop("matrix"), "has no column 'matrix'"),
        (lambda t: t.with_columns(matrix=pl.lit("1")), "column 'matrix' holds String"),
        (lambda t: t.with_columns(types=pl.Series([["a"]] * len(t))), "row 0: matrix: it must be 1 × 1"),
        (lambda t: t.with_columns(types=pl.Series([["a", "a"]] * len(t))), "row 0: types: one of them stands"),
        (lambda t: t.with_columns(types=pl.Series([["a"]] * len(t)), matrix=pl.Series([[[2.0]]] * len(t))),
         "row 0: matrix: a cosine lies outside"),
        (lambda t: t.with_columns(types=pl.Series([["a"]] * len(t)), matrix=pl.Series([[[float("nan")]]] * len(t))),
         r"row 0: matrix\.0\.0: "),
        (lambda t: pl.concat([t, t[:1]]), "stands there twice"),
    ],
)  # fmt: skip
def test_cosines_that_do_not_fit_are_refused_with_file_and_field(change: Any, message: str, folder: Path) -> None:
    spoil(folder, "cosines", change)
    with pytest.raises(InputError, match=rf"cosines\.parquet.*{message}"):
        load_study(folder)
