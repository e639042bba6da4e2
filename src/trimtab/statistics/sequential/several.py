"""Several metrics at once, and evidence told as p-values.

Evidence (an e-value) has a mean of at most 1 where there is nothing to find. Its mean over any set of true nulls has
that too, however they depend on each other, so that closed testing (Marcus, Peritz and Gabriel 1976) with means over
subsets keeps the rate of any false claim: Vovk and Wang, "E-values: calibration, combination and applications" (Annals
of Statistics 2021), who show that it claims at least what Holm's rule would.
"""

import numpy as np
from numpy.typing import ArrayLike as Array

from trimtab.statistics.inputs import Floats, as_vector


def holm(log_e_values: Array) -> Floats:
    """Adjusted evidence of each metric: a metric's claim holds among all of them where its own reaches log(1/α).

    The adjusted value is the least of the means over all sets of metrics that it belongs to, which are its own and the
    smallest others. The chance of any false claim is then at most α, at every look and for any dependence.

    Args:
        log_e_values: logarithms of the evidence, `[k]`, at the same look.

    Returns:
        Logarithms of the adjusted evidence, `[k]`, in the same order.

    Raises:
        InputError: no values, or values that are not finite.

    Example:
        >>> import numpy as np
        >>> from trimtab.statistics.sequential import holm
        >>> np.round(np.exp(holm(np.log([100.0, 2.0, 0.5]))), 2)
        array([34.17,  1.25,  0.5 ])
    """
    own = as_vector(log_e_values, "log_e_values", 1)
    ordered = np.sort(own)
    below = np.logaddexp.accumulate(ordered)  # [k] log of the sum of the j + 1 smallest
    sets = np.log(np.arange(2, len(own) + 2))
    with_others = np.logaddexp(own[:, None], below) - sets  # [k, k]; where its own is among them the mean is no smaller
    return np.asarray(np.minimum(own, with_others.min(axis=1)))


def always_valid_p(log_e_values: Array) -> Floats:
    """P-values that may be looked at at any time: one over the largest evidence so far (Ville), at most 1.

    Args:
        log_e_values: logarithms of the evidence at each look, `[..., T]`.

    Example:
        >>> import numpy as np
        >>> from trimtab.statistics.sequential import always_valid_p
        >>> always_valid_p(np.log([0.5, 20.0, 4.0]))
        array([1.  , 0.05, 0.05])
    """
    largest = np.maximum.accumulate(np.asarray(log_e_values, dtype=np.float64), axis=-1)
    return np.asarray(np.minimum(np.exp(-largest), 1.0))
