"""What people write of metrics and margins is read strictly, and a release keeps it with nothing left open."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.errors import InputError
from trimtab.operations import Arm, Definition, Guardrail, Plan, planned
from trimtab.operations.metrics.built_in import BUILT_IN
from trimtab.operations.metrics.metric import NAME
from trimtab.operations.releases.plan import DEFAULTS

NAMES = st.from_regex(NAME, fullmatch=True)
SIZES = st.floats(min_value=0, max_value=1e11, allow_nan=False).map(abs)
ACTIONS = st.sampled_from(["pause", "rollback"])


@given(NAMES, SIZES, ACTIONS)
def test_a_guardrail_is_read_as_it_is_written(name: str, margin: float, action: Any) -> None:
    [rail] = planned(None, [f"{name}:{margin!r}:{action}"])["plan"].guardrails
    assert rail == Guardrail(metric=name, margin=margin, action=action)
    [rail] = planned(None, [f"{name}::{action}"])["plan"].guardrails
    assert rail == Guardrail(metric=name, action=action)
    [rail] = planned(None, [f"{name}:{margin!r}"])["plan"].guardrails
    assert (rail.margin, rail.action) == (margin, None)


@given(NAMES, SIZES, SIZES)
def test_a_metric_is_read_as_it_is_written(name: str, effect: float, margin: float) -> None:
    found = planned(f"{name}:{effect!r}:{margin!r}", [])
    assert (found["metric"], found["plan"].effect, found["plan"].margin) == (name, effect, margin)
    found = planned(name, [])
    assert (found["metric"], found["plan"].effect, found["plan"].margin) == (name, None, None)


@given(st.text(alphabet="ab.:-+e0123456789 naifrolbckpus%,", max_size=20))
def test_any_text_is_read_strictly_or_refused_with_its_field(text: str) -> None:
    for metric, rails, field in ((text, [], "metric"), (None, [text], "guardrails")):
        refused = None
        try:
            found = planned(metric, rails)
        except InputError as error:
            refused = error.field
        if refused is not None:
            assert refused == field
            continue
        name, *parts = text.split(":")
        assert (found["metric"] or found["guardrails"][0]) == name
        assert len(parts) <= 2
        for part in parts:
            assert part in ("", "pause", "rollback") or re.fullmatch(r"[0-9.]+(e[+-]?[0-9]+)?", part)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("errors:", "is no margin"), ("errors:-0.1", "is no margin"), ("errors:1%", "is no margin"),
        ("errors:nan", "is no margin"), ("errors:inf", "is no margin"), ("errors:1e99", "is no margin"),
        ("errors:٣", "is no margin"), ("errors:1_0", "is no margin"), ("errors:0,1", "is no margin"),
        ("errors:0.1:stop", "is no action; give pause or rollback"), ("errors:0.1:pause:1", "too many parts"),
        (":0.1", "begins with no name"), ("Errors", "begins with no name"), ("", "begins with no name"),
    ],
)  # fmt: skip
def test_nonsense_is_refused_and_named(text: str, why: str) -> None:
    with pytest.raises(InputError, match=why) as raised:
        planned(None, [text])
    assert raised.value.field == "guardrails"


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"alpha": 0}, "alpha"), ({"alpha": 0.5}, "alpha"), ({"min_units": 1}, "min_units"),
        ({"decide_by": 0}, "decide_by"), ({"on_harm": "panic"}, "on_harm"), ({"alpha": float("nan")}, "alpha"),
        ({"alhpa": 0.1}, "alhpa"),
    ],
)  # fmt: skip
def test_a_setting_out_of_range_is_refused_and_named(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as raised:
        planned("errors", [], **settings)
    assert raised.value.field == field


def test_a_release_keeps_a_plan_of_which_nothing_is_left_open(launch) -> None:
    live = launch("full", "liked:0.02", ("errors", "latency:0.3", "complaint:1:rollback", "repetition::rollback"))
    plan = live.release.definition.plan
    assert (plan.effect, plan.margin) == (0.02, 0.02)
    assert [(rail.margin, rail.action) for rail in plan.guardrails] == [
        (DEFAULTS["errors"], "pause"), (0.3, "pause"), (1, "rollback"), (DEFAULTS["repetition"], "rollback"),
    ]  # fmt: skip
    rolls = launch("rolls", "liked", ("complaint",), on_harm="rollback").release.definition.plan
    assert (rolls.effect, rolls.margin, rolls.guardrails[0].margin) == (0, 0, 0)
    assert rolls.guardrails[0].action == "rollback"
    assert launch("bare").release.definition.plan is None
    assert launch("primary", "errors").release.definition.plan.margin == DEFAULTS["errors"]


def test_built_in_metrics_have_defaults() -> None:
    assert set(DEFAULTS) == set(BUILT_IN) - {"requests"}


@pytest.mark.parametrize(
    ("metric", "rails", "settings", "field"),
    [
        ("errors", ("errors:0.1",), {}, "guardrails"), (None, ("errors", "errors:0.1"), {}, "guardrails"),
        (None, (), {"auto_promote": True}, "auto_promote"),
    ],
)  # fmt: skip
def test_a_plan_that_contradicts_itself_is_refused(launch, metric: Any, rails: Any, settings: Any, field: str) -> None:
    with pytest.raises(InputError) as raised:
        launch("bad", metric, rails, **settings)
    assert raised.value.field == field


def test_other_guardrails_in_the_plan_than_of_the_release_are_refused() -> None:
    warm = Arm(name="warm", artifact="5f2c", strength={})
    plan = Plan(guardrails=(Guardrail(metric="errors"),))
    with pytest.raises(InputError, match="its guardrails are not those of the release"):
        Definition.made(name="a", model="m", treatment=warm, stages=(50,), salt="s", guardrails=("length",), plan=plan)
