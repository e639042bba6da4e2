"""A mean difference from few pairs, shrunk toward directions that are known beforehand.

Empirical Bayes after James and Stein 1961 and Efron and Morris 1973, toward a regression as Lindley and Smith 1972.
Letters: s the mean difference `[d]` that was seen, μ the true one, S the covariance of s, p_j the known directions at
length 1 `[k, d]`:

    s | μ ~ N(μ, S)    μ = Σ_j β_j p_j + ε    β_j ~ N(0, ω²_j)    ε ~ N(0, γ S)

So what the directions leave open is thought to have the shape of the noise, which costs no assumption of its own: where
activations vary much, behaviors differ much. S is estimated from the spread of the clusters and drawn toward a multiple
of the identity (Ledoit and Wolf 2004), since few clusters cannot show a covariance of many dimensions. γ and the ω²
maximise the likelihood of s with μ integrated out. Given these, with V = Σ_j ω²_j p_j p_jᵀ + (1 + γ) S,

    E[β_j | s] = ω²_j p_jᵀ V⁻¹ s    E[μ | s] = (γ s + Σ_j E[β_j | s] p_j) / (1 + γ)

With many pairs γ grows without bound, and the mean difference is left as it is; a direction that does not fit it gets
an ω² near 0. γ is at least 1, so that what was seen keeps half of its weight: where it is hardly more than noise, the
likelihood would give all of it to directions that are no better (limited translation, Efron and Morris 1972).
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike as Array
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from sklearn.covariance import ledoit_wolf_shrinkage

from trimtab.errors import InputError
from trimtab.statistics.inputs import Floats, Ints, as_rows, cluster_codes, same_width

_GAMMA: Final = (1.0, 1e12)  # between these γ is searched
_OMEGA: Final = (1e-10, 1e2)  # between these the ω², in squared lengths of s
_STARTS: Final = (1e-6, 1e-2, 1.0)  # ω² that the search begins with, in the same unit
_FLOOR: Final = 1e-6  # least share of the noise that is the same in all dimensions, so that S has an inverse


@dataclass(frozen=True, eq=False)
class ShrunkDifference:
    """A mean difference after shrinkage.

    Args:
        vector: `[d_model]` E[μ | s].
        shares: `[k]` share of the vector that comes from each direction: its part · μ over ‖μ‖². With that of the
            examples they add to 1. A direction that another one overshoots can be below 0.
        shrinkage: 1 / (1 + γ): how far the mean difference was drawn to the directions, 0…0.5.
        weights: `[k]` E[β_j | s].
        variances: `[k]` ω²_j.

    Example:
        >>> import numpy as np
        >>> from trimtab.statistics.shrinkage import ShrunkDifference
        >>> found = ShrunkDifference(np.ones(3), np.array([0.2, 0.1]), 0.4, np.array([0.5, 0.3]), np.array([1.0, 1.0]))
        >>> round(found.own_share, 2)
        0.7
    """

    vector: Floats
    shares: Floats
    shrinkage: float
    weights: Floats
    variances: Floats

    @property
    def own_share(self) -> float:
        """Share of the vector that comes from the examples."""
        return 1.0 - float(self.shares.sum())


def shrunk_difference(
    positive: Array,
    negative: Array,
    directions: Array,
    clusters: Array | None = None,
    *,
    pairing: Literal["natural", "random"],
) -> ShrunkDifference:
    """The mean of `positive` minus that of `negative`, shrunk toward directions known beforehand.

    Args:
        positive, negative: activations, [n, d_model] each.
        directions: [k, d_model], of any length above 0; their own noise is not looked at.
        clusters: cluster of each row, [n]; at least two.
        pairing: whether row i of both sides belong together; else the sides are two samples.

    Raises:
        InputError: wrong shapes, a direction without length, fewer than two clusters, sides with the same mean.

    Example:
        >>> import numpy as np
        >>> from trimtab.statistics import shrunk_difference
        >>> rng = np.random.default_rng(0)
        >>> true, rows = np.eye(50)[0], rng.standard_normal((2, 10, 50))  # ten pairs in fifty dimensions
        >>> found = shrunk_difference(rows[0] + true, rows[1], [true], pairing="natural")
        >>> plain = (rows[0] + true - rows[1]).mean(axis=0)
        >>> cosines = [float(v[0] / np.linalg.norm(v)) for v in (plain, found.vector)]
        >>> cosines[1] > cosines[0]
        True
    """
    a, b, p = as_rows(positive, "positive", 2), as_rows(negative, "negative", 2), as_rows(directions, "directions")
    same_width(a, b, p)
    if len(a) != len(b):
        raise InputError(f"{len(a)} positive, {len(b)} negative rows; give the same number of both")
    lengths = np.linalg.norm(p, axis=1, keepdims=True)
    if not lengths.all():
        raise InputError(f"directions: row {int(np.argmin(lengths))} is zero and has no direction; leave it out")
    p = p / lengths
    pulls = _pulls(a, b, cluster_codes(clusters, len(a), 2), pairing)
    s = a.mean(axis=0) - b.mean(axis=0)
    if not s.any():
        raise InputError("the two sides have the same mean, so there is no direction between them")
    if not pulls.any():  # every cluster says the same
        return ShrunkDifference(s, np.zeros(len(p)), 0.0, np.zeros(len(p)), np.zeros(len(p)))
    by_noise = _over_covariance(pulls, np.vstack([s, p]))  # [1 + k, d] S⁻¹ s, S⁻¹ p
    gamma, omega2 = _fitted(p @ by_noise[1:].T, p @ by_noise[0], float(s @ by_noise[0]), float(s @ s), len(s))
    weights, *_ = _solved(p @ by_noise[1:].T, p @ by_noise[0], gamma, omega2)
    vector = (gamma * s + weights @ p) / (1 + gamma)
    shares = weights * (p @ vector) / ((1 + gamma) * (vector @ vector))
    return ShrunkDifference(np.asarray(vector), shares, 1 / (1 + gamma), weights, omega2)


def _pulls(a: Floats, b: Floats, code: Ints, pairing: Literal["natural", "random"]) -> Floats:
    """`[U, d]` or `[2U, d]`: how far each cluster pulls the mean difference; their squares add up to its covariance."""
    samples = [a - b] if pairing == "natural" else [a, -b]
    u = int(code.max()) + 1
    pulls = np.zeros((len(samples), u, a.shape[1]))
    for k, rows in enumerate(samples):
        np.add.at(pulls[k], code, (rows - rows.mean(axis=0)) / len(rows))
    return np.asarray(pulls.reshape(-1, a.shape[1]) * np.sqrt(u / (u - 1)))


def _over_covariance(pulls: Floats, rows: Floats) -> Floats:
    """Rows `[m, d]` times the inverse of S, by Woodbury: S = (1 − ρ) Σ_u e_u e_uᵀ + f I."""
    rho = max(float(ledoit_wolf_shrinkage(pulls, assume_centered=True)), _FLOOR)
    floor = rho * float((pulls**2).sum()) / pulls.shape[1]
    few = pulls if len(pulls) <= pulls.shape[1] else np.linalg.qr(pulls, mode="r")  # whose squares add up to the same
    shaped = np.sqrt(1 - rho) * few
    inner = cho_factor(floor * np.eye(len(shaped)) + shaped @ shaped.T)
    return np.asarray((rows - cho_solve(inner, shaped @ rows.T).T @ shaped) / floor)


def _solved(gram: Floats, along: Floats, gamma: float, omega2: Floats) -> tuple[Floats, Floats, Floats]:
    """E[β | s] `[k]`, and M = (1 + γ) I + Ω^½ P S⁻¹ Pᵀ Ω^½ `[k, k]` with its inverse.

    Args:
        gram: `[k, k]` P S⁻¹ Pᵀ.
        along: `[k]` P S⁻¹ s.
        gamma, omega2: the variances.
    """
    omega = np.sqrt(omega2)
    m = (1 + gamma) * np.eye(len(omega)) + omega[:, None] * gram * omega
    inverse = np.linalg.inv(m)
    return np.asarray(omega * (inverse @ (omega * along))), m, np.asarray(inverse)


def _fitted(gram: Floats, along: Floats, square: float, size: float, width: int) -> tuple[float, Floats]:
    """γ, and ω² of each direction `[k]`, of the largest likelihood.

    Args:
        gram, along: see `_solved`.
        square: sᵀ S⁻¹ s.
        size: ‖s‖².
        width: d_model.
    """
    k = len(along)

    def cost(logs: Floats) -> tuple[float, Floats]:
        """Minus twice the log-likelihood of s, and its slopes by log γ and the log ω²."""
        gamma, omega2 = float(np.exp(logs[0])), np.exp(logs[1:])
        c = 1 + gamma
        weights, m, inverse = _solved(gram, along, gamma, omega2)
        value = (width - k) * np.log(c) + np.linalg.slogdet(m)[1] + (square - weights @ along) / c
        by_c = (width - k) / c + np.trace(inverse) - (square - 2 * weights @ along + weights @ gram @ weights) / c**2
        omega = np.sqrt(omega2)
        left = (along - gram @ weights) / c  # P V⁻¹ s
        of_directions = np.diag(gram - gram @ (omega[:, None] * inverse * omega) @ gram) / c  # of P V⁻¹ Pᵀ
        return float(value), np.concatenate([[by_c * gamma], (of_directions - left**2) * omega2])

    bounds = [tuple(np.log(_GAMMA)), *[tuple(np.log(size) + np.log(_OMEGA))] * k]
    begins = [np.concatenate([[0.0], np.full(k, np.log(size * start))]) for start in _STARTS]
    found = [minimize(cost, begin, jac=True, method="L-BFGS-B", bounds=bounds) for begin in begins]
    logs = min(found, key=lambda f: float(f.fun)).x
    return float(np.exp(logs[0])), np.asarray(np.exp(logs[1:]))
