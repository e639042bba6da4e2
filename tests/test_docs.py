"""The documentation says what the code does."""

import json
import re
from pathlib import Path

from trimtab.behaviors import builtin_names
from trimtab.reports.record import ExampleRow
from trimtab.reports.schema import schema

ROOT = Path(__file__).parents[1]


def test_the_report_schema_in_docs_is_the_schema_of_the_record() -> None:
    written = json.loads((ROOT / "docs" / "report.schema.json").read_text())
    assert written == schema(), "write it anew: make docs"


def test_the_columns_of_the_table_are_documented() -> None:
    text = (ROOT / "docs" / "report.md").read_text()
    assert all(f"`{column}`" in text for column in ExampleRow.model_fields)


def test_links_between_documents_lead_somewhere() -> None:
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "src").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_readme_names_every_built_in_behavior() -> None:
    readme = (ROOT / "README.md").read_text()
    assert all(f"`{name}`" in readme for name in builtin_names())
