"""From what a request says of steering to what the engine is told, and how that differs from what was checked."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from trimtab.decimals import decimals
from trimtab.errors import InputError
from trimtab.interventions import PARTS, Capabilities, ModelFacts, RequestSteering, Scope, strength_rows
from trimtab.serving.errors import HttpError
from trimtab.serving.protocol import AskedSteering
from trimtab.serving.registry import Registry
from trimtab.serving.served import Served
from trimtab.texts import shown

MAX_FACTOR: Final = 10.0
"""The largest strength is so many times the checked one, or the default of an attribute that was not checked."""
_ROUNDING: Final = 1e-9


@dataclass(frozen=True)
class Resolved:
    """The steering of a request.

    Args:
        name: by which it was asked for.
        steering: for the engine.
        decisions: what the check of each attribute came to.
        departures: from what was checked, in words.
    """

    name: str
    steering: RequestSteering
    decisions: Mapping[str, str | None]
    departures: tuple[str, ...]


def largest_strength(one: Served, attribute: str) -> float:
    """Beyond this, on either side of 0, a request's strength is refused."""
    return MAX_FACTOR * (abs(one.attributes[attribute]) or 1.0)


@dataclass(frozen=True)
class _Running:
    """The engine's model, as `ModelFacts.fit` asks about it."""

    facts: ModelFacts

    @property
    def digest(self) -> str:
        return self.facts.digest


def steering_name(model: str, served_model: str, asked: AskedSteering | None) -> str | None:
    """Which steering a request names, in the model (`model@name`) or in its field; None for none.

    Raises:
        HttpError: another model than the one served (404).
        InputError: two steerings are named, or the field names none.
    """
    prefix = f"{served_model}@"
    if model != served_model and not model.startswith(prefix):
        raise HttpError(
            f"this server has no model {shown(model, 80)!r}; it has {served_model!r}, and {prefix}NAME for a steering",
            status=404,
            word="model_not_found",
            param="model",
        )
    name = model.removeprefix(prefix) if model != served_model else None
    inside = asked.name if asked is not None else None
    if name and inside and name != inside:
        raise InputError(
            f"the model names the steering {shown(name, 80)!r} and the field steering {shown(inside, 80)!r}; name one",
            code="conflicting-arguments",
            field="steering.name",
        )
    if not (name or inside) and not (name is None and asked is None):
        raise InputError(
            f"steering: say which one, as its name or as {prefix}NAME in model",
            code="missing-value",
            field="steering.name",
        )
    return name or inside


def resolve(
    registry: Registry, name: str, asked: AskedSteering, capabilities: Capabilities, *, chat: bool, mismatch: bool
) -> Resolved:
    """The steering of a request, with every default filled in.

    Args:
        registry: what there is.
        name: of the steering.
        asked: strength and scope, as far as the request says them.
        capabilities: of the engine.
        chat: whether the prompt goes through the chat template.
        mismatch: whether other weights of the same shapes may be steered.

    Raises:
        InputError: an unknown or disabled steering, an unknown attribute or preset, a strength beyond `MAX_FACTOR`
            times the checked one, a model or engine that it does not fit.
    """
    one = registry.find(name)
    other_weights = _fit(one, capabilities, mismatch)
    strength = _strength(one, asked)
    scope = asked.scope or one.scope
    if scope not in capabilities.scopes:
        has = ", ".join(sorted(capabilities.scopes)) or "none"
        why = "needs a model with marks around its thinking" if scope in PARTS else "is not supported by the engine"
        raise InputError(
            f"scope {scope!r} {why}; this server has {has}",
            code="unsupported",
            field="steering.scope",
        )
    departures = (*other_weights, *_departures(one, strength, scope, chat))
    return Resolved(name, RequestSteering(one.id, strength, scope), one.decisions, departures)


def _fit(one: Served, capabilities: Capabilities, mismatch: bool) -> tuple[str, ...]:
    """How the engine's model departs from the steering's, if it may."""
    missing = one.kinds - capabilities.edits
    if missing or (one.conditional and not capabilities.conditions):
        what = f"edits of kind {', '.join(sorted(missing))}" if missing else "conditions on prompts"
        raise InputError(
            f"the steering {one.name!r} has {what}, which the engine cannot run", code="unsupported", field="steering"
        )
    if one.made_for is None or capabilities.model is None:
        return ()
    try:
        exact = one.made_for.fit(_Running(capabilities.model)) == "exact"
    except InputError as error:
        raise InputError(f"{one.name!r}: {error}", code="other-weights", field="steering.name") from error
    if exact:
        return ()
    if not mismatch:
        raise InputError(
            f"the steering {one.name!r} was made for other weights, of {one.made_for.id}; fit it for the model that "
            "is served, or start the server with other weights allowed",
            code="other-weights",
            field="steering.name",
        )
    return (f"the steering was made for other weights, of {one.made_for.id}",)


def _strength(one: Served, asked: AskedSteering) -> dict[str, float]:
    try:
        (strength,) = strength_rows(one, asked.strength)
    except InputError as error:
        raise InputError(f"steering {one.name!r}: {error}", code=error.code, field="steering.strength") from error
    for name, value in strength.items():
        most = largest_strength(one, name)
        if abs(value) > most * (1 + _ROUNDING):
            raise InputError(
                f"strength {_figure(value)} of {name!r} is beyond {_figure(most)}, {_figure(MAX_FACTOR)} times what "
                "it is meant for, where text falls apart; lower it",
                code="out-of-range",
                field=f"steering.strength.{name}",
            )
    return strength


def _departures(one: Served, strength: Mapping[str, float], scope: Scope, chat: bool) -> Iterator[str]:
    """How a request differs from what was checked, attribute by attribute, then together."""
    active = [name for name, value in strength.items() if value]
    for name in active:
        check = one.checks.get(name)
        if check is None:
            yield f"{name}: was not checked"
            continue
        yield from _from_check(name, strength[name], check.strength)
        if check.scope not in (None, scope):
            yield f"{name}: scope {scope}, where it was checked with {check.scope}"
        if check.chat_template not in (None, chat):
            ways = ("without", "with") if check.chat_template else ("with", "without")
            yield f"{name}: {ways[0]} the chat template, where it was checked {ways[1]}"
    if len(active) > 1 and one.checks:
        yield f"{', '.join(active)}: act together, where each was checked alone"


def _from_check(name: str, strength: float, checked: float | None) -> Iterator[str]:
    if checked is None:
        return
    if strength * checked < 0:
        yield f"{name}: strength {_figure(strength)} has the opposite sign of the checked {_figure(checked)}"
    elif abs(strength) > abs(checked) * (1 + _ROUNDING):
        yield f"{name}: strength {_figure(strength)} is above the checked {_figure(checked)}"


def _figure(value: float) -> str:
    return decimals(value, ".6g")
