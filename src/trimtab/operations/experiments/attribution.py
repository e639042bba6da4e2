"""Which attribute of a steering moves what: effects in a factorial release, each with an interval for all looks."""

from collections.abc import Mapping
from math import log
from typing import Final

from trimtab.operations.experiments.findings import Effect, rounded
from trimtab.operations.experiments.measuring import DIFFERING, START, differing
from trimtab.operations.experiments.wanted import UNKNOWN
from trimtab.operations.outcomes.values import Floats
from trimtab.operations.releases.plan import Plan
from trimtab.operations.releases.release import Definition
from trimtab.statistics.sequential import AsymptoticSequence, Draws, factorial_contrasts, holm, policy_estimate

_EPSILON: Final = 1e-9


def effects_of(seen: Mapping[str, Draws], definition: Definition, plan: Plan) -> tuple[Effect, ...]:
    """Main effects and two-way interactions of the attributes, on every metric; claimed together by Holm's rule.

    Args:
        seen: visits by metric.
        definition: of a release with factors; its arms are the cells in order, control the one with none.
        plan: of the release.
    """
    sequence = AsymptoticSequence(plan.decide_by, plan.alpha, start=START)
    found = []
    for metric, draws in seen.items():
        for places, contrast in factorial_contrasts(len(definition.factors)).items():
            interval, evidence = UNKNOWN, 0.0
            if _says(draws, contrast):
                estimate = policy_estimate(draws, contrast)
                interval, evidence = sequence.interval(estimate), float(sequence.log_e_value(estimate))
            found.append((metric, tuple(definition.factors[i] for i in places), interval, evidence))
    together = holm([evidence for *_, evidence in found])
    directions = {one.name: one.direction for one in definition.metrics}
    effects = []
    for (metric, attributes, interval, evidence), all_ in zip(found, together, strict=True):
        shown = bool(all_ >= log(1 / plan.alpha) - _EPSILON) and not interval.low <= 0 <= interval.high
        said = _meaning(metric, attributes, interval.value, shown, more_is_better=directions[metric] == "higher")
        effects.append(Effect(
            metric, attributes, rounded(interval.value), rounded(interval.low), rounded(interval.high),
            rounded(evidence) or 0.0, rounded(float(all_)) or 0.0, shown, said,
        ))  # fmt: skip
    return tuple(effects)


def told(effects: tuple[Effect, ...]) -> str:
    """What is shown, in sentences; that nothing is, where it is so."""
    if not effects:
        return ""
    shown = [one.meaning for one in effects if one.shown]
    quiet = sorted(
        {a for one in effects for a in one.attributes} - {a for e in effects if e.shown for a in e.attributes}
    )
    if not shown:
        return f"None of {', '.join(quiet)} is shown to move anything yet."
    rest = f" {', '.join(quiet)}: not shown to move anything." if quiet else ""
    return " ".join(shown) + rest


def _says(draws: Draws, contrast: Floats) -> bool:
    """Whether either side of a contrast holds enough visits of other values than most."""
    sides = (contrast > 0, contrast < 0)
    return all(differing(draws.value[side[draws.arm]]) >= DIFFERING for side in sides)


def _meaning(metric: str, attributes: tuple[str, ...], value: float, shown: bool, *, more_is_better: bool) -> str:
    size, first = f"{abs(value):.3g}", attributes[0]
    if len(attributes) == 2:
        second = attributes[1]
        if not shown:
            return f"It is not shown that {first} moves {metric} otherwise where {second} is on."
        return f"{first} moves {metric} by {value:+.3g} more where {second} is on than where it is off."
    if not shown:
        return f"{first} is not shown to move {metric}."
    good = (value > 0) == more_is_better
    return (
        f"{first} moves {metric} {'up' if value > 0 else 'down'} by {size}, which is {'better' if good else 'worse'}."
    )
