"""Does every arm get its share of the units? A test that may be looked at after every unit.

Lindon and Malek, "Anytime-valid inference for multinomial count data" (NeurIPS 2022): the likelihood of a mixture of
shares (Dirichlet, around the expected ones) over that of the expected shares. Assumed: units are drawn independently,
each counted once, when it is first seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import ArrayLike as Array
from scipy.special import gammaln, logsumexp

from trimtab.errors import InputError
from trimtab.statistics.inputs import Floats


@dataclass(frozen=True)
class ShareCounts:
    """Units of a stage of a release, in which the expected shares were the same.

    Args:
        shares: expected of each arm; they sum to 1.
        counts: units that were first seen in this stage, by arm.

    Example:
        >>> from trimtab.statistics.sequential import ShareCounts
        >>> ShareCounts(shares=(0.95, 0.05), counts=(960, 40)).counts
        (960, 40)
    """

    shares: tuple[float, ...]
    counts: tuple[float, ...]


def log_share_ratio(counts: Array, shares: Sequence[float], strength: float = 1000.0) -> Floats:
    """Logarithm of the evidence against the shares, from the counts of one stage.

    Args:
        counts: units by arm, `[..., k]`: of one look, or of all looks of many simulated releases.
        shares: expected, `[k]`, all above 0.
        strength: units that the mixture is worth: the larger, the smaller the deviations that it looks for; with 1,000
            and two equal arms some 1.6 points either way.

    Returns:
        `[...]`.

    Raises:
        InputError: shares that do not sum to 1, or negative counts.

    Example:
        >>> from trimtab.statistics.sequential import log_share_ratio
        >>> found = log_share_ratio([[5000, 5000], [5300, 4700]], (0.5, 0.5))
        >>> [round(float(x), 1) for x in found]
        [-1.2, 15.2]
    """
    p, n = np.asarray(shares, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    if p.ndim != 1 or len(p) < 2 or not np.all(p > 0) or abs(p.sum() - 1) > 1e-6:
        raise InputError(
            f"shares {tuple(shares)}: give one above 0 for each of at least two arms, 1 together", field="shares"
        )
    if n.shape[-1:] != p.shape or not np.all(n >= 0):
        raise InputError(f"counts of shape {n.shape}: give a count of each of the {len(p)} arms", field="counts")
    if not strength > 0:
        raise InputError(f"strength is {strength}; give a number above 0", code="out-of-range", field="strength")
    prior = strength * p
    mixed = gammaln(prior + n).sum(axis=-1) - gammaln(prior).sum() + gammaln(strength) - gammaln(strength + n.sum(-1))
    return np.asarray(mixed - n @ np.log(p))


def log_sample_ratio(stages: Sequence[ShareCounts], strength: float = 1000.0) -> float:
    """Logarithm of the evidence that some arm does not get its share, over all stages so far.

    Every stage is a test of its own, and evidence of stages multiplies. Since a fault may begin in any stage, what
    counts is a mixture over the first stage with a fault, the s-th with weight 1/(s (s + 1)). A mismatch is shown once
    this is above log(1/α) at any look, for a chance of α of ever saying so wrongly.

    Args:
        stages: in their order, the present one last.
        strength: see `log_share_ratio`.

    Example:
        >>> from math import log
        >>> from trimtab.statistics.sequential import ShareCounts, log_sample_ratio
        >>> fine = ShareCounts(shares=(0.95, 0.05), counts=(9500, 500))
        >>> broken = ShareCounts(shares=(0.5, 0.5), counts=(5300, 4700))
        >>> log_sample_ratio([fine]) < 0, log_sample_ratio([fine, broken]) > log(1 / 0.01)
        (True, True)
    """
    of_stages = [float(log_share_ratio(stage.counts, stage.shares, strength)) for stage in stages]
    n = len(of_stages)
    since = np.cumsum(of_stages[::-1])[::-1]  # from each stage to the present one
    weights = [-log(s) - log(s + 1) for s in range(1, n + 1)]
    return float(logsumexp([*(since + weights), -log(n + 1)]))
