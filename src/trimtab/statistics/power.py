"""What a number of examples can decide: how large a share may be observed, and how often a known share passes.

For shares with Wilson's interval (Wilson 1927), as the anti-steerable share of natural pairs has; for unpaired texts
and clustered rows the numbers are those of as many independent rows as there are clusters.
"""

from scipy.stats import binom

from trimtab.errors import InputError
from trimtab.statistics.intervals import wilson

_MAX_ROWS = 20_000  # examples looked at for a number that suffices


def largest_passing(n: int, bound: float, level: float = 0.95) -> int | None:
    """The largest count of `n` rows whose interval lies below the bound as a whole; None where not even 0 does.

    Args:
        n: independent rows, at least 1.
        bound: a share between 0 and 1.
        level: of the interval.
    """
    if n < 1 or not 0 < bound < 1:
        raise InputError(f"n {n}, bound {bound}: give at least one row and a bound between 0 and 1")
    k = int(bound * n)
    while k >= 0 and wilson(k, n, level).high >= bound:
        k -= 1
    return k if k >= 0 else None


def passing_chance(n: int, bound: float, share: float, level: float = 0.95) -> float:
    """Chance that `n` rows of a population with this share show an interval below the bound.

    Args:
        n, bound, level: see `largest_passing`.
        share: the true one.
    """
    max_count = largest_passing(n, bound, level)
    return 0.0 if max_count is None else float(binom.cdf(max_count, n, share))


def rows_needed(bound: float, share: float, power: float = 0.8, level: float = 0.95) -> int | None:
    """Rows from which on a population with this share passes with this chance; None where 20,000 do not suffice.

    Args:
        bound, share, level: see `passing_chance`.
        power: the chance wanted.
    """
    if share >= bound:
        return None
    low, high = 1, 1
    while passing_chance(high, bound, share, level) < power:
        low, high = high, 2 * high
        if high > _MAX_ROWS:
            return None
    while high - low > 1:  # the chance rises with n, except for the steps of whole counts
        middle = (low + high) // 2
        if passing_chance(middle, bound, share, level) < power:
            low = middle
        else:
            high = middle
    return high
