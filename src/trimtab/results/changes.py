"""Figure by figure: what two reports say of it, the difference, and the interval of the difference.

`paired`, where both reports hold the same examples: for means the bootstrap of each example's own change; for shares
the two reports' intervals, joined at the correlation of the examples' flags, since a bootstrap of few flips raises too
many false alarms (up to 9 in 100 where 5 are promised). `independent` otherwise, by square and add, which is too wide
where the two do rest on the same examples. All are intervals at the
reports' own level (95 %; 97 % after an early end), each by itself, with both vectors held fixed.
"""

from collections.abc import Iterator, Mapping
from math import sqrt
from typing import Final, Literal

import numpy as np

from trimtab.results.consequences import SideEffects
from trimtab.results.figures import Estimate, Record
from trimtab.results.numbers import number
from trimtab.results.report import Report
from trimtab.results.shared_examples import Both, chosen, mean_change
from trimtab.statistics import Interval, correlation, square_and_add

# Key, name for people, and unit; PROPENSITY stands for the report's own.
_PROPENSITY: Final = "propensity"
_NAMES: Final[Mapping[str, tuple[str, str]]] = {
    "effect": ("mean effect", _PROPENSITY),
    "odd": ("odd part of the effect", _PROPENSITY),
    "anti_steerable": ("anti-steerable share", "share"),
    "agreement": ("agreement", ""),
    "separability": ("d′, held out", ""),
    "base_accuracy": ("accuracy of the plain model", "share"),
    "base_propensity": ("propensity of the plain model", _PROPENSITY),
    "edit_size_ratio": ("dose", ""),
    "noise": ("numerical noise", _PROPENSITY),
}
_NORMAL: Final = 1.96  # standard errors to either side of a mean that came without an interval


class Figure(Record):
    """One figure in both reports and its change.

    Args:
        name: for people.
        unit: such as `nats/token`; a `share` lies between 0 and 1 and is shown in per cent.
        old, new: the figure in either report, with that report's interval.
        difference: new − old, in the same unit; None where either was not measured.
        low, high: its interval; None where the figure has none (dose, numerical noise).
        method: how the interval came about: `paired` on the same examples, or `independent`.
        changed: True if the interval excludes 0, else False. Also False for figures that are equal to the last digit,
            and for effects and propensities that differ by no more than their numerical noise. None: not measured.
        reason: why there is no difference or no interval, or why a change is not counted as one.
    """

    name: str
    unit: str
    old: Estimate
    new: Estimate
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    method: Literal["paired", "independent"] | None = None
    changed: bool | None = None
    reason: str | None = None


def figures(old: Report, new: Report, both: Both | None) -> dict[str, Figure]:
    """Every figure that is to be compared, by key.

    Args:
        old, new: reports in the same unit.
        both: the examples that they share, if they do; see `trimtab.results.shared_examples.shared`.

    Returns:
        `effect`, `odd`, `anti_steerable`, `agreement`, `separability` and `edit_size_ratio` of each report's chosen
        prompt type; `base_accuracy`, `base_propensity`, `noise`; and `side_effects.…` for those that both reports
        measured.
    """
    before, after = _estimates(old), _estimates(new)
    paired = {} if both is None else _paired(both, before, after)
    noise = max(old.noise.value, new.noise.value)
    out = {}
    for key, (name, unit) in _NAMES.items():
        negligible = noise if unit == _PROPENSITY and key != "noise" else 0.0
        bare = Figure(name=name, unit=new.unit if unit == _PROPENSITY else unit, old=before[key], new=after[key])
        out[key] = _filled(bare, paired.get(key), negligible)
    return out | _side_effects(old, new)


def _paired(both: Both, before: Mapping[str, Estimate], after: Mapping[str, Estimate]) -> dict[str, Interval]:
    """Intervals of the differences that the shared examples give."""
    out = {"effect": mean_change(both, both.effect), "base_propensity": mean_change(both, both.base)}
    if both.odd is not None:
        out["odd"] = mean_change(both, both.odd)
    for key, (earlier, later) in (("anti_steerable", both.effect), ("base_accuracy", both.base)):
        joined = _joined(before[key], after[key], correlation(earlier < 0, later < 0, np.array(both.clusters)))
        if both.natural and joined is not None:
            out[key] = joined
    return out


def _estimates(report: Report) -> dict[str, Estimate]:
    """The figures of `_NAMES`; the plain model's propensity is given ± 1.96 standard errors over clusters."""
    result, base = chosen(report), report.base
    none = Estimate(reason=result.not_measured)
    effect, odd, wrong = none, none, none
    if (e := result.effect) is not None:
        effect, odd = _estimate(e.mean, e.low, e.high, e.n), _estimate(e.odd, e.odd_low, e.odd_high, e.n)
    if (w := result.anti_steerable) is not None:
        wrong = _estimate(w.share, w.low, w.high, w.n)
    mean, error = base.propensity["mean"], _NORMAL * base.propensity["sd"] / sqrt(max(base.n, 1))
    return {
        "effect": effect,
        "odd": odd,
        "anti_steerable": wrong,
        "agreement": result.directional_agreement_loo,
        "separability": result.separability_held_out,
        "base_accuracy": _estimate(base.accuracy, base.accuracy_low, base.accuracy_high, base.n),
        "base_propensity": _estimate(mean, mean - error, mean + error, base.n),
        "edit_size_ratio": none if result.edit_size_ratio is None else Estimate(value=result.edit_size_ratio),
        "noise": Estimate(value=report.noise.value, n=report.noise.n),
    }


def _estimate(value: float, low: float, high: float, n: int) -> Estimate:
    return Estimate(value=value, low=low, high=high, n=n)


def _filled(figure: Figure, paired: Interval | None, negligible: float) -> Figure:
    """The figure with its difference, the interval, and whether it changed."""
    for which, side in (("old", figure.old), ("new", figure.new)):
        if side.value is None:
            why = f": {side.reason}" if side.reason else ""
            return figure.model_copy(update={"reason": f"not measured in the {which} report{why}"})
    difference = (figure.new.value or 0.0) - (figure.old.value or 0.0)
    change = paired or _joined(figure.old, figure.new)
    if change is None:
        changed, reason = (False, None) if difference == 0 else (None, "the figure has no interval")
        return figure.model_copy(update={"difference": difference, "changed": changed, "reason": reason})
    beyond, reason = not change.low <= 0 <= change.high, None
    if beyond and abs(difference) <= negligible:
        beyond, reason = False, f"the difference is within the numerical noise of {number(negligible)}"
    method = "paired" if paired else "independent"
    bounds = {"low": change.low, "high": change.high, "method": method, "changed": beyond, "reason": reason}
    return figure.model_copy(update={"difference": difference, **bounds})


def _joined(old: Estimate, new: Estimate, correlated: float = 0.0) -> Interval | None:
    """Interval of new − old from those of the two; None where one has none."""
    before, after = old.interval, new.interval
    return None if before is None or after is None else square_and_add(before, after, correlated)


def _side_effects(old: Report, new: Report) -> dict[str, Figure]:
    """Those that both reports measured, in the same unit."""
    before, after = (
        {(f"side_effects.{key}", name, unit): figure for key, name, unit, figure in _each(report.side_effects)}
        for report in (old, new)
    )
    return {
        key: _filled(Figure(name=name, unit=unit, old=before[key, name, unit], new=figure), None, 0.0)
        for (key, name, unit), figure in after.items()
        if figure.value is not None and (key, name, unit) in before and before[key, name, unit].value is not None
    }


def _each(effects: SideEffects) -> Iterator[tuple[str, str, str, Estimate]]:
    """Key, name, unit and figure of each side effect."""
    for key, name, kl in (("kl", "neutral text", effects.kl), ("kl_prompts", "other prompts", effects.kl_prompts)):
        yield key, f"KL divergence on {name}", kl.unit, kl.estimate
    yield "perplexity_ratio", "perplexity ratio", "", effects.perplexity_ratio
    yield "over_refusal", "over-refusal", "nats/token", effects.over_refusal
    for pairs in effects.capability:
        yield f"capability.{pairs.kind}", f"change of capability, {pairs.kind}", "share", pairs.change
    for other in effects.others:
        yield f"others.{other.behavior}", f"effect on {other.behavior}", other.unit, other.effect
