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
from trimtab.statistics.sequential.moments import Moments

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

    @property
    def moments(self) -> Moments:
        """Of the values of each arm, `[k]`."""
        n = self.counts
        means = np.bincount(self.arm, self.value, len(n)) / np.maximum(n, 1)
        m2: Floats = np.bincount(self.arm, (self.value - means[self.arm]) ** 2, len(n)).astype(np.float64)
        return Moments(n.astype(np.float64), means, m2)

    def able(self, policy: Floats) -> "Draws":
        """The visits at which every arm of a policy could be drawn."""
        kept = (self.probability[:, policy != 0] > 0).all(axis=1)
        return Draws(self.value[kept], self.arm[kept], self.probability[kept])


@dataclass(frozen=True, eq=False)
class PolicySums:
    """What a policy would have given, doubly robust, in sums that go on with every batch of visits.

    However the visits are cut into batches, the estimate is that of `policy_estimate` on all of them.

    Args:
        policy: see `policy_estimate`, `[k]`.
        arms: moments of the values of each arm, `[k]`, at the visits at which the policy could have been followed.
        scores: moments of these visits' scores.

    Example:
        >>> import numpy as np
        >>> from trimtab.statistics.sequential import Draws, PolicySums
        >>> seen = Draws(np.array([1.0, 0.0]), np.array([0, 1]), np.full((2, 2), 0.5))
        >>> first = PolicySums.begun((1, 0)).add(seen)
        >>> float(first.add(seen).estimate.value), float(first.add(seen).scores.n)
        (1.25, 4.0)
    """

    policy: Floats
    arms: Moments
    scores: Moments

    @staticmethod
    def begun(policy: Array) -> "PolicySums":
        """Before the first visit.

        Raises:
            InputError: a policy of zeros, or not of numbers.
        """
        weights = _weights(policy, np.size(policy))
        nothing = np.zeros(len(weights))
        return PolicySums(weights, Moments(nothing, nothing, nothing), Moments())

    def add(self, draws: Draws) -> "PolicySums":
        """With the visits that came next.

        Raises:
            InputError: visits of another number of arms.
        """
        able = draws.able(_weights(self.policy, draws.probability.shape[1]))
        if not len(able.value):
            return self
        guess = _guesses(able, self.arms)
        own = guess[np.arange(len(able.arm)), able.arm]
        scores = guess @ self.policy + self.policy[able.arm] / able.drawn * (able.value - own)
        mean = float(scores.mean())
        new = Moments(float(len(scores)), mean, float(((scores - mean) ** 2).sum()))
        return PolicySums(self.policy, self.arms.merge(able.moments), self.scores.merge(new))

    @property
    def estimate(self) -> Estimate:
        """See `policy_estimate`."""
        return _estimate(self.policy, float(self.scores.mean), float(self.scores.m2), self.arms)


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
    weights = _weights(policy, draws.probability.shape[1])
    if method not in POLICY_METHODS:
        raise InputError(f"{method!r}: give one of {', '.join(POLICY_METHODS)}", code="unknown-choice", field="method")
    if method == "self-normalised" and (weights < 0).any():
        raise InputError("a contrast cannot be self-normalised; compare two policies", field="method")
    if method == "doubly-robust":
        return PolicySums.begun(weights).add(draws).estimate
    able = draws.able(weights)
    value, errors = _scores(able, weights, method)
    return _estimate(weights, value, float((errors**2).sum()), able.moments)


def _weights(policy: Array, k: int) -> Floats:
    """A policy as an array.

    Raises:
        InputError: it is none of k arms.
    """
    weights = np.asarray(policy, dtype=np.float64)
    if weights.shape != (k,) or not np.isfinite(weights).all() or not weights.any():
        raise InputError(f"policy {weights.tolist()}: give a number for each of {k} arms, not all 0", field="policy")
    return weights


def _estimate(weights: Floats, value: float, spread: float, arms: Moments) -> Estimate:
    """From the sum of the squared errors, which is the martingale's own time, and the moments of each arm."""
    n = float(np.sum(arms.n))
    if not n:
        return Estimate(float("nan"), 0.0, 0.0, 0.0)
    even = len(weights) * float((weights**2).sum()) * float(np.sum(arms.m2)) / n  # of one visit, were arms drawn evenly
    units = spread / even if even > 0 else 0.0
    return Estimate(value, np.sqrt(spread) / n, units, float(np.asarray(arms.n)[weights != 0].min()))


def _scores(draws: Draws, weights: Floats, method: PolicyMethod) -> tuple[float, Floats]:
    """The estimate, and what each visit differs from it, `[n]`."""
    if not len(draws.value):
        return float("nan"), np.zeros(0)
    ratio = weights[draws.arm] / draws.drawn
    if method == "self-normalised":
        total = float(ratio.sum())
        value = float((ratio * draws.value).sum()) / total if total > 0 else float("nan")
        return value, ratio * (draws.value - value) * len(ratio) / total if total > 0 else np.zeros_like(ratio)
    scores = ratio * draws.value
    return float(scores.mean()), scores - scores.mean()


def _guesses(draws: Draws, before: Moments) -> Floats:
    """Mean of each arm before each visit; of all arms where it was never drawn, `[n, k]`."""
    one = draws.arm[:, None] == np.arange(draws.probability.shape[1])
    value = draws.value[:, None] * one
    sums = np.asarray(before.n * before.mean)
    n, total = np.cumsum(one, axis=0) - one + before.n, np.cumsum(value, axis=0) - value + sums
    visits = np.arange(len(draws.value)) + float(np.sum(before.n))
    overall = (np.cumsum(draws.value) - draws.value + float(sums.sum())) / np.maximum(visits, 1)
    return np.asarray(np.where(n > 0, total / np.maximum(n, 1), overall[:, None]))
