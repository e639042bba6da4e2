"""The documentation says what the code does."""

import json
import re
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from prometheus_client.parser import text_string_to_metric_families

from trimtab import plugins
from trimtab.behaviors import builtin_names
from trimtab.evaluation.tasks import Answered, BehaviorTask, load_task, preferences, task_options, toxicity, truthfulqa
from trimtab.evaluation.tasks import registry as tasks
from trimtab.interventions import Site
from trimtab.languages import spoken
from trimtab.results.report import DECISIONS, IN_WORDS, ExampleRow
from trimtab.results.schema import schema
from trimtab.serving.inference import ERRORS
from trimtab.serving.metrics import Metrics
from trimtab.steering import methods
from trimtab.steering.methods import BUILT_IN, Sides, method

ROOT = Path(__file__).parents[1]


def test_the_report_schema_in_docs_is_the_schema_of_the_record() -> None:
    written = json.loads((ROOT / "docs" / "report.schema.json").read_text())
    assert written == schema(), "write it anew: make docs"


def test_the_columns_of_the_table_are_documented() -> None:
    text = (ROOT / "docs" / "report.md").read_text()
    assert all(f"`{column}`" in text for column in ExampleRow.model_fields)


def headings(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub and the site make them."""
    prose = re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ +(.+?) *$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}


def test_links_between_documents_lead_somewhere() -> None:
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "src").rglob("*.md")):
        for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", page.read_text()):
            if "://" in target or target.startswith("mailto:"):
                continue
            path = page.parent / target if target else page
            generated = path == ROOT / "docs" / "reference" / "python.md"  # written when the site is built
            assert path.exists() or generated, f"{page.name} links to {target}"
            if anchor and path.suffix == ".md" and path.exists():
                assert anchor in headings(path), f"{page.name} links to {target}#{anchor}"


READMES = ("README.md", "README.ja.md")


@pytest.mark.parametrize("name", READMES)
def test_readme_names_every_built_in_behavior(name: str) -> None:
    readme = (ROOT / name).read_text(encoding="utf-8")
    assert all(f"`{name}`" in readme for name in builtin_names())


@pytest.mark.parametrize("name", READMES)
def test_figures_of_the_comparison_stand_in_the_tables_that_it_links_to(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    rows = re.findall(r"^\| [^|]*\| [^|]+ \| ([^|]+) \|$", text, re.MULTILINE)
    assert len(rows) == 7  # the head of the table, and six peers
    found = 0
    for row in rows:
        for said, target in re.findall(r"(.*?)\]\((docs/results/[\w-]+\.md)\)", row):
            table = (ROOT / target).read_text(encoding="utf-8")
            for figure in re.findall(r"\d+\.\d+(?:e-\d+)?×?(?: \[[\d., ]+\])?", said):
                assert figure in table, f"{figure} is not in {target}"
                found += 1
    assert found == 9


def test_both_readmes_show_the_same_commands_output_and_figures() -> None:
    def shown(name: str) -> tuple[list[str], list[str], list[str]]:
        text = (ROOT / name).read_text(encoding="utf-8")
        blocks = re.findall(r"```.*?```", text, re.DOTALL)
        code = [line.partition("  #")[0].rstrip() for line in "\n".join(blocks).splitlines()]
        prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        table = [row for row in prose.splitlines() if row.startswith("|")]
        figures = re.findall(r"\d+\.\d+(?:e-\d+)?×?(?: \[[\d., ]+\])?", "\n".join(table))
        links = [link for link in re.findall(r"\]\(([^)]+)\)", prose) if link not in READMES]
        return code, figures, links

    assert shown("README.md") == shown("README.ja.md")


def test_both_readmes_say_the_words_of_the_decisions_as_the_brief_does() -> None:
    say, text = spoken("ja"), (ROOT / "README.ja.md").read_text(encoding="utf-8")
    assert all(f"「{say(IN_WORDS[decision])}」（{decision}）" in text for decision in DECISIONS)


def test_the_readme_shows_what_the_page_on_reports_shows_in_full() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    full = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")
    (output,) = re.findall(r"```\n(✘ no-go.*?)```", text, re.DOTALL)
    for part in re.split(r"\n…\n|\n\n", output.strip()):
        assert part in full, part


def test_every_method_is_documented() -> None:
    text = (ROOT / "docs" / "methods.md").read_text()
    assert all(f"| `{name}` |" in text for name in BUILT_IN)
    assert f"any of {len(BUILT_IN)} methods" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"[{len(BUILT_IN)} 種類]" in (ROOT / "README.ja.md").read_text(encoding="utf-8")


def test_the_method_of_ones_own_in_the_docs_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "methods.md").read_text()
    (code,) = re.findall(r"```python\n(\"\"\"medians.py.*?)```", text, re.DOTALL)
    assert len(code.splitlines()) <= 34
    (tmp_path / "medians.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    name, value = re.findall(r'^([\w-]+) = "(medians:\w+)"$', text, re.MULTILINE)[0]
    point = EntryPoint(name, value, methods.GROUP)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point])
    positive = torch.tensor([[1.0, 0.1], [1.0, 0.1], [99.0, 0.1]])
    sides = Sides(positive, torch.zeros(3, 2))
    median_difference: Any = method("median-difference")  # defined by the code in the docs
    steering = median_difference(trimmed=0.6).fit({"a": {Site(1): sides}})
    assert steering.vector(1).tolist() == [1.0, 0.0]
    assert steering.origin.hyperparameters == {"trimmed": 0.6}


def test_every_task_with_its_options_and_figures_is_documented() -> None:
    text = (ROOT / "docs" / "tasks.md").read_text()
    for name, cls in tasks.BUILT_IN.items():
        (row,) = re.findall(rf"^\| `{name}` \|.*$", text, re.MULTILINE)
        assert all(f"`{option}`" in row for option in task_options(cls)), name
    every = [BehaviorTask.load("sentiment").figures, toxicity._FIGURES["labels"], toxicity._FIGURES["texts"],
             toxicity._FIGURES["continuations"], truthfulqa._GENERATION, preferences._PAIRS]  # fmt: skip
    named = {figure.name for figures in every for figure in figures} | {
        "mc1", "mc2", "mc2_per_token", "log_prob_true", "accuracy_ambiguous", "accuracy_disambiguated",
        "bias_ambiguous", "bias_disambiguated", "unknown_disambiguated",
    }  # fmt: skip
    assert all(f"`{name}`" in text for name in named)


def test_the_task_of_ones_own_in_the_docs_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "tasks.md").read_text()
    (code,) = re.findall(r"```python\n(\"\"\"rhymes.py.*?)```", text, re.DOTALL)
    (tmp_path / "rhymes.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    name, value = re.findall(r'^([\w-]+) = "(rhymes:\w+)"$', text, re.MULTILINE)[0]
    monkeypatch.setattr(plugins, "entry_points", lambda group: [EntryPoint(name, value, tasks.GROUP)])
    (tmp_path / "lines.csv").write_text("line,rhyme,other\nThe cat sat on the,mat,log\n")
    task = load_task("rhymes", str(tmp_path / "lines.csv"), {"ending": "!"})
    assert [t.prompt + t.answer for t in task.units[0].texts] == ["The cat sat on the mat!", "The cat sat on the log!"]
    assert task.score(task.units[0], Answered(np.array([-1.0, -2.0]), np.array([1, 1]))) == {"rhymes": 1.0}


def test_the_page_on_serving_names_every_metric_and_every_status() -> None:
    text = (ROOT / "docs" / "serving.md").read_text()
    families = text_string_to_metric_families(Metrics().page().decode())
    names = {family.name for family in families if not family.name.endswith("_created")}
    assert all(f"`{name}`" in text or f"`{name}_total`" in text for name in names), names
    rows = re.findall(r"^\| ([\d, ]+) \|", text, re.MULTILINE)
    assert {int(status) for row in rows for status in row.split(",")} == {409, *ERRORS}
