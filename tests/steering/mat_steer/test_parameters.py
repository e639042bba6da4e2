"""The trained f is the shipped edit; what norms, gates and orthogonality promise."""

import pytest
import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.steering.mat_steer.losses import positives, sparsity
from trimtab.steering.mat_steer.options import Options
from trimtab.steering.mat_steer.parameters import Parameters, Start, orthogonalised, random_start

T, D, SCALE = 3, 8, 2.5


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def start() -> Start:
    return random_start([f"attribute-{t}" for t in range(T)], D, 4)


@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options(norm="free"),
        Options(gate="hard"),
        Options(orthogonality="hard"),
        Options(orthogonality="hard", norm="free"),
        Options(shared=2),
        Options(keep_norm=False),
    ],
    ids=str,
)
def test_the_edit_does_to_activations_what_was_trained_on_scaled_ones(options: Options) -> None:
    p, a = Parameters(start(), options, SCALE), SCALE * rand(5, D)
    with torch.no_grad():
        p.weights.mul_(8)  # gates wide open and shut
        x = a / SCALE
        expected = p.steered(x, p.gates(x), p.theta()) * SCALE
    edit = p.edit()
    torch.testing.assert_close(edit(a[None], torch.ones(1, T))[0], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(edit.gates(a), p.gates(x).detach(), rtol=1e-4, atol=1e-5)


def test_held_vectors_have_their_share_of_the_median_norm() -> None:
    theta = Parameters(start(), Options(share=0.4), SCALE).edit().vectors
    median = SCALE * D**0.5  # what SCALE stands for
    torch.testing.assert_close(theta.norm(dim=1), torch.full((T,), 0.4 * median))


def test_free_vectors_are_as_long_as_they_are_learned() -> None:
    torch.testing.assert_close(Parameters(start(), Options(norm="free"), 1.0).theta(), start().theta)


@pytest.mark.parametrize(("norm", "gamed"), [("free", True), ("held", False)])
def test_small_gates_before_long_vectors_game_the_penalties_of_the_free_norm_only(norm: str, gamed: bool) -> None:
    g, c, x = 0.8, 10.0, rand(T, 6, D)

    def made(gate: float, stretch: float) -> Parameters:
        bias = torch.full((T,), gate).logit()
        options = Options(norm=norm, keep_norm=False)  # type: ignore[arg-type]
        return Parameters(Start(start().theta * stretch, torch.zeros(T, D), bias), options, 1.0)

    plain, sly = made(g, 1.0), made(g / c, c)
    with torch.no_grad():
        gates = [p.gates(x) for p in (plain, sly)]
        steered = [p.steered(x, result, p.theta()) for p, result in zip((plain, sly), gates, strict=True)]
    assert float(sparsity(gates[1])) == pytest.approx(float(sparsity(gates[0])) / c, rel=1e-5)
    assert float(positives(gates[1])) == pytest.approx(float(positives(gates[0])) / c**2, rel=1e-5)
    assert torch.allclose(steered[0], steered[1], atol=1e-5) is gamed
    if not gamed:  # the edit shrinks with the gates
        torch.testing.assert_close(steered[1] - x, (steered[0] - x) / c, atol=1e-6, rtol=1e-4)


def test_hard_gates_are_exactly_0_leave_tokens_bit_equal_and_still_learn() -> None:
    p = Parameters(start(), Options(gate="hard"), 1.0)
    with torch.no_grad():
        p.bias.fill_(-5.0)
        p.weights.zero_()
    x = rand(6, D)
    gates = p.gates(x)
    assert not gates.any()
    assert torch.equal(p.edit()(x[None], torch.ones(1, T))[0], x)
    gates.sum().backward()
    assert p.bias.grad is not None
    assert bool((p.bias.grad > 0).all())


def test_orthogonalised_is_the_polar_factor_of_the_singular_value_decomposition() -> None:
    rows = rand(T, D)
    u, _, vh = torch.linalg.svd(torch.nn.functional.normalize(rows).double(), full_matrices=False)
    torch.testing.assert_close(orthogonalised(rows).double(), u @ vh, atol=1e-5, rtol=0)
    near = torch.stack([rows[0], rows[0] + 0.01 * rows[1]])  # close to parallel
    torch.testing.assert_close(orthogonalised(near) @ orthogonalised(near).T, torch.eye(2), atol=1e-4, rtol=0)


def test_the_gradient_of_hard_orthogonality_is_right_also_at_orthogonal_rows() -> None:
    for rows in (torch.eye(T, D).double(), rand(T, D).double()):
        assert torch.autograd.gradcheck(orthogonalised, (rows.requires_grad_(),))


def test_hard_orthogonality_of_opposite_directions_is_refused() -> None:
    one = rand(1, D)
    opposite = Start(torch.cat([one, -one]), torch.zeros(2, D), torch.zeros(2))
    with pytest.raises(InputError, match="set orthogonality to 'soft'"):
        Parameters(opposite, Options(orthogonality="hard"), 1.0)


def test_a_shared_subspace_starts_with_the_same_vectors_and_holds_what_they_share() -> None:
    common = rand(1, D, seed=8)
    theta = common + 0.01 * rand(T, D)
    p = Parameters(Start(theta, torch.zeros(T, D), torch.zeros(T)), Options(shared=1, norm="free"), 1.0)
    torch.testing.assert_close(p.theta(), theta)
    assert p.basis is not None
    cosine = torch.nn.functional.cosine_similarity(p.basis.detach(), common).abs()
    assert float(cosine) > 0.999
    assert float(p.raw.detach().norm()) < 0.05 * float(theta.norm())
    with pytest.raises(InputError, match="at most the number of attributes"):
        Parameters(start(), Options(shared=4), 1.0)


@pytest.mark.parametrize(
    ("field", "value"),
    [("norm", "fixed"), ("lambda_sparsity", -1), ("rate", 0), ("batch", 1), ("share", float("nan")), ("kernel", "x")],
)
def test_odd_options_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(InputError, match=field):
        Options(**{field: value})  # type: ignore[arg-type]
