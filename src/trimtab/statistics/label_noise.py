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
from trimtab.statistics.inputs import Floats, as_vector
from trimtab.statistics.intervals import Interval

_START_SHARES = (0.05, 0.2, 0.4)  # shares that the search begins at
_N_STEPS = 100
_MIN_CLEAR = 0.9  # probability from which on an example counts as clearly exchanged
_N_DRAWS = 199


@dataclass(frozen=True, eq=False)
class ExchangedLabels:
    """Exchanged labels as the mixture estimates them.

    Args:
        share: ε with its 95 % interval (profile likelihood), between 0 and 1/2.
        p_value: of ε = 0.
        separation: μ/σ: below about 1 the two groups cannot be separated.
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
        return [int(i) for i in order if self.probability[i] >= _MIN_CLEAR]


def exchanged_labels(projections: Floats, seed: int) -> ExchangedLabels:
    """Estimate the share of exchanged labels.

    Args:
        projections: `[n]` of differences on a direction that was made without them; their mean lies above 0.
        seed: of the draws from the null model.

    Raises:
        InputError: fewer than 20 values, or values that do not vary.
    """
    u = as_vector(projections, "projections")
    if len(u) < 20 or float(u.std()) == 0:
        raise InputError("exchanged labels need at least 20 projections that differ; give more examples")
    eps, mu, sigma, fit = (float(x[0]) for x in _fit(u[None]))
    ratio = fit - float(_normal(u[None])[0])
    draws = np.random.default_rng(seed).normal(u.mean(), u.std(), size=(_N_DRAWS, len(u)))
    null = _fit(draws)[3] - _normal(draws)
    p = float((1 + (null >= ratio).sum()) / (1 + _N_DRAWS))
    probability = _against(u[None], *(np.array([x]) for x in (eps, mu, sigma)))[0][0]
    return ExchangedLabels(_interval(u, eps, fit), p, mu / sigma, probability)


def _normal(u: Floats) -> Floats:
    """Log-likelihood [B] of one normal distribution each for `[B, n]` values."""
    return np.asarray(norm.logpdf(u, u.mean(axis=1, keepdims=True), u.std(axis=1, keepdims=True)).sum(axis=1))


def _fit(u: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """ε, μ, σ and the log-likelihood, [B] each, of the best of several starts for `[B, n]` values."""
    fits = [_climb(u, np.full(len(u), start)) for start in _START_SHARES]
    best = np.argmax([f[3] for f in fits], axis=0)  # [B]
    every = np.stack([np.stack(f) for f in fits])  # [starts, 4, B]
    eps, mu, sigma, fit = every[best, :, np.arange(len(u))].T
    return eps, mu, sigma, fit


def _climb(u: Floats, eps: Floats, fixed: bool = False) -> tuple[Floats, Floats, Floats, Floats]:
    """Expectation and maximisation for `[B, n]` values from shares `[B]`; `fixed` keeps the shares."""
    mu, sigma = np.abs(u).mean(axis=1), u.std(axis=1)
    for _ in range(_N_STEPS):
        w = _against(u, eps, mu, sigma)[0]
        mu = np.maximum(((1 - 2 * w) * u).mean(axis=1), 0.0)
        spread = (1 - w) * (u - mu[:, None]) ** 2 + w * (u + mu[:, None]) ** 2
        sigma = np.maximum(np.sqrt(spread.mean(axis=1)), 1e-12)
        eps = eps if fixed else np.minimum(w.mean(axis=1), 0.5)
    return eps, mu, sigma, _against(u, eps, mu, sigma)[1]


def _against(u: Floats, eps: Floats, mu: Floats, sigma: Floats) -> tuple[Floats, Floats]:
    """Probability [B, n] that each value belongs to the exchanged, and the log-likelihood [B]."""
    e, m, s = eps[:, None], mu[:, None], sigma[:, None]
    along, against = np.exp(-(((u - m) / s) ** 2) / 2), np.exp(-(((u + m) / s) ** 2) / 2)
    total = np.maximum((1 - e) * along + e * against, 1e-300)
    return e * against / total, np.log(total / (s * np.sqrt(2 * np.pi))).sum(axis=1)


def _interval(u: Floats, eps: float, fit: float) -> Interval:
    """Shares whose profile likelihood lies within 1.92 of the best (95 %)."""
    grid = np.linspace(0.0, 0.5, 51)
    inside = grid[_climb(np.tile(u, (len(grid), 1)), np.maximum(grid, 1e-9), fixed=True)[3] > fit - 1.92]
    return Interval(eps, min([eps, *inside.tolist()]), max([eps, *inside.tolist()]))
