"""How often one side is preferred, ties half."""

import numpy as np
from numpy.typing import ArrayLike as Array

from trimtab.errors import InputError
from trimtab.statistics.intervals import Interval, share_interval


def win_rate(verdicts: Array, clusters: Array | None = None, level: float = 0.95) -> Interval:
    """Share of comparisons that a side wins, a tie half a win for either: the mean of (1 + verdict) / 2.

    A verdict is two votes, and a tie one vote for either side; the interval is that of a share of votes, by clusters
    (see `share_interval`), so ties narrow nothing and verdicts on one prompt do not count as many.

    Args:
        verdicts: 1 won, −1 lost, 0 tied; [n], or [n, r] with r verdicts on every pair.
        clusters: prompt of each pair, [n]; default: every pair its own.
        level: of confidence.

    Raises:
        InputError: other values, no pairs, clusters that do not fit, or all pairs of one cluster.

    Example:
        >>> from trimtab.statistics import win_rate
        >>> rate = win_rate([1, 1, 1, 0, -1, 1, 0, 1])  # 5 wins, 2 ties, 1 loss
        >>> rate.value, rate.low < 0.5 < rate.high
        (0.75, True)
    """
    values = np.asarray(verdicts)
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or not values.size or not np.isin(values, (-1, 0, 1)).all():
        raise InputError("verdicts: give 1 for won, −1 for lost and 0 for tied, [n] or [n, r]")
    labels = np.arange(len(values)) if clusters is None else np.asarray(clusters)
    if labels.shape != (len(values),):
        raise InputError(f"clusters: shape {labels.shape}; give one label a pair, {len(values)}")
    votes = np.stack([values >= 0, values > 0], axis=-1)  # [n, r, 2]
    return share_interval(votes.ravel(), np.repeat(labels, votes[0].size), level)
