"""MMD against closed forms and double loops; where kernels see and where they are blind."""

import math

import pytest
import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.steering.mat_steer.kernels import (
    FACTORS,
    FourierFeatures,
    Gaussian,
    kernel_named,
    median_distance,
    mmd2,
)


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def k(x: Tensor, y: Tensor, sigma: float, factors: tuple[float, ...]) -> float:
    """The kernel of two activations, from its definition."""
    square = float(((x - y) ** 2).sum())
    return sum(math.exp(-square / (2 * (c * sigma) ** 2)) for c in factors) / len(factors)


def looped(x: Tensor, y: Tensor, sigma: float, factors: tuple[float, ...], unbiased: bool) -> float:
    """MMD² of one attribute, pair by pair."""

    def inner(a: Tensor) -> float:
        n = len(a)
        pairs = [(i, j) for i in range(n) for j in range(n) if not (unbiased and i == j)]
        return sum(k(a[i], a[j], sigma, factors) for i, j in pairs) / len(pairs)

    across = [k(a, b, sigma, factors) for a in x for b in y]
    return inner(x) + inner(y) - 2 * sum(across) / len(across)


@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize("factors", [(1.0,), FACTORS, (0.5, 3.0)])
def test_mmd_is_the_double_loop_of_its_definition(unbiased: bool, factors: tuple[float, ...]) -> None:
    x, y, sigma = rand(2, 5, 3), rand(2, 7, 3, seed=1) + 1, torch.tensor([1.5, 0.7], dtype=torch.float64)
    expected = torch.tensor([looped(x[t], y[t], float(sigma[t]), factors, unbiased) for t in range(2)]).double()
    torch.testing.assert_close(mmd2(x, y, Gaussian(sigma, factors), unbiased=unbiased), expected, rtol=1e-6, atol=0)
    learning = mmd2(x, y.requires_grad_(), Gaussian(sigma, factors), unbiased=unbiased)
    torch.testing.assert_close(learning.detach(), expected, rtol=1e-6, atol=0)


def test_many_rows_are_gone_through_in_blocks_to_the_same_value() -> None:
    x, y, kernel = rand(2, 150, 3), rand(2, 190, 3, seed=1) + 1, Gaussian(torch.ones(2, dtype=torch.float64), FACTORS)
    together = mmd2(x, y.clone().requires_grad_(), kernel).detach()
    torch.testing.assert_close(mmd2(x, y, kernel), together)


@pytest.mark.parametrize("unbiased", [True, False])
def test_a_plain_callable_is_a_kernel_too(unbiased: bool) -> None:
    x, y, kernel = rand(2, 5, 3), rand(2, 7, 3, seed=1), Gaussian(torch.ones(2, dtype=torch.float64))
    torch.testing.assert_close(
        mmd2(x, y, lambda a, b: kernel(a, b), unbiased=unbiased), mmd2(x, y, kernel, unbiased=unbiased)
    )


@pytest.mark.parametrize("factors", [(1.0,), FACTORS, (0.5, 3.0)])
def test_the_gradient_is_that_of_finite_differences(factors: tuple[float, ...]) -> None:
    x, y = rand(2, 4, 3).requires_grad_(), (rand(2, 3, 3, seed=1) + 1).requires_grad_()
    kernel = Gaussian(torch.tensor([1.5, 0.7], dtype=torch.float64), factors)
    assert torch.autograd.gradcheck(lambda a, b: mmd2(a, b, kernel), (x, y))
    assert torch.autograd.gradcheck(lambda a, b: mmd2(a, b, kernel, unbiased=False), (x, y))


def test_unbiased_mmd_of_gaussians_is_the_closed_form_on_average_and_the_biased_lies_above() -> None:
    d, n, s1, s2, sigma, apart = 4, 12, 1.0, 1.5, 2.0, 2.0

    def expected(v1: float, v2: float, distance: float) -> float:
        """E k of two Gaussians with variances v1 I, v2 I whose means lie so far apart."""
        wide = sigma**2 + v1 + v2
        return float((sigma**2 / wide) ** (d / 2) * math.exp(-(distance**2) / (2 * wide)))

    truth = expected(s1**2, s1**2, 0) + expected(s2**2, s2**2, 0) - 2 * expected(s1**2, s2**2, apart)
    x, y = s1 * rand(4000, n, d), s2 * rand(4000, n, d, seed=1)
    y[..., 0] += apart
    kernel = Gaussian(torch.full((4000,), sigma, dtype=torch.float64))
    result = mmd2(x, y, kernel)
    assert float(result.mean()) == pytest.approx(truth, abs=4 * float(result.std()) / 4000**0.5)
    inside = expected(s1**2, s1**2, 0), expected(s2**2, s2**2, 0)
    biased = mmd2(x, y, kernel, unbiased=False)
    assert float(biased.mean()) == pytest.approx(truth + (2 - sum(inside)) / n, abs=4 * float(biased.std()) / 4000**0.5)


@pytest.mark.parametrize("unbiased", [True, False])
def test_fourier_features_approach_the_kernel_they_stand_for(unbiased: bool) -> None:
    x, y, sigma = rand(2, 30, 6), rand(2, 40, 6, seed=1) + 0.7, torch.tensor([3.0, 2.0], dtype=torch.float64)
    exact, linear = Gaussian(sigma, FACTORS), FourierFeatures.drawn(6, sigma, n=20_000)
    torch.testing.assert_close(linear(x, y), exact(x, y), atol=0.05, rtol=0)
    expected = mmd2(x, y, exact, unbiased=unbiased)
    torch.testing.assert_close(mmd2(x, y, linear, unbiased=unbiased), expected, atol=0.01, rtol=0)
    pairwise = mmd2(x, y, lambda a, b: linear(a, b), unbiased=unbiased)  # its own kernel matrix, in quadratic time
    torch.testing.assert_close(mmd2(x, y, linear, unbiased=unbiased), pairwise)


def test_the_median_distance_is_that_of_all_pairs() -> None:
    x, y = rand(2, 6, 3), rand(2, 5, 3, seed=1) * 4
    for t in range(2):
        rows = torch.cat([x[t], y[t]])
        pairs = sorted(float((rows[i] - rows[j]).norm()) for i in range(11) for j in range(i))
        assert float(median_distance(x, y)[t]) == pytest.approx(pairs[(len(pairs) - 1) // 2])


def test_sigma_2_saturates_where_tokens_lie_far_apart_and_the_median_does_not() -> None:
    positive, negative = 30 * rand(1, 16, 64), 30 * rand(1, 16, 64, seed=1) + 20
    lengths = {}
    for name in ("fixed", "median", "multi", "fourier"):
        y = negative.clone().requires_grad_()
        mmd2(positive, y, kernel_named(name, positive, negative)).sum().backward()
        lengths[name] = float(y.grad.norm() * 30)  # by a change as large as the spread
    assert lengths["fixed"] < 1e-12
    assert min(lengths[name] for name in ("median", "multi", "fourier")) > 1e-3


def test_float32_gives_what_float64_gives_at_the_width_of_a_model() -> None:
    x, y = rand(1, 16, 576), rand(1, 16, 576, seed=1) + 0.1
    exact = mmd2(x, y, kernel_named("multi", x, y))
    torch.testing.assert_close(mmd2(x.float(), y.float(), kernel_named("multi", x.float(), y.float())).double(), exact,
                               atol=1e-6, rtol=1e-3)  # fmt: skip


def test_input_that_has_no_mmd_is_refused() -> None:
    with pytest.raises(InputError, match="at least 2 rows"):
        mmd2(rand(1, 1, 3), rand(1, 4, 3), Gaussian(torch.ones(1)))
    with pytest.raises(InputError, match="no median distance"):
        median_distance(torch.ones(1, 5, 3), torch.ones(1, 5, 3))
    with pytest.raises(InputError, match="there are multi"):
        kernel_named("laplace", rand(1, 4, 3), rand(1, 4, 3))  # type: ignore[arg-type]
