"""Two-level factorial designs: every factor on or off, and what each of them moves.

Box, Hunter and Hunter, "Statistics for Experimenters" (2005): in a full factorial every visit speaks about every
factor, so that k effects cost no more visits than one.
"""

from itertools import combinations, product

import numpy as np

from trimtab.errors import InputError
from trimtab.statistics.inputs import Floats


def factorial_levels(factors: int) -> list[tuple[bool, ...]]:
    """The cells of a full factorial: which factors are on; all off comes first, all on last.

    Args:
        factors: how many, from 1 to 6.

    Raises:
        InputError: another number.

    Example:
        >>> from trimtab.statistics.sequential import factorial_levels
        >>> factorial_levels(2)
        [(False, False), (False, True), (True, False), (True, True)]
    """
    if not 1 <= factors <= 6:
        raise InputError(f"{factors} factors: give 1 to 6", code="out-of-range", field="factors")
    return list(product((False, True), repeat=factors))


def factorial_contrasts(factors: int) -> dict[tuple[int, ...], Floats]:
    """The contrasts of the cells that are main effects `(i,)` and two-way interactions `(i, j)`.

    A main effect is the mean of the cells in which a factor is on, minus the mean of those in which it is off. An
    interaction is the effect of one factor where the other is on, minus its effect where the other is off.

    Args:
        factors: see `factorial_levels`, whose order of cells the contrasts follow.

    Example:
        >>> from trimtab.statistics.sequential import factorial_contrasts
        >>> {name: contrast.tolist() for name, contrast in factorial_contrasts(2).items()}
        {(0,): [-0.5, -0.5, 0.5, 0.5], (1,): [-0.5, 0.5, -0.5, 0.5], (0, 1): [1.0, -1.0, -1.0, 1.0]}
    """
    signs = np.where(np.array(factorial_levels(factors)), 1.0, -1.0)  # [2^k, k]
    cells = len(signs)
    found: dict[tuple[int, ...], Floats] = {}
    for i in range(factors):
        found[i,] = np.asarray(signs[:, i] * 2 / cells)
    for i, j in combinations(range(factors), 2):
        found[i, j] = np.asarray(signs[:, i] * signs[:, j] * 4 / cells)
    return found
