"""Inference-time intervention on heads whose directions are known, and through a model's own projection."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trimtab.errors import InputError
from trimtab.interventions import Site
from trimtab.models.blocks import Heads
from trimtab.steering.methods import Sides
from trimtab.steering.methods import method as method_of

N_HEADS, WIDTH, D, N = 4, 6, 10, 160


def method(name: str) -> Any:
    """The class of a method, with what its kind of material needs."""
    return method_of(name)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


PROJECTION = nn.Linear(N_HEADS * WIDTH, D)
HEADS = Heads(PROJECTION, N_HEADS, N_HEADS * WIDTH)
AXIS = normal(WIDTH, seed=1) / normal(WIDTH, seed=1).norm()


def knowing(head: int, gap: float = 4.0, seed: int = 0) -> Sides:
    """Only one head tells the sides apart, along AXIS."""
    shift = torch.zeros(N_HEADS * WIDTH, dtype=torch.float64)
    shift[head * WIDTH : (head + 1) * WIDTH] = gap * AXIS
    return Sides(normal(N, len(shift), seed=seed) + shift, normal(N, len(shift), seed=seed + 1), False, HEADS)


def fitted(sides: dict[int, Sides], **options: Any) -> Any:
    data = {"warm": {Site(block, "heads"): side for block, side in sides.items()}}
    return method("iti")(**options).fit(data)


def test_the_head_that_knows_is_shifted_along_its_direction_by_alpha_sigma() -> None:
    sides = knowing(2)
    steering = fitted({3: sides}, share=0.1, alpha=5.0)
    assert list(steering.edits) == [Site(3, "attention")]
    columns = slice(2 * WIDTH, 3 * WIDTH)
    theta = (sides.positive - sides.negative).mean(dim=0)[columns]
    theta = theta / theta.norm()
    sigma = torch.cat([sides.positive, sides.negative])[:, columns].matmul(theta).std()
    expected = 5.0 * float(sigma) * (PROJECTION.weight.detach().double()[:, columns] @ theta)
    torch.testing.assert_close(steering.vector("attention:3").double(), expected, atol=1e-5, rtol=1e-5)


def test_heads_are_ranked_over_all_sites_together() -> None:
    steering = fitted({1: knowing(0, gap=0.2), 2: knowing(3), 5: knowing(1, gap=0.1, seed=7)}, share=0.1)
    assert list(steering.edits) == [Site(2, "attention")]


@pytest.mark.parametrize("direction", ["mean", "probe"])
def test_both_directions_find_the_axis(direction: str) -> None:
    eye = Heads(nn.Identity(), N_HEADS, N_HEADS * WIDTH)
    eye.projection.register_parameter("weight", nn.Parameter(torch.ones(1)))
    known = knowing(1)
    sides = Sides(known.positive, known.negative, False, eye)
    vector = fitted({0: sides}, share=0.1, direction=direction).vector("attention:0").double()
    assert float(torch.cosine_similarity(vector[WIDTH : 2 * WIDTH], AXIS, dim=0)) > 0.97
    assert float(vector[:WIDTH].norm()) == 0.0


def test_attributes_have_heads_of_their_own() -> None:
    data = {
        name: {Site(k, "heads"): knowing(head, seed=10 * k, gap=4.0 if k == block else 0.0) for k in (1, 2)}
        for name, head, block in (("warm", 0, 1), ("brief", 3, 2))
    }
    steering = method("iti")(share=0.1).fit(data)
    assert [bool(v.any()) for v in steering.edits[Site(1, "attention")].vectors] == [True, False]
    assert [bool(v.any()) for v in steering.edits[Site(2, "attention")].vectors] == [False, True]


def test_what_makes_no_sense_is_refused() -> None:
    for options in ({"share": 0.0}, {"share": 1.5}, {"direction": "up"}):
        with pytest.raises(InputError):
            fitted({0: knowing(0)}, **options)
    plain = Sides(normal(9, 8, seed=0), normal(9, 8, seed=1))
    with pytest.raises(InputError, match="heads:4"):
        method("iti")().fit({"warm": {Site(4): plain}})
    few = knowing(0)
    with pytest.raises(InputError, match="at least 3 rows"):
        fitted({0: Sides(few.positive[:2], few.negative[:2], False, HEADS)}, share=0.1)
