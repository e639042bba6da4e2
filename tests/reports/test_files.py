"""Reports on disk."""

import json
from pathlib import Path

import pytest
import torch

from trimtab.errors import InputError
from trimtab.results.report import Report
from trimtab.steering import Steering


def test_a_report_survives_saving_and_loading(any_report: Report, tmp_path: Path) -> None:
    folder = any_report.save(tmp_path / "out")
    assert sorted(file.name for file in folder.iterdir()) == ["examples.parquet", "report.html", "report.json"]
    again = Report.load(folder)
    assert again == any_report
    assert again.rows == any_report.rows
    assert len(again.rows) == 140


def test_rows_are_kept_out_of_the_json(report: Report, tmp_path: Path) -> None:
    record = json.loads((report.save(tmp_path) / "report.json").read_text(encoding="utf-8"))
    assert "rows" not in record
    assert record["schema"] == 2


def test_a_report_without_rows_survives(report: Report, tmp_path: Path) -> None:
    bare = report.model_copy(update={"rows": ()})
    assert Report.load(bare.save(tmp_path)).rows == ()


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "3", '{"schema": 2}', '{"schema": 3, "trimtab": "9"}', "\ufffe", '{"a": NaN}'],
)
def test_a_broken_or_foreign_record_is_an_input_error(content: str, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"report\.json"):
        Report.load(tmp_path)


def test_bytes_that_are_no_text_are_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read"):
        Report.load(tmp_path)


def test_broken_rows_are_an_input_error(report: Report, tmp_path: Path) -> None:
    report.save(tmp_path)
    (tmp_path / "examples.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match="cannot be read"):
        Report.load(tmp_path)


def test_no_report_there_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give the folder"):
        Report.load(tmp_path)


def test_a_field_of_another_version_is_named(report: Report, tmp_path: Path) -> None:
    report.save(tmp_path)
    file = tmp_path / "report.json"
    record = json.loads(file.read_text(encoding="utf-8")) | {"surprise": 1}
    file.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(InputError, match="surprise"):
        Report.load(tmp_path)


def test_a_report_does_not_go_into_a_steering(report: Report, tmp_path: Path) -> None:
    place = Steering.from_vector(1, torch.ones(4)).save(tmp_path / "s")
    before = {file.name: file.read_bytes() for file in place.iterdir()}
    for folder in (place, place / "inside"):
        with pytest.raises(InputError, match="belongs to the steering"):
            report.save(folder)
    assert {file.name: file.read_bytes() for file in place.iterdir()} == before
