"""Alerts and dashboard ask for figures, labels and conditions that `/metrics` has; the page on operations names all."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client.parser import text_string_to_metric_families
from tests.serving.asking import sent
from tests.serving.live.conftest import Operated

from trimtab.operations.releases.view import Condition

ROOT = Path(__file__).parents[3]
ALERTS, BOARD, PAGE = ROOT / "deploy" / "alerts.yml", ROOT / "deploy" / "grafana.json", ROOT / "docs" / "operations.md"


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def queries() -> dict[str, str]:
    """What is asked of Prometheus, by where it is asked."""
    board = json.loads(BOARD.read_text(encoding="utf-8"))
    asked = {
        panel["title"] + target["refId"]: target["expr"] for panel in board["panels"] for target in panel["targets"]
    }
    return asked | {rule["alert"]: rule["expr"] for rule in rules()}


@pytest.fixture
def figures(operated: Operated) -> dict[str, set[str]]:
    """Labels by name of all that `/metrics` has after a request and a release that cannot be served."""
    operated.release()
    operated.ask(user="ada")
    page = sent(operated.server, "GET", "/metrics", "read").text
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_alerts_and_dashboard_ask_for_what_there_is(figures: dict[str, set[str]]) -> None:
    assert len(queries()) > 12
    for where, query in queries().items():
        names = re.findall(r"\btrimtab_\w+", query)
        assert names, where
        assert set(names) <= set(figures), where
        labels = set(re.findall(r"(\w+)=~?\"", query))
        grouped = {label.strip() for by in re.findall(r"by \(([^)]*)\)", query) for label in by.split(",")}
        known = set().union(*(figures[name] for name in names))
        assert labels | grouped <= known | {"instance"}, where
    asked = " ".join(queries().values())
    conditions = re.findall(r"condition=~?\"([^\"]*)\"", asked)
    assert {one for given in conditions for one in given.split("|")} == set(get_args(Condition)) - {"live"}


def test_the_page_names_every_figure_and_every_alert(figures: dict[str, set[str]]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    of_releases = {name for name in figures if re.match(r"trimtab_(release|exposures|assignments|store)_", name)}
    assert of_releases
    missing = {name for name in of_releases if f"`{name}`" not in text and not name.endswith("_created")}
    assert not missing
    assert all(f"`{rule['alert']}`" in text for rule in rules())
