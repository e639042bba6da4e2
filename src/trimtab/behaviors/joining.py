"""Where a prompt ends and its answer begins, for files that leave it to the reader."""

import unicodedata
from collections.abc import Sequence
from dataclasses import replace

from trimtab.behaviors.behavior import Example
from trimtab.behaviors.words import count_words, words
from trimtab.errors import InputError
from trimtab.phrases import Phrase

_MIN_WORDS = 4  # of a prompt that no answer begins with by chance; in scripts without spaces, twice as many characters
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
    spaced = [
        replace(e, positive=_spaced(e.prompt, e.positive), negative=_spaced(e.prompt, e.negative)) for e in examples
    ]
    n = sum(new != old for new, old in zip(spaced, examples, strict=True))
    return spaced, [
        Phrase("one space put between prompt and answer in {n} of {rows} rows", n=n, rows=len(spaced))
    ] if n else []


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


def behind_prompts(examples: Sequence[Example]) -> tuple[list[Example], list[str]]:
    """The examples without the prompt at the start of their answers, where a file writes it into both.

    That is certain where both answers begin with it, word for word, in every row, or in a row whose
    prompt has at least four words (in scripts without spaces: eight characters).

    Returns:
        the examples, and a note with the count (none if nothing was changed).

    Raises:
        InputError: an answer that is its prompt and nothing else.
    """
    repeating = [
        bool(e.prompt.strip()) and all(_begins(a, e.prompt) for a in (e.positive, e.negative)) for e in examples
    ]
    every = all(repeating) and any(count_words(e.prompt) > 1 for e in examples)
    cut = [
        _without_prompt(e) if repeats and (every or _is_long(e.prompt)) else e
        for e, repeats in zip(examples, repeating, strict=True)
    ]
    n = sum(new is not old for new, old in zip(cut, examples, strict=True))
    return cut, [
        Phrase("in {n} of {rows} rows both answers repeat their prompt, and were cut after it", n=n, rows=len(cut))
    ] if n else []


def repeats_prompt(example: Example, answer: str) -> bool:
    """Whether an answer begins with the example's prompt, which is too long for that to be chance."""
    return _is_long(example.prompt) and _begins(answer, example.prompt)


def _is_long(prompt: str) -> bool:
    return len(prompt.split()) >= _MIN_WORDS or count_words(prompt) >= 2 * _MIN_WORDS


def _begins(answer: str, prompt: str) -> bool:
    """Whether the answer begins with the prompt, and a word does not go on across its end."""
    start, whole = answer.lstrip(), prompt.strip()
    after = start[len(whole) : len(whole) + 1]
    if not start.startswith(whole) or (after and unicodedata.category(after).startswith("M")):
        return False
    return not (whole[-1].isalnum() and after.isalnum() and len(words(whole[-1] + after)) == 1)


def _without_prompt(e: Example) -> Example:
    n = len(e.prompt.strip())
    positive, negative = (answer.lstrip()[n:] for answer in (e.positive, e.negative))
    if not positive.strip() or not negative.strip():
        raise InputError(f"{e.source}: an answer is its prompt and nothing else; write an answer or remove the row")
    return replace(e, positive=positive, negative=negative)
