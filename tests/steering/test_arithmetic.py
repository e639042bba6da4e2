"""Several steerings as one act like one after the other, and vectors add up as vectors do."""

import pytest
import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.interventions import ModelFacts, Site
from trimtab.models import steer
from trimtab.steering import Additive, Origin, Steering
from trimtab.steering.edits import Ablation, Gated

D = 6


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def vector(name: str, site: int | str = 1, seed: int = 0, strength: float = 1.0) -> Steering:
    return Steering.from_vector(site, rand(D, seed=seed), name).changed(attributes={name: strength})


def gated() -> Steering:
    return Steering({1: Gated(rand(2, D, seed=5), rand(2, D, seed=6), rand(2, seed=7))}, {"a": 1.0, "b": 0.5})


def applied(steering: Steering, site: Site, h: Tensor, strength: object = None) -> Tensor:
    return steering.edits[site](h, steer(steering, strength).strength)


def test_combined_steerings_act_one_after_the_other_each_by_its_own_strengths() -> None:
    warm, brief = vector("warm", 1, seed=1), vector("brief", 2, seed=2)
    ablation = Steering({1: Ablation(rand(1, D, seed=3))}, {"rude": 1.0})
    whole = Steering.combined([warm, gated(), ablation, brief])
    assert list(whole.attributes) == ["warm", "a", "b", "rude", "brief"]
    h = rand(3, 4, D, seed=9)
    strengths = {"warm": 0.7, "a": -0.3, "b": 0.0, "rude": 0.5, "brief": 2.0}
    expected = applied(warm, Site(1), h, 0.7)
    expected = applied(gated(), Site(1), expected, {"a": -0.3, "b": 0.0})
    expected = applied(ablation, Site(1), expected, 0.5)
    assert torch.equal(applied(whole, Site(1), h, strengths), expected)
    assert torch.equal(applied(whole, Site(2), h, strengths), applied(brief, Site(2), h, 2.0))
    off = dict.fromkeys(whole.attributes, 0.0)
    assert torch.equal(applied(whole, Site(1), h, off), h)
    alone = {**off, "warm": 0.7}
    assert torch.equal(applied(whole, Site(1), h, alone), applied(warm, Site(1), h, 0.7))


def test_combining_is_associative_and_saved_like_any_other(tmp_path) -> None:
    parts = [vector("x", 1, 1), gated(), vector("y", 1, 2), vector("z", "attention:0", 3)]
    left = Steering.combined([Steering.combined(parts[:2]), Steering.combined(parts[2:])])
    flat = Steering.combined(parts)
    h = rand(2, 3, D, seed=4)
    for site in flat.edits:
        assert torch.equal(applied(left, site, h), applied(flat, site, h))
    flat.save(tmp_path / "s")
    again = Steering.load(tmp_path / "s")
    assert again.id == flat.id
    assert torch.equal(applied(again, Site(1), h), applied(flat, Site(1), h))


def test_presets_of_one_name_become_one() -> None:
    first = vector("x").changed(presets={"gentle": {"x": 0.1}, "own": {"x": 3.0}})
    whole = Steering.combined([first, vector("y", 2).changed(presets={"gentle": {"y": 0.2}})])
    assert whole.presets == {"gentle": {"x": 0.1, "y": 0.2}, "own": {"x": 3.0}}


def test_sums_and_multiples_are_those_of_the_vectors() -> None:
    happy, sad = vector("happy", 1, 1, strength=2.0), vector("sad", 1, 2)
    more = vector("sad", 2, 3)
    v, w = rand(D, seed=1), rand(D, seed=2)
    torch.testing.assert_close((happy + sad).vector(1), 2 * v + w)
    torch.testing.assert_close((happy - sad).vector(1), 2 * v - w)
    torch.testing.assert_close((-happy).vector(1), -v)
    torch.testing.assert_close((0.5 * happy * 3).vector(1), 1.5 * v)
    assert dict((happy - sad).attributes) == {"happy - sad": 1.0}
    assert dict((3 * happy).attributes) == {"happy": 2.0}
    across = happy + more
    torch.testing.assert_close(across.vector(1), 2 * v)
    torch.testing.assert_close(across.vector(2), rand(D, seed=3))
    assert (happy + sad).origin.method == "sum"


def test_attributes_of_the_same_names_add_one_by_one() -> None:
    first = Steering({1: Additive(rand(2, D, seed=1))}, {"a": 1.0, "b": 2.0})
    second = Steering({1: Additive(rand(2, D, seed=2))}, {"a": 1.0, "b": 1.0})
    edit = (first - second).edits[Site(1)]
    assert isinstance(edit, Additive)
    torch.testing.assert_close(edit.vectors, rand(2, D, seed=1) * torch.tensor([[1.0], [2.0]]) - rand(2, D, seed=2))


def test_what_cannot_be_put_together_is_refused() -> None:
    facts = ModelFacts("m", None, "L", D, 3, "0" * 64, "1" * 64)
    other = ModelFacts("n", None, "L", D, 3, "2" * 64, "1" * 64)
    with pytest.raises(InputError, match="'x'"):
        Steering.combined([vector("x"), vector("x", 2)])
    with pytest.raises(InputError, match="m and n"):
        Steering.combined([vector("x").changed(made_for=facts), vector("y").changed(made_for=other)])
    with pytest.raises(InputError, match="at least one"):
        Steering.combined([])
    with pytest.raises(InputError, match="not a plain vector"):
        gated() + gated()
    with pytest.raises(InputError, match="cannot be added one by one"):
        vector("x") + Steering({1: Additive(rand(2, D))}, {"a": 1.0, "b": 1.0})
    for factor in (0, float("nan"), True, "2"):
        with pytest.raises(InputError, match="finite number"):
            vector("x") * factor  # type: ignore[operator]
    assert Steering.combined([vector("x").changed(made_for=facts), vector("y")]).made_for == facts


def test_where_it_comes_from_is_kept() -> None:
    given = vector("x").changed(origin=Origin("pca", {"c": 1}, 3, {"x": "f" * 64}))
    origin = Steering.combined([given, vector("y")]).origin
    assert origin.data == {"x": "f" * 64}
    assert origin.hyperparameters["of"][0]["method"] == "pca"
