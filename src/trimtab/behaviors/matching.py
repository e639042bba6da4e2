"""Two lists of texts as rows: texts of the shorter list stand in several rows, so that those of the longer are used."""

from collections.abc import Iterator, Sequence
from itertools import cycle, islice

from trimtab.behaviors.behavior import Example
from trimtab.errors import InputError
from trimtab.phrases import Phrase

Text = tuple[str, str]  # and its source

MAX_ROWS_PER_TEXT = 4  # with 4 texts to 1 a mean difference has 1.25 times the variance that any number would leave


def matched(file: str, positive: Sequence[Text], negative: Sequence[Text]) -> tuple[list[Example], list[Phrase]]:
    """Two lists of texts, matched in the order of the file, and a note if they differ in length.

    The texts of the shorter list are used again, in their order, each about as often as the others and at most
    `MAX_ROWS_PER_TEXT` times.

    Raises:
        InputError: an empty list.
    """
    for side, other, texts in (("positive", "negative", positive), ("negative", "positive", negative)):
        if not texts:
            raise InputError(
                f"{file}: no {side} texts; a behavior needs both classes: add rows of the other label, or take the "
                f"{side} ones from a file of their own (a folder with {side}.txt and {other}.txt is read too)"
            )
    n = n_rows(len(positive), len(negative))
    examples = [
        Example("", p, q, source=f"{at_p} + {at_q}")
        for (p, at_p), (q, at_q) in zip(islice(cycle(positive), n), islice(cycle(negative), n), strict=True)
    ]
    return examples, list(_about_lengths(len(positive), len(negative)))


def n_rows(n_positive: int, n_negative: int) -> int:
    """How many rows two lists of texts make."""
    shorter, longer = sorted((n_positive, n_negative))
    return min(longer, MAX_ROWS_PER_TEXT * shorter)


def rematch(p: Example, q: Example) -> Example:
    """The positive text of one row with the negative text of another."""
    source = f"{p.source.split(' + ')[0]} + {q.source.split(' + ')[-1]}" if p.source and q.source else ""
    return Example("", p.positive, q.negative, source=source)


def _about_lengths(n_positive: int, n_negative: int) -> Iterator[Phrase]:
    if n_positive == n_negative:
        return
    shorter, longer = sorted((n_positive, n_negative))
    positive, negative = Phrase("positive"), Phrase("negative")
    fewer, more = (negative, positive) if n_positive > n_negative else (positive, negative)
    n = n_rows(n_positive, n_negative)
    yield Phrase(
        "{shorter} {fewer} and {n} {more} texts: each {fewer} one stands in up to {times} rows, which are kept in one "
        "part and count once",
        shorter=shorter, fewer=fewer, n=n, more=more, times=-(-n // shorter),
    )  # fmt: skip
    if n < longer:
        yield Phrase(
            "{unused} of {longer} {more} texts unused: more than {most} to one of the other side would hardly narrow "
            "an interval; add {fewer} ones",
            unused=longer - n, longer=longer, more=more, most=MAX_ROWS_PER_TEXT, fewer=fewer,
        )  # fmt: skip
