"""Leaving alone what a score calls risky, with a promise of how often the rest goes wrong.

Sources: Geifman and El-Yaniv 2017 (1705.08500) for risk at a coverage; Angelopoulos et al. 2021 (2110.01052, "Learn
then test") for testing a fixed sequence of thresholds; Clopper and Pearson 1934 for the exact bound.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv

from trimtab.errors import InputError
from trimtab.statistics.inputs import Floats, as_vector

COVERAGES: Final = tuple(k / 20 for k in range(1, 21))  # shares of the examples that thresholds keep, 5 % to all


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


def sequence_of_thresholds(risk: ArrayLike, wrong: ArrayLike, n: int, level: float = 0.95) -> Floats:
    """Thresholds to be tested on `n` other examples, in the order of the test: from the easiest upward.

    The easiest is that with the smallest bound to be expected of `n` examples, were these like those given; the ones
    after it keep more and more. What is tested in this order, up to the first that fails, needs no correction for the
    number of tests, since the order does not depend on the examples of the test.

    Args:
        risk: of the given examples, `[m]`; cross-fitted, so that it is not better here than elsewhere.
        wrong: whether each goes wrong, or the chance that it does, `[m]` in 0…1.
        n: examples of the test.
        level: one-sided confidence.

    Example:
        >>> from trimtab.statistics.selective import sequence_of_thresholds
        >>> risk = [k / 100 for k in range(100)]
        >>> sequence_of_thresholds(risk, [r > 0.5 for r in risk], 60).tolist()[:2]  # half of them go wrong, the upper
        [0.495, 0.545]
    """
    score, share = as_vector(risk, "risk", 2), as_vector(wrong, "wrong", 2)
    if len(score) != len(share) or ((share < 0) | (share > 1)).any():
        raise InputError("wrong: give one number from 0 to 1 for each risk")
    every = thresholds_by_coverage(score)
    expected = []
    for threshold in every:
        kept = score < threshold
        some = float(kept.mean()) * n
        expected.append(upper_share(float(share[kept].mean()) * some, some, level) if kept.any() else 1.0)
    return every[int(np.argmin(expected)) :]


def last_that_holds(thresholds: Sequence[float] | Floats, upper: Callable[[float], float], most: float) -> float | None:
    """The last threshold of a fixed sequence up to which every bound is at most `most`; None if the first is above.

    Args:
        thresholds: in the order of the test.
        upper: upper bound of what goes wrong below a threshold, at the confidence that is promised.
        most: the promise.

    Example:
        >>> from trimtab.statistics.selective import last_that_holds
        >>> last_that_holds([1.0, 2.0, 3.0, 4.0], {1.0: 0.1, 2.0: 0.2, 3.0: 0.4, 4.0: 0.2}.__getitem__, 0.25)
        2.0
    """
    kept = None
    for threshold in thresholds:
        if upper(float(threshold)) > most:
            break
        kept = float(threshold)
    return kept
