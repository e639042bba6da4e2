"""Contracts of the forward pass with every kind of edit: off, inert, cleaned up, architectures, dtypes, seeds."""

import copy
from typing import Any

import pytest
import torch
from tests.steering.every_kind import EDITS, SITES, rand, steering_of
from torch import Tensor

from trimtab.errors import InertSteeringError, InputError
from trimtab.interventions import Site
from trimtab.models import Model, Plan, steer
from trimtab.steering import Steering
from trimtab.steering.edits import KINDS, Additive, ClassifierGradient, Gated, Rotation, Stack, StoredEdit

KIND = pytest.mark.parametrize("kind", list(EDITS))


@pytest.fixture
def model(wrapped) -> Model:
    """A tiny Llama in float32."""
    return wrapped()


def _hooks(model: Model) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.hf.modules())


def _overrides(model: Model) -> int:
    return sum("forward" in m.__dict__ for m in model.hf.modules()) + ("generate" in model.hf.__dict__)


def test_every_kind_and_every_option_is_tried_here():
    edits = [make() for make in EDITS.values()]
    assert {e.kind for e in edits if isinstance(e, StoredEdit)} == set(KINDS)
    for kind, option in (("additive", "keep_norm"), ("gated", "threshold"), ("gated", "keep_norm"), ("clamp", "side")):
        assert len({e.options[option] for e in edits if isinstance(e, StoredEdit) and e.kind == kind}) > 1
    assert any(isinstance(e, Stack) and len(e.parts) > 2 for e in edits)


# 1. Off is bit-identical.


@KIND
def test_off_has_no_hook_and_is_bit_identical(kind, model, plain, batch_of, tokens):
    ids = torch.tensor(tokens(0, 9, 9, 9))
    expected = plain()(input_ids=ids).logits
    seen: list[int] = []
    model.hf.lm_head.register_forward_pre_hook(lambda *_: seen.append(_hooks(model)))
    for strength in (0, {"a": 0.0, "b": -0.0}, [0, 0.0, {"a": 0, "b": 0}]):
        trace = model.forward(batch_of(ids.tolist()), Plan((steer(steering_of(kind), strength),), logits="all"))
        assert torch.equal(trace.logits, expected)
        assert trace.selected is None
    model.forward(batch_of(ids.tolist()), Plan((steer(steering_of(kind)),), logits="all"))
    assert seen == [1, 1, 1, 1 + len(SITES)]  # the one that counts them, and two at work


@KIND
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_zero_row_is_bit_equal_and_the_rows_beside_it_move(kind, dtype, wrapped, batch_of, tokens):
    model, batch = wrapped(dtype=dtype), batch_of(tokens(1, 9, 4, 7, 8))
    before = model.forward(batch, Plan(logits="all")).logits
    rows = [1.0, 0.0, {"a": 0, "b": 1}, {"a": 1, "b": 0}]
    after = model.forward(batch, Plan((steer(steering_of(kind), rows),), logits="all")).logits
    assert torch.equal(after[1], before[1])
    for row in (0, 2, 3):
        assert not torch.equal(after[row], before[row])


@KIND
def test_what_an_attribute_that_is_off_holds_does_not_matter_to_the_last_bit(kind):
    edit, h = EDITS[kind](), 3 * rand(2, 5, 32, seed=11)
    other = _with_another_first_attribute(edit)
    only_second, both = torch.tensor([[0.0, 0.8]]), torch.tensor([[0.5, 0.8]])
    assert torch.equal(edit(h, only_second), other(h, only_second))
    assert not torch.equal(edit(h, both), other(h, both))


def _with_another_first_attribute(edit: Any) -> Any:
    """All tensors that have a row for each attribute get another, larger first row."""
    if isinstance(edit, Stack):
        return Stack(tuple((_with_another_first_attribute(e) if 0 in c else e, c) for e, c in edit.parts))
    own = {"output", "output_bias"} if isinstance(edit, ClassifierGradient) else set(edit.tensors)
    rows = {
        n: torch.cat([100 * rand(*t[:1].shape, seed=99 + i), t[1:]])
        for i, (n, t) in enumerate(edit.tensors.items())
        if n in own
    }
    return edit.restored({**edit.tensors, **rows}, edit.options)


def test_rotation_leaves_the_plane_of_an_attribute_that_is_off_bit_equal():
    turn, h = Rotation(rand(2, 32), rand(2, 32, seed=1), rand(2, seed=2)), rand(2, 50, 32, seed=11)
    one = Rotation(turn.first[1:], turn.second[1:], turn.angle[1:])
    assert torch.equal(turn(h, torch.tensor([[0.0, 0.8]])), one(h, torch.tensor([[0.8]])))


# 2. Never fired is an error; a shut gate is none.


@KIND
@pytest.mark.parametrize("site", SITES)
def test_an_edit_that_never_ran_is_an_error(kind, site, model, batch_of, tokens):
    block = model.hf.model.layers[Site.parse(site).block]
    if site.startswith("attention"):
        block.self_attn = copy.deepcopy(block.self_attn)
    else:
        model.hf.model.layers[1] = copy.deepcopy(block)
    steering = steering_of(kind, site)
    with pytest.raises(InertSteeringError, match=f"site {site} never ran"):
        model.forward(batch_of(tokens(3, 6)), Plan((steer(steering),), logits="last"))
    with pytest.raises(InertSteeringError):
        model.generate("The sky", steering=steering, max_new_tokens=2)
    assert model.generate("The sky", steering=steering, strength=0, max_new_tokens=2)
    assert _hooks(model) == _overrides(model) == 0


@pytest.mark.parametrize("stacked", [False, True])
def test_a_gate_that_stays_shut_is_no_error_and_changes_no_bit(stacked, model, batch_of, tokens):
    shut = Gated(rand(1, 32), torch.zeros(1, 32), torch.tensor([-9.0]), threshold=0.5)
    steering = Steering(dict.fromkeys(SITES, Stack(((shut, (0,)),)) if stacked else shut), {"a": 1.0})
    batch = batch_of(tokens(0, 9, 5))
    trace = model.forward(batch, Plan((steer(steering),), logits="all"))
    assert torch.equal(trace.logits, model.forward(batch, Plan(logits="all")).logits)
    assert trace.selected == 2 * 14  # it was at work on all tokens of both sites, and reports so
    assert model.generate("The sky", steering=steering) == model.generate("The sky")


# 6. Hooks are gone after an exception inside an edit; two models share nothing.


@KIND
def test_hooks_are_gone_after_an_edit_failed(kind, model, batch_of, tokens, monkeypatch):
    batch, steering = batch_of(tokens(0, 5)), steering_of(kind)
    expected = model.forward(batch, Plan(logits="all")).logits
    wide = Steering({**steering.edits, Site(3): Additive(rand(2, 33))}, steering.attributes)
    for use in (
        lambda: model.forward(batch, Plan((steer(wide),), logits="all")),
        lambda: model.generate("The sky", steering=wide),
        lambda: model.score(["The sky"], [" is"], steering=wide),
        lambda: _called(model, wide, batch.ids),
    ):
        with pytest.raises(InputError, match="33 wide"):
            use()
        assert _hooks(model) == _overrides(model) == 0
    inner = steering.edits[Site(1)]
    inner = inner.parts[0][0] if isinstance(inner, Stack) else inner

    def broken(*_: object) -> Tensor:
        raise RuntimeError("broken inside")

    monkeypatch.setattr(type(inner), "edited", broken)
    with pytest.raises(RuntimeError, match="broken inside"), model.steered(steering):
        model.generate("The sky")
    assert _hooks(model) == _overrides(model) == 0
    assert torch.equal(model.forward(batch, Plan(logits="all")).logits, expected)


def _called(model: Model, steering: Steering, ids: Tensor) -> None:
    with model.steered(steering):
        model.hf(input_ids=ids)


@KIND
def test_two_models_with_one_steering_share_nothing(kind, wrapped, batch_of, tokens):
    one, two, half = wrapped(), wrapped(), wrapped(dtype=torch.bfloat16)
    batch, steering = batch_of(tokens(0, 7)), steering_of(kind)
    before = [m.forward(batch, Plan(logits="all")).logits for m in (two, half)]
    kept: list[Any] = [edit.parts if isinstance(edit, Stack) else ((edit, ()),) for edit in steering.edits.values()]
    bits = [t.clone() for parts in kept for edit, _ in parts for t in edit.tensors.values()]
    with one.steered(steering), half.steered(steering, -0.5):
        first = one.hf(input_ids=batch.ids).logits
        assert torch.equal(two.hf(input_ids=batch.ids).logits, before[0])
    assert not torch.equal(first, before[0])
    assert torch.equal(half.forward(batch, Plan(logits="all")).logits, before[1])
    assert torch.equal(two.forward(batch, Plan((steer(steering),), logits="all")).logits, first)
    after = [t for parts in kept for edit, _ in parts for t in edit.tensors.values()]
    assert all(torch.equal(a, b) for a, b in zip(bits, after, strict=True))


# 7 and 8. The same on every architecture, dtype and device: the edit follows the module.


@KIND
@pytest.mark.parametrize("name", ["gemma2", "gpt2", "gpt_neox", "falcon", "qwen3_moe"])
def test_the_steered_site_is_the_edit_of_the_plain_one(name, kind, wrapped, batch_of, tokens):
    """What stands at a site, as a second steering sees it, is the edit of what stands there unsteered."""
    model, batch, strength = wrapped(name), batch_of(tokens(0, 7, 5)), torch.tensor([[0.7, -1.2]])
    for site in map(Site.parse, SITES):
        plain = model.forward(batch, Plan(read=frozenset([site]))).activations[site]
        steering = steering_of(kind, str(site))
        seen: list[Tensor] = []
        steers = (steer(steering, {"a": 0.7, "b": -1.2}), steer(_looking(site, seen)))
        model.forward(batch, Plan(steers, logits="last"))
        assert torch.equal(seen[0][batch.real], steering.edits[site](plain, strength)[batch.real])
        assert not torch.equal(seen[0][batch.real], plain[batch.real])


def _looking(site: Site, seen: list[Tensor]) -> Steering:
    """A second steering that only keeps what it is handed."""

    def look(h: Tensor, strength: Tensor) -> Tensor:
        seen.append(h.clone())
        return h

    return Steering({site: look}, {"look": 1.0})


@KIND
@pytest.mark.parametrize("site", SITES)
def test_blocks_that_return_tuples_are_steered_as_those_that_return_tensors(kind, site, model, batch_of, tokens):
    batch, plan = batch_of(tokens(0, 7)), Plan((steer(steering_of(kind, site)),), logits="all")
    expected = model.forward(batch, plan).logits
    block = model.hf.model.layers[1]
    run, following = block.forward, model.hf.model.layers[2]
    block.forward = lambda *args, **kwargs: (run(*args, **kwargs), "extra")
    go_on = following.forward
    following.forward = lambda h, *args, **kwargs: go_on(h[0], *args, **kwargs)
    assert torch.equal(model.forward(batch, plan).logits, expected)


@KIND
def test_tensors_of_any_precision_make_the_same_edit(kind):
    """Float64 and float16 tensors in, float32 kept; h decides the dtype that comes out."""
    edit, h, strength = EDITS[kind](), rand(2, 4, 32, seed=11), torch.tensor([[0.7, -1.2]])
    parts = edit.parts if isinstance(edit, Stack) else ((edit, (0, 1)),)
    for part, columns in parts:
        own = strength[:, list(columns)]
        double = part.restored({n: t.double() for n, t in part.tensors.items()}, part.options)
        assert torch.equal(double(h, own), part(h, own))
        coarse = part.restored({n: t.half() for n, t in part.tensors.items()}, part.options)
        assert all(t.dtype == torch.float32 for t in coarse.tensors.values())
        for dtype in (torch.float16, torch.bfloat16, torch.float64):
            assert part(h.to(dtype), own).dtype == dtype


@KIND
def test_tensors_go_to_the_device_of_the_activations_once(kind):
    edit, away = EDITS[kind](), torch.device("meta")
    parts = [part for part, _ in edit.parts] if isinstance(edit, Stack) else [edit]
    for part in parts:
        assert all(t.device.type == "cpu" for t in part.tensors.values())
        placed = part.on(away)
        assert {t.device.type for t in placed.values()} == {"meta"}
        assert part.on(away) is placed
        if part.kind != "ablation":  # whose pseudo-inverse meta tensors cannot have
            out = part(torch.empty(2, 3, 32, device=away), torch.ones(1, part.n_attributes, device=away))
            assert out.device.type == "meta"
            assert out.shape == (2, 3, 32)


# 10. The same seed gives the same result.


@KIND
def test_sampling_and_random_twins_repeat_with_their_seed(kind, model):
    given = {"do_sample": True, "max_new_tokens": 10, "seed": 5, "strength": 2.0}
    one, two = steering_of(kind), steering_of(kind)
    prompts = ["The sky is", "Is the grass"]
    text = model.generate(prompts, steering=one, **given)
    torch.rand(3)
    assert model.generate(prompts, steering=two, **given) == text
    assert one.randomised(3).id == two.randomised(3).id != one.randomised(4).id


# 12. Under bfloat16 blocks the edit is computed in float32.


@KIND
def test_a_bfloat16_edit_is_the_float32_one_rounded_once(kind):
    """But for a plain sum, whose vector is rounded too, and a stack, which rounds at each part: they are bounded."""
    edit, strength = EDITS[kind](), torch.tensor([[0.7, -1.2], [1.0, 0.0]])
    h = (3 * rand(2, 50, 32, seed=11)).bfloat16()
    exact, got = edit(h.float(), strength), edit(h, strength)
    assert got.dtype == torch.bfloat16
    if kind == "additive":  # the vector is rounded, then the sum
        pull = (strength @ edit.vectors)[:, None, :]
        assert ((got.float() - exact).abs() <= 2**-8 * (pull.abs() + exact.abs()) * 1.01).all()
    elif kind == "stack":
        assert (got.float() - exact).abs().max() <= 3 * 2**-8 * h.float().norm(dim=-1).max()
    else:
        assert torch.equal(got, exact.bfloat16())
