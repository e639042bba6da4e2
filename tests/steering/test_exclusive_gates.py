"""Gates that are shut on other attributes' text, on clouds of tokens whose places are known."""

import numpy as np
import pytest
import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.interventions import Site
from trimtab.steering.edits import Gated
from trimtab.steering.mat_steer import TokenRows, TokenSides
from trimtab.steering.mat_steer.diagnostics import GateCollapse
from trimtab.steering.methods import ExclusiveGates, SidesMethod, configured, method

D, N, SITE = 16, 240, Site(3)


def cloud(centre: Tensor, seed: int, n: int = N) -> TokenRows:
    noise = torch.randn(n, D, generator=torch.Generator().manual_seed(seed))
    return TokenRows(centre + noise, np.repeat(np.arange(n // 4), 4))


def at(**places: float) -> Tensor:
    """A point by its coordinates: x, y and z are the first three."""
    point = torch.zeros(D)
    for name, value in places.items():
        point["xyz".index(name)] = value
    return point


def two(seed: int = 0, n: int = N) -> dict[str, dict[Site, TokenSides]]:
    """Both attributes' undesired sides lie at x = −3, so that x alone cannot tell whose a token is; y can."""
    return {
        "warm": {SITE: TokenSides(cloud(at(x=3, y=4), seed, n), cloud(at(x=-3, y=4), seed + 1, n))},
        "brief": {SITE: TokenSides(cloud(at(x=3, y=-4), seed + 2, n), cloud(at(x=-3, y=-4), seed + 3, n))},
    }


def gates(edit: Gated, tokens: TokenRows) -> list[float]:
    return edit.gates(tokens.activations.float()).mean(dim=0).tolist()


@pytest.mark.parametrize("balanced", [False, True])
def test_gates_open_on_their_own_undesired_tokens_and_are_shut_on_all_other_text(balanced: bool) -> None:
    learned = ExclusiveGates(c=1.0, balanced=balanced).fit_tokens(two(), two(seed=50))
    edit, held_out = learned.steering.edits[SITE], two(seed=90)
    assert isinstance(edit, Gated)
    for t, name in enumerate(held_out):
        for other, sides in held_out.items():
            for side in ("positive", "negative"):
                gate = gates(edit, getattr(sides[SITE], side))[t]
                assert gate > 0.9 if (other, side) == (name, "negative") else gate < 0.1
    given = learned.by_site[SITE].statistics["warm"]
    assert given.negative.n == N
    assert given.others is not None
    assert given.others.gate < 0.1


def test_plain_probe_gates_open_on_the_other_attributes_text() -> None:
    """What the method is for: the same clouds open a gate that knows its own attribute alone."""
    data = {name: {SITE: own} for name, by_site in two().items() for own in [by_site[SITE]]}
    alone = ExclusiveGates().fit_tokens({"warm": data["warm"]}).steering.edits[SITE]
    assert isinstance(alone, Gated)
    assert gates(alone, data["brief"][SITE].negative)[0] > 0.9


def test_vectors_are_the_mean_differences_of_tokens() -> None:
    data = two()
    edit = ExclusiveGates().fit_tokens(data).steering.edits[SITE]
    assert isinstance(edit, Gated)
    for vector, by_site in zip(edit.vectors, data.values(), strict=True):
        sides = by_site[SITE]
        expected = sides.positive.activations.mean(dim=0) - sides.negative.activations.mean(dim=0)
        torch.testing.assert_close(vector, expected, atol=1e-4, rtol=1e-4)


def test_every_side_weighs_the_same_whatever_its_number_of_tokens() -> None:
    """Forty times the tokens on one side leave the gates about where they were."""
    few, many = two(), two()
    many["brief"] = {SITE: TokenSides(cloud(at(x=3, y=-4), 2, 40 * N), few["brief"][SITE].negative)}
    one, other = (ExclusiveGates(c=1.0).fit_tokens(d).steering.edits[SITE] for d in (few, many))
    probe = cloud(at(x=0, y=1), 7)
    assert gates(one, probe)[0] == pytest.approx(gates(other, probe)[0], abs=0.05)  # type: ignore[arg-type]


def test_balanced_gates_open_wider() -> None:
    near = {
        name: {SITE: TokenSides(cloud(at(x=0.4, y=y), 5, N), cloud(at(x=-0.4, y=y), 6, N))}
        for name, y in (("warm", 0.4), ("brief", -0.4))
    }
    wide, narrow = (
        ExclusiveGates(balanced=b).fit_tokens(near).by_site[SITE].statistics["warm"].negative.gate
        for b in (True, False)
    )
    assert wide > narrow + 0.1


def test_the_same_seed_gives_the_same_steering() -> None:
    assert (
        ExclusiveGates().fit_tokens(two(), seed=3).steering.id == ExclusiveGates().fit_tokens(two(), seed=3).steering.id
    )


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"c": 0.0}, "c 0.0"),
        ({"tokens": "some"}, "tokens"),
        ({"blocks": 0}, "blocks"),
        ({"threshold": 1.0}, "threshold"),
    ],
)
def test_odd_options_are_refused(options: dict[str, object], word: str) -> None:
    with pytest.raises(InputError, match=word):
        ExclusiveGates(**options).fit_tokens(two())  # type: ignore[arg-type]


def test_gates_that_stay_shut_are_refused_with_options_that_the_method_has() -> None:
    with pytest.raises(GateCollapse, match="balanced") as raised:
        ExclusiveGates(threshold=0.9999999).fit_tokens(two())
    assert "lambda" not in str(raised.value)


def test_sides_that_do_not_differ_are_refused_by_name() -> None:
    data = two()
    same = data["brief"][SITE].negative
    data["brief"] = {SITE: TokenSides(same, same)}
    with pytest.raises(InputError, match="brief"):
        ExclusiveGates().fit_tokens(data)


def test_it_is_told_apart_by_name_and_is_no_method_for_one_vector_per_text() -> None:
    assert method("exclusive-gates") is ExclusiveGates
    assert configured("exclusive-gates", {"c": 0.1}) == ExclusiveGates(c=0.1)
    assert ExclusiveGates.material == "tokens"
    assert not issubclass(ExclusiveGates, SidesMethod)
