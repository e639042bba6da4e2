"""What a comparison comes to, in sentences that a manager and a researcher can both act on."""

from collections.abc import Iterator, Mapping
from typing import Final

from trimtab.phrases import Phrase, with_and, with_commas
from trimtab.results.evaluation import (
    FLOORS,
    RANDOM,
    SHUFFLED,
    TEMPERATURE,
    UNSTEERED,
    Contrast,
    Evaluation,
)
from trimtab.results.figures import Estimate
from trimtab.results.numbers import given, missing, number, spread
from trimtab.statistics import holm_adjusted

SURE: Final = 0.05  # p-value after Holm's rule
OVERALL: Final = "over all tasks"
_KINDS: Final = {
    UNSTEERED: Phrase("unsteered"), TEMPERATURE: Phrase("temperature"), RANDOM: Phrase("random direction"),
    SHUFFLED: Phrase("shuffled labels"),
}  # fmt: skip
PARTS: Final = {"test": Phrase("test"), "lockbox": Phrase("lockbox")}


def statements(found: Evaluation) -> tuple[Phrase, ...]:
    """Who wins where, what is told apart from the floors, and what to do next; at the first damage."""
    return (
        *(_winner(found, place) for place in (OVERALL, *_fitted(found))),
        *_contrasts(found),
        *_without_strength(found),
        _next(found),
    )


def contender(name: str) -> str:
    """What stands beside the methods in words; a method by its name."""
    return _KINDS.get(name, name)


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


def _winner(found: Evaluation, place: str) -> Phrase:
    """Which method gains most, and whether that is more than a broken model's gain."""
    gains = {m: e for m in _methods(found) if (e := _gain(found, m, place)) is not None and e.value is not None}
    begin = Phrase("Over all tasks")
    if place != OVERALL:
        begin = Phrase("On {task} ({figure})", task=place, figure=found.protocol.task(place).figure)
    if not gains:
        return Phrase("{where}: no method with a strength could be measured.", where=begin)
    best = max(gains, key=lambda m: gains[m].value or 0.0)
    known = above_floors(found, place)
    sure = {m: p for m, p in known.items() if p <= SURE}
    head = Phrase(
        "{where}, {method} gains most at a damage of {damage}: {gain}",
        where=begin, method=best, damage=_came_to(found, best), gain=_shown(gains[best]),
    )  # fmt: skip
    if best not in known:
        return Phrase("{found}. Nothing is claimed of it: {why}.", found=head, why=_why_not(found, best))
    if best in sure:
        others, p = [m for m in sure if m != best], number(sure[best], 2)
        if others:
            return Phrase(
                "{found}, which is above every floor (p = {p}); so is {others}.",
                found=head, p=p, others=with_commas(others),
            )  # fmt: skip
        return Phrase("{found}, which is above every floor (p = {p}).", found=head, p=p)
    if sure:
        return Phrase(
            "{found}, not told apart from the floors; above them: {others}.", found=head, others=with_commas(list(sure))
        )
    lost = Phrase("that is a loss")
    if (gains[best].value or 0.0) > 0:
        lost = Phrase("that may be what any damage of this size brings")
    return Phrase("{found}. No method is told apart from the floors: {lost}.", found=head, lost=lost)


def _came_to(found: Evaluation, method: str) -> Phrase:
    """The damage that dev allowed, and what it came to on test beside that of the floors."""
    budget = found.protocol.damages[0]
    own = found.whole(method, budget)
    floors = [o.damage for f in FLOORS if (o := found.whole(f, budget)) is not None and o.damage is not None]
    if own is None or own.damage is None or not floors:
        return Phrase("{budget} nats per token", budget=given(budget))
    return Phrase(
        "{budget} nats per token on dev ({damage} on {part}, the floors {least} to {most})",
        budget=given(budget), damage=number(own.damage, 2), part=PARTS[found.part], least=number(min(floors), 2),
        most=number(max(floors), 2),
    )  # fmt: skip


def _why_not(found: Evaluation, method: str) -> Phrase:
    """Why no p-value stands beside a gain."""
    if len(found.protocol.seeds) < 2:
        return Phrase("this is one deal of the rows only; more seeds say whether it holds")
    whole = [found.whole(name, found.protocol.damages[0]) for name in (method, *FLOORS)]
    if any(o is None or o.n_seeds < len(found.protocol.seeds) for o in whole):
        return Phrase("some seeds gave no result")
    return Phrase("its damage, or a floor's, did not come near the one that was allowed on dev")


def _contrasts(found: Evaluation) -> Iterator[Phrase]:
    for row in found.contrasts:
        pair = {"first": contender(row.first), "second": contender(row.second)}
        shown = _shown(row.difference)
        if row.difference.value is None:
            yield Phrase("{first} against {second}: {missing}.", **pair, missing=missing(row.difference.reason))
        elif row.p_holm is None:
            yield Phrase(
                "{first} against {second}: {difference}; one seed, or seeds that gave nothing, decide nothing.",
                **pair, difference=shown,
            )  # fmt: skip
        else:
            figures = Phrase("{difference}, p = {p}", difference=shown, p=number(row.p_holm, 2))
            at, ahead = _unlike(found, row), pair
            if row.difference.value <= 0:
                ahead = {"first": pair["second"], "second": pair["first"]}
            if row.p_holm > SURE:
                yield (
                    Phrase("{first} and {second} are not told apart: {figures}.", **pair, figures=figures)
                    if at is None
                    else Phrase(
                        "{first} and {second} are not told apart at unlike damages ({damages}): {figures}.",
                        **pair, damages=at, figures=figures,
                    )
                )  # fmt: skip
            else:
                yield (
                    Phrase("{first} does better than {second}: {figures}.", **ahead, figures=figures)
                    if at is None
                    else Phrase(
                        "{first} does better than {second} at unlike damages ({damages}): {figures}.",
                        **ahead, damages=at, figures=figures,
                    )
                )  # fmt: skip


def _unlike(found: Evaluation, row: Contrast) -> Phrase | None:
    """The two damages, where one of them cannot be set."""
    both = [found.whole(name, found.protocol.damages[0]) for name in (row.first, row.second)]
    if all(o is not None and o.budget is not None for o in both):
        return None
    shown = [number(o.damage, 2) for o in both if o is not None and o.damage is not None]
    return with_and(shown) if len(shown) == len(both) else None


def _without_strength(found: Evaluation) -> Iterator[Phrase]:
    """Text in front of prompts has no strength, so no damage can be set."""
    for row in found.overall:
        if row.contender in _methods(found) and row.budget is None and row.gain.value is not None:
            gain: str = _shown(row.gain)
            if row.damage is not None:
                gain = Phrase("{gain} at its own damage of {damage}", gain=gain, damage=number(row.damage))
            yield Phrase(
                "{contender} has no strength to set: it gains {gain}. What text in front of a prompt moves is no "
                "damage as such, so no floor is set against it.",
                contender=row.contender, gain=gain,
            )  # fmt: skip


def _next(found: Evaluation) -> Phrase:
    sure = [m for m, p in above_floors(found, OVERALL).items() if p <= SURE]
    if sure:
        best = max(sure, key=lambda m: (_gain(found, m, OVERALL) or Estimate()).value or 0.0)
        return Phrase(
            "What to do next: check {method} by itself (trimtab check --steering), attribute by attribute, before any "
            "of it goes live; the steerings that were measured lie beside this page.",
            method=best,
        )
    return Phrase(
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
    if e.value is None:
        return missing(e.reason)
    figure = spread(e.value, e.low, e.high)
    return Phrase("+{figure}", figure=figure) if e.value > 0 else figure
