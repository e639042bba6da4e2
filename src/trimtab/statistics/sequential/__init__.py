"""Sequential inference: intervals and tests that hold at every look, however often and whenever one looks.

Units' moments (`Moments`, `PairMoments`) become an `Estimate`, around which an `AsymptoticSequence` draws its interval;
`BettingMean` and `BettingDifference` do it for bounded outcomes without a limit, `QuantileStream` for quantiles.
Evidence is a logarithm of an e-value: log(1/α) shows what it is evidence of. Arms
that are drawn by changing probabilities: `policy_estimate`; how often to draw them: `best_arm`, `with_floor`.
docs/live.md tells what each is good for.
"""

from trimtab.statistics.sequential.asymptotic import AsymptoticSequence, Side, fixed_size
from trimtab.statistics.sequential.betting import BettingDifference, BettingMean, log_e_path
from trimtab.statistics.sequential.drift import DriftTest
from trimtab.statistics.sequential.estimates import (
    Estimate,
    adjusted_difference,
    difference,
    mean_estimate,
    ratio_estimate,
)
from trimtab.statistics.sequential.factorial import factorial_contrasts, factorial_levels
from trimtab.statistics.sequential.judging import DriftVerdict, JudgeDrift
from trimtab.statistics.sequential.looks import (
    INTERIM_LEVEL,
    INTERIM_MEAN_LEVEL,
    look_ends,
    reported_level,
    scale_limit,
    skewed_mean_limit,
)
from trimtab.statistics.sequential.moments import Moments, PairMoments
from trimtab.statistics.sequential.pair_sums import PairSums
from trimtab.statistics.sequential.policies import (
    POLICY_METHODS,
    Draws,
    PolicyMethod,
    PolicySums,
    policy_estimate,
)
from trimtab.statistics.sequential.quantiles import QuantileStream, quantile_difference, quantile_ranks
from trimtab.statistics.sequential.sample_ratio import ShareCounts, log_sample_ratio, log_share_ratio
from trimtab.statistics.sequential.several import always_valid_p, holm
from trimtab.statistics.sequential.stability import population_stability
from trimtab.statistics.sequential.states import State, state_of
from trimtab.statistics.sequential.thompson import Belief, best_arm, beta_belief, normal_belief, with_floor

__all__ = [
    "INTERIM_LEVEL",
    "INTERIM_MEAN_LEVEL",
    "POLICY_METHODS",
    "AsymptoticSequence",
    "Belief",
    "BettingDifference",
    "BettingMean",
    "Draws",
    "DriftTest",
    "DriftVerdict",
    "Estimate",
    "JudgeDrift",
    "Moments",
    "PairMoments",
    "PairSums",
    "PolicyMethod",
    "PolicySums",
    "QuantileStream",
    "ShareCounts",
    "Side",
    "State",
    "adjusted_difference",
    "always_valid_p",
    "best_arm",
    "beta_belief",
    "difference",
    "factorial_contrasts",
    "factorial_levels",
    "fixed_size",
    "holm",
    "log_e_path",
    "log_sample_ratio",
    "log_share_ratio",
    "look_ends",
    "mean_estimate",
    "normal_belief",
    "policy_estimate",
    "population_stability",
    "quantile_difference",
    "quantile_ranks",
    "ratio_estimate",
    "reported_level",
    "scale_limit",
    "skewed_mean_limit",
    "state_of",
    "with_floor",
]
