"""Every kind of edit against its formula, token by token, and what all kinds promise."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.steering.edits import (
    KINDS,
    Ablation,
    Additive,
    Clamp,
    ClassifierGradient,
    Gated,
    Rotation,
    Stack,
    StoredEdit,
)

D, A = 6, 2


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


MAKE: dict[str, Callable[[], StoredEdit]] = {
    "additive": lambda: Additive(rand(A, D)),
    "gated": lambda: Gated(rand(A, D), rand(A, D, seed=1), rand(A, seed=2)),
    "ablation": lambda: Ablation(rand(A, D)),
    "rotation": lambda: Rotation(rand(A, D), rand(A, D, seed=1), rand(A, seed=2)),
    "clamp": lambda: Clamp(rand(A, D), rand(A, seed=2)),
    "classifier-gradient": lambda: ClassifierGradient(
        rand(D), rand(D, seed=3).abs() + 0.5, rand(8, D, seed=4), rand(8, seed=5), rand(A, 8, seed=6), rand(A, seed=7),
        step=0.3, steps=3, decay=0.5,
    ),
}  # fmt: skip
ALL = pytest.mark.parametrize("kind", list(KINDS))


def test_every_kind_is_tried_here() -> None:
    assert set(MAKE) == set(KINDS)


@ALL
def test_rows_do_not_touch_each_other_and_one_strength_serves_all(kind: str) -> None:
    edit, h = MAKE[kind](), rand(3, 4, D, seed=9)
    strength = torch.tensor([[0.5, -1.0], [1.0, 0.25], [0.0, 0.7]])
    together = edit(h, strength)
    for i in range(3):
        torch.testing.assert_close(edit(h[i : i + 1], strength[i : i + 1])[0], together[i])
    torch.testing.assert_close(edit(h, strength[:1]), edit(h, strength[:1].expand(3, A)))


@ALL
def test_tokens_do_not_touch_each_other(kind: str) -> None:
    edit, h, strength = MAKE[kind](), rand(2, 5, D, seed=9), torch.tensor([[0.5, -1.0]])
    alone = torch.cat([edit(h[:, t : t + 1], strength) for t in range(5)], dim=1)
    torch.testing.assert_close(edit(h, strength), alone)


@ALL
def test_strength_0_changes_no_more_than_rounding(kind: str) -> None:
    h = rand(2, 3, D, seed=9)
    torch.testing.assert_close(MAKE[kind]()(h, torch.zeros(1, A)), h)


@ALL
def test_bfloat16_stays_bfloat16_and_is_the_float32_result_rounded(kind: str) -> None:
    h, strength = rand(2, 3, D, seed=9).bfloat16(), torch.tensor([[0.5, 1.0]])
    out = MAKE[kind]()(h, strength)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), MAKE[kind]()(h.float(), strength), rtol=2e-2, atol=2e-2)


@ALL
def test_parts_bring_back_the_same_edit(kind: str) -> None:
    edit, h, strength = MAKE[kind](), rand(2, 3, D, seed=9), torch.tensor([[0.5, 1.0]])
    again = KINDS[kind].restored(edit.tensors, edit.options)
    assert torch.equal(again(h, strength), edit(h, strength))
    assert again.options == edit.options
    assert (again.n_attributes, again.width) == (A, D)


@ALL
def test_another_width_nan_and_odd_parts_are_refused(kind: str) -> None:
    edit = MAKE[kind]()
    with pytest.raises(InputError, match="another model"):
        edit(rand(1, 1, D + 1), torch.ones(1, A))
    name = next(iter(edit.tensors))
    for tensors, options, word in (
        ({**edit.tensors, name: torch.full_like(edit.tensors[name], torch.nan)}, edit.options, "NaN"),
        ({**edit.tensors, name: torch.zeros(1, 1, 1)}, edit.options, "must be|not finite"),
        ({**edit.tensors, name: edit.tensors[name].int()}, edit.options, "floating"),
        ({k: v for k, v in edit.tensors.items() if k != name}, edit.options, f"{name} is missing"),
        (edit.tensors, {**edit.options, "extra": 1}, "extra is unknown"),
        ({k: v for k, v in edit.tensors.items() if k != name}, {**edit.options, name: 3}, "must be a tensor"),
    ):
        with pytest.raises(InputError, match=word):
            KINDS[kind].restored(tensors, options)


@ALL
def test_random_twins_have_other_directions_of_the_same_lengths_and_angles(kind: str) -> None:
    edit = MAKE[kind]()
    twin, other = edit.randomised(3), edit.randomised(4)
    before, after = edit.axes, twin.axes
    torch.testing.assert_close(after @ after.T, before @ before.T, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(after, before, atol=0.1)
    assert not torch.equal(after, other.axes)
    kept = set(edit.tensors) - set(edit.directions_in)
    assert all(torch.equal(edit.tensors[name], twin.tensors[name]) for name in kept)
    assert twin.options == edit.options


@ALL
def test_what_is_called_odd_is(kind: str) -> None:
    edit, h, strength = MAKE[kind](), rand(2, 3, D, seed=9), torch.tensor([[0.5, 1.0]])
    forth, back = edit(h, strength) - h, edit(h, -strength) - h
    assert torch.allclose(forth, -back, atol=1e-5) is edit.is_odd


def test_random_directions_point_everywhere() -> None:
    """Means of many over the sphere are small in every coordinate: isotropic."""
    many = torch.cat([Additive(torch.eye(1, 50)).randomised(seed).vectors for seed in range(2000)])
    torch.testing.assert_close(many.norm(dim=1), torch.ones(2000))
    assert many.mean(dim=0).abs().max() < 5 / (50 * 2000) ** 0.5
    assert (many.T @ many / 2000 * 50 - torch.eye(50)).abs().max() < 0.2


# ---- Formulas ------------------------------------------------------------------------------------------------------


def test_gated_is_equations_3_4_and_9() -> None:
    edit, h, strength = MAKE["gated"](), rand(2, 3, D, seed=9).double().float(), torch.tensor([[0.5, -1.0], [2.0, 0.0]])
    assert isinstance(edit, Gated)
    out = edit(h, strength)
    for b in range(2):
        for t in range(3):
            x = h[b, t].numpy()
            moved = x.copy()
            for a in range(A):
                gate = 1 / (1 + np.exp(-(edit.weights[a].numpy() @ x + edit.bias[a].item())))
                moved = moved + strength[b, a].item() * gate * edit.vectors[a].numpy()
            moved *= np.linalg.norm(x) / np.linalg.norm(moved)
            assert out[b, t].numpy() == pytest.approx(moved, abs=1e-5)


def test_gates_below_the_threshold_leave_tokens_bit_equal() -> None:
    edit = Gated(rand(1, D), 5 * rand(1, D, seed=1), torch.zeros(1), threshold=0.5, keep_norm=False)
    h = rand(1, 64, D, seed=9).bfloat16()
    shut = edit.gates(h)[0, :, 0] == 0
    out = edit(h, torch.ones(1, 1))
    assert 10 < int(shut.sum()) < 54
    assert torch.equal(out[0, shut], h[0, shut])
    assert bool((out[0, ~shut] != h[0, ~shut]).any(dim=1).all())


def test_ablation_leaves_nothing_along_the_directions_also_if_they_are_not_orthogonal() -> None:
    edit, h = MAKE["ablation"](), rand(2, 3, D, seed=9)
    assert isinstance(edit, Ablation)
    v = edit.on(h.device)["directions"]
    both = edit(h, torch.ones(1, A))
    assert (both @ v.T).abs().max().item() < 1e-5
    plane = torch.linalg.qr(v.T).Q
    torch.testing.assert_close(both, h - h @ plane @ plane.T)  # nothing else is touched
    one = edit(h, torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(one, h - (h @ v[0])[..., None] * v[0])
    half = edit(h, torch.tensor([[0.5, 0.0]]))
    torch.testing.assert_close(half, (h + one) / 2)


def test_ablation_of_the_same_direction_twice_takes_it_out_once() -> None:
    v, h = rand(1, D), rand(1, 4, D, seed=9)
    twice = Ablation(torch.cat([v, 2 * v]))(h, torch.ones(1, 2))
    torch.testing.assert_close(twice, Ablation(v)(h, torch.ones(1, 1)))


def test_rotation_turns_to_the_angle_and_keeps_length_and_the_rest() -> None:
    edit, h = Rotation(rand(1, D), rand(1, D, seed=1), torch.tensor([2.0])), rand(2, 3, D, seed=9)
    out = edit(h, torch.ones(1, 1))
    first, second = (edit.on(h.device)[name][0] for name in ("first", "second"))
    assert abs(float(first @ second)) < 1e-6
    torch.testing.assert_close(torch.atan2(out @ second, out @ first), torch.full((2, 3), 2.0))
    torch.testing.assert_close(out.norm(dim=-1), h.norm(dim=-1))
    plane = torch.stack([first, second])
    torch.testing.assert_close(out - out @ plane.T @ plane, h - h @ plane.T @ plane)


def test_rotation_goes_part_of_the_shorter_way() -> None:
    edit = Rotation(torch.eye(2)[:1], torch.eye(2)[1:], torch.tensor([-3.0]))
    h = torch.tensor([[[np.cos(3.0), np.sin(3.0)]]], dtype=torch.float32)  # 0.28 rad from the target, across π
    out = edit(h, torch.tensor([[0.5]]))[0, 0]
    assert float(torch.atan2(out[1], out[0])) % (2 * np.pi) == pytest.approx(np.pi, abs=1e-4)


@pytest.mark.parametrize(
    ("side", "moves"), [("both", (True, True)), ("below", (True, False)), ("above", (False, True))]
)
def test_clamp_sets_projections_on_the_side_it_is_told(side: str, moves: tuple[bool, bool]) -> None:
    v = torch.tensor([[0.0, 2.0, 0.0]])
    edit = Clamp(v, torch.tensor([1.0]), side=side)  # type: ignore[arg-type]
    h = torch.tensor([[[5.0, -3.0, 1.0], [5.0, 4.0, 1.0]]])
    out = edit(h, torch.ones(1, 1))[0]
    assert out[:, 1].tolist() == [1.0 if moves[0] else -3.0, 1.0 if moves[1] else 4.0]
    assert out[:, [0, 2]].tolist() == [[5.0, 1.0], [5.0, 1.0]]
    assert edit(h, torch.full((1, 1), 0.5))[0, 0, 1].item() == pytest.approx(-1.0 if moves[0] else -3.0)


def test_classifier_gradient_is_autograds() -> None:
    edit, h = MAKE["classifier-gradient"](), rand(2, 3, D, seed=9)
    assert isinstance(edit, ClassifierGradient)
    strength = torch.tensor([[0.5, -1.0], [1.0, 2.0]])
    x, length = h.clone(), 0.3
    for _ in range(3):
        x = x.detach().requires_grad_()
        (edit.logits(x) * strength[:, None, :]).sum().backward()
        assert x.grad is not None
        x, length = x + length * x.grad, length * 0.5
    torch.testing.assert_close(edit(h, strength), x.detach())


# ---- Stacks --------------------------------------------------------------------------------------------------------


def test_a_stack_applies_its_parts_in_order_with_their_own_strengths() -> None:
    clamp, vector = Clamp(rand(1, D), torch.tensor([1.0])), Additive(rand(2, D, seed=3))
    stack, h = Stack(((clamp, (2,)), (vector, (0, 1)))), rand(2, 3, D, seed=9)
    strength = torch.tensor([[0.5, 1.0, 1.0], [0.0, 2.0, 0.0]])
    out = stack(h, strength)
    torch.testing.assert_close(out[:1], vector(clamp(h[:1], strength[:1, 2:]), strength[:1, :2]))
    assert torch.equal(out[1:], vector(h[1:], strength[1:, :2]))  # the clamp is off there: not a bit moves


def test_stacks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="at least one"):
        Stack(())
    with pytest.raises(InputError, match="5 and 6 wide"):
        Stack(((Additive(rand(1, 5)), (0,)), (Additive(rand(1, 6)), (1,))))
    with pytest.raises(InputError, match="takes 1 strengths, not 2"):
        Stack(((Additive(rand(1, 5)), (0, 1)),))


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Gated(rand(A, D), rand(A, D), rand(A), threshold=1.0), "threshold"),
        (lambda: Gated(rand(A, D), rand(A, D), rand(A), keep_norm=1), "keep_norm"),  # type: ignore[arg-type]
        (lambda: Gated(rand(A, D), rand(1, D), rand(A)), "weights"),
        (lambda: Ablation(torch.zeros(1, D)), "all zeros"),
        (lambda: Rotation(rand(1, D), 2 * rand(1, D), rand(1)), "parallel"),
        (lambda: Clamp(rand(1, D), rand(1), side="left"), "side"),  # type: ignore[arg-type]
        (lambda: ClassifierGradient(rand(D), torch.zeros(D), rand(3, D), rand(3), rand(1, 3), rand(1)), "above 0"),
        (
            lambda: ClassifierGradient(rand(D), torch.ones(D), rand(3, D), rand(3), rand(1, 3), rand(1), steps=0),
            "steps",
        ),
    ],
)
def test_edits_that_make_no_sense_are_refused(make: Callable[[], StoredEdit], word: str) -> None:
    with pytest.raises(InputError, match=word):
        make()
