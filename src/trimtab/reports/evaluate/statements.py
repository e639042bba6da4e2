"""What a comparison comes to, in sentences that a manager and a researcher can both act on."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from trimtab.results.evaluation import Contrast, Evaluation
from trimtab.results.figures import Estimate
from trimtab.results.numbers import given, missing, number, spread
from trimtab.statistics import holm_adjusted

SURE: Final = 0.05  # p-value after Holm's rule
OVERALL: Final = "over all tasks"


def statements(found: Evaluation) -> tuple[str, ...]:
    """Who wins where, what is told apart from the floors, and what to do next; at the first damage."""
    return (
        *(_winner(found, place) for place in (OVERALL, *_fitted(found))),
        *_contrasts(found.contrasts),
        *_without_strength(found),
        _next(found),
    )


def above_floors(found: Evaluation, place: str) -> Mapping[str, float]:
    """By method, the p-value of "not above the highest floor", adjusted by Holm for the methods."""
    known = {m: p for m in _methods(found) if (p := _p(found, m, place)) is not None}
    return dict(zip(known, holm_adjusted(list(known.values())).tolist(), strict=True)) if known else {}


def _winner(found: Evaluation, place: str) -> str:
    """Which method gains most, and whether that is more than a broken model's gain."""
    budget = found.protocol.damages[0]
    gains = {m: e for m in _methods(found) if (e := _gain(found, m, place)) is not None and e.value is not None}
    where = place if place == OVERALL else f"on {place} ({found.protocol.task(place).figure})"
    begin = f"{where[0].upper()}{where[1:]}"
    if not gains:
        return f"{begin}: no method with a strength could be measured."
    best = max(gains, key=lambda m: gains[m].value or 0.0)
    sure = {m: p for m, p in above_floors(found, place).items() if p <= SURE}
    head = f"{begin}, {best} gains most at a damage of {given(budget)} nats per token: {_shown(gains[best])}"
    if best in sure:
        others = [m for m in sure if m != best]
        more = f"; so is {', '.join(others)}" if others else ""
        return f"{head}, which is above every floor (p = {number(sure[best], 2)}){more}."
    if sure:
        return f"{head}, not told apart from the floors; above them: {', '.join(sure)}."
    lost = "that is a loss" if (gains[best].value or 0.0) <= 0 else "that may be what any damage of this size brings"
    return f"{head}. No method is told apart from the floors: {lost}."


def _contrasts(rows: Sequence[Contrast]) -> Iterator[str]:
    for row in rows:
        if row.p_holm is None or row.difference.value is None:
            yield f"{row.first} against {row.second}: {missing(row.difference.reason)}."
        elif row.p_holm <= SURE:
            better, worse = (row.first, row.second) if row.difference.value > 0 else (row.second, row.first)
            yield f"{better} does better than {worse}: {_shown(row.difference)}, p = {number(row.p_holm, 2)}."
        else:
            shown = f"{_shown(row.difference)}, p = {number(row.p_holm, 2)}"
            yield f"{row.first} and {row.second} are not told apart: {shown}."


def _without_strength(found: Evaluation) -> Iterator[str]:
    """Text in front of prompts has no strength, so no damage can be set."""
    for row in found.overall:
        if row.contender in _methods(found) and row.budget is None and row.gain.value is not None:
            at = f" at its own damage of {number(row.damage)}" if row.damage is not None else ""
            yield (
                f"{row.contender} has no strength to set: it gains {_shown(row.gain)}{at}. What text in front of a "
                "prompt moves is no damage as such, so no floor is set against it."
            )


def _next(found: Evaluation) -> str:
    sure = [m for m, p in above_floors(found, OVERALL).items() if p <= SURE]
    if sure:
        best = max(sure, key=lambda m: (_gain(found, m, OVERALL) or Estimate()).value or 0.0)
        return (
            f"What to do next: check {best} by itself (trimtab check --steering), attribute by attribute, before any "
            "of it goes live; the steerings that were measured lie beside this page."
        )
    return (
        "What to do next: do not ship any of these on the strength of this table. More seeds or units narrow the "
        "intervals; other examples or a larger model may make a direction where there is none here."
    )


# --- shared ---


def _fitted(found: Evaluation) -> list[str]:
    labels = [t.label for t in found.protocol.tasks if t.fitted]
    return labels if len(labels) > 1 else []


def _methods(found: Evaluation) -> list[str]:
    return [m.label for m in found.protocol.methods]


def _gain(found: Evaluation, method: str, place: str) -> Estimate | None:
    """Of what has a strength, at the first damage."""
    budget = found.protocol.damages[0]
    if place == OVERALL:
        whole = found.whole(method, budget)
        return whole.gain if whole is not None and whole.budget is not None else None
    row = found.row(method, place, found.protocol.task(place).figure, budget)
    return row.gain if row is not None and row.budget is not None else None


def _p(found: Evaluation, method: str, place: str) -> float | None:
    budget = found.protocol.damages[0]
    row = (
        found.whole(method, budget)
        if place == OVERALL
        else found.row(method, place, found.protocol.task(place).figure, budget)
    )
    return None if row is None else row.p_above


def _shown(e: Estimate) -> str:
    return missing(e.reason) if e.value is None else ("+" if e.value > 0 else "") + spread(e.value, e.low, e.high)
