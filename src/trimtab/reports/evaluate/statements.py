"""What a comparison comes to, in sentences that a manager and a researcher can both act on."""

from collections.abc import Iterator, Mapping
from typing import Final

from trimtab.results.evaluation import FLOORS, Contrast, Evaluation
from trimtab.results.figures import Estimate
from trimtab.results.numbers import given, missing, number, spread
from trimtab.statistics import holm_adjusted

SURE: Final = 0.05  # p-value after Holm's rule
OVERALL: Final = "over all tasks"


def statements(found: Evaluation) -> tuple[str, ...]:
    """Who wins where, what is told apart from the floors, and what to do next; at the first damage."""
    return (
        *(_winner(found, place) for place in (OVERALL, *_fitted(found))),
        *_contrasts(found),
        *_without_strength(found),
        _next(found),
    )


def above_floors(found: Evaluation, place: str, budget: float | None = None) -> Mapping[str, float]:
    """By method, the p-value of "not above the highest floor", adjusted by Holm for all methods and places together.

    Args:
        found: the comparison.
        place: `OVERALL` or a fitted task.
        budget: damage at which they are compared; None for the first.
    """
    at = found.protocol.damages[0] if budget is None else budget
    every = [(m, where) for where in (OVERALL, *_fitted(found)) for m in _methods(found) if _has_strength(found, m)]
    known = {(m, where): _p(found, m, where, at) for m, where in every}
    if not every:
        return {}
    adjusted = holm_adjusted([1.0 if p is None else p for p in known.values()]).tolist()  # what gave nothing counts too
    pairs = zip(known.items(), adjusted, strict=True)
    return {m: p for ((m, where), raw), p in pairs if where == place and raw is not None}


def _winner(found: Evaluation, place: str) -> str:
    """Which method gains most, and whether that is more than a broken model's gain."""
    budget = found.protocol.damages[0]
    gains = {m: e for m in _methods(found) if (e := _gain(found, m, place)) is not None and e.value is not None}
    where = place if place == OVERALL else f"on {place} ({found.protocol.task(place).figure})"
    begin = f"{where[0].upper()}{where[1:]}"
    if not gains:
        return f"{begin}: no method with a strength could be measured."
    best = max(gains, key=lambda m: gains[m].value or 0.0)
    known = above_floors(found, place)
    sure = {m: p for m, p in known.items() if p <= SURE}
    head = (
        f"{begin}, {best} gains most at a damage of {given(budget)} nats per token{_came_to(found, best)}: "
        f"{_shown(gains[best])}"
    )
    if best not in known:
        return f"{head}. Nothing is claimed of it: {_why_not(found, best)}."
    if best in sure:
        others = [m for m in sure if m != best]
        more = f"; so is {', '.join(others)}" if others else ""
        return f"{head}, which is above every floor (p = {number(sure[best], 2)}){more}."
    if sure:
        return f"{head}, not told apart from the floors; above them: {', '.join(sure)}."
    lost = "that is a loss" if (gains[best].value or 0.0) <= 0 else "that may be what any damage of this size brings"
    return f"{head}. No method is told apart from the floors: {lost}."


def _came_to(found: Evaluation, method: str) -> str:
    """What the damage that dev allowed came to on test, beside that of the floors."""
    budget = found.protocol.damages[0]
    own = found.whole(method, budget)
    floors = [o.damage for f in FLOORS if (o := found.whole(f, budget)) is not None and o.damage is not None]
    if own is None or own.damage is None or not floors:
        return ""
    spread = f"{number(min(floors), 2)} to {number(max(floors), 2)}"
    return f" on dev ({number(own.damage, 2)} on {found.part}, the floors {spread})"


def _why_not(found: Evaluation, method: str) -> str:
    """Why no p-value stands beside a gain."""
    if len(found.protocol.seeds) < 2:
        return "this is one deal of the rows only; more seeds say whether it holds"
    whole = [found.whole(name, found.protocol.damages[0]) for name in (method, *FLOORS)]
    if any(o is None or o.n_seeds < len(found.protocol.seeds) for o in whole):
        return "some seeds gave no result"
    return "its damage, or a floor's, did not come near the one that was allowed on dev"


def _contrasts(found: Evaluation) -> Iterator[str]:
    for row in found.contrasts:
        shown, at = _shown(row.difference), _unlike(found, row)
        if row.difference.value is None:
            yield f"{row.first} against {row.second}: {missing(row.difference.reason)}."
        elif row.p_holm is None:
            yield f"{row.first} against {row.second}: {shown}; one seed, or seeds that gave nothing, decide nothing."
        elif row.p_holm <= SURE:
            better, worse = (row.first, row.second) if row.difference.value > 0 else (row.second, row.first)
            yield f"{better} does better than {worse}{at}: {shown}, p = {number(row.p_holm, 2)}."
        else:
            yield f"{row.first} and {row.second} are not told apart{at}: {shown}, p = {number(row.p_holm, 2)}."


def _unlike(found: Evaluation, row: Contrast) -> str:
    """The two damages, where one of them cannot be set."""
    both = [found.whole(name, found.protocol.damages[0]) for name in (row.first, row.second)]
    if all(o is not None and o.budget is not None for o in both):
        return ""
    shown = [number(o.damage, 2) for o in both if o is not None and o.damage is not None]
    return f" at unlike damages ({' and '.join(shown)})" if len(shown) == len(both) else ""


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


def _has_strength(found: Evaluation, method: str) -> bool:
    """Unless it was measured without one: what gave nothing at all counts as if it had."""
    return not any(o.contender == method and o.budget is None and o.failed is None for o in found.overall)


def _gain(found: Evaluation, method: str, place: str) -> Estimate | None:
    """Of what has a strength, at the first damage."""
    budget = found.protocol.damages[0]
    if place == OVERALL:
        whole = found.whole(method, budget)
        return whole.gain if whole is not None and whole.budget is not None else None
    row = found.row(method, place, found.protocol.task(place).figure, budget)
    return row.gain if row is not None and row.budget is not None else None


def _p(found: Evaluation, method: str, place: str, budget: float) -> float | None:
    row = (
        found.whole(method, budget)
        if place == OVERALL
        else found.row(method, place, found.protocol.task(place).figure, budget)
    )
    return None if row is None else row.p_above


def _shown(e: Estimate) -> str:
    return missing(e.reason) if e.value is None else ("+" if e.value > 0 else "") + spread(e.value, e.low, e.high)
