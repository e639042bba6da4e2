"""Which texts are the same or nearly so, and how duplicates are dropped."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle, islice

import numpy as np
from numpy.typing import NDArray

from trimtab.behaviors.behavior import Behavior, Example
from trimtab.behaviors.likeness import ALIKE_PAIRS, ALIKE_TEXTS, near_duplicates
from trimtab.behaviors.matching import n_rows, rematch
from trimtab.behaviors.words import pieces
from trimtab.errors import InputError
from trimtab.phrases import Phrase

_MIN_WORDS = 3  # answers with fewer words are too short to be compared


def normalise(text: str) -> str:
    """The text in lower case, without outer punctuation, and with single spaces.

    A text of punctuation only keeps it, so that `!` and `?` stay two texts.

    Example:
        >>> from trimtab.behaviors import normalise
        >>> normalise(" Well,  WELL! "), normalise("?")
        ('well, well', '?')
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

    Natural pairs: rows that repeat the prompt and both answers; the first one stays. Random pairs of bare
    statements: all texts that are in both classes, and texts that stand in more rows than others of their class.
    Statements that lose their partner are matched with each other, those left over with texts that are used again
    (see `matched`). Rows with an explicit group are never taken apart: they are dropped as a whole.

    Returns:
        the behavior, and how many rows (random pairs of statements: texts) were dropped.

    Raises:
        InputError: nothing is left.

    Example:
        >>> import trimtab as tt
        >>> from trimtab.behaviors import deduplicate
        >>> texts = [("Tea?", " Yes.", " No."), ("tea?", " yes", " no"), ("Jam?", " Yes.", " No.")]
        >>> rows = [tt.Example(*row) for row in texts]
        >>> behavior, dropped = deduplicate(tt.Behavior("agreement", rows))
        >>> len(behavior.examples), dropped
        (2, 1)
    """
    random = behavior.pairing == "random" and behavior.bare
    kept = _distinct_texts(behavior.examples) if random else _distinct_rows(behavior.examples)
    n = (_texts(behavior.examples) - _texts(kept)).total() if random else len(behavior.examples) - len(kept)
    if not kept:
        raise InputError(
            f"behavior {behavior.name!r} has no examples left without duplicates: every text is in both classes"
        )
    if not n:
        return behavior, 0
    note = Phrase("{n} texts dropped as duplicates", n=n) if random else Phrase("{n} rows dropped as duplicates", n=n)
    return replace(behavior, examples=tuple(kept), notes=(*behavior.notes, note)), n


def _distinct_rows(examples: Sequence[Example]) -> list[Example]:
    first: dict[tuple[str, str, str], Example] = {}
    for e in examples:
        first.setdefault((normalise(e.prompt), normalise(e.positive), normalise(e.negative)), e)
    return list(first.values())


def _distinct_texts(examples: Sequence[Example]) -> Sequence[Example]:
    positive = [normalise(e.positive) for e in examples]
    negative = [normalise(e.negative) for e in examples]
    in_both = set(positive) & set(negative)
    n = n_rows(len({*positive} - in_both), len({*negative} - in_both))
    if not in_both and n == len(examples) and _evenly(positive) and _evenly(negative):
        return examples  # texts repeat because the other list is longer
    fresh_p, fresh_n = _fresh(positive, in_both), _fresh(negative, in_both)
    kept: list[Example] = []
    positive_rest: list[Example] = []
    negative_rest: list[Example] = []
    for i, e in enumerate(examples):
        if fresh_p[i] and fresh_n[i]:
            kept.append(e)
        elif fresh_p[i] and not e.group:
            positive_rest.append(e)
        elif fresh_n[i] and not e.group:
            negative_rest.append(e)
    # Surviving pairs stay as they were; texts that lost their partner are matched anew, then with texts used again.
    anew = min(len(positive_rest), len(negative_rest))
    rematched = [rematch(p, q) for p, q in zip(positive_rest, negative_rest, strict=False)]
    again = [e for e in kept if not e.group] + rematched
    more = min(n - len(kept) - anew, abs(len(positive_rest) - len(negative_rest))) if again else 0
    left_p, left_q = positive_rest[anew:] or again, negative_rest[anew:] or again
    rematched += [rematch(p, q) for p, q in zip(islice(cycle(left_p), more), islice(cycle(left_q), more), strict=True)]
    return kept + rematched


def _evenly(texts: Sequence[str]) -> bool:
    """Whether each of the texts is there about as often as the others."""
    times = Counter(texts)
    return max(times.values()) <= -(-len(texts) // len(times))


def _texts(examples: Sequence[Example]) -> Counter[tuple[str, str]]:
    """How many rows each text is in, by its side."""
    return Counter((side, normalise(text)) for e in examples for side, text in (("+", e.positive), ("-", e.negative)))


def _fresh(texts: Sequence[str], excluded: set[str]) -> list[bool]:
    """Which texts are the first of their kind and not excluded."""
    earlier = set(excluded)
    fresh = []
    for text in texts:
        fresh.append(text not in earlier)
        earlier.add(text)
    return fresh


def frame_of(behavior: Behavior) -> str | None:
    """The normalised prompt of more than half of the rows, which is a frame and no question; None if there is none."""
    prompts = Counter(normalise(e.prompt) for e in behavior.examples)
    common, times = prompts.most_common(1)[0]
    return common if behavior.bare or 2 * times > len(behavior.examples) > 1 else None


def resemblances(behavior: Behavior) -> list[NDArray[np.intp]]:
    """Clusters of rows that say nearly the same, one list for each way to compare rows: `[n]` first row of the cluster.

    Pairs resemble each other where both answers do (of three words or more), or where their prompts do (but for a
    prompt that frames most of the rows); texts of unpaired lists are compared within their list. See `near_duplicates`.
    """
    examples, clusterings = behavior.examples, []
    if behavior.pairing == "random" and behavior.bare:
        return [
            near_duplicates([pieces(text) for text in side], ALIKE_TEXTS)
            for side in ([e.positive for e in examples], [e.negative for e in examples])
        ]
    if behavior.answer_kind == "text":
        clusterings.append(near_duplicates([_answers(e) for e in examples], ALIKE_PAIRS))
    if not behavior.bare:
        frame = frame_of(behavior)
        prompts = [[] if normalise(e.prompt) == frame else pieces(e.prompt) for e in examples]
        clusterings.append(near_duplicates(prompts, ALIKE_TEXTS))
    return clusterings


def _answers(e: Example) -> list[str]:
    """The words that a pair of answers is compared by; none if one is as short as a label."""
    plus, minus = pieces(e.positive), pieces(e.negative)
    if min(len(plus), len(minus)) < _MIN_WORDS:
        return []
    return [f"+{p}" for p in plus] + [f"-{p}" for p in minus]


def aligned(behavior: Behavior) -> Behavior:
    """Unpaired lists matched so that near-duplicates of one list meet as few clusters of the other as possible.

    The matching of such lists is arbitrary, but rows are what is split and resampled: a cluster of ten texts is matched
    with ten texts that resemble no others, or only each other, so that it becomes one cluster of ten rows. Sets without
    near-duplicates, and rows with a group, stay as they are.
    """
    if behavior.pairing != "random" or not behavior.bare or any(e.group for e in behavior.examples):
        return behavior
    sides = [_by_cluster(first) for first in resemblances(behavior)]
    if all(len(cluster) == 1 for side in sides for cluster in side):
        return behavior
    positive_leads = len(sides[0][0]) >= len(sides[1][0])  # the list with the larger clusters leads
    places = _matched(*sides) if positive_leads else _matched(*sides[::-1])[::-1]
    examples = behavior.examples
    rows = [rematch(examples[i], examples[j]) for i, j in zip(*places, strict=True)]
    return replace(behavior, examples=tuple(rows))


def _by_cluster(first: NDArray[np.intp]) -> list[list[int]]:
    """The places of each cluster, the largest cluster first."""
    members: dict[int, list[int]] = {}
    for place, cluster in enumerate(first.tolist()):
        members.setdefault(cluster, []).append(place)
    return sorted(members.values(), key=len, reverse=True)


def _matched(lead: Sequence[list[int]], other: Sequence[list[int]]) -> tuple[list[int], list[int]]:
    """Places of the leading list by cluster, and beside them whole clusters of the other as far as these fit."""
    waiting: dict[int, list[list[int]]] = {}
    for cluster in other:
        waiting.setdefault(len(cluster), []).append(cluster)
    lead_places: list[int] = []
    other_places: list[int] = []
    for cluster in lead:
        lead_places += cluster
        while len(other_places) < len(lead_places):
            room = len(lead_places) - len(other_places)
            size = max((s for s in waiting if s <= room), default=min(waiting))
            other_places += waiting[size].pop()
            if not waiting[size]:
                del waiting[size]
    return lead_places, other_places
