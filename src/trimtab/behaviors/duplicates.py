"""When two texts are the same, and a behavior without rows that repeat."""

import unicodedata
from collections.abc import Sequence
from dataclasses import replace

from trimtab.behaviors.behavior import Behavior, Example
from trimtab.errors import InputError


def normalise(text: str) -> str:
    """The text without case, outer punctuation and differences of white space.

    A text of punctuation alone keeps it, so that `!` and `?` stay two texts.
    """
    folded = " ".join(text.casefold().split())
    start, end = 0, len(folded)
    while start < end and _outer(folded[start]):
        start += 1
    while end > start and _outer(folded[end - 1]):
        end -= 1
    return folded[start:end] or folded


def _outer(letter: str) -> bool:
    return letter.isspace() or unicodedata.category(letter).startswith("P")


def deduplicate(behavior: Behavior) -> tuple[Behavior, int]:
    """The behavior without exact duplicates (after `normalise`).

    Natural pairs: rows that repeat prompt and both answers; the first one stays. Random pairs of bare
    statements: texts that repeat within a class, and all texts that stand in both classes. The
    statements whose partner went are matched with each other, and those without a partner go too.
    Rows with an explicit group are never taken apart: they go as a whole.

    Returns:
        the behavior, and how many rows (random pairs of statements: texts) were dropped.

    Raises:
        InputError: nothing is left.
    """
    random = behavior.pairing == "random" and behavior.bare
    kept = _distinct_texts(behavior.examples) if random else _distinct_rows(behavior.examples)
    n = (len(behavior.examples) - len(kept)) * (2 if random else 1)
    if not kept:
        raise InputError(
            f"behavior {behavior.name!r} has no examples left without duplicates: every text stands in both classes"
        )
    if not n:
        return behavior, 0
    what = "texts" if random else "rows"
    note = f"{n} {what} dropped as duplicates" + (" or left without a partner by them" if random else "")
    return replace(behavior, examples=tuple(kept), notes=(*behavior.notes, note)), n


def _distinct_rows(examples: Sequence[Example]) -> list[Example]:
    first: dict[tuple[str, str, str], Example] = {}
    for e in examples:
        first.setdefault((normalise(e.prompt), normalise(e.positive), normalise(e.negative)), e)
    return list(first.values())


def _distinct_texts(examples: Sequence[Example]) -> list[Example]:
    positive = [normalise(e.positive) for e in examples]
    negative = [normalise(e.negative) for e in examples]
    both = set(positive) & set(negative)
    fresh_p, fresh_n = _fresh(positive, both), _fresh(negative, both)
    kept: list[Example] = []
    widows: list[Example] = []
    widowers: list[Example] = []
    for i, e in enumerate(examples):
        if fresh_p[i] and fresh_n[i]:
            kept.append(e)
        elif fresh_p[i] and not e.group:
            widows.append(e)
        elif fresh_n[i] and not e.group:
            widowers.append(e)
    # Surviving pairs stay as they were; only the texts they left behind are matched anew.
    return kept + [_rematch(p, q) for p, q in zip(widows, widowers, strict=False)]


def _fresh(texts: Sequence[str], excluded: set[str]) -> list[bool]:
    """Which texts are the first of their kind and not excluded."""
    seen = set(excluded)
    fresh = []
    for text in texts:
        fresh.append(text not in seen)
        seen.add(text)
    return fresh


def _rematch(p: Example, q: Example) -> Example:
    source = f"{p.source.split(' + ')[0]} + {q.source.split(' + ')[-1]}" if p.source and q.source else ""
    return Example("", p.positive, q.negative, source=source)
