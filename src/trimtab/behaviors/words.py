"""Words of a text in any script: what is counted, and what two texts are compared by."""

import unicodedata
from collections.abc import Iterator
from itertools import pairwise

# First letters of Unicode's character names: scripts that put no space between words, and Hangul, whose words carry
# endings that hide what they share.
_UNSPACED = ("CJK ", "HIRAGANA ", "KATAKANA ", "HANGUL ", "THAI ", "LAO ", "KHMER ", "MYANMAR ", "TIBETAN ")


def words(text: str) -> list[str]:
    """The words of a text, case folded, without punctuation; in scripts without spaces each character is one.

    Args:
        text: any; it is brought to Unicode's form NFKC first.
    """
    return [word for run, unspaced in _runs(text) for word in (run if unspaced else ["".join(run)])]


def count_words(text: str) -> int:
    """How many words a text has; punctuation that stands by itself counts, as a length in words does."""
    spaced = sum(1 for piece in text.split() if not any(map(_unspaced, piece)))
    return spaced + sum(
        len(word) if unspaced else 1
        for piece in text.split()
        if any(map(_unspaced, piece))
        for word, unspaced in _runs(piece)
    )


def pieces(text: str) -> list[str]:
    """What a text is compared by: its words, and in scripts without spaces its pairs of neighbouring characters."""
    result: list[str] = []
    for run, unspaced in _runs(text):
        result += [a + b for a, b in pairwise(run)] if unspaced and len(run) > 1 else ["".join(run)]
    return result


def _runs(text: str) -> Iterator[tuple[list[str], bool]]:
    """The letters of each stretch, a word or a run of a script without spaces, and which of the two it is."""
    letters: list[str] = []
    kind = False
    for letter in [*unicodedata.normalize("NFKC", text).casefold(), " "]:
        if letters and unicodedata.category(letter).startswith("M"):  # vowel signs and accents belong to their letter
            letters[-1] += letter
            continue
        inside = letter.isalnum() or letter == "_"
        unspaced = inside and _unspaced(letter)
        if letters and (not inside or unspaced != kind):
            yield letters, kind
            letters = []
        if inside:
            letters.append(letter)
            kind = unspaced


def _unspaced(letter: str) -> bool:
    return not letter.isascii() and unicodedata.name(letter, "").startswith(_UNSPACED)
