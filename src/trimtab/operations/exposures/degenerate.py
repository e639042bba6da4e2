"""Whether an answer has broken down: it is empty, nothing but gaps, one sign without end, or the same words again.

A rule, not a model. Its numbers were set between what the embedded model writes at eight times a steering's strength,
line breaks without end and "several several two several several two", and plain prose, lists, poems, tables, code and
Japanese, which stay clear of them (held by a test). It sees that a text has stopped being one; text that is wrong,
dull or off the question passes.
"""

import re
from typing import Final

import numpy as np

from trimtab.ngrams import words

_LINES: Final = 6  # breaks in one gap; a letter leaves four for its signature
_BLANKS: Final = 200  # characters of one gap; the cells of a wide table are padded by less
_GAP: Final = re.compile(rf"\s{{{_LINES},}}")
_SIGN_RUN: Final = re.compile(r"([^\W\d_]|[!?,;:'\"。、！？\ufffd])\1{19,}")  # signs of which nobody draws a line
_SPACED: Final = re.compile(r"(?:(?![\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff])[^\W\d_])+(?:['’][^\W\d_]+)*")
_WINDOW: Final = 16  # words
_STUTTERS: Final = 7  # of them that repeat one of the two before; of plain text it is 4 at most
_PERIOD: Final = 40  # words and marks of a block that comes again
_COPIES: Final = 4  # of it, one after the other
_LOOP: Final = 20  # words and marks that they cover at least
_WORDS: Final = 3  # different ones of a block: cells of a table and zeros of an array may well be the same


def is_degenerate(answer: str) -> bool:
    """Whether an answer has broken down, by the rule of this module: one of

    - no sign but blanks;
    - a gap of 6 line breaks or 200 blanks;
    - a letter or a mark of a sentence 20 times in a row;
    - of 16 words in a row, 7 that repeat one of the two words before them, with nothing but blanks between;
    - a block of at most 40 words and marks, 3 different words at least, 4 times in a row, 20 words and marks or more.
    """
    return (
        not answer.strip()
        or any(len(gap) >= _BLANKS or gap.count("\n") >= _LINES for gap in _GAP.findall(answer))
        or _SIGN_RUN.search(answer) is not None
        or _stutters(answer)
        or _loops(answer)
    )


def _stutters(answer: str) -> bool:
    """Words again at once, as in "the two the two the"; what marks or line breaks set apart may be cells or names."""
    text = answer.casefold()
    before: list[str] = []  # words that only blanks part from the next one
    repeats: list[bool] = []
    end = 0
    for found in _SPACED.finditer(text):
        if text[end : found.start()].strip(" \t"):
            before = []
        repeats.append(found.group() in before)
        before = [*before[-1:], found.group()]
        end = found.end()
    return any(sum(repeats[i : i + _WINDOW]) >= _STUTTERS for i in range(max(1, len(repeats) - _WINDOW + 1)))


def _loops(answer: str) -> bool:
    """A block of words that follows itself again and again."""
    tokens = words(answer)
    if len(tokens) < _LOOP:
        return False
    _, codes = np.unique(np.array(tokens, dtype=np.str_), return_inverse=True)
    for period in range(_WORDS, min(_PERIOD, len(codes) // _COPIES) + 1):
        wanted = max(_COPIES * period, _LOOP) - period  # words that equal the one a period before
        again = codes[period:] == codes[:-period]
        if np.count_nonzero(again) < wanted:
            continue
        edges = np.flatnonzero(np.diff(again, prepend=False, append=False))  # where runs of them begin and end
        for begin in edges[::2][edges[1::2] - edges[::2] >= wanted]:
            if len({token for token in tokens[begin : begin + period] if token.isalpha()}) >= _WORDS:
                return True
    return False
