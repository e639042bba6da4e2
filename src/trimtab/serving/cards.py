"""What the list of steerings says of each: names, strengths, what its check came to, and its card."""

from typing import Final

from trimtab.serving.checks import AttributeCheck, Effect, Figure
from trimtab.serving.protocol.listing import AttributeCard, Measured, SteeringCard
from trimtab.serving.resolution import largest_strength
from trimtab.serving.served import Served

_UNCHECKED: Final = AttributeCheck()
_NO_EFFECT: Final = Effect()
# The two sides of an effect are changes of log-probabilities also where the effect is one of logits.
_SIDES: Final = {"logits": "nats"}


def steering_card(one: Served, *, enabled: bool) -> SteeringCard:
    """A steering's entry in the list.

    Args:
        one: the steering.
        enabled: whether requests may name it.
    """
    return SteeringCard(
        name=one.name,
        id=one.id,
        enabled=enabled,
        method=one.method,
        model=None if one.made_for is None else one.made_for.id,
        scope=one.scope,
        attributes=[_attribute(one, name) for name in one.attributes],
        presets={name: dict(values) for name, values in one.presets.items()},
        card=one.card,
    )


def _attribute(one: Served, name: str) -> AttributeCard:
    check = one.checks.get(name, _UNCHECKED)
    effect, sides = check.effect or _NO_EFFECT, None if check.unit is None else _SIDES.get(check.unit, check.unit)
    return AttributeCard(
        name=name,
        strength=one.attributes[name],
        largest_strength=largest_strength(one, name),
        decision=check.decision,
        sentence=check.sentence,
        reasons=list(check.reasons),
        reservations=list(check.reservations),
        checked_strength=check.strength,
        checked_scope=check.scope,
        checked_chat_template=check.chat_template,
        effect=_measured(check.effect, check.unit),
        desired=_measured(effect.positive, sides),
        undesired=_measured(effect.negative, sides),
        anti_steerable=_measured(check.anti_steerable, "share"),
        kl=_measured(check.kl, "nats/token"),
    )


def _measured(figure: Figure | None, unit: str | None) -> Measured | None:
    if figure is None:
        return None
    return Measured(value=figure.value, low=figure.low, high=figure.high, n=figure.n, unit=unit, reason=figure.reason)
