"""Checks of the texts and clusters that every scorer is given."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trimtab.errors import InputError


def strings(texts: Sequence[str], name: str) -> list[str]:
    """The texts as a list.

    Raises:
        InputError: a single string, or values that are not strings.
    """
    if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
        raise InputError(f"{name}: give a list of strings")
    return list(texts)


def labels(clusters: Sequence[str] | None, n: int) -> NDArray[np.str_]:
    """`[n]` cluster of each row; every row its own where none are given.

    Raises:
        InputError: not one label a row.
    """
    if clusters is not None and (isinstance(clusters, str) or len(clusters) != n):
        raise InputError(f"clusters: give a list of {n} labels, one for each row")
    return np.array(
        [str(i) for i in range(n)] if clusters is None else [str(cluster) for cluster in clusters], dtype=np.str_
    )
