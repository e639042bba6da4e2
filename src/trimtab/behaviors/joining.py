"""The space between a prompt and its answer, for files that leave it to the reader."""

import unicodedata
from collections.abc import Sequence
from dataclasses import replace

from trimtab.behaviors.behavior import Example

_OPENING = frozenset("([{«‹“‘„‚¿¡")
_STRAIGHT = frozenset("\"'")


def joined(examples: Sequence[Example]) -> tuple[list[Example], list[str]]:
    """The examples with one space put before an answer where a writer would put one.

    That is where the prompt ends in neither white space nor an opening bracket or quotation mark,
    and the answer begins with a letter, a digit, or an opening bracket or quotation mark that is
    not East Asian wide (those scripts are written without spaces).

    Returns:
        the examples, and a note with the count (none if nothing was changed).
    """
    done = [
        replace(e, positive=_spaced(e.prompt, e.positive), negative=_spaced(e.prompt, e.negative)) for e in examples
    ]
    n = sum(new != old for new, old in zip(done, examples, strict=True))
    return done, [f"one space put between prompt and answer in {n} of {len(done)} rows"] if n else []


def _spaced(prompt: str, answer: str) -> str:
    if not prompt or prompt[-1].isspace() or _opens_at_end(prompt):
        return answer
    first = answer[0]
    starts = first.isalnum() or first in _OPENING or first in _STRAIGHT
    return " " + answer if starts and unicodedata.east_asian_width(first) not in "WF" else answer


def _opens_at_end(prompt: str) -> bool:
    """A straight quotation mark opens where nothing, white space or an opening bracket precedes it."""
    if prompt[-1] in _STRAIGHT:
        return len(prompt) == 1 or prompt[-2].isspace() or prompt[-2] in _OPENING
    return prompt[-1] in _OPENING or unicodedata.category(prompt[-1]) in ("Ps", "Pi")
