"""Remedies in rows: what each is, how it did on dev, and why it was not taken."""

from dataclasses import dataclass
from typing import Final

from trimtab.phrases import Phrase, with_commas
from trimtab.results.advice import Advice, AdvisedRequirement, Attempt
from trimtab.results.numbers import given, interval, level, number, share
from trimtab.results.report import IN_WORDS

SHORT = {
    "mean steering effect": Phrase("effect"),
    "share of anti-steerable examples": Phrase("pushed the wrong way"),
    "desired answers become likelier (Δ+)": Phrase("Δ+"),
    "divergence on neutral text (KL)": Phrase("KL, neutral text"),
    "divergence on other prompts (KL)": Phrase("KL, other prompts"),
}
"""Columns: requirements that every remedy has."""


NARROW: Final = {
    Phrase("KL, neutral text"): Phrase("KL\nneutral text"), Phrase("KL, other prompts"): Phrase("KL\nother prompts")
}  # fmt: skip
"""The same over two lines."""


@dataclass(frozen=True)
class Row:
    """A remedy in a table.

    Args:
        attempt: the remedy.
        chosen: whether it was checked.
        figures: by short name of the requirement the value, its interval and whether it holds; missing ones are not
            measured.
        outcome: in words.
    """

    attempt: Attempt
    chosen: bool
    figures: dict[Phrase, tuple[str, str, bool | None]]
    outcome: Phrase


def rows(advice: Advice) -> list[Row]:
    """Of all remedies, in the order of their price."""
    found = []
    for attempt in advice.attempts:
        figures = {SHORT[r.name]: (_value(r), _ends(r), r.holds) for r in attempt.requirements if r.name in SHORT}
        chosen = attempt.name == advice.chosen
        found.append(Row(attempt, chosen, figures, attempt.reason or _outcome(attempt, chosen)))
    return found


def _outcome(attempt: Attempt, chosen: bool) -> Phrase:
    failed, open_ = ([SHORT.get(name, name) for name in names] for names in (attempt.failed, attempt.undecided))
    said = Phrase("holds")
    if failed:
        said = Phrase("fails: {requirements}", requirements=with_commas(failed))
    elif open_:
        said = Phrase("undecided: {requirements}", requirements=with_commas(open_))
    if attempt.acts is not None and attempt.acts.value is not None:
        said = Phrase("{outcome}, acts on {share}", outcome=said, share=share(attempt.acts.value))
    return Phrase("{outcome}; checked", outcome=said) if chosen else said


def _value(r: AdvisedRequirement) -> str:
    value = r.figure.value
    return share(value) if r.unit == "share" and value is not None else number(value)


def _ends(r: AdvisedRequirement) -> str:
    low, high = r.figure.low, r.figure.high
    if low is None or high is None:
        return Phrase("no interval")
    return interval(100 * low, 100 * high) if r.unit == "share" else interval(low, high)


def bounds(advice: Advice) -> dict[Phrase, Phrase]:
    """By short name of a requirement what it needs."""
    found: dict[Phrase, Phrase] = {}
    for attempt in advice.attempts:
        for r in attempt.requirements:
            if r.name in SHORT:
                bound = level(r.threshold) if r.unit == "share" else given(r.threshold)
                found[SHORT[r.name]] = Phrase(
                    "{sign} {bound}", sign=">" if r.direction == "above" else "<", bound=bound
                )
    return found


def headline(advice: Advice) -> Phrase:
    """What came of it, in one sentence."""
    if advice.decision is None:
        return Phrase("Nothing could be made.")
    if advice.decision in ("go", "caution"):
        return Phrase(
            "{remedy}: {decision} on examples that nothing was chosen by.",
            remedy=advice.chosen or "", decision=IN_WORDS[advice.decision],
        )  # fmt: skip
    tried = sum(a.margin is not None for a in advice.attempts)
    return Phrase(
        "Nothing that was tried holds: the best of {n}, {remedy}, is {decision}.",
        n=tried, remedy=advice.chosen or "", decision=IN_WORDS[advice.decision],
    )  # fmt: skip
