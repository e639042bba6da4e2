"""Geometry of activations, effects of steering, and intervals: functions of arrays, without a model or torch."""

from trimtab.statistics.agreement import cohens_kappa, krippendorffs_alpha
from trimtab.statistics.crossed import CrossedMean, crossed_mean, holm_adjusted
from trimtab.statistics.effects import (
    anti_steerable,
    anti_steerable_unpaired,
    length_auroc,
    length_matched,
    odd_even,
    steerability,
    steering_effect,
)
from trimtab.statistics.geometry import (
    auroc,
    cluster_folds,
    convergence,
    cross_fitted,
    directional_agreement,
    directional_agreement_loo,
    overlap,
    projection,
    rematched_agreement,
    separability,
)
from trimtab.statistics.intervals import (
    Interval,
    bootstrap_mean,
    bootstrap_two_sample,
    jackknife_interval,
    share_interval,
    simultaneous_level,
    two_sample_share,
    wilson,
)
from trimtab.statistics.paired import correlation, paired_change, square_and_add
from trimtab.statistics.preferences import win_rate
from trimtab.statistics.refitted import SeparabilityInterval, agreement_interval, separability_interval
from trimtab.statistics.shrinkage import ShrunkDifference, shrunk_difference
from trimtab.statistics.vectors import cosine_matrix, edit_size_ratio, expected_cosine, pairs_for_cosine

__all__ = [
    "CrossedMean",
    "Interval",
    "SeparabilityInterval",
    "ShrunkDifference",
    "agreement_interval",
    "anti_steerable",
    "anti_steerable_unpaired",
    "auroc",
    "bootstrap_mean",
    "bootstrap_two_sample",
    "cluster_folds",
    "cohens_kappa",
    "convergence",
    "correlation",
    "cosine_matrix",
    "cross_fitted",
    "crossed_mean",
    "directional_agreement",
    "directional_agreement_loo",
    "edit_size_ratio",
    "expected_cosine",
    "holm_adjusted",
    "jackknife_interval",
    "krippendorffs_alpha",
    "length_auroc",
    "length_matched",
    "odd_even",
    "overlap",
    "paired_change",
    "pairs_for_cosine",
    "projection",
    "rematched_agreement",
    "separability",
    "separability_interval",
    "share_interval",
    "shrunk_difference",
    "simultaneous_level",
    "square_and_add",
    "steerability",
    "steering_effect",
    "two_sample_share",
    "wilson",
    "win_rate",
]
