"""What a policy would have given, from arms that were drawn by other and changing probabilities.

An arm is drawn for every visit by probabilities that may depend on all that was seen before (a bandit's), but that are
known. Each visit then says without bias what any policy would have got there, by the weight policy/probability of the
arm that was drawn, so that errors add up to a martingale whatever made the probabilities. Around its mean an
`AsymptoticSequence` holds at all looks: Waudby-Smith, Wu, Ramdas, Karampatziakis and Mineiro, "Anytime-valid off-policy
inference for contextual bandits" (2022), with the time-uniform limit theorem of Waudby-Smith, Arbour, Sinha, Kennedy
and Ramdas (Annals of Statistics 2024). It is the design that is random, not the outcomes (Ham, Bojinov, Lindon and
Tingley 2022): the truth is the mean over the visits so far, which may drift and depend on each other, as long as what
is drawn for one visit changes no other visit's outcome.
"""

from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike as Array
from numpy.typing import NDArray

from trimtab.errors import InputError
from trimtab.statistics.inputs import Floats
from trimtab.statistics.sequential.estimates import Estimate

PolicyMethod = Literal["inverse-propensity", "self-normalised", "doubly-robust"]
POLICY_METHODS: Final[tuple[PolicyMethod, ...]] = get_args(PolicyMethod)


@dataclass(frozen=True, eq=False)
class Draws:
    """Visits in their order, each with the arm that was drawn and the probabilities of all arms.

    Args:
        value: outcome, `[n]`.
        arm: that was drawn, from 0, `[n]`.
        probability: of each arm at each visit, `[n, k]`; 0 where it could not be drawn.

    Raises:
        InputError: shapes that do not fit, an arm whose probability was 0, values that are not finite.

    Example:
        >>> import numpy as np
        >>> from trimtab.statistics.sequential import Draws
        >>> Draws(np.array([1.0, 0.0]), np.array([0, 1]), np.array([[0.5, 0.5], [0.9, 0.1]])).counts
        array([1, 1])
    """

    value: Floats
    arm: NDArray[np.int64]
    probability: Floats

    def __post_init__(self) -> None:
        n = len(self.value)
        if self.probability.ndim != 2 or len(self.probability) != n or self.arm.shape != (n,):
            raise InputError(
                f"{n} values, arms {self.arm.shape} and probabilities {self.probability.shape}: give [n], [n] and "
                "[n, k]", field="probability",
            )  # fmt: skip
        if not np.isfinite(self.value).all():
            raise InputError("values: NaN or infinity; drop the visits", code="not-finite", field="value")
        if n and not (self.arm.min() >= 0 and self.arm.max() < self.probability.shape[1] and (self.drawn > 0).all()):
            raise InputError("an arm that could not be drawn; give the probabilities that held", field="arm")

    @property
    def drawn(self) -> Floats:
        """Probability of the arm that was drawn, `[n]`."""
        return np.asarray(self.probability[np.arange(len(self.arm)), self.arm])

    @property
    def counts(self) -> NDArray[np.int64]:
        """Visits of each arm, `[k]`."""
        return np.bincount(self.arm, minlength=self.probability.shape[1])

    def able(self, policy: Floats) -> "Draws":
        """The visits at which every arm of a policy could be drawn."""
        kept = (self.probability[:, policy != 0] > 0).all(axis=1)
        return Draws(self.value[kept], self.arm[kept], self.probability[kept])


def policy_estimate(draws: Draws, policy: Array, method: PolicyMethod = "doubly-robust") -> Estimate:
    """What a policy, or a contrast of arms, would have given on average.

    With weights w = policy/probability of the arm that was drawn:

    * *inverse-propensity*: mean of w · value. Right whatever the outcomes are, and wide.
    * *self-normalised*: Σ w · value / Σ w. Narrower; needs outcomes whose mean by arm does not drift. No contrasts.
    * *doubly-robust*: mean of Σ policy · guess + w · (value − guess), the guess being the arm's mean before this visit.
      As right as the first, and about as narrow as the second.

    Visits at which the policy could not have been followed are left out.

    Args:
        draws: see `Draws`.
        policy: probability of each arm, `[k]`; or a contrast, such as (−1, 1).
        method: see above.

    Returns:
        An estimate for `AsymptoticSequence`. `units` counts visits that would carry as much, had arms been drawn
        evenly; `smallest` those of the rarest arm of the policy.

    Raises:
        InputError: a policy of another length, of zeros, or a contrast that is to be self-normalised.

    Example:
        >>> import numpy as np
        >>> from trimtab.statistics.sequential import Draws, policy_estimate
        >>> half = np.full((4, 2), 0.5)
        >>> seen = Draws(np.array([1.0, 0.0, 1.0, 0.0]), np.array([0, 1, 0, 1]), half)
        >>> [float(policy_estimate(seen, policy, "inverse-propensity").value) for policy in ((1, 0), (0, 1), (1, -1))]
        [1.0, 0.0, 1.0]
    """
    weights = np.asarray(policy, dtype=np.float64)
    k = draws.probability.shape[1]
    if weights.shape != (k,) or not np.isfinite(weights).all() or not weights.any():
        raise InputError(f"policy {weights.tolist()}: give a number for each of {k} arms, not all 0", field="policy")
    if method not in POLICY_METHODS:
        raise InputError(f"{method!r}: give one of {', '.join(POLICY_METHODS)}", code="unknown-choice", field="method")
    if method == "self-normalised" and (weights < 0).any():
        raise InputError("a contrast cannot be self-normalised; compare two policies", field="method")
    able = draws.able(weights)
    n = len(able.value)
    if not n:
        return Estimate(float("nan"), 0.0, 0.0, 0.0)
    value, errors = _scores(able, weights, method)
    spread = float((errors**2).sum())  # V, the martingale's own time
    even = k * float((weights**2).sum()) * _within(able)  # of one visit, were arms drawn evenly
    units = spread / even if even > 0 else 0.0
    return Estimate(value, np.sqrt(spread) / n, units, float(able.counts[weights != 0].min()))


def _scores(draws: Draws, weights: Floats, method: PolicyMethod) -> tuple[float, Floats]:
    """The estimate, and what each visit differs from it, `[n]`."""
    ratio = weights[draws.arm] / draws.drawn
    if method == "self-normalised":
        total = float(ratio.sum())
        value = float((ratio * draws.value).sum()) / total if total > 0 else float("nan")
        return value, ratio * (draws.value - value) * len(ratio) / total if total > 0 else np.zeros_like(ratio)
    guess = _guesses(draws) if method == "doubly-robust" else np.zeros_like(draws.probability)
    own = guess[np.arange(len(ratio)), draws.arm]
    scores = guess @ weights + ratio * (draws.value - own)
    return float(scores.mean()), scores - scores.mean()


def _guesses(draws: Draws) -> Floats:
    """Mean of each arm before each visit; of all arms where it was never drawn, `[n, k]`."""
    one = draws.arm[:, None] == np.arange(draws.probability.shape[1])
    value = draws.value[:, None] * one
    n, total = np.cumsum(one, axis=0) - one, np.cumsum(value, axis=0) - value
    before = (np.cumsum(draws.value) - draws.value) / np.maximum(np.arange(len(draws.value)), 1)
    return np.where(n > 0, total / np.maximum(n, 1), before[:, None])


def _within(draws: Draws) -> float:
    """Variance of values around their arm's mean."""
    n = draws.counts
    means = np.bincount(draws.arm, draws.value, len(n)) / np.maximum(n, 1)
    return float(((draws.value - means[draws.arm]) ** 2).mean())
