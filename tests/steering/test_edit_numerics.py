"""Edits at the ends of the number range: zero, tiny and huge activations and directions, doubles, random twins."""

import pytest
import torch
from tests.models.conftest import WIDTH
from tests.steering.every_kind import EDITS, rand

from trimtab.errors import InputError
from trimtab.steering import Steering
from trimtab.steering.edits import Ablation, Additive, Clamp, ClassifierGradient, Gated, Rotation, Stack, StoredEdit

KIND = pytest.mark.parametrize("kind", list(EDITS))
ON = torch.ones(1, 1)


@KIND
@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-4, 1e4, 1e15])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_activation_gives_a_nan(kind, size, dtype):
    h = (size * rand(2, 7, WIDTH, seed=11)).to(dtype)
    h[0, 2] = 0
    for strength in ([1.0, 1.0], [-3.0, 0.0], [1e-30, 1e3]):
        assert EDITS[kind]()(h, torch.tensor([strength])).isfinite().all()


@KIND
def test_huge_activations_are_edited_as_exactly_as_others(kind):
    """Against the same edit in float64, within a few units in the last place of the token's length."""
    edit, h, strength = EDITS[kind](), 1e4 * rand(2, 7, WIDTH, seed=11), torch.tensor([[0.7, -1.2]])
    exact = _in_float64(edit, h, strength)
    error = (edit(h, strength).double() - exact).norm(dim=-1)
    assert (error <= 4e-6 * h.double().norm(dim=-1)).all()


def _in_float64(edit, h, strength):
    """The formulas, with nothing of float32 in them but the numbers that they are given."""
    if isinstance(edit, Stack):
        out = h.double()
        for part, columns in edit.parts:
            out = _in_float64(part, out, strength[:, list(columns)])
        return out
    at = edit.prepared({name: tensor.double() for name, tensor in edit.tensors.items()})
    h = h.double()
    h.float = lambda: h  # type: ignore[method-assign]  # the edits compute in what this gives
    return edit.edited(h, strength.double(), at)


@pytest.mark.parametrize("make", [lambda v: Additive(v, keep_norm=True), lambda v: _open_gate(v)])
def test_a_token_that_the_sum_takes_to_zero_stays_as_it_is(make):
    """Its length could not be kept: there is no direction left to stretch it along."""
    h = torch.tensor([[[3.0, -4.0, 0.0, 12.0], [1.0, 0.0, 0.0, 0.0]]])
    out = make(-h[0, :1].clone())(h, ON)
    assert torch.equal(out[0, 0], h[0, 0])
    assert out[0, 1].norm() == pytest.approx(1.0)
    assert not torch.equal(out[0, 1], h[0, 1])


def _open_gate(v):
    return Gated(v, torch.zeros_like(v), torch.tensor([40.0]))  # the gate is 1 to the last bit


def test_zero_stays_zero_where_the_norm_is_kept():
    zero = torch.zeros(1, 2, WIDTH)
    for kind in ("additive, norm kept", "gated"):
        assert torch.equal(EDITS[kind]()(zero, torch.ones(1, 2)), zero)


@pytest.mark.parametrize("size", [1e-38, 1e-25, 1e-12, 1e12, 1e25, 1e37])
def test_only_the_direction_of_a_direction_counts_however_long_it_is(size):
    """Squares of 1e-25 and 1e25 do not fit float32, so lengths must not be taken from them."""
    v, w, h = rand(1, WIDTH), rand(1, WIDTH, seed=1), rand(1, 5, WIDTH, seed=11)
    for make in (
        lambda s: Ablation(s * v),
        lambda s: Clamp(s * v, torch.tensor([2.0])),
        lambda s: Rotation(s * v, s * w, torch.tensor([2.0])),
        lambda s: Rotation(s * v, w, torch.tensor([2.0])),
    ):
        torch.testing.assert_close(make(size)(h, ON), make(1.0)(h, ON), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(Additive(size * v).shown(h), Additive(v).shown(h), rtol=1e-4, atol=1e-5)


def test_directions_of_length_0_are_refused_where_they_have_no_meaning():
    zero, v = torch.zeros(1, WIDTH), rand(1, WIDTH)
    for make in (
        lambda: Ablation(torch.cat([v, zero])),
        lambda: Clamp(torch.cat([zero, v]), rand(2)),
        lambda: Rotation(zero, v, rand(1)),
        lambda: Rotation(v, zero, rand(1)),
    ):
        with pytest.raises(InputError, match="all zeros"):
            make()


def test_vectors_of_length_0_move_nothing_by_a_bit():
    zero, h = torch.zeros(1, WIDTH), rand(2, 5, WIDTH, seed=11)
    weights = rand(8, WIDTH, seed=4)
    for edit in (
        Additive(zero),
        Additive(zero, keep_norm=True),
        Gated(zero, rand(1, WIDTH, seed=1), rand(1)),
        ClassifierGradient(rand(WIDTH), torch.ones(WIDTH), weights, rand(8), torch.zeros(1, 8), rand(1)),
    ):
        assert torch.equal(edit(h, 5 * ON), h)


def test_the_same_direction_twice_is_it_once_or_twice_as_documented():
    v, h, both = rand(1, WIDTH), rand(1, 5, WIDTH, seed=11), torch.ones(1, 2)
    for stretch in (1.0, 3.0, -0.7, 1e-3):
        pair = torch.cat([v, stretch * v])
        torch.testing.assert_close(Ablation(pair)(h, both), Ablation(v)(h, ON), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(Additive(pair)(h, both), h + (1 + stretch) * v)
    again = torch.cat([v, v])
    clamp = Clamp(again, torch.tensor([5.0, -2.0]))  # one after the other: the last has the last word
    torch.testing.assert_close(clamp(h, both), Clamp(v, torch.tensor([-2.0]))(h, ON), rtol=1e-5, atol=1e-5)
    w = rand(1, WIDTH, seed=1)
    turn = Rotation(again, torch.cat([w, w]), torch.tensor([0.5, 2.0]))
    torch.testing.assert_close(turn(h, both), Rotation(v, w, torch.tensor([2.0]))(h, ON), rtol=1e-5, atol=1e-5)


# ---- Random twins --------------------------------------------------------------------------------------------------


def _parts(edit) -> list[StoredEdit]:
    return [part for part, _ in edit.parts] if isinstance(edit, Stack) else [edit]


@KIND
def test_random_twins_keep_lengths_and_angles_between_all_directions(kind):
    edit, twin = EDITS[kind](), EDITS[kind]().randomised(3)
    before, after = (torch.cat([p.axes for p in _parts(e)]).double() for e in (edit, twin))
    torch.testing.assert_close(after @ after.T, before @ before.T, rtol=1e-4, atol=1e-4)
    assert (torch.nn.functional.cosine_similarity(after, before).abs() < 0.8).all()
    for one, two in zip(_parts(edit), _parts(twin), strict=True):
        kept = set(one.tensors) - set(one.directions_in)
        assert one.options == two.options
        assert all(torch.equal(one.tensors[name], two.tensors[name]) for name in kept)


def test_a_classifiers_twin_steps_as_far_where_the_same_units_look():
    """Steps are `W/s`: keeping the lengths of W alone would change them wherever s is not the same all over."""
    scale = torch.logspace(-2, 2, WIDTH)
    edit = ClassifierGradient(
        rand(WIDTH), scale, rand(8, WIDTH, seed=4), torch.full((8,), 1e6), rand(1, 8, seed=6), rand(1), step=0.1
    )
    h = rand(1, 3, WIDTH, seed=11)
    moved = [(e(h, ON) - h).norm(dim=-1) for e in (edit, *(edit.randomised(seed) for seed in range(5)))]
    for other in moved[1:]:
        torch.testing.assert_close(other, moved[0], rtol=1e-3, atol=1e-3)


def test_twins_of_neighbouring_sites_and_parts_are_different_directions():
    stack = Stack(((Additive(rand(1, WIDTH)), (0,)), (Ablation(rand(1, WIDTH, seed=1)), (1,))))
    twin = Steering(dict.fromkeys(range(4), stack), {"a": 1.0, "b": 1.0}).randomised(0)
    drawn = torch.cat([part.axes for edit in twin.edits.values() for part in _parts(edit)])
    drawn = drawn / drawn.norm(dim=1, keepdim=True)
    assert (drawn @ drawn.T - torch.eye(8)).abs().max() < 0.9


def test_more_directions_than_dimensions_have_random_twins():
    many = Additive(rand(7, 4))
    after = many.randomised(1).axes
    torch.testing.assert_close(after @ after.T, many.axes @ many.axes.T, rtol=1e-4, atol=1e-4)


# ---- What is handed in ---------------------------------------------------------------------------------------------


def test_tensors_are_copied_so_that_later_writes_change_nothing():
    v, h = rand(1, WIDTH), rand(1, 3, WIDTH, seed=11)
    edit = Additive(v)
    expected = edit(h, ON)
    v.mul_(100)
    assert torch.equal(edit(h, ON), expected)
    assert torch.equal(Additive(edit.vectors)(h, ON), expected)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Additive([[1.0, 2.0]]), "vectors must be a torch tensor, not a list"),
        (lambda: Additive(rand(1, 4).numpy()), "vectors must be a torch tensor, not a ndarray"),
        (lambda: Additive(torch.tensor([[1e300]], dtype=torch.float64)), "beyond float32"),
        (lambda: Gated(rand(1, 4), rand(1, 4), rand(1), threshold="0.5"), "threshold '0.5' must be"),
        (lambda: Gated(rand(1, 4), rand(1, 4), rand(1), threshold=None), "threshold None must be"),
        (lambda: _classifier(step="1"), "step '1' must be"),
        (lambda: _classifier(decay=1.5), "decay 1.5 must be above 0 and at most 1"),
        (lambda: _classifier(steps=2.0), "steps 2.0 must be a whole number"),
        (lambda: Stack(((Additive(rand(1, 4)), (-1,)),)), "numbers from 0"),
        (lambda: Stack(((Additive(rand(1, 4)), "a"),)), "numbers from 0"),
        (lambda: Stack(((Stack(((Additive(rand(1, 4)), (0,)),)), (0,)),)), "not a Stack"),
        (lambda: Stack(((lambda h, strength: h, (0,)),)), "not a function"),
    ],
)
def test_parts_of_odd_types_are_refused_in_words(make, word):
    with pytest.raises(InputError, match=word):
        make()


def _classifier(**options):
    return ClassifierGradient(rand(4), torch.ones(4), rand(3, 4), rand(3), rand(1, 3), rand(1), **options)


def test_one_as_a_whole_number_is_the_same_option_as_1_0():
    assert _classifier(step=1, decay=1).options == {"step": 1.0, "steps": 1, "decay": 1.0}
    assert all(isinstance(_classifier(step=1, decay=1).options[name], float) for name in ("step", "decay"))
    assert isinstance(Gated(rand(1, 4), rand(1, 4), rand(1), threshold=0).threshold, float)
