"""Steerings, additive edits and the mean difference, against arithmetic by hand."""

import pytest
import torch

from trimtab.errors import InputError
from trimtab.interventions import Site
from trimtab.models import steer
from trimtab.steering import Additive, Steering, mean_difference

SITE = Site(2)


def test_mean_difference_is_the_mean_of_the_differences() -> None:
    torch.manual_seed(0)
    plus, minus = torch.randn(7, 5), torch.randn(7, 5)
    steering = mean_difference(plus, minus, SITE, "kindness")
    expected = sum((p - m for p, m in zip(plus, minus, strict=True)), torch.zeros(5)) / 7
    torch.testing.assert_close(steering.vector(SITE), expected)
    assert dict(steering.attributes) == {"kindness": 1.0}


def test_mean_difference_takes_sides_of_unlike_length() -> None:
    plus, minus = torch.ones(3, 4), torch.zeros(5, 4)
    assert torch.equal(mean_difference(plus, minus, SITE).vector(SITE), torch.ones(4))


def test_an_additive_edit_sums_its_attributes_by_strength_per_row() -> None:
    vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    h = torch.zeros(2, 3, 2)
    out = Additive(vectors)(h, torch.tensor([[2.0, -1.0], [0.5, 0.0]]))
    assert torch.equal(out[0], torch.tensor([[2.0, -1.0]] * 3))
    assert torch.equal(out[1], torch.tensor([[0.5, 0.0]] * 3))


def test_strengths_are_given_by_number_name_or_row() -> None:
    steering = Steering({SITE: Additive(torch.eye(2))}, {"a": 1.0, "b": 0.5})
    assert steer(steering).strength.tolist() == [[1.0, 0.5]]
    assert steer(steering, 2).strength.tolist() == [[2.0, 2.0]]
    assert steer(steering, {"b": 3}).strength.tolist() == [[1.0, 3.0]]
    assert steer(steering, [0, {"a": -1}]).strength.tolist() == [[0.0, 0.0], [-1.0, 0.5]]


@pytest.mark.parametrize("strength", [{"c": 1}, "1", float("nan"), float("inf"), True, [], [None, "x"]])
def test_strengths_that_make_no_sense_are_refused(strength: object) -> None:
    steering = Steering({SITE: Additive(torch.eye(2))}, {"a": 1.0, "b": 0.5})
    with pytest.raises(InputError):
        steer(steering, strength)


@pytest.mark.parametrize("vector", [torch.zeros(2, 2), torch.tensor([1.0, torch.nan]), torch.tensor([torch.inf])])
def test_vectors_that_make_no_sense_are_refused(vector: torch.Tensor) -> None:
    with pytest.raises(InputError):
        Steering.from_vector(SITE, vector)


def test_a_vector_is_asked_for_where_there_is_one() -> None:
    with pytest.raises(InputError, match="edits 2"):
        Steering.from_vector(SITE, torch.ones(3)).vector(Site(1))


@pytest.mark.parametrize("sides", [(torch.ones(0, 3), torch.ones(2, 3)), (torch.ones(2, 3), torch.ones(2, 4))])
def test_sides_that_do_not_fit_are_refused(sides: tuple[torch.Tensor, torch.Tensor]) -> None:
    with pytest.raises(InputError):
        mean_difference(*sides, SITE)


def test_sites_are_given_by_block_or_text_and_kept_as_sites() -> None:
    steering = Steering({14: Additive(torch.eye(2)), "attention:3": Additive(torch.eye(2))}, {"a": 1.0, "b": 1.0})
    assert list(steering.edits) == [Site(14), Site(3, "attention")]
    assert torch.equal(steering.vector("14"), torch.ones(2))
    assert torch.equal(steering.vector("attention:3"), torch.ones(2))
    assert list(Steering.from_vector(14, torch.ones(3)).edits) == [Site(14)]
    assert list(mean_difference(torch.ones(2, 3), torch.zeros(2, 3), "mlp:1").edits) == [Site(1, "mlp")]


def test_keys_that_are_no_sites_and_two_edits_for_one_site_are_refused() -> None:
    with pytest.raises(InputError, match="True is not a site"):
        Steering.from_vector(True, torch.ones(3))
    with pytest.raises(InputError, match="two edits for one site"):
        Steering({14: Additive(torch.eye(2)), "14": Additive(torch.eye(2))}, {"a": 1.0, "b": 1.0})


def test_a_preset_names_strengths_and_leaves_the_others_at_their_default() -> None:
    steering = Steering({SITE: Additive(torch.eye(2))}, {"a": 1.0, "b": 0.5}, presets={"gentle": {"a": 0.2}, "off": {}})
    assert steer(steering, "gentle").strength.tolist() == [pytest.approx([0.2, 0.5])]
    assert steer(steering, ["off", {"b": 0}]).strength.tolist() == [[1.0, 0.5], [1.0, 0.0]]
    with pytest.raises(InputError, match="it has gentle, off"):
        steer(steering, "strong")


@pytest.mark.parametrize(
    ("attributes", "presets", "word"),
    [
        ({"": 1.0}, {}, "not a name"),
        ({"a\n": 1.0}, {}, "not a name"),
        ({"a": float("nan")}, {}, "finite"),
        ({"a": "1"}, {}, "finite"),
        ({"a": 1.0}, {"p": {"b": 1.0}}, "'b', which the steering does not have"),
        ({"a": 1.0}, {"p": {"a": True}}, "finite"),
        ({"a": 1.0, "b": 1.0}, {}, "takes 1 strengths, and there are 2"),
    ],
)
def test_names_and_defaults_that_make_no_sense_are_refused(
    attributes: dict[str, float], presets: dict[str, dict[str, float]], word: str
) -> None:
    with pytest.raises(InputError, match=word):
        Steering({SITE: Additive(torch.eye(2)[:1])}, attributes, presets=presets)


def test_names_and_defaults_change_in_copies() -> None:
    first = Steering({SITE: Additive(torch.eye(2))}, {"a": 1.0, "b": 0.5}, presets={"gentle": {"a": 0.2}})
    second = first.renamed({"a": "warm"}).changed(attributes={"warm": 3.0})
    assert dict(second.attributes) == {"warm": 3.0, "b": 0.5}
    assert second.presets == {"gentle": {"warm": 0.2}}
    assert dict(first.attributes) == {"a": 1.0, "b": 0.5}
    for change in (lambda: first.renamed({"c": "d"}), lambda: first.changed(attributes={"c": 1.0})):
        with pytest.raises(InputError, match="unknown attribute 'c'"):
            change()
    with pytest.raises(InputError, match="two attributes would be called 'b'"):
        first.renamed({"a": "b"})
