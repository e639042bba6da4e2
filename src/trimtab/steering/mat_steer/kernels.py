"""How far apart two sets of activations are: Gaussian kernels and the maximum mean discrepancy (MMD) under them.

Sources: Gretton et al. 2012 (JMLR 13, both estimators and the median heuristic); Rahimi and Recht 2007 (random Fourier
features); MAT-Steer 2502.12446, equations 5 and 10 (σ = 2). Everything is batched over attributes: the leading
dimension T of `x [T, n, d]` has a bandwidth each. σ is in the unit of the given activations.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from trimtab.errors import InputError

KernelName = Literal["multi", "median", "fixed", "fourier"]
FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
_BLOCK_ROWS = 128
_MIN_SIGMA, _MAX_SIGMA = 1e-15, 1e15  # their squares and reciprocals fit well into a float32
_MAX_MEDIAN_ROWS = 1000  # rows of each attribute whose distances give the median


class Kernel(Protocol):
    """A positive definite function of two activations, between 0 and 1, with k(x, x) = 1."""

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """`[T, n, d]`, `[T, m, d]` to `[T, n, m]`."""
        ...


@dataclass(frozen=True)
class Gaussian:
    """The mean over factors c of `exp(−‖x − y‖² / 2(cσ)²)`.

    With one factor it is the paper's kernel. With the five factors ¼, ½, 1, 2, 4 of the median distance it is the
    default: in a wide space all distances lie close to their median, so one σ is sensitive either to shifts of the
        whole cloud or
    to single tokens; the mean over two octaves on either side has a gradient for both and needs no tuning. A mean, not
    the usual sum, so that k(x, x) stays 1 and losses of all kernels compare.

    Args:
        sigma: `[T]`, σ for each attribute; or a scalar tensor.
        factors: what σ is multiplied by.
    """

    sigma: Tensor
    factors: tuple[float, ...] = (1.0,)

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """`[T, n, d]`, `[T, m, d]` to `[T, n, m]`."""
        return self.of(squared_distances(x, y))

    @cached_property
    def _rate(self) -> Tensor:
        """−1/2σ², `[T, 1, 1]`."""
        return (-0.5 / self.sigma.square())[..., None, None]

    def of(self, squared: Tensor) -> Tensor:
        """Kernel of squared distances `[T, n, m]`."""
        return torch.stack(self._each(squared)).mean(dim=0) if len(self.factors) > 1 else self._each(squared)[0]

    def slope(self, squared: Tensor) -> tuple[Tensor, Tensor]:
        """Kernel of squared distances `[T, n, m]`, and its derivative with respect to them."""
        total, slope = torch.zeros_like(squared), torch.zeros_like(squared)
        for kernel, c in zip(self._each(squared), self.factors, strict=True):
            total.add_(kernel)
            slope.add_(kernel, alpha=c**-2)
        return total.div_(len(self.factors)), slope.mul_(self._rate / len(self.factors))

    def _each(self, squared: Tensor) -> list[Tensor]:
        """The kernel of each factor."""
        if self.factors != FACTORS:
            return [(squared * (self._rate / c**2)).exp() for c in self.factors]
        kernels = [(squared * (self._rate / 16)).exp()]
        for _ in range(4):  # each factor is half the next: one exponential, and its powers
            kernels.append(kernels[-1].square().square())
        return kernels[::-1]


@dataclass(frozen=True)
class FourierFeatures:
    """A Gaussian kernel in linear time: `k(x, y) ≈ φ(x)·φ(y)`, `φ(x) = [cos ωx, sin ωx] / √D`.

    The error of one kernel value is about 1/√D. The frequencies take the factors in turn, which averages over them.

    Args:
        omega: `[D, d]` frequencies at σ = 1.
        sigma: `[T]` or a scalar tensor.
    """

    omega: Tensor
    sigma: Tensor

    @classmethod
    def drawn(
        cls, d: int, sigma: Tensor, *, n: int = 512, factors: tuple[float, ...] = FACTORS, seed: int = 0
    ) -> "FourierFeatures":
        """D = n random frequencies for activations of width d."""
        generator = torch.Generator().manual_seed(seed)
        omega = torch.randn(n, d, generator=generator, device="cpu").to(sigma)
        scale = sigma.new_tensor(factors).repeat(-(-n // len(factors)))[:n]
        return cls(omega / scale[:, None], sigma)

    def features(self, x: Tensor) -> Tensor:
        """φ: `[T, n, d]` to `[T, n, 2D]`, each row of length 1."""
        angle = (x @ self.omega.T) / self.sigma[..., None, None]  # [T, n, D]
        return torch.cat([angle.cos(), angle.sin()], dim=-1) * float(len(self.omega) ** -0.5)

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """`[T, n, d]`, `[T, m, d]` to `[T, n, m]`."""
        products: Tensor = self.features(x) @ self.features(y).mT
        return products


def mmd2(x: Tensor, y: Tensor, kernel: Kernel, *, unbiased: bool = True) -> Tensor:
    """Squared maximum mean discrepancy `‖mean φ(x) − mean φ(y)‖²` of each attribute (equations 5, 10).

    Args:
        x: `[T, n, d]`.
        y: `[T, m, d]`.
        kernel: `FourierFeatures` take time linear in n + m, others n·m.
        unbiased: leave out k(x_i, x_i), which would add about 1/n + 1/m; the estimate may then be below 0.

    Returns:
        `[T]`, differentiable in both.

    Raises:
        InputError: unbiased with fewer than two rows.
    """
    n, m = x.shape[-2], y.shape[-2]
    if min(n, m) < 1 + unbiased:
        raise InputError(
            f"the {'un' if unbiased else ''}biased MMD needs at least {1 + unbiased} rows of either side",
            code="too-few-examples",
            field="data",
        )
    if isinstance(kernel, FourierFeatures):
        px, py = kernel.features(x), kernel.features(y)
        sx, sy = px.sum(dim=-2), py.sum(dim=-2)  # [T, 2D]
        xx, yy = sx.square().sum(dim=-1) - n, sy.square().sum(dim=-1) - m  # k(x, x) = 1
        xy = (sx * sy).sum(dim=-1)
        nn, mm = (n * (n - 1), m * (m - 1)) if unbiased else (n * n, m * m)
        result = xx / nn + yy / mm - 2 * xy / (n * m)
    else:
        both, shares = torch.cat([x, y], dim=-2), _shares(n, m, unbiased, x.dtype, x.device)
        if not both.requires_grad:
            result = _in_blocks(both, shares, kernel)
        elif isinstance(kernel, Gaussian):
            result = _PairSum.apply(both, shares, kernel)  # type: ignore[no-untyped-call]
        else:
            result = (kernel(both, both) * shares).sum(dim=(-2, -1))
    return result if unbiased else result + 1 / n + 1 / m


@lru_cache(maxsize=4)
def _shares(n: int, m: int, unbiased: bool, dtype: torch.dtype, device: torch.device) -> Tensor:
    """`[n + m, n + m]`: how much each pair of different rows counts in the squared MMD; 0 on the diagonal."""
    sizes = torch.tensor([n, m], device="cpu")
    side = torch.tensor([1 / n, -1 / m], dtype=torch.float64, device="cpu").repeat_interleave(sizes)
    shares = torch.outer(side, side)
    if unbiased:
        shares[:n, :n] *= n / (n - 1)
        shares[n:, n:] *= m / (m - 1)
    return shares.fill_diagonal_(0).to(device, dtype)


def _in_blocks(z: Tensor, shares: Tensor, kernel: Kernel) -> Tensor:
    """`Σ_ij s_ij k(z_i, z_j)` of `z [T, n, d]` and symmetric s, as many rows at a time as fit into the processor's
    cache.

    A block of rows is paired with itself and with the rows after it, which count twice.
    """
    total = torch.zeros(z.shape[:-2], dtype=z.dtype, device=z.device)
    for i in range(0, len(shares), _BLOCK_ROWS):
        j = i + _BLOCK_ROWS
        terms = kernel(z[..., i:j, :], z[..., i:, :]) * shares[i:j, i:]
        total += 2 * terms.sum(dim=(-2, -1)) - terms[..., :_BLOCK_ROWS].sum(dim=(-2, -1))
    return total


class _PairSum(torch.autograd.Function):
    """`Σ_ij s_ij k(z_i, z_j)` for `z [T, n, d]` and symmetric s, with its gradient in one product.

    With D_ij = ‖z_i − z_j‖² the gradient in z_i is `4 Σ_j s_ij k'(D_ij) (z_i − z_j)`. Left to autograd, the powers of
    the kernel and the distances take three times as long.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, shares: Tensor, kernel: Gaussian) -> Tensor:
        value, slope = kernel.slope(squared_distances(z, z))
        pull = slope.mul_(4 * shares)  # [T, n, n]
        ctx.save_for_backward(pull.sum(dim=-1, keepdim=True) * z - pull @ z)
        return (value * shares).sum(dim=(-2, -1))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return above[..., None, None] * gradient, None, None


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """`‖x_i − y_j‖²`: `[T, n, d]`, `[T, m, d]` to `[T, n, m]`; of a row and itself, 0 up to rounding."""
    lengths = x.square().sum(dim=-1)[..., :, None] + y.square().sum(dim=-1)[..., None, :]
    return torch.baddbmm(lengths, x, y.mT, alpha=-2).clamp_min(0)


def mean_between(x: Tensor, kernel: Kernel) -> Tensor:
    """Mean of k over pairs of different rows: `[T, n, d]` to `[T]`."""
    n = x.shape[-2]
    between: Tensor = (kernel(x, x) * (1 - torch.eye(n, dtype=x.dtype, device=x.device))).sum(dim=(-2, -1))
    return between / (n * (n - 1))


def median_distance(x: Tensor, y: Tensor) -> Tensor:
    """The median heuristic: median of `‖a − b‖` over all pairs of different rows of both sides (Gretton et al. 2012).

    Args:
        x: `[T, n, d]`.
        y: `[T, m, d]`; evenly spaced rows are taken where there are more than 1,000 together.

    Returns:
        `[T]`.

    Raises:
        InputError: all rows of an attribute are the same.
    """
    rows = torch.cat([x, y], dim=-2)
    rows = rows[:, :: -(-rows.shape[1] // _MAX_MEDIAN_ROWS)]
    upper = torch.triu_indices(rows.shape[1], rows.shape[1], offset=1, device=rows.device)
    squared = squared_distances(rows, rows)[:, upper[0], upper[1]]
    median = squared.median(dim=-1).values.sqrt()
    if not bool((median > 0).all()):
        raise InputError(
            "more than half of an attribute's tokens are the same, so they have no median distance",
            code="unusable-examples",
            field="data",
        )
    return median


def kernel_named(
    name: KernelName, x: Tensor, y: Tensor, *, sigma: float = 2.0, features: int = 512, seed: int = 0
) -> Kernel:
    """The kernel of that name, fitted to the activations of both sides.

    Args:
        name: `multi` (the default of training), `median`, `fixed` (the paper), `fourier` (`multi` in linear time).
        x: `[T, n, d]` of the positive side.
        y: `[T, m, d]` of the negative side.
        sigma: of `fixed`.
        features: frequencies of `fourier`.
        seed: of their draw.

    Raises:
        InputError: an unknown name, rows that are all the same, or a sigma whose square does not fit a float32.
    """
    if name == "fixed":
        if not _MIN_SIGMA < sigma < _MAX_SIGMA:
            raise InputError(
                "sigma is so far from the activations' distances that the kernel is constant; give one near their "
                "median distance, or the kernel 'multi', which finds it",
                code="out-of-range",
                field="options.sigma",
            )
        return Gaussian(torch.full((len(x),), sigma, dtype=x.dtype, device=x.device))
    if name == "median":
        return Gaussian(median_distance(x, y))
    if name == "multi":
        return Gaussian(median_distance(x, y), FACTORS)
    if name == "fourier":
        return FourierFeatures.drawn(x.shape[-1], median_distance(x, y), n=features, seed=seed)
    raise InputError(
        f"no kernel is called {name!r}; there are multi, median, fixed, fourier",
        code="unknown-choice",
        field="options.kernel",
    )
