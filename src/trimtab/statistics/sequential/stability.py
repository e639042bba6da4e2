"""The population stability index, which people know from scorecards: a description, not a test."""

import numpy as np
from numpy.typing import ArrayLike as Array

from trimtab.errors import InputError
from trimtab.statistics.inputs import as_vector

_EMPTY = 0.5  # what each bin counts on top, so that an empty one is no infinity


def population_stability(expected: Array, counts: Array) -> float:
    """Σ (live share − reference share) · log(live share / reference share) over bins.

    By custom below 0.1 is read as stable and above 0.25 as moved. It says nothing of chance: of a few live values it is
    large without any drift, about (K − 1) · (1/n + 1/m) for K bins; shown beside `DriftTest`, which decides.

    Args:
        expected, counts: reference and live values of each bin, `[K]`, such as a `DriftTest` holds them.

    Example:
        >>> from trimtab.statistics.sequential import population_stability
        >>> round(population_stability([50, 50], [70, 30]), 2)
        0.17
    """
    reference, live = as_vector(expected, "expected", 2), as_vector(counts, "counts", 2)
    if len(reference) != len(live) or (reference < 0).any() or (live < 0).any():
        raise InputError(f"{len(reference)} and {len(live)} bins: give the counts of the same bins", field="counts")
    before, now = ((x + _EMPTY) / (x + _EMPTY).sum() for x in (reference, live))
    return float(((now - before) * np.log(now / before)).sum())
