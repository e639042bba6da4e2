"""What MAT-Steer minimises: alignment, positives kept, sparsity, orthogonality (2502.12446, equations 5–8 and 10).

Letters as there: T attributes; A_t^p and A_t^n the activations of attribute t's desired and undesired side; G_t(a) the
gate; θ_t the vector; f(a) the steered activation. Shapes: `[T, n, d]` activations, `[T, n, T]` gates (of the token's
attribute, the token, the gate's attribute).

**Means instead of sums.** The paper sums over tokens and attributes; here every term is a mean, so that λ means the
same whatever the batch. Divided by T, the paper's loss is
`mean MMD² + n λ_pos mean G² + n λ_sparse mean |G| + (T−1) λ_ortho mean cos²` with n tokens of a side in a batch: a λ
of the paper's sums is n λ here (14.4 for 0.9 at n = 16), and (T−1) λ for orthogonality. The published 0.9, 0.9, 0.1
were used with code that averages; on real attributes 0.3, 0.3, 0.1 do better here and are the defaults. Alignment is
also divided by its value without steering, so that it starts at 1 at every site and with every kernel.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.steering.mat_steer.kernels import Kernel, mean_between, mmd2

TERMS = ("alignment", "positives", "sparsity", "orthogonality", "shrinkage")
_NO_DIFFERENCE = 1e-6  # of a kernel whose values are up to 1: rounding


@dataclass(frozen=True)
class Weights:
    """λ of each term; that of alignment is 1."""

    positives: float = 0.3
    sparsity: float = 0.3
    orthogonality: float = 0.1
    shrinkage: float = 0.0

    def total(self, terms: Tensor) -> Tensor:
        """`L = L_MMD + λ_pos L_pos + λ_sparse L_sparse + λ_ortho L_ortho`, and shrinkage; `[5]` as `TERMS`."""
        weights = (1.0, self.positives, self.sparsity, self.orthogonality, self.shrinkage)
        return terms @ _vector(weights, terms.dtype, terms.device)


@lru_cache(maxsize=4)
def _vector(weights: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(weights, dtype=dtype, device=device)


def alignment(positive: Tensor, steered: Tensor, kernel: Kernel, identity: Tensor, *, unbiased: bool = True) -> Tensor:
    """L_MMD, equations 5 and 10: `mean_t ‖mean_{A_t^p} φ(a) − mean_{A_t^n} φ(f(a))‖²_H / identity_t`.

    Args:
        positive: A_t^p, `[T, n, d]`.
        steered: f(A_t^n), `[T, m, d]`.
        kernel: the φ.
        identity: `[T]`, the value of the unsteered negatives (`identity_value`).
        unbiased: which estimator of the MMD to use.
    """
    return (mmd2(positive, steered, kernel, unbiased=unbiased) / identity).mean()


def identity_value(
    positive: Tensor,
    negative: Tensor,
    kernel: Kernel,
    *,
    batch: int,
    unbiased: bool = True,
    names: Sequence[str] = (),
) -> Tensor:
    """The expected alignment of a batch if f is the identity, before division: `[T]`.

    Estimated without bias on the given rows; the biased estimator's expectation adds
    `(2 − mean k(p, p') − mean k(n, n')) / batch` to it, means over different rows.

    Args:
        positive: A_t^p, `[T, n, d]`, as many as possible.
        negative: A_t^n, `[T, m, d]`.
        kernel: the φ.
        batch: rows of a side in the training batches.
        unbiased: the estimator that training uses.
        names: of the attributes, for messages.

    Raises:
        InputError: the kernel sees no difference between the sides of an attribute.
    """
    value = mmd2(positive, negative, kernel, unbiased=True)
    for t, one in enumerate(value.tolist()):
        if not one > _NO_DIFFERENCE:
            which = names[t] if names else f"attribute {t + 1} of {len(value)}"
            raise InputError(
                f"{which}: the kernel sees no difference between its sides (MMD² {one:.1e}); there "
                "may be none (run trimtab check); else give more tokens, or, if σ is fixed and too small for how far "
                "tokens lie apart, the kernel 'multi'",
                code="no-direction",
                field="data",
            )
    if unbiased:
        return value
    return value + (2 - mean_between(positive, kernel) - mean_between(negative, kernel)) / batch


def positives(gates: Tensor, *, everyones: bool = False) -> Tensor:
    """L_pos, equation 6: `mean_t mean_{A_t^p} G_t(a)²`, gates that open on tokens that are already as desired.

    Args:
        gates: of the positives, `[T, n, T]`.
        everyones: count every gate on all attributes' positives, not just its own: the sum over gates, so that λ weighs
            a gate on its own tokens as before.
    """
    return (gates if everyones else own(gates)).square().mean() * (len(gates) if everyones else 1)


def sparsity(gates: Tensor, *, everyones: bool = False) -> Tensor:
    """L_sparse, equation 7: `mean_t mean_{A_t^n} |G_t(a)|`, gates that open at all.

    Args:
        gates: of the negatives, `[T, n, T]`.
        everyones: count every gate on all attributes' negatives, as for the positives.
    """
    return (gates if everyones else own(gates)).abs().mean() * (len(gates) if everyones else 1)


def orthogonality(theta: Tensor) -> Tensor:
    """L_ortho, equation 8: mean over t ≠ t' of `cos²(θ_t, θ_t')`; 0 for one attribute.

    Args:
        theta: `[T, d]`.
    """
    T = len(theta)
    if T == 1:
        return theta.sum() * 0.0
    gram = theta @ theta.mT
    square = gram.diagonal()
    cos2 = gram.square() / (square[:, None] * square).clamp_min(torch.finfo(theta.dtype).tiny)
    return (cos2.sum() - cos2.diagonal().sum()) / (T * (T - 1))


def shrinkage(now: Tensor, start: Tensor) -> Tensor:
    """How far the parameters are from where they started: `mean_t ‖now_t − start_t‖² / ‖start_t‖²`.

    Not in the paper: with few examples it keeps the solution near the warm start, which needs fewer to estimate.

    Args:
        now: `[T, d]`.
        start: `[T, d]`.
    """
    length = start.square().sum(dim=-1).clamp_min(torch.finfo(start.dtype).tiny)
    return ((now - start).square().sum(dim=-1) / length).mean()


def own(gates: Tensor) -> Tensor:
    """Gates of an attribute on its own tokens: `[T, n, T]` to `[n, T]`."""
    return gates.diagonal(dim1=0, dim2=2)
