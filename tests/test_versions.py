"""Files that earlier versions wrote are read today, and docs/versions.md says which."""

import json
import re
import shutil
import sqlite3
import tomllib
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml  # type: ignore[import-untyped]
from sqlalchemy import text

import trimtab
from trimtab.errors import InputError
from trimtab.operations import Releases, Store, migrate, verify
from trimtab.results import Report, compare
from trimtab.results.comparison import load_any
from trimtab.results.figures import Document
from trimtab.results.fit import Fit
from trimtab.results.study_files import load_study
from trimtab.serving.keys import KeyFile
from trimtab.steering import Steering
from trimtab.steering.artifact.manifest import Manifest

ROOT = Path(__file__).parents[1]
FILES = ROOT / "tests" / "data" / "versions"


def record(folder: str, file: str = "report.json") -> dict[str, Any]:
    found = json.loads((FILES / folder / file).read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def test_a_steering_of_format_1_keeps_its_identity() -> None:
    steering = Steering.load(FILES / "steering-1")
    assert (
        steering.id
        == "b0b4f84dd8fc6ff0ac852bf0d0ad0705546213b4852193fa74bd515e344eef11"
        == record("fit-2", "fit.json")["id"]
    )
    assert dict(steering.attributes) == {"sentiment": 0.25, "formality": 0.25}
    assert steering.edits.keys() == {trimtab.Site(1)}


def test_a_steering_of_format_2_keeps_its_identity_and_its_conditions() -> None:
    steering = Steering.load(FILES / "steering-2")
    assert record("steering-2", "steering.json")["format"] == 2
    assert steering.id == "7a1fc4626d0b0c9a0a83c25d5dc9407c54b561e59587d10c3a4606717136f69b"
    bounds = {name: [(c.site.block, c.threshold, c.above) for c in own] for name, own in steering.conditions.items()}
    assert bounds == {"first": [(0, 0.25, True), (1, -0.5, False)], "second": [(0, 0.25, True)]}


@pytest.mark.parametrize("schema", [1, 2])
def test_a_report_of_each_schema_is_read_with_its_rows(schema: int) -> None:
    written = record(f"report-{schema}")
    assert written["schema"] == schema
    report = Report.load(FILES / f"report-{schema}")
    assert report.schema_version == 2
    verdict = written["verdict"]
    assert (report.verdict.decision, report.verdict.sentence) == (verdict["decision"], verdict["sentence"])
    assert len(report.rows) == 12 * len({row.strength for row in report.rows}) * len(
        {row.prompt_type for row in report.rows}
    )
    assert all(row.cluster for row in report.rows)


def test_what_schema_1_called_otherwise_has_its_value_under_the_present_name() -> None:
    old, report = record("report-1"), Report.load(FILES / "report-1").model_dump(mode="json")
    for name, now in {
        "asking": "prompting_baseline", "generality": "training_variability", "n_eval_units": "n_eval_clusters",
        "reference": "random_directions",
    }.items():  # fmt: skip
        assert report[now] == old[name], name
    assert [one["edit_size_ratio"] for one in report["dev_strengths"]] == [one["dose"] for one in old["dev_strengths"]]
    assert report["prompt_types"]["prefilled"]["edit_size_ratio"] == old["prompt_types"]["prefilled"]["dose"]
    assert report["verdict"]["error_rate"]["reservations"] == old["verdict"]["error_rate"]["caveats"]


def test_a_check_can_be_held_against_one_of_an_earlier_schema() -> None:
    comparison = compare(load_any(FILES / "report-1"), load_any(FILES / "report-2"))
    assert comparison.old_decision == Report.load(FILES / "report-1").verdict.decision
    assert comparison.n_common > 0


def test_a_store_of_schema_4_keeps_its_release_its_records_and_its_audit(tmp_path: Path) -> None:
    place = tmp_path / "operations.db"
    with closing(sqlite3.connect(place)) as empty:
        empty.executescript((FILES / "store-4.sql").read_text(encoding="utf-8"))
    migrate(str(place))
    with Store(str(place)) as store:
        assert verify(store).size == 4
        (release,) = Releases(store).all()
        assert (release.name, release.state, release.share) == ("warm", "paused", 5.0)
        assert release.definition.treatment.artifact == Steering.load(FILES / "steering-1").id
        with store.reading() as connection:
            rows = connection.execute(text("SELECT arm, count(*) FROM exposures GROUP BY arm")).all()
            ratings = connection.execute(text("SELECT sum(value) FROM outcomes")).scalar()
    assert sorted(map(tuple, rows)) == [("control", 3), ("treatment", 3)]
    assert ratings == 2


def test_a_report_of_schema_1_that_is_damaged_is_refused_with_its_name(tmp_path: Path) -> None:
    shutil.copytree(FILES / "report-1", tmp_path / "report")
    for broken in ({"verdict": None}, {"curve": 3}, {"dev_strengths": None}):
        (tmp_path / "report" / "report.json").write_text(json.dumps(record("report-1") | broken))
        with pytest.raises(InputError, match=r"report\.json cannot be read"):
            Report.load(tmp_path / "report")


def test_a_study_a_fit_and_keys_of_earlier_versions_are_read() -> None:
    study = load_study(FILES / "study-2")
    assert {cell.behavior for cell in study.cells} == {"null", "sentiment"}
    fit = Fit.model_validate(record("fit-2", "fit.json"))
    assert fit.attributes.keys() == {"sentiment", "formality"}
    (key,) = KeyFile(FILES / "keys-1.json").keys
    assert (key.name, list(key.scopes)) == ("app", ["infer"])


def test_the_page_on_versions_says_the_numbers_of_the_code() -> None:
    text = (ROOT / "docs" / "versions.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([\w./]+)`[^|]*\| (\d+) \|", text, re.MULTILINE))
    (document,) = get_args(Document.model_fields["schema_version"].annotation)
    *_, steering = get_args(Manifest.model_fields["format"].annotation)
    assert rows["report.json"] == str(document)
    assert rows["steering.json"] == str(steering)


def test_the_changelog_has_the_present_version_with_a_date() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    (day,) = re.findall(rf"^## {re.escape(trimtab.__version__)} - (\d{{4}}-\d{{2}}-\d{{2}})$", text, re.MULTILINE)
    assert day == cited()["date-released"]


def cited() -> dict[str, Any]:
    found = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def test_the_citation_holds_what_the_format_requires_and_is_of_this_version() -> None:
    """By hand after the schema of the Citation File Format 1.2.0, of the keys that stand there."""
    found = cited()
    assert found["cff-version"] == "1.2.0"
    assert {"authors", "cff-version", "message", "title"} <= found.keys()
    assert found.keys() <= {
        "abstract", "authors", "cff-version", "date-released", "keywords", "license", "message", "references", "title",
        "type", "version",
    }  # fmt: skip
    assert found["type"] in ("software", "dataset")
    assert found["version"] == trimtab.__version__
    assert found["license"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"]
    assert all(isinstance(word, str) for word in found["keywords"])
    date.fromisoformat(found["date-released"])
    for reference in (found, *found["references"]):
        assert {"authors", "title", "type"} <= reference.keys()
        for author in reference["authors"]:
            assert author.keys() in ({"name"}, {"family-names", "given-names"})
            assert all(isinstance(part, str) and part for part in author.values())
