"""How many labels look exchanged: a mixture of examples that lie along the direction and examples that lie against it.

Where the labels are right, the projections of differences on a direction that was made without them scatter around one
mean μ > 0. An example with exchanged labels scatters around −μ. The share ε of these is estimated by maximum likelihood
in (1 − ε) N(μ, σ²) + ε N(−μ, σ²), by expectation and maximisation (Dempster, Laird and Rubin 1977), and tested by the
likelihood ratio against ε = 0, whose distribution is drawn from the fitted null model (McLachlan 1987).
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from trimtab.errors import InputError
from trimtab.reliability.geometry import Floats, as_vector
from trimtab.reliability.intervals import Interval

_STARTS = (0.05, 0.2, 0.4)  # shares that the search begins at
_STEPS = 300
_CLEAR = 0.9  # probability from which on an example counts as clearly exchanged
_DRAWS = 199


@dataclass(frozen=True, eq=False)
class Exchanged:
    """What the mixture says.

    Args:
        share: ε with its 95 % interval (profile likelihood), between 0 and 1/2.
        p_value: of ε = 0.
        separation: μ/σ: below about 1 the two groups cannot be told apart.
        probability: `[n]` that each example's labels are exchanged.
    """

    share: Interval
    p_value: float
    separation: float
    probability: Floats

    @property
    def clear(self) -> list[int]:
        """Places of the examples that are clearly exchanged, the clearest first."""
        order = np.argsort(-self.probability, kind="stable")
        return [int(i) for i in order if self.probability[i] >= _CLEAR]


def exchanged(projections: Floats, seed: int) -> Exchanged:
    """Estimate the share of exchanged labels.

    Args:
        projections: `[n]` of differences on a direction that was made without them; their mean lies above 0.
        seed: of the draws from the null model.

    Raises:
        InputError: fewer than 20 values, or values that do not vary.
    """
    u = as_vector(projections, "projections")
    if len(u) < 20 or float(u.std()) == 0:
        raise InputError("at least 20 projections that differ are needed")
    eps, mu, sigma, fit = _fit(u)
    ratio = fit - _normal(u)
    rng = np.random.default_rng(seed)
    draws = rng.normal(u.mean(), u.std(), size=(_DRAWS, len(u)))
    null = np.array([_fit(d)[3] - _normal(d) for d in draws])
    p = float((1 + (null >= ratio).sum()) / (1 + _DRAWS))
    along, against = norm.pdf(u, mu, sigma), norm.pdf(u, -mu, sigma)
    probability = eps * against / np.maximum((1 - eps) * along + eps * against, 1e-300)
    return Exchanged(_interval(u, eps, fit), p, mu / sigma, probability)


def _normal(u: Floats) -> float:
    """Log-likelihood of one normal distribution."""
    return float(norm.logpdf(u, u.mean(), u.std()).sum())


def _fit(u: Floats) -> tuple[float, float, float, float]:
    """ε, μ, σ and the log-likelihood of the best of several starts."""
    return max((_climb(u, start) for start in _STARTS), key=lambda found: found[3])


def _climb(u: Floats, eps: float, held: bool = False) -> tuple[float, float, float, float]:
    """Expectation and maximisation from a share; `held` keeps the share."""
    mu, sigma = float(np.abs(u).mean()), float(u.std())
    last = -np.inf
    for _ in range(_STEPS):
        along = (1 - eps) * norm.pdf(u, mu, sigma)
        against = eps * norm.pdf(u, -mu, sigma)
        total = np.maximum(along + against, 1e-300)
        fit = float(np.log(total).sum())
        if fit - last < 1e-7:
            break
        last, w = fit, against / total
        signed = (1 - 2 * w) * u
        mu = max(float(signed.mean()), 0.0)
        sigma = max(float(np.sqrt(np.mean((1 - w) * (u - mu) ** 2 + w * (u + mu) ** 2))), 1e-12)
        eps = eps if held else min(float(w.mean()), 0.5)
    return eps, mu, sigma, last


def _interval(u: Floats, eps: float, fit: float) -> Interval:
    """Shares whose profile likelihood lies within 1.92 of the best (95 %)."""
    grid = np.linspace(0.0, 0.5, 51)
    inside = [e for e in grid if _climb(u, max(float(e), 1e-9), held=True)[3] > fit - 1.92]
    return Interval(eps, min([eps, *map(float, inside)]), max([eps, *map(float, inside)]))
