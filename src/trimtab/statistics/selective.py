"""Leaving alone what a score calls risky, with a promise of how often the rest goes wrong.

Sources: Geifman and El-Yaniv 2017 (1705.08500) for risk at a coverage; Angelopoulos et al. 2021 (2110.01052, "Learn
then test") for testing a fixed sequence of thresholds; Clopper and Pearson 1934 for the exact bound.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv
from scipy.stats import rankdata

from trimtab.errors import InputError
from trimtab.statistics.inputs import Floats, as_vector, cluster_codes
from trimtab.statistics.intervals import Interval, jackknife_interval

COVERAGES: Final = tuple(k / 20 for k in range(1, 21))  # shares of the examples that thresholds keep, 5 % to all
STARTS: Final = (0.25, 0.5, 0.75, 1.0)  # where tests of thresholds begin


def upper_share(wrong: float, n: float, level: float = 0.95) -> float:
    """Upper bound of a share of which `wrong` of `n` independent rows are seen, at one-sided confidence `level`.

    Exact for whole numbers (Clopper and Pearson); between them the same incomplete beta function.

    Raises:
        InputError: `wrong` is not between 0 and `n`.

    Example:
        >>> from trimtab.statistics.selective import upper_share
        >>> round(upper_share(0, 29), 3), upper_share(3, 3)
        (0.098, 1.0)
    """
    if not 0 <= wrong <= n:
        raise InputError(f"{wrong} of {n} is no share")
    if not 0 < level < 1:
        raise InputError(f"level is {level}; give a number between 0 and 1, such as 0.95")
    return 1.0 if wrong >= n else float(betaincinv(wrong + 1, n - wrong, level))


def thresholds_by_coverage(risk: ArrayLike) -> Floats:
    """Thresholds of a risk `[n]` that keep 5 %, 10 % … of the examples, `[20]` ascending; the last keeps all.

    Example:
        >>> from trimtab.statistics.selective import thresholds_by_coverage
        >>> thresholds_by_coverage(range(100))[[0, 9, 19]].tolist()
        [4.5, 49.5, inf]
    """
    ordered = np.sort(as_vector(risk, "risk", 2))
    last = np.maximum(np.ceil(np.array(COVERAGES[:-1]) * len(ordered)).astype(int), 1)
    between = (ordered[last - 1] + ordered[np.minimum(last, len(ordered) - 1)]) / 2
    return np.append(between, np.inf)


def each_level(level: float) -> float:
    """Of every test of `promised`, so that the promise has confidence `level`.

    Example:
        >>> from trimtab.statistics.selective import each_level
        >>> each_level(0.95)
        0.9875
    """
    return 1 - (1 - level) / len(STARTS)


def promised(
    thresholds: Floats, upper: Callable[[float, float], float], most: float, level: float = 0.95
) -> float | None:
    """The largest threshold below which at most a share `most` goes wrong, at confidence `level`; None without one.

    Tests start at the thresholds that keep a quarter, half, three quarters and all of the examples and go up from each
    until one fails. Within a sequence, which is fixed beforehand, no correction is needed; the four share the level
    (Bonferroni).

    Args:
        thresholds: as `thresholds_by_coverage` gives them, `[20]`.
        upper: of a threshold and a one-sided confidence, the upper bound of the share that goes wrong below it.
        most: the promise, a share.
        level: one-sided confidence that it is kept.

    Example:
        >>> from trimtab.statistics.selective import promised, thresholds_by_coverage
        >>> thresholds = thresholds_by_coverage(range(100))
        >>> promised(thresholds, lambda threshold, level: 0.1 if threshold < 61 else 0.3, most=0.25)
        59.5
    """
    each, found = each_level(level), None
    for start in STARTS:
        for threshold in thresholds[COVERAGES.index(start) :]:
            if upper(float(threshold), each) > most:
                break
            found = float(threshold) if found is None else max(found, float(threshold))
    return found


def least_promise(thresholds: Floats, upper: Callable[[float, float], float], level: float = 0.95) -> float:
    """The smallest share that `promised` can promise: the smallest bound where its tests start.

    Example:
        >>> from trimtab.statistics.selective import least_promise, thresholds_by_coverage
        >>> least_promise(thresholds_by_coverage(range(100)), lambda threshold, level: threshold / 1000)
        0.0245
    """
    each = each_level(level)
    return min(upper(float(thresholds[COVERAGES.index(start)]), each) for start in STARTS)


def risk_auroc(risk: ArrayLike, wrong: ArrayLike, clusters: ArrayLike | None = None, level: float = 0.95) -> Interval:
    """How well a risk tells what goes wrong: the chance that something that does has the larger risk, ties half.

    Rows that go wrong with a chance between 0 and 1 count on both sides, each by its chance. The interval is a
    jackknife over clusters.

    Args:
        risk, wrong, clusters: `[n]`; `wrong` in 0…1.
        level: of confidence.

    Raises:
        InputError: all of them go wrong, or none does, perhaps without one cluster.

    Example:
        >>> from trimtab.statistics.selective import risk_auroc
        >>> risk_auroc([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [0, 1, 0, 0, 1, 1]).value  # 7 of 9 pairs
        0.7777777777777778
    """
    score, chance = as_vector(risk, "risk", 3), as_vector(wrong, "wrong", 3)
    code = cluster_codes(clusters, len(score), 3)
    ranks = rankdata(score)
    deleted = [_weighted_auroc(ranks[code != u], chance[code != u]) for u in range(int(code.max()) + 1)]
    found = jackknife_interval(_weighted_auroc(ranks, chance), deleted, level=level)
    return Interval(found.value, max(found.low, 0.0), min(found.high, 1.0))


def _weighted_auroc(score: Floats, chance: Floats) -> float:
    """`[n]` each: Σ chance_i (1 − chance_j) [score_i > score_j] over all pairs of rows, over the sum of the weights."""
    order = np.argsort(score, kind="stable")
    value, up, down = score[order], chance[order], 1 - chance[order]
    if up.sum() <= 0 or down.sum() <= 0:
        raise InputError("all rows go wrong, or none does: there is nothing to tell apart")
    _, first, code = np.unique(value, return_index=True, return_inverse=True)
    below = np.append(0.0, np.cumsum(down))[first][code]  # weight of the rows with a smaller score
    equal = np.bincount(code, down)[code]
    # a row is not paired with itself
    own = up * down
    total = up.sum() * down.sum() - own.sum()
    return float(((up * (below + equal / 2)).sum() - own.sum() / 2) / total)
