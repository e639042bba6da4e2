"""Blocking reservations: what in the examples keeps a success from counting, and what to change about it."""

from collections.abc import Collection, Sequence

from trimtab.behaviors import Finding
from trimtab.decimals import decimals
from trimtab.phrases import Phrase, with_commas
from trimtab.results.consequences import Direction
from trimtab.results.figures import Estimate
from trimtab.results.numbers import NO_REASON, number
from trimtab.results.report import Wording

# Findings of lint that disqualify a set.
DISQUALIFYING = frozenset({"one-sided", "one-sentence"})
# Below this cosine two halves of the examples have directions of their own; half of random halves' is far above it.
MIXTURE = 0.3
# Outside of these AUROCs length alone separates the sides.
ALL_LENGTH = (0.1, 0.9)
_LENGTHS = frozenset({"length-words", "length-characters"})


def of_lint(findings: Sequence[Finding]) -> list[Phrase]:
    """Findings that disqualify."""
    return [Phrase("{code}: {message}", code=f.code, message=f.message) for f in findings if f.code in DISQUALIFYING]


def of_wording(result: Wording, min_effect: float) -> list[Phrase]:
    """One word, or a few, that carry the effect: without them too little of it is left."""
    left = result.without
    if not result.words or (left.low is not None and left.low > min_effect):
        return []
    words, one = named(result), len(result.words) == 1
    if left.value is not None:
        effect = _spread(left)
        what = (
            Phrase("without it in the answers the effect is {effect}", effect=effect)
            if one
            else Phrase("without them in the answers the effect is {effect}", effect=effect)
        )
    else:
        why = left.reason or NO_REASON
        what = (
            Phrase("without it there is nothing to measure: {why}", why=why)
            if one
            else Phrase("without them there is nothing to measure: {why}", why=why)
        )
    return [
        Phrase(
            "steers toward {words}: {what}; give answers that show the behavior in other words too",
            words=words,
            what=what,
        )
    ]


def named(result: Wording) -> Phrase:
    """The words, for a sentence."""
    quoted = [Phrase("“{word}”", word=word) for word in list(result.words)[:4]]
    words, more = with_commas(quoted), len(result.words) - len(quoted)
    if more:
        return Phrase("the words {words} and {more} more", words=words, more=more)
    return Phrase("the words {words}", words=words) if len(quoted) > 1 else Phrase("the word {word}", word=words)


def of_length(auroc: Estimate, matched: Estimate, expected: Collection[str]) -> list[Phrase]:
    """Lengths that separate the sides almost entirely, with no effect where the answers are equally long."""
    low, high = ALL_LENGTH
    if auroc.value is None or low < auroc.value < high or _LENGTHS & set(expected):
        return []
    if matched.low is not None and matched.low > 0:
        return []
    why = matched.reason or NO_REASON
    what = (
        Phrase("on pairs of equal length the effect is {effect}", effect=_spread(matched))
        if matched.value is not None
        else Phrase("the effect on pairs of equal length is not measured ({why})", why=why)
    )
    longer = Phrase("longer") if auroc.value > 0.5 else Phrase("shorter")
    return [
        Phrase(
            "length alone tells the two sides apart (AUROC {value}: the desired answers are {longer}), "
            "and {what}; give pairs of about equal length, or say in the file's header that length is "
            "the behavior (“expected”: [“length-words”])",
            value=number(auroc.value),
            longer=longer,
            what=what,
        )
    ]


def of_mixture(tests: Direction) -> list[Phrase]:
    """Two behaviors in one set: halves that differ in subject have directions that hardly agree."""
    if tests.halves_cosine is None or tests.halves_p_value is None:
        return []
    if tests.halves_p_value >= 0.05 or tests.halves_cosine >= MIXTURE:
        return []
    found = Phrase(
        "the examples seem to hold two behaviors: two groups of them, which differ in subject, have vectors at a "
        "cosine of {cosine} (random groups {expected}, p = {p}); split the file and check each part",
        cosine=decimals(tests.halves_cosine),
        expected=decimals(tests.halves_expected),
        p=f"{tests.halves_p_value:.2g}",
    )
    if not tests.halves:
        return [found]
    shown = "; ".join(" · ".join(f"“{text}”" for text in half) for half in tests.halves)
    return [Phrase("{found}. The groups: {groups}", found=found, groups=shown)]


def _spread(e: Estimate) -> str:
    return f"{number(e.value or 0.0)} [{number(e.low or 0.0)}, {number(e.high or 0.0)}]"
