"""Alerts and dashboard ask for figures, labels and conditions that `/metrics` has; the page on operations names all."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from tests.serving.asking import sent
from tests.serving.live.conftest import Operated
from tests.serving.live.test_classifying import warmth
from tests.serving.monitoring.checks import checked, scores_of

from trimtab.behaviors import Behavior
from trimtab.clients.chat import Endpoint
from trimtab.evaluation import Rater
from trimtab.interventions import AnswerScore, RequestSteering
from trimtab.operations.releases.view import Condition
from trimtab.serving.live.classifying import Classifying, Scoring
from trimtab.serving.live.judging import Judging, Sampling
from trimtab.serving.monitoring import Observations, Setup
from trimtab.serving.monitoring.canary import compared
from trimtab.serving.monitoring.figures import Watched
from trimtab.serving.monitoring.observations import Looked

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
    operated.release(stages=(50, 100), guardrails=("errors",))
    for user in ("ada", "bob", "cleo", "dan", "eve"):  # of either arm
        operated.ask(user=user)
    operations, registry = operated.operations, CollectorRegistry()
    operations.watching.watch()
    operations.watching.done["first", "pause"] += 1
    rater = Rater(Endpoint("http://127.0.0.1:9/v1", "judge"), Behavior.builtin("sentiment"))
    operations.judging = Judging(rater, operations.outcomes, None, Sampling(1.0))
    operations.judging.put("req_1", "", " ")
    operations.classifying = Classifying([warmth()], operations.outcomes, None, Scoring())
    operations.classifying.put("req_1", "", " ")
    registry.register(Watched(watched()))
    page = sent(operated.server, "GET", "/metrics", "read").text + generate_latest(registry).decode()
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def watched() -> Observations:
    """What a server has seen that looks at its steering in every way."""
    seen, setup = Observations(first=20), Setup("warm", RequestSteering("5f2c", {"warm": 1.0}), ("first",))
    seen.add_canary(Looked("kind", setup, compared(checked([0.5, 0.6] * 20), scores_of([0.5, 0.6] * 20))))
    for i in range(40):
        seen.add_answer(setup, str(i), {"warm": i / 40}, 0.1 + i / 400)
        seen.add_shadow(setup, str(i), AnswerScore(1, -1.0, -1.0, 1.0, -1.0, 0.1))
    seen.settle()
    return seen


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
    of_releases = {
        name for name in figures if re.match(r"trimtab_(release|exposures|assignments|store|judge|classifier)_", name)
    }
    assert of_releases
    missing = {name for name in of_releases if f"`{name}`" not in text and not name.endswith("_created")}
    assert not missing
    assert all(f"`{rule['alert']}`" in text for rule in rules())
