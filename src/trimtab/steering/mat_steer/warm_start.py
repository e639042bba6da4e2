"""Where training starts by default: mean differences behind linear discriminants, already good untrained."""

import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.steering.mat_steer.data import CPU, TokenData, drawn_sides
from trimtab.steering.mat_steer.parameters import Start

MAX_ROWS = 8192  # tokens of a side that are used
RIDGE = 0.1  # added to the covariance, as a share of its mean eigenvalue
CONFIDENT = 3.0  # a class mean's largest log-odds: 95 %, where σ still has a gradient


def means_start(
    data: TokenData, scale: float, seed: int, *, everyones: bool = False, device: torch.device = CPU
) -> Start:
    """θ_t the mean difference; gate t the linear discriminant between A_t^n (open) and A_t^p (shut).

    The discriminant is Fisher's with a ridge, `w = (Σ + ρI)⁻¹ (μ_n − μ_p)` and b half way between the means: log-odds
    for Gaussian classes of equal size. It is scaled down if the means would be classified with more than 95 %
    confidence.

    Args:
        data: tokens by attribute; up to 8,192 of each side are used.
        scale: activations are divided by it.
        seed: decides which tokens.
        everyones: put the other attributes' tokens on the shut side too.
        device: where it is computed and kept.

    Raises:
        InputError: the sides of an attribute have the same mean.
    """
    rows = [some.to(device) / scale for some in drawn_sides(data, MAX_ROWS, seed)]
    moments = [_moments(some) for some in rows]
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for t, name in enumerate(data):
        wanted, opened = moments[2 * t], moments[2 * t + 1]
        difference = wanted[0] - opened[0]
        if float(difference.norm()) <= 1e-6 * float((opened[0].square().sum() + opened[1].trace()).sqrt()):
            raise InputError(
                f"{name}: the two sides have the same mean, so there is no direction between them",
                code="no-direction",
                field="data",
            )
        others = [m for i, m in enumerate(moments) if i // 2 != t] if everyones else []
        w, b = _discriminant(opened, _pooled([wanted, *others]))
        parts.append((difference, w, b))
    theta, weights, bias = (torch.stack(part).float() for part in zip(*parts, strict=True))
    return Start(theta, weights, bias)


Moments = tuple[Tensor, Tensor]  # mean [d] and covariance [d, d], float64


def _moments(rows: Tensor) -> Moments:
    mean = rows.mean(dim=0)
    centred = rows - mean
    return mean.double(), (centred.mT @ centred).double() / len(rows)


def _pooled(parts: list[Moments]) -> Moments:
    """Moments of all parts together, each with the same weight."""
    mean = torch.stack([m for m, _ in parts]).mean(dim=0)
    spread = [c + torch.outer(m - mean, m - mean) for m, c in parts]
    return mean, torch.stack(spread).mean(dim=0)


def _discriminant(opened: Moments, shut: Moments) -> tuple[Tensor, Tensor]:
    """w `[d]` and b: log-odds of the opened class."""
    covariance = (opened[1] + shut[1]) / 2
    ridge = RIDGE * covariance.diagonal().mean().clamp_min(torch.finfo(torch.float32).tiny)
    covariance.diagonal().add_(ridge)
    w = torch.linalg.solve(covariance, opened[0] - shut[0])
    sure = w @ (opened[0] - shut[0]) / 2  # log-odds at the class means, ± this
    w = w * (CONFIDENT / sure.clamp_min(CONFIDENT))
    return w, -(w @ (opened[0] + shut[0])) / 2
