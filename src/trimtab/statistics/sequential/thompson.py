"""Thompson sampling with a floor: how often each arm is to be drawn next.

Thompson 1933: an arm is drawn as often as it is believed to be the best. A floor keeps every arm in sight, so that a
change of preferences is noticed, and that what other arms would have given can be told from what was drawn (weights of
at most 1/floor). Old visits may count less (Raj and Kalyani 2017), as tastes change.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike as Array
from scipy import stats

from trimtab.errors import InputError
from trimtab.statistics.inputs import Floats

_POINTS: Final = 300  # quantiles of each belief


@dataclass(frozen=True)
class Belief:
    """What is believed of an arm's mean.

    Args:
        kind: `beta` of outcomes that are 0 or 1, in which `first` and `second` are its two parameters; `normal`, in
            which they are mean and standard deviation.
        first, second: see `kind`.

    Example:
        >>> from trimtab.statistics.sequential import Belief
        >>> Belief("beta", 3.0, 1.0).mean
        0.75
    """

    kind: Literal["beta", "normal"]
    first: float
    second: float

    @property
    def mean(self) -> float:
        """Expected value."""
        return self.first / (self.first + self.second) if self.kind == "beta" else self.first

    @property
    def law(self) -> Any:
        """As a frozen distribution of scipy."""
        return (stats.beta if self.kind == "beta" else stats.norm)(self.first, self.second)


def beta_belief(values: Array, weights: Array) -> Belief:
    """Of outcomes that are 0 or 1 (or means of such): Beta(1, 1), and each success and failure by its weight.

    Args:
        values: in [0, 1], `[n]`.
        weights: how much each counts, `[n]`.

    Raises:
        InputError: a value beyond 0 and 1.

    Example:
        >>> from trimtab.statistics.sequential import beta_belief
        >>> beta_belief([1, 1, 0], [1, 1, 1])
        Belief(kind='beta', first=3.0, second=2.0)
    """
    y, w = np.asarray(values, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    if not np.all((y >= 0) & (y <= 1)):
        raise InputError("values must lie in 0 to 1; use normal_belief", code="out-of-range", field="values")
    return Belief("beta", 1.0 + float(w @ y), 1.0 + float(w @ (1 - y)))


def normal_belief(values: Array, weights: Array, *, center: float, scale: float) -> Belief:
    """Of any other outcomes: normal, with a spread that is taken as known, and a prior worth one visit.

    Args:
        values: `[n]`.
        weights: how much each counts, `[n]`.
        center: prior mean.
        scale: standard deviation of an outcome.

    Raises:
        InputError: a scale that is not above 0.

    Example:
        >>> from trimtab.statistics.sequential import normal_belief
        >>> normal_belief([1.0, 1.0, 1.0], [1, 1, 1], center=0.0, scale=2.0)
        Belief(kind='normal', first=0.75, second=1.0)
    """
    if not scale > 0:
        raise InputError(f"scale is {scale}; give a spread above 0", code="out-of-range", field="scale")
    y, w = np.asarray(values, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    n = 1.0 + float(w.sum())
    return Belief("normal", (center + float(w @ y)) / n, scale / float(np.sqrt(n)))


def best_arm(beliefs: "list[Belief]", *, more_is_better: bool = True) -> Floats:
    """Probability of each arm to be the best: ∫ Π F_j dF_i by the trapezoidal rule on quantiles of all.

    No random number is drawn, so that who computes it does not matter.

    Args:
        beliefs: of the arms, `[k]`.
        more_is_better: False where the least mean is best.

    Returns:
        `[k]`, 1 together.

    Example:
        >>> from trimtab.statistics.sequential import Belief, best_arm
        >>> best_arm([Belief("normal", 0.0, 1.0), Belief("normal", 0.0, 1.0)])
        array([0.5, 0.5])
    """
    if not beliefs:
        raise InputError("no arm; give a belief of each", code="missing-value", field="beliefs")
    if len(beliefs) == 1:
        return np.ones(1)
    laws = [one.law for one in beliefs]
    u = np.concatenate([[1e-9], (np.arange(_POINTS) + 0.5) / _POINTS, [1 - 1e-9]])
    x = np.unique(np.concatenate([law.ppf(u) for law in laws]))
    below = np.stack([law.cdf(x) if more_is_better else law.sf(x) for law in laws])  # [k, n]
    found = np.zeros(len(laws))
    for i, own in enumerate(below):
        others = np.delete(below, i, axis=0).prod(axis=0)
        found[i] = np.abs(np.diff(own)) @ (others[1:] + others[:-1]) / 2
    return np.asarray(found / found.sum())


def with_floor(best: Array, floor: float) -> Floats:
    """Shares of the arms: each has the floor, and what is left goes by the chance to be best.

    Args:
        best: chances, `[k]`, 1 together.
        floor: least share of each arm.

    Raises:
        InputError: floors that come to more than the whole.

    Example:
        >>> from trimtab.statistics.sequential import with_floor
        >>> with_floor([1.0, 0.0], 0.1)
        array([0.9, 0.1])
    """
    p = np.asarray(best, dtype=np.float64)
    if not 0 <= floor * len(p) <= 1:
        raise InputError(
            f"a floor of {floor:g} for each of {len(p)} arms comes to {floor * len(p):.3g}; give at most "
            f"{1 / len(p):.3g}", code="out-of-range", field="floor",
        )  # fmt: skip
    shares = floor + (1 - floor * len(p)) * p
    return np.asarray(shares / shares.sum())
