"""Metrics are defined in a file, versioned in the store, and frozen in the releases that name them."""

import json
import re
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

import pytest
from tests.operations.releases.conftest import defined, releases_of

from trimtab.errors import InputError
from trimtab.operations import Metric, Store, entries, import_metrics, known_metrics, read_metrics
from trimtab.operations.metrics.built_in import BUILT_IN
from trimtab.operations.metrics.metric import Outcome

FILE = """
[liked]
feedback = "thumbs"
labels = { up = 1, down = 0 }
bounds = [0, 1]

[slow]
description = "the slowest tenth"
outcome = "latency"
kind = "quantile"
q = 0.9
direction = "lower"

[complaint]
feedback = "complaint"
window_days = 30

[complaints_per_request]
kind = "ratio"
numerator = "complaint"
denominator = "requests"
direction = "lower"
"""


def written(tmp_path: Path, text: str = FILE) -> Path:
    file = tmp_path / "metrics.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_file_says_what_metrics_mean(tmp_path: Path) -> None:
    liked, slow, complaint, ratio = read_metrics(written(tmp_path))
    assert (liked.name, liked.value(None, "up"), liked.value(None, "x"), liked.bounds) == ("liked", 1.0, None, (0, 1))
    assert (slow.kind, slow.q, slow.direction) == ("quantile", 0.9, "lower")
    assert (complaint.window_days, complaint.value(3.0, None), complaint.version) == (30, 3.0, 1)
    assert ratio.parts == ("complaint", "requests")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "defines no metric"),
        ("[a", "cannot be read as TOML"),
        ("a = 1", "'a' is no table"),
        ("[length]\noutcome = 'length'", "is built in and cannot be redefined"),
        ("[a]\nname = 'b'\noutcome = 'length'", "leave name out"),
        ("[A]\noutcome = 'length'", "'A' is no name"),
        ("[a]\noutcome = 'lenght'", "outcome: Input should be"),
        ("[a]\nkind = 'mean'", "exactly one of outcome, feedback and numerator"),
        ("[a]\noutcome = 'length'\nfeedback = 'b'", "exactly one of"),
        ("[a]\noutcome = 'length'\nkind = 'quantile'", "a quantile needs q"),
        ("[a]\noutcome = 'length'\nq = 0.5", "nothing else has it"),
        ("[a]\nkind = 'ratio'\nnumerator = 'length'", "needs numerator and denominator"),
        ("[a]\noutcome = 'length'\nbounds = [1, 0]", "the lower and the upper"),
        ("[a]\noutcome = 'length'\nlabels = {x = 1}", "labels: they belong to feedback"),
        ("[a]\noutcome = 'length'\nwindow_days = 0", "window_days: "),
        ("[a]\noutcome = 'length'\nbound = [0, 1]", "bound: Extra inputs"),
        ("[a]\noutcome = 'length'\nbounds = [0, inf]", "bounds.1: "),
        ("[a]\noutcome = 'length'\ndirection = 'sideways'", "direction: "),
    ],
)
def test_a_definition_that_is_none_is_refused_with_its_place(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(InputError, match=why) as raised:
        read_metrics(written(tmp_path, text))
    assert str(tmp_path / "metrics.toml") in str(raised.value)


def test_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file") as raised:
        read_metrics(tmp_path / "none.toml")
    assert raised.value.code == "no-such-file"


def test_every_outcome_has_a_definition_of_its_name() -> None:
    assert set(BUILT_IN) == set(get_args(Outcome))
    assert all(metric.outcome == name and metric.bounds for name, metric in BUILT_IN.items())


def test_an_import_is_kept_and_audited_and_a_second_one_changes_nothing(store: Store, tmp_path: Path) -> None:
    metrics = read_metrics(written(tmp_path))
    checked = import_metrics(store, metrics, by="ada", check_only=True)
    assert list(entries(store)) == []
    assert import_metrics(store, metrics, by="ada", why="a pilot") == checked
    assert checked.new == ("liked", "slow", "complaint", "complaints_per_request")
    again = import_metrics(store, metrics, by="ada")
    assert (again.new, again.changed, again.unchanged) == ((), (), checked.new)
    (entry,) = entries(store)
    assert (entry.who, entry.what, entry.why) == ("ada", "metrics.import", "a pilot")
    said = metrics[0].model_dump(mode="json", exclude={"past_days"})  # which nobody gave
    canonical = json.dumps([said], sort_keys=True, separators=(",", ":"))
    digest = sha256(canonical.encode()).hexdigest()
    assert entry.after is not None
    assert entry.after["metrics"]["liked"] == {"version": 1, "digest": digest}
    assert known_metrics(store)["liked"] == metrics[0]


def test_a_changed_definition_needs_a_higher_version(store: Store) -> None:
    one = Metric.made(name="liked", feedback="thumbs")
    import_metrics(store, [one], by="ada")
    changed = {"name": "liked", "feedback": "stars"}
    with pytest.raises(InputError, match=r"raise its version to 2") as raised:
        import_metrics(store, [Metric.made(**changed)], by="ada")
    assert raised.value.code == "conflicting-arguments"
    assert import_metrics(store, [Metric.made(**changed, version=2)], by="ada").changed == ("liked",)
    assert known_metrics(store)["liked"].feedback == "stars"


@pytest.mark.parametrize(
    ("metric", "why"),
    [
        ({"numerator": "complaint", "denominator": "length"}, "there is no metric 'complaint'"),
        ({"numerator": "errors", "denominator": "lenght"}, "did you mean 'length'"),
        ({"numerator": "slow", "denominator": "length"}, "'slow' is a quantile"),
    ],
)
def test_parts_of_a_ratio_must_be_known_means(lite: Store, metric: dict[str, Any], why: str) -> None:
    slow = Metric.made(name="slow", outcome="latency", kind="quantile", q=0.9)
    with pytest.raises(InputError, match=why):
        import_metrics(lite, [slow, Metric.made(name="ratio", kind="ratio", **metric)], by="ada")
    assert list(known_metrics(lite)) == list(BUILT_IN)


def test_a_release_keeps_the_definitions_that_it_was_made_with(store: Store, tmp_path: Path) -> None:
    import_metrics(store, read_metrics(written(tmp_path)), by="ada")
    releases = releases_of(store)
    made = releases.add(defined(metric="liked", guardrails=("complaints_per_request", "length")), by="ada")
    frozen = made.definition
    assert [metric.name for metric in frozen.metrics] == [
        "liked", "complaints_per_request", "complaint", "requests", "length",
    ]  # fmt: skip
    assert frozen.metrics_digest is not None
    releases.act("first", "start", by="ada")
    changed = read_metrics(written(tmp_path, FILE.replace("up = 1", "up = 2").replace("[0, 1]", "[0, 2]\nversion = 2")))
    assert import_metrics(store, changed, by="eve").live == ("first",)
    assert releases.get("first").definition == frozen
    (_, _, _, entry) = entries(store)
    assert entry.after is not None
    assert entry.after["releases_that_keep_the_former"] == ["first"]
    later = releases.add(defined("second", metric="liked"), by="ada").definition
    assert later.metrics[0].version == 2
    assert later.metrics_digest != frozen.metrics_digest


def test_other_definitions_than_those_of_the_digest_are_refused() -> None:
    with pytest.raises(InputError, match="not those of metrics_digest"):
        defined(metrics=(BUILT_IN["length"],), metrics_digest="0" * 64)


@pytest.mark.parametrize(
    ("fields", "field"), [({"metric": "lentgh"}, "metric"), ({"guardrails": ("lentgh",)}, "guardrails")]
)
def test_a_release_of_an_unknown_metric_is_refused_with_the_nearest(
    store: Store, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(InputError, match=r"there is no metric 'lentgh'; did you mean 'length'\?") as raised:
        releases_of(store).add(defined(**fields), by="ada")
    assert (raised.value.code, raised.value.field) == ("unknown-choice", field)
    assert releases_of(store).all() == []


PAGE = Path(__file__).parents[3] / "docs" / "feedback.md"


def test_the_file_in_the_docs_holds_and_the_page_names_every_built_in_metric(lite: Store, tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    (text,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    metrics = read_metrics(written(tmp_path, text))
    assert import_metrics(lite, metrics, by="ada").new == (
        "liked", "cheerful", "complaint", "complaints_per_request", "slow",
    )  # fmt: skip
    assert all(f"`{name}`" in page for name in BUILT_IN)
    assert all(f"`{field}`" in page for field in Metric.model_fields if field not in ("name", "description"))
