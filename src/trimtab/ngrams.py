"""How often a text repeats its words.

A word is a run of letters and digits, a single sign of Chinese or Japanese, or a single mark, without case. Sources:
Welleck et al. 2019 (1908.04319, share of repeated n-grams), Li et al. 2016 (1510.03055, distinct-n).
"""

import re

from trimtab.errors import InputError

_SIGN = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"  # kana and Han, which are written without spaces
_WORD = re.compile(rf"[{_SIGN}]|(?:(?![{_SIGN}])\w)+|[^\w\s]")


def words(text: str) -> list[str]:
    """The words and marks of a text, casefolded.

    Example:
        >>> from trimtab.evaluation import words
        >>> words("It's fine, really.")
        ['it', "'", 's', 'fine', ',', 'really', '.']
    """
    return _WORD.findall(text.casefold())


def distinct(text: str, n: int) -> float:
    """Different n-grams of words over all of them (distinct-n): 1 where none repeats; NaN below n words.

    Raises:
        InputError: n below 1.

    Example:
        >>> from trimtab.evaluation import distinct
        >>> distinct("the cat and the cat", 2)  # the cat, cat and, and the, the cat
        0.75
    """
    if n < 1:
        raise InputError(f"n is {n}; an n-gram has at least 1 word")
    tokens = words(text)
    grams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    return len(set(grams)) / len(grams) if grams else float("nan")


def repeated(text: str, n: int) -> float:
    """Share of n-grams of words that occur earlier in the text (rep-n): 1 − distinct-n; NaN below n words.

    Example:
        >>> from trimtab.evaluation import repeated
        >>> repeated("the cat and the cat", 2)
        0.25
    """
    return 1.0 - distinct(text, n)
