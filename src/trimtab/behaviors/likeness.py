"""Which texts repeat, resemble each other, or begin and end alike."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

MAX_COMPARED = 5_000  # texts compared with each other; more would take minutes
ALIKE_TEXTS, ALIKE_PAIRS = 0.6, 0.5  # weighted Jaccard index of two texts, of two pairs of answers
_RARE = 4  # a word that stands in at most one text of so many counts fully
_CHUNK = 256  # texts compared at a time, so that memory stays at 256 x n


def repeats(keys: Sequence[str]) -> list[int]:
    """The places of the keys that stood earlier in the list."""
    first: dict[str, int] = {}
    return [i for i, key in enumerate(keys) if first.setdefault(key, i) != i]


def near_duplicates(texts: Sequence[Sequence[str]], alike: float) -> NDArray[np.intp]:
    """Clusters of texts that resemble each other, directly or through a chain of others.

    Two texts are alike by the weighted Jaccard index of their words: the weight of the words that both have over the
    weight of those that either has. A word of every text weighs nothing, so that a frame around all texts makes
    none of them alike; from there the weight rises with log(texts / texts with the word) to 1 for a word that
    stands in a quarter of the texts or less.

    Args:
        texts: the words of each text (`trimtab.behaviors.words.pieces`); only the first 5,000 are compared.
        alike: least index of two texts that are alike, above 0.

    Returns:
        `[n]` for every text the place of the first text of its cluster.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(texts)
    first = np.arange(n)
    compared = texts[:MAX_COMPARED]
    if any(compared) and len(links := _alike(compared, alike)):
        graph = coo_array((np.ones(len(links), dtype=bool), (links[:, 0], links[:, 1])), shape=(n, n))
        labels = connected_components(graph, directed=False)[1]
        places = np.full(labels.max() + 1, n)
        np.minimum.at(places, labels, first)
        first = places[labels]
    return first


def _alike(texts: Sequence[Sequence[str]], alike: float) -> NDArray[np.intp]:
    """`[m, 2]` places of two texts each that are alike."""
    from sklearn.feature_extraction.text import CountVectorizer

    counts = CountVectorizer(binary=True, analyzer=list, dtype=np.float64).fit_transform(texts).tocsr()  # (n, words)
    n = counts.shape[0]
    n_texts = np.asarray(counts.sum(axis=0)).ravel()  # (words,)
    weight = np.minimum(1.0, np.log(n / n_texts) / np.log(_RARE))
    telling = weight > 0
    counts, weight = counts[:, telling], weight[telling]
    weighted = counts.multiply(weight).tocsr()
    size = np.asarray(weighted.sum(axis=1)).ravel()  # (n,)
    links = []
    for start in range(0, n, _CHUNK):
        common = (weighted[start : start + _CHUNK] @ counts.T).toarray()  # (chunk, n)
        union = size[start : start + _CHUNK, None] + size[None, :] - common
        rows, columns = np.nonzero((common >= alike * union - 1e-9) & (common > 0))
        later = columns > rows + start
        links.append(np.stack([rows[later] + start, columns[later]], axis=1))
    return np.concatenate(links)


def jaccard(a: Sequence[str], b: Sequence[str]) -> float:
    """Share of the different words of two texts that both have; 0 for texts without words."""
    either = len({*a} | {*b})
    return len({*a} & {*b}) / either if either else 0.0


def variants(texts: Sequence[Sequence[str]], alike: float) -> NDArray[np.bool_]:
    """Which texts are variants of one and the same sentence: the one that most others resemble.

    Every word counts alike, so that a sentence of all texts is seen too.

    Args:
        texts: the words of each text; the sentence is looked for among the first 5,000.
        alike: least Jaccard index of a text and the sentence.

    Returns:
        `[n]` True for the sentence and what resembles it.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    if not any(texts):
        return np.zeros(len(texts), dtype=bool)
    words = CountVectorizer(binary=True, analyzer=list, dtype=np.int32).fit_transform(texts).tocsr()
    size = np.asarray(words.sum(axis=1)).ravel()
    best = np.zeros(len(texts), dtype=bool)
    for start in range(0, min(len(texts), MAX_COMPARED), _CHUNK):
        common = (words[start : start + _CHUNK] @ words.T).toarray()
        union = size[start : start + _CHUNK, None] + size[None, :] - common
        close = (common >= alike * union) & (union > 0)
        row = close[int(close.sum(axis=1).argmax())]
        best = row if row.sum() > best.sum() else best
    return np.asarray(best)


def common_opening(texts: Sequence[Sequence[T]]) -> Sequence[T]:
    """What all texts (or lists of words) begin with."""
    shortest = min(texts, key=len)
    for k, piece in enumerate(shortest):
        if any(text[k] != piece for text in texts):
            return shortest[:k]
    return shortest
