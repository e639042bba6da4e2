"""The strength at which steerings do the same damage, so that what they do besides can be compared."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import sqrt
from typing import Any, Final, TypeVar

import numpy as np

from trimtab.errors import NotFiniteError
from trimtab.evaluation.tasks import Treatment
from trimtab.measurements.damage import Damage, DamageTexts, damages
from trimtab.models import Model, Unsteered
from trimtab.steering import Steering

K = TypeVar("K")
MAX_FACTOR: Final = 64.0
TRIES: Final = 6  # of a search
FAR: Final = 0.3  # of the target that a damage may be off before it is no longer called the same
NEAR: Final = 0.1  # share of the target that a search may be off


@dataclass
class Search:
    """Looks for the factor at which a damage that grows with it is the target.

    Divergence grows with the square of small edits, so that is the guess; it is kept between the factors that were too
    small and too large.

    Args:
        target: the damage.
        near: how far off is near enough, as a share of the target.
        factor: to be tried next.
    """

    target: float
    near: float = NEAR
    factor: float = 1.0
    low: float = field(default=0.0, init=False)
    high: float = field(default=MAX_FACTOR, init=False)

    def report(self, result: float) -> bool:
        """The damage at the factor; True if it is near enough, else there is another factor to try."""
        if abs(result - self.target) < self.near * self.target:
            return True
        self.low, self.high = (self.factor, self.high) if result < self.target else (self.low, self.factor)
        guess = self.factor * sqrt(self.target / max(result, 1e-6))
        inside = self.low * 1.02 < guess < self.high * 0.98
        self.factor = min(guess, 4 * self.factor) if inside else sqrt(max(self.low, self.high / 16) * self.high)
        return False


@dataclass(frozen=True)
class Dial:
    """What is measured at any strength.

    Args:
        steering: with strengths in a fixed proportion; None for the temperature of the unsteered model.
        base: how it is put to the model besides.
    """

    steering: Steering | None
    base: Treatment = field(default_factory=Treatment)

    def at(self, factor: float) -> Treatment:
        """The treatment at a factor; 0 is the unsteered model."""
        if self.steering is None:
            return replace(self.base, flatten=1.0 + factor)
        return replace(self.base, steering=self.steering, strength=self.steering.scaled(factor))

    def strengths(self, factor: float) -> dict[str, float]:
        """What the factor means, for tables."""
        return {"temperature": 1.0 + factor} if self.steering is None else dict(self.steering.scaled(factor))


def equally_damaging(
    model: Model,
    texts: DamageTexts,
    dials: Mapping[K, Dial],
    target: float,
    told: Callable[[int], object] = lambda n: None,
    first: float = 1.0,
) -> dict[K, tuple[float, Damage]]:
    """The factor at which each does the target's damage, and what it does there: of the tries, the nearest one.

    A try that gives no finite figures counts as too much.

    Args:
        model: unsteered and steered.
        texts: what damage is measured on.
        dials: what is turned.
        target: nats per token, the worst group.
        told: how many damages were measured.
        first: the factor to begin with, such as one that is known for another target.
    """
    searches = {name: Search(target, factor=first) for name in dials}
    found: dict[K, tuple[float, Damage]] = {}
    left, unsteered = list(dials), Unsteered()
    for _ in range(TRIES):
        done = _measured(model, texts, {name: dials[name].at(searches[name].factor) for name in left}, unsteered)
        told(len(left))
        for name, damage in done.items():
            if damage is None:
                continue
            before = abs(found[name][1].worst - target) if name in found else float("inf")
            if abs(damage.worst - target) < before:
                found[name] = searches[name].factor, damage
        left = [n for n in left if not searches[n].report(float("inf") if (d := done[n]) is None else d.worst)]
        if not left:
            break
    return found


def _measured(
    model: Model, texts: DamageTexts, treatments: Mapping[K, Treatment], unsteered: Unsteered
) -> dict[K, Damage | None]:
    """Damage by name, all together; where that is not finite each by itself, None for those that are not."""
    try:
        return dict(zip(treatments, damages(model, texts, list(treatments.values()), unsteered), strict=True))
    except NotFiniteError:
        if len(treatments) == 1:
            return dict.fromkeys(treatments)
        return {name: _measured(model, texts, {name: own}, unsteered)[name] for name, own in treatments.items()}


def balanced(model: Model, texts: DamageTexts, steerings: Sequence[Steering], base: Treatment, target: float) -> list[
    Steering
]:  # fmt: skip
    """Steerings with strengths at which each attribute alone does about the target's damage, by one step.

    With one attribute, or none that edits, they stay as they are.
    """
    some = DamageTexts(*({name: rows[::2] for name, rows in of.items()} for of in (texts.whole, texts.desired)))
    each: dict[tuple[int, str], Treatment] = {}
    for i, steering in enumerate(steerings):
        if len(steering.attributes) > 1 and steering.edits:
            for name in steering.attributes:
                own = {other: float(other == name) for other in steering.attributes}
                each[i, name] = replace(base, steering=steering, strength=own)
    out: list[dict[str, Any]] = [{} for _ in steerings]
    for (i, name), damage in _measured(model, some, each, Unsteered()).items() if each else ():
        worst = float("inf") if damage is None else max(damage.worst, 1e-9)
        out[i][name] = float(np.clip(sqrt(target / worst), 1 / MAX_FACTOR, MAX_FACTOR))
    return [s.changed(attributes=own) if own else s for s, own in zip(steerings, out, strict=True)]
