"""Which texts repeat, resemble each other, or begin and end alike."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")

_ALIKE = 0.8  # Jaccard index of two token sets
_CHUNK = 256  # texts compared at a time, so that memory stays at 256 x n


def repeats(keys: Sequence[str]) -> list[int]:
    """The places of the keys that stood earlier in the list."""
    first: dict[str, int] = {}
    return [i for i, key in enumerate(keys) if first.setdefault(key, i) != i]


def alike(texts: Sequence[str]) -> list[int]:
    """The places of the texts whose set of words has a Jaccard index of at least 0.8 with another text's."""
    from sklearn.feature_extraction.text import CountVectorizer

    if not any(letter.isalnum() for text in texts for letter in text):
        return []
    counter = CountVectorizer(binary=True, token_pattern=r"(?u)\w+", dtype=np.int32)  # noqa: S106 (no password)
    words = counter.fit_transform(texts)  # (n, vocabulary), sparse
    size = np.asarray(words.sum(axis=1)).ravel()  # (n,)
    found: list[int] = []
    for start in range(0, len(texts), _CHUNK):
        common = (words[start : start + _CHUNK] @ words.T).toarray()  # (chunk, n)
        union = size[start : start + _CHUNK, None] + size[None, :] - common
        close = (common >= _ALIKE * union) & (union > 0)
        own = np.arange(close.shape[0])
        close[own, start + own] = False
        found += [start + int(k) for k in np.flatnonzero(close.any(axis=1))]
    return found


def common_opening(texts: Sequence[Sequence[T]]) -> Sequence[T]:
    """What all texts (or lists of words) begin with."""
    shortest = min(texts, key=len)
    for k, piece in enumerate(shortest):
        if any(text[k] != piece for text in texts):
            return shortest[:k]
    return shortest


def without_frame(texts: Sequence[str]) -> list[str]:
    """The texts without what all of them begin and end with; as they are if all are equal."""
    if len(set(texts)) <= 1:
        return list(texts)
    start = len(common_opening(texts))
    cut = [text[start:] for text in texts]
    end = len(common_opening([text[::-1] for text in cut]))
    return [text[: len(text) - end] for text in cut]
