"""Mean-difference vectors: their cosines, how close one of n examples is to the next, and their size.

Letters as in `geometry.py`: s the mean of the differences, μ and Σ the mean and covariance that they are drawn from.
"""

import numpy as np
from numpy.typing import ArrayLike as Array

from trimtab.errors import InputError
from trimtab.statistics.inputs import Floats, as_rows, as_vector


def cosine_matrix(vectors: Array) -> Floats:
    """Cosines [k, k] among `vectors` [k, d_model], such as the seven prompt types'; a zero row is an `InputError`.

    Example:
        >>> from trimtab.statistics import cosine_matrix
        >>> cosine_matrix([[1, 0], [3, 4]]).round(2).tolist()
        [[1.0, 0.6], [0.6, 1.0]]
    """
    v = as_rows(vectors, "vectors")
    norms = np.linalg.norm(v, axis=1, keepdims=True)
    if not norms.all():
        raise InputError(f"vectors: row {int(np.argmin(norms))} is zero and has no direction; leave it out")
    cosines = np.clip((v / norms) @ (v / norms).T, -1.0, 1.0)
    np.fill_diagonal(cosines, 1.0)
    return np.asarray(cosines)


def expected_cosine(differences: Array, n: int) -> float:
    """Expected cosine of two vectors trained on n new examples each: ‖μ‖² / (‖μ‖² + tr Σ / n).

    ‖μ‖² = ‖s‖² − tr Σ/N and tr Σ are the unbiased estimates from `differences` [N, d_model]; 0 where that ‖μ‖² is not
    positive. A ratio of expectations: close when many dimensions carry the noise, a little low when few do.

    Example:
        >>> from trimtab.statistics import expected_cosine
        >>> differences = [[2, 1], [2, -1]] * 8  # mean [2, 0], and noise
        >>> round(expected_cosine(differences, 1), 2), round(expected_cosine(differences, 20), 2)
        (0.79, 0.99)
    """
    mu2, trace = _moments(differences)
    if n < 1:
        raise InputError(f"n is {n}; give the number of training examples, at least 1")
    return float(mu2 / (mu2 + trace / n)) if mu2 > 0 else 0.0


def pairs_for_cosine(differences: Array, target: float = 0.95) -> int | None:
    """Smallest n whose `expected_cosine` reaches `target` (between 0 and 1); None where no direction is measurable.

    Example:
        >>> from trimtab.statistics import pairs_for_cosine
        >>> pairs_for_cosine([[2, 1], [2, -1]] * 8, target=0.95)
        6
    """
    if not 0.0 < target < 1.0:
        raise InputError(f"target is {target}; give a cosine between 0 and 1, both excluded")
    mu2, trace = _moments(differences)
    return max(1, int(np.ceil(target / (1 - target) * trace / mu2))) if mu2 > 0 else None


def edit_size_ratio(vector: Array, strength: float, median_norm: float) -> float:
    """‖λ s‖ of `vector` [d_model] at `strength` λ over the median activation norm at the site; never negative.

    Example:
        >>> from trimtab.statistics import edit_size_ratio
        >>> edit_size_ratio([3, 4], strength=2, median_norm=20)
        0.5
    """
    if not (np.isfinite(median_norm) and median_norm > 0 and np.isfinite(strength)):
        raise InputError(f"strength {strength} and median_norm {median_norm} must be finite, median_norm above zero")
    return float(abs(strength) * np.linalg.norm(as_vector(vector, "vector")) / median_norm)


def _moments(differences: Array) -> tuple[float, float]:
    """Unbiased (‖μ‖², tr Σ); the first can be negative."""
    d = as_rows(differences, "differences", 2)
    s = d.mean(axis=0)
    trace = float(((d - s) ** 2).sum() / (len(d) - 1))
    return float(s @ s - trace / len(d)), trace
