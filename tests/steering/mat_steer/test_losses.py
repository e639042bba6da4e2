"""Every term against a loop over attributes, tokens and gates."""

import math

import pytest
import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.steering.mat_steer.kernels import Gaussian, mmd2
from trimtab.steering.mat_steer.losses import (
    Weights,
    alignment,
    identity_value,
    orthogonality,
    positives,
    shrinkage,
    sparsity,
)

T, N, D = 3, 4, 5


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


GATES = rand(T, N, T).sigmoid()


@pytest.mark.parametrize("everyones", [False, True])
def test_penalties_are_means_over_the_tokens_they_are_for(everyones: bool) -> None:
    squares, absolutes = [], []
    for whose in range(T):
        for token in range(N):
            for gate in range(T):
                if everyones or gate == whose:
                    value = float(GATES[whose, token, gate])
                    squares.append(value**2)
                    absolutes.append(abs(value))
    tokens = T * N  # everyones adds the other gates' terms, and divides by no more than the tokens
    assert float(positives(GATES, everyones=everyones)) == pytest.approx(sum(squares) / tokens)
    assert float(sparsity(GATES, everyones=everyones)) == pytest.approx(sum(absolutes) / tokens)


def test_orthogonality_is_the_mean_squared_cosine_over_pairs() -> None:
    theta = rand(T, D)
    cosines = [
        float(theta[a] @ theta[b] / (theta[a].norm() * theta[b].norm())) ** 2
        for a in range(T) for b in range(T) if a != b
    ]  # fmt: skip
    assert float(orthogonality(theta)) == pytest.approx(sum(cosines) / len(cosines))
    assert float(orthogonality(theta[:1])) == 0
    assert float(orthogonality(torch.eye(3))) == 0


def test_shrinkage_is_the_squared_relative_distance_from_the_start() -> None:
    now, start = rand(T, D), rand(T, D, seed=1)
    expected = sum(float((now[t] - start[t]).norm() / start[t].norm()) ** 2 for t in range(T)) / T
    assert float(shrinkage(now, start)) == pytest.approx(expected)


def test_alignment_is_each_attributes_mmd_over_its_own_start() -> None:
    x, y, kernel = rand(T, 8, D), rand(T, 8, D, seed=1) + 1, Gaussian(torch.ones(T, dtype=torch.float64))
    identity = torch.tensor([0.5, 0.1, 2.0], dtype=torch.float64)
    each = [mmd2(x[t : t + 1], y[t : t + 1], Gaussian(torch.ones(1, dtype=torch.float64))) for t in range(T)]
    expected = sum(float(value) / float(start) for value, start in zip(each, identity, strict=True)) / T
    assert float(alignment(x, y, kernel, identity)) == pytest.approx(expected)


@pytest.mark.parametrize("unbiased", [True, False])
def test_alignment_starts_at_1_whatever_the_estimator_and_the_batch(unbiased: bool) -> None:
    x, y, kernel = rand(1, 4096, D), rand(1, 4096, D, seed=1) + 0.5, Gaussian(torch.full((1,), 2.0).double())
    identity = identity_value(x[:, :2000], y[:, :2000], kernel, batch=16, unbiased=unbiased)
    batches = x.view(256, 16, D), y.view(256, 16, D)
    result = alignment(*batches, Gaussian(torch.full((256,), 2.0).double()), identity, unbiased=unbiased)
    assert float(result) == pytest.approx(1.0, abs=0.1)


def test_a_kernel_that_sees_no_difference_is_refused() -> None:
    x, y = 100 * rand(2, 50, D), 100 * rand(2, 50, D, seed=1) + 300
    with pytest.raises(InputError, match="attribute 1 of 2: the kernel sees no difference"):
        identity_value(x, y, Gaussian(torch.full((2,), 2.0)), batch=16)


def test_the_papers_loss_of_sums_is_ours_with_lambda_rescaled() -> None:
    x, y, theta = rand(T, N, D), rand(T, N, D, seed=1), rand(T, D, seed=2)
    mmd = mmd2(x, y, Gaussian(torch.ones(T, dtype=torch.float64)))
    own = [[float(GATES[t, i, t]) for i in range(N)] for t in range(T)]
    cos = [
        [float(torch.nn.functional.cosine_similarity(theta[a], theta[b], dim=0)) for b in range(T)] for a in range(T)
    ]
    paper = float(mmd.sum()) + 0.9 * sum(g**2 for row in own for g in row) + 0.8 * sum(g for row in own for g in row)
    paper += 0.1 * sum(cos[a][b] ** 2 for a in range(T) for b in range(T) if a != b)
    one = torch.ones(T, dtype=torch.float64)
    kernel = Gaussian(one)
    terms = [alignment(x, y, kernel, one), positives(GATES), sparsity(GATES), orthogonality(theta), torch.tensor(0.0)]
    ours = Weights(0.9 * N, 0.8 * N, 0.1 * (T - 1)).total(torch.stack([t.double() for t in terms]))
    assert math.isclose(T * float(ours), paper, rel_tol=1e-9)
