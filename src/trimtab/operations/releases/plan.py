"""How a release is judged: what matters, what is tolerated, and what happens then. Part of its definition, for good."""

import re
from collections.abc import Sequence
from math import isfinite
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trimtab.errors import InputError
from trimtab.operations.metrics.metric import NAME, SAY_NAME
from trimtab.texts import shown

OnHarm = Literal["pause", "rollback"]
"""Everybody gets control: until somebody resumes the release; or for good."""

Size = Annotated[float, Field(ge=0, lt=1e12)]
DEFAULTS: Final = {
    "errors": 0.01, "cancelled": 0.02, "refusal": 0.02, "degenerate": 0.02, "repetition": 0.03,
    "edit_distance": 0.03, "length": 25.0, "latency": 0.5, "first_token_latency": 0.1,
}  # fmt: skip
"""The effect that matters and the margin of harm of built-in metrics: shares, tokens and seconds. Of others it is 0."""

_NUMBER: Final = re.compile(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


class _Fixed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Guardrail(_Fixed):
    """What must not get worse.

    Args:
        metric: its name.
        margin: of harm that is tolerated, in the metric's units; None for the default.
        action: what harm beyond it leads to; None for what the plan says.

    Example:
        >>> from trimtab.operations import Guardrail
        >>> Guardrail(metric="errors", margin=0.01, action="rollback").margin
        0.01
    """

    metric: str
    margin: Size | None = None
    action: OnHarm | None = None


OnAlarm = Literal["nothing", "pause", "rollback"]


class Plan(_Fixed):
    """How a release is judged.

    Args:
        effect: of the metric that it is judged by: less is not worth a launch. In the metric's units; None for the
            default, which is 0 for metrics that are not built in: any improvement matters.
        margin: of harm to that metric that is tolerated; None for its effect.
        guardrails: see `Guardrail`; their margins by default as above, where 0 means that any harm counts.
        on_harm: what harm beyond a margin, and shares of the arms that are not kept, lead to.
        alpha: chance that a release that changes nothing is ever paused or rolled back for harm, at all looks together.
        min_units: units that either arm must have in a stage before it is promoted by itself.
        decide_by: units of both arms together by which a decision is wanted: there intervals are narrowest.
        auto_promote: whether it goes to the next stage by itself where no harm is shown.

    Example:
        >>> from trimtab.operations import Plan
        >>> Plan(effect=0.02).on_harm
        'pause'
    """

    effect: Size | None = None
    margin: Size | None = None
    guardrails: tuple[Guardrail, ...] = ()
    on_harm: OnHarm = "pause"
    alpha: Annotated[float, Field(gt=0, le=0.2)] = 0.05
    min_units: Annotated[int, Field(ge=30, le=10**9)] = 100
    decide_by: Annotated[int, Field(ge=60, le=10**9)] = 2000
    auto_promote: bool = False


def planned(metric: str | None, guardrails: Sequence[str], **settings: Any) -> dict[str, Any]:
    """The fields of a `Definition` that say how it is judged, from what people write.

    Args:
        metric: `NAME`, `NAME:EFFECT` or `NAME:EFFECT:MARGIN`.
        guardrails: `NAME`, `NAME:MARGIN` or `NAME:MARGIN:ACTION` each; the margin may be left empty.
        settings: further fields of `Plan`.

    Raises:
        InputError: a text or a setting that means nothing; names the field.

    Example:
        >>> from trimtab.operations import planned
        >>> found = planned("liked:0.02", ["errors:0.01:rollback", "latency"], on_harm="pause")
        >>> found["metric"], found["guardrails"], found["plan"].guardrails[0].action
        ('liked', ('errors', 'latency'), 'rollback')
    """
    name, effect, margin = (None, None, None) if metric is None else _metric(metric)
    rails = tuple(_guardrail(text) for text in guardrails)
    try:
        plan = Plan(effect=effect, margin=margin, guardrails=rails, **settings)
    except ValidationError as error:
        first = error.errors()[0]
        place = str(first["loc"][0])
        raise InputError(f"{place}: {first['msg']}", code="out-of-range", field=place) from None
    return {"metric": name, "guardrails": tuple(rail.metric for rail in rails), "plan": plan}


def completed(metric: str | None, guardrails: Sequence[str], plan: Plan | None) -> Plan | None:
    """The plan that a release keeps, without anything left open; None where it names no metric.

    Raises:
        InputError: a name is given twice; there is nothing to be promoted by.
    """
    names = [*([] if metric is None else [metric]), *guardrails]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            f"{', '.join(twice)}: named more than once; the metric that a release is judged by has its own margin",
            code="repeated-name",
            field="guardrails",
        )
    if not names:
        if plan is not None and plan.auto_promote:
            raise InputError(
                "a release without a metric or guardrail cannot be promoted by itself; name one",
                code="missing-value",
                field="auto_promote",
            )
        return None
    plan = plan or Plan()
    effect = _default(plan.effect, metric)
    rails = plan.guardrails or tuple(Guardrail(metric=name) for name in guardrails)
    full = tuple(
        Guardrail(metric=rail.metric, margin=_default(rail.margin, rail.metric), action=rail.action or plan.on_harm)
        for rail in rails
    )
    margin = effect if plan.margin is None else plan.margin
    return plan.model_copy(update={"effect": effect, "margin": margin, "guardrails": full})


def _default(size: float | None, metric: str | None) -> float:
    return DEFAULTS.get(metric or "", 0.0) if size is None else size


def _metric(text: str) -> tuple[str, float | None, float | None]:
    name, *sizes = text.split(":")
    if len(sizes) > 2:
        raise _unfit(text, "metric", "NAME, NAME:EFFECT or NAME:EFFECT:MARGIN, such as liked:0.02")
    effect, margin = (*(_size(text, one, "metric", "effect or margin") for one in sizes), None, None)[:2]
    return _name(text, name, "metric"), effect, margin


def _guardrail(text: str) -> Guardrail:
    name, *more = text.split(":")
    if len(more) > 2:
        raise _unfit(text, "guardrails", "NAME, NAME:MARGIN or NAME:MARGIN:ACTION, such as errors:0.01:rollback")
    margin = None if not more or (not more[0] and len(more) == 2) else _size(text, more[0], "guardrails", "margin")
    action = more[1] if len(more) == 2 else None
    if action is not None and action not in get_args(OnHarm):
        raise InputError(
            f"{shown(text, 100)!r}: {shown(action, 40)!r} is no action; give pause or rollback",
            code="unknown-choice",
            field="guardrails",
        )
    return Guardrail.model_validate({"metric": _name(text, name, "guardrails"), "margin": margin, "action": action})


def _name(text: str, name: str, field: str) -> str:
    if not NAME.fullmatch(name):
        raise InputError(f"{shown(text, 100)!r} begins with no name of a metric; give {SAY_NAME}", field=field)
    return name


def _size(text: str, size: str, field: str, what: str) -> float:
    """A plain number from 0, in the metric's own units."""
    value = float(size) if _NUMBER.fullmatch(size) else float("inf")
    if not (isfinite(value) and value < 1e12):
        raise InputError(
            f"{shown(text, 100)!r}: {shown(size, 40)!r} is no {what}; give a number from 0 in the metric's units, such "
            "as 0.02 (two points of a share) or 0.5 (seconds)",
            code="out-of-range",
            field=field,
        )
    return value


def _unfit(text: str, field: str, such: str) -> InputError:
    return InputError(f"{shown(text, 100)!r} has too many parts; give {such}", field=field)
