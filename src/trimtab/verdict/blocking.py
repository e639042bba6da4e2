"""Blocking reservations: what in the examples keeps a success from counting, and what to change about it."""

from collections.abc import Collection, Sequence

from trimtab.behaviors import Finding
from trimtab.decimals import decimals
from trimtab.results.consequences import Direction
from trimtab.results.figures import Estimate
from trimtab.results.numbers import number
from trimtab.results.report import Wording

# Findings of lint that disqualify a set.
DISQUALIFYING = frozenset({"one-sided", "one-sentence"})
# Below this cosine two halves of the examples have directions of their own; half of random halves' is far above it.
MIXTURE = 0.3
# Outside of these AUROCs length alone separates the sides.
ALL_LENGTH = (0.1, 0.9)
_LENGTHS = frozenset({"length-words", "length-characters"})


def of_lint(findings: Sequence[Finding]) -> list[str]:
    """Findings that disqualify."""
    return [f"{f.code}: {f.message}" for f in findings if f.code in DISQUALIFYING]


def of_wording(result: Wording, min_effect: float) -> list[str]:
    """One word, or a few, that carry the effect: without them too little of it is left."""
    left = result.without
    if not result.words or (left.low is not None and left.low > min_effect):
        return []
    words = named(result)
    what = (
        f"without {'it' if len(result.words) == 1 else 'them'} in the answers the effect is {_spread(left)}"
        if left.value is not None
        else f"without {'it' if len(result.words) == 1 else 'them'} there is nothing to measure: {left.reason}"
    )
    return [f"steers toward {words}: {what}; give answers that show the behavior in other words too"]


def named(result: Wording) -> str:
    """The words, for a sentence."""
    shown = [f"“{word}”" for word in list(result.words)[:4]]
    more = len(result.words) - len(shown)
    return f"the word{'s' if len(result.words) > 1 else ''} {', '.join(shown)}{f' and {more} more' if more else ''}"


def of_length(auroc: Estimate, matched: Estimate, expected: Collection[str]) -> list[str]:
    """Lengths that separate the sides almost entirely, with no effect where the answers are equally long."""
    low, high = ALL_LENGTH
    if auroc.value is None or low < auroc.value < high or _LENGTHS & set(expected):
        return []
    if matched.low is not None and matched.low > 0:
        return []
    what = (
        f"on pairs of equal length the effect is {_spread(matched)}"
        if matched.value is not None
        else f"the effect on pairs of equal length is not measured ({matched.reason})"
    )
    longer = "longer" if auroc.value > 0.5 else "shorter"
    return [
        f"length alone tells the two sides apart (AUROC {number(auroc.value)}: the desired answers are {longer}), and "
        f"{what}; give pairs of about equal length, or say in the file's header that length is the behavior "
        "(“expected”: [“length-words”])"
    ]


def of_mixture(tests: Direction) -> list[str]:
    """Two behaviors in one set: halves that differ in subject have directions that hardly agree."""
    if tests.halves_cosine is None or tests.halves_p_value is None:
        return []
    if tests.halves_p_value >= 0.05 or tests.halves_cosine >= MIXTURE:
        return []
    shown = "; ".join(" · ".join(f"“{text}”" for text in half) for half in tests.halves or ())
    return [
        "the examples seem to hold two behaviors: two groups of them, which differ in subject, have vectors "
        f"at a cosine of {decimals(tests.halves_cosine)} (random groups {decimals(tests.halves_expected)}, p = "
        f"{tests.halves_p_value:.2g}); split the file and check each part" + (f". The groups: {shown}" if shown else "")
    ]


def _spread(e: Estimate) -> str:
    return f"{number(e.value or 0.0)} [{number(e.low or 0.0)}, {number(e.high or 0.0)}]"
