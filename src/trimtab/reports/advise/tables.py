"""Remedies in rows: what each is, how it did on dev, and why it was not taken."""

from dataclasses import dataclass

from trimtab.results.advice import Advice, AdvisedRequirement, Attempt
from trimtab.results.numbers import given, interval, level, number, share

SHORT = {
    "mean steering effect": "effect",
    "share of anti-steerable examples": "pushed the wrong way",
    "desired answers become likelier (Δ+)": "Δ+",
    "divergence on neutral text (KL)": "KL, neutral text",
    "divergence on other prompts (KL)": "KL, other prompts",
}
"""Columns: requirements that every remedy has."""


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
    figures: dict[str, tuple[str, str, bool | None]]
    outcome: str


def rows(advice: Advice) -> list[Row]:
    """Of all remedies, in the order of their price."""
    found = []
    for attempt in advice.attempts:
        figures = {SHORT[r.name]: (_value(r), _ends(r), r.holds) for r in attempt.requirements if r.name in SHORT}
        chosen = attempt.name == advice.chosen
        found.append(Row(attempt, chosen, figures, attempt.reason or _outcome(attempt, chosen)))
    return found


def _outcome(attempt: Attempt, chosen: bool) -> str:
    failed, open_ = ([SHORT.get(name, name) for name in names] for names in (attempt.failed, attempt.undecided))
    said = f"fails: {', '.join(failed)}" if failed else f"undecided: {', '.join(open_)}" if open_ else "holds"
    acts = "" if attempt.acts is None or attempt.acts.value is None else f", acts on {share(attempt.acts.value)}"
    return f"{said}{acts}{'; checked' if chosen else ''}"


def _value(r: AdvisedRequirement) -> str:
    value = r.figure.value
    return share(value) if r.unit == "share" and value is not None else number(value)


def _ends(r: AdvisedRequirement) -> str:
    low, high = r.figure.low, r.figure.high
    if low is None or high is None:
        return "no interval"
    return interval(100 * low, 100 * high) if r.unit == "share" else interval(low, high)


def bounds(advice: Advice) -> dict[str, str]:
    """By short name of a requirement what it needs."""
    found = {}
    for attempt in advice.attempts:
        for r in attempt.requirements:
            if r.name in SHORT:
                bound = level(r.threshold) if r.unit == "share" else given(r.threshold)
                found[SHORT[r.name]] = f"{'>' if r.direction == 'above' else '<'} {bound}"
    return found


def headline(advice: Advice) -> str:
    """What came of it, in one sentence."""
    if advice.decision is None:
        return "Nothing could be made."
    if advice.decision in ("go", "caution"):
        return f"{advice.chosen}: {advice.decision} on examples that nothing was chosen by."
    tried = sum(a.margin is not None for a in advice.attempts)
    return f"Nothing that was tried holds: the best of {tried}, {advice.chosen}, is {advice.decision}."
