"""The contracts of the one forward pass, each by its name (the list is in the design)."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from accelerate import dispatch_model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from trimtab.errors import InertSteeringError, InputError, PlanError
from trimtab.interventions import Site
from trimtab.models import Encoded, Model, Plan, steer
from trimtab.models.direct import step_batch
from trimtab.steering import Steering
from trimtab.texts import Rendered

FEW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _hooks(model: Model) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.hf.modules())


def _overrides(model: Model) -> int:
    return sum("forward" in m.__dict__ for m in model.hf.modules()) + ("generate" in model.hf.__dict__)


@contextmanager
def _hooks_seen(model: Model) -> Iterator[list[int]]:
    """Number of hooks while the head runs."""
    counts: list[int] = []
    before = model.hf.lm_head.forward

    def forward(h: Tensor) -> Tensor:
        counts.append(_hooks(model))
        return before(h)

    model.hf.lm_head.forward = forward
    yield counts
    del model.hf.lm_head.forward


# 1. No active steering, no hook, bit-identical to the unsteered model.


def test_no_active_steering_means_no_hook_and_bit_identical_logits(model, plain, adding, batch_of, tokens):
    ids = torch.tensor(tokens(0, 9, 9, 9))
    expected = plain()(input_ids=ids).logits
    batch = batch_of(ids.tolist())
    off = steer(adding(0, 1, "mlp:2"), [0.0, 0, -0.0])
    for steers in ((), (off,), (off, off)):
        with _hooks_seen(model) as counts:
            trace = model.forward(batch, Plan(steers, logits="all"))
        assert counts == [0]
        assert torch.equal(trace.logits, expected)
        assert trace.selected is None
    with _hooks_seen(model) as counts:
        model.forward(batch, Plan((steer(adding(0, 1, "mlp:2")), off), logits="all"))
    assert counts == [3]
    with model.steered(adding(1), 0), _hooks_seen(model) as counts:
        assert torch.equal(model.hf(input_ids=ids).logits, expected)
    assert counts == [0]


@pytest.mark.parametrize("component", ["1", "attention:1", "mlp:1"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_zero_row_in_an_active_batch_is_bit_equal(component, dtype, wrapped, adding, batch_of, tokens):
    if _rows_leak(dtype):
        pytest.skip("torch's own matrix product carries a NaN from one row to the one before (torch 2.7)")
    model, batch = wrapped(dtype=dtype), batch_of(tokens(1, 9, 4, 7))
    unsteered = model.forward(batch, Plan(logits="all")).logits
    steering = Steering(dict.fromkeys(adding(component).edits, _times_nan), {"a": 1.0, "b": 1.0})
    logits = model.forward(batch, Plan((steer(steering, [1.0, 0.0, {"a": 0, "b": 1}]),), logits="all")).logits
    assert torch.equal(logits[1], unsteered[1])
    assert logits[0].isnan().all()
    assert logits[2].isnan().all()


def _rows_leak(dtype: torch.dtype) -> bool:
    rows = torch.ones(27, 48, dtype=dtype)
    rows[9:] = float("nan")
    return bool(torch.nn.functional.linear(rows, torch.ones(32, 48, dtype=dtype))[:9].isnan().any())


def _times_nan(h: Tensor, strength: Tensor) -> Tensor:
    """An edit of which not even 0 times it is harmless."""
    return h * float("nan")


@FEW
@given(
    scope=st.sampled_from(["prompt", "last", "generated"]), n=st.integers(1, 8), side=st.sampled_from(["left", "right"])
)
def test_tokens_before_the_scope_are_bit_equal(scope, n, side, model, batch_of, tokens):
    batch, site = batch_of(tokens(2, 8, 10), [n, n], side), Site(2)
    steering = Steering({Site(1): lambda h, strength: h * 3 + 1}, {"a": 1.0})
    plain = model.forward(batch, Plan(read=frozenset([site]))).activations[site]
    steered = model.forward(batch, Plan((steer(steering, 1.0, scope),), frozenset([site]))).activations[site]
    first = {"prompt": 0, "last": n - 1, "generated": n - 1}[scope]
    before = batch.real & (batch.position < first)
    assert torch.equal(steered[before], plain[before])
    assert (steered != plain).any(dim=-1)[batch.real & (batch.position >= first)].all()


# 2. A steering that never fired is an error.


def test_a_steering_that_never_fired_is_an_error(model, adding, batch_of, tokens):
    batch, plan = batch_of(tokens(3, 6)), Plan((steer(adding(2)),), logits="last")
    model.hf.model.layers[2] = copy.deepcopy(model.hf.model.layers[2])  # swapped out after loading
    with pytest.raises(InertSteeringError, match=r"site 2 never ran although its strength is not 0"):
        model.forward(batch, plan)
    with pytest.raises(InertSteeringError), model.steered(adding(2)):
        model.hf(input_ids=batch.ids)
    with pytest.raises(InertSteeringError):
        model.generate("The sky", steering=adding(2), max_new_tokens=2)
    assert _hooks(model) == 0
    assert _overrides(model) == 0


def test_an_edit_that_never_fired_is_an_error_though_another_did(model, adding, batch_of, tokens):
    block = model.hf.model.layers[1]
    block.mlp = copy.deepcopy(block.mlp)
    with pytest.raises(InertSteeringError, match="site mlp:1"):
        model.forward(batch_of(tokens(3, 6)), Plan((steer(adding(0, "mlp:1")),), logits="last"))


def test_a_scope_that_selects_no_token_is_no_error(model, adding, batch_of, tokens):
    ids = tokens(3, 6)
    steers = (steer(adding(2), scope="last"),)
    past = step_batch(torch.tensor(ids), None, None, torch.tensor([2]))
    later = Plan(steers, logits="last")
    beyond = replace(past, position=past.position + 5)  # the prompt's last token is long gone
    expected = model.forward(beyond, Plan(logits="last")).logits
    trace = model.forward(beyond, later)
    assert trace.selected == 0
    assert torch.equal(trace.logits, expected)
    model.hf.model.layers[2] = copy.deepcopy(model.hf.model.layers[2])
    assert model.forward(beyond, later).selected is None


def test_an_edit_above_the_deepest_read_is_refused(model, adding, batch_of, tokens):
    with pytest.raises(PlanError, match="site 3 lies above everything that is read"):
        model.forward(batch_of(tokens(3, 6)), Plan((steer(adding(3)),), frozenset([Site(1)])))


# 6. Hooks are gone after an exception and after nested use; two models share nothing.


def test_hooks_are_gone_after_an_exception(model, adding, batch_of, tokens):
    def broken(h: Tensor, strength: Tensor) -> Tensor:
        raise RuntimeError("broken edit")

    batch = batch_of(tokens(0, 5))
    expected = model.forward(batch, Plan(logits="all")).logits
    bad = Steering({Site(1): broken}, {"a": 1.0})
    with pytest.raises(RuntimeError, match="broken edit"):
        model.forward(batch, Plan((steer(adding(0)), steer(bad)), logits="all"))
    with pytest.raises(RuntimeError, match="broken edit"):
        model.generate("The sky", steering=bad)
    with pytest.raises(RuntimeError, match="broken edit"), model.steered(adding(0)), model.steered(bad):
        model.hf(input_ids=batch.ids)
    with pytest.raises(ZeroDivisionError), model.steered(adding(0)), model.steered(adding(1)):
        raise ZeroDivisionError
    assert _hooks(model) == _overrides(model) == 0
    assert torch.equal(model.forward(batch, Plan(logits="all")).logits, expected)
    assert torch.equal(model.hf(input_ids=batch.ids).logits, expected)


def test_nested_use_applies_the_outer_edit_first_and_leaves_nothing(model, batch_of, tokens):
    plus = Steering({Site(1): lambda h, s: h + s[:, :, None]}, {"a": 1.0})
    times = Steering({Site(1): lambda h, s: h * 2 * s[:, :, None]}, {"a": 1.0})
    batch = batch_of(tokens(0, 5))

    def expected(change: Callable[[Tensor], Tensor]) -> Tensor:
        edit = Steering({Site(1): lambda h, s: change(h)}, {"a": 1.0})
        return model.forward(batch, Plan((steer(edit),), logits="all")).logits

    plain = model.forward(batch, Plan(logits="all")).logits
    with model.steered(plus):
        with model.steered(times):
            both = model.hf(input_ids=batch.ids).logits
            assert torch.equal(model.forward(batch, Plan(logits="all")).logits, both)
        one = model.hf(input_ids=batch.ids).logits
        inner_first = model.forward(batch, Plan((steer(times),), logits="all")).logits
    assert torch.equal(both, expected(lambda h: (h + 1) * 2))
    assert torch.equal(inner_first, both)
    assert torch.equal(one, expected(lambda h: h + 1))
    assert not torch.equal(both, expected(lambda h: h * 2 + 1))
    assert torch.equal(model.hf(input_ids=batch.ids).logits, plain)
    assert _hooks(model) == _overrides(model) == 0


def test_two_models_in_one_process_share_nothing(wrapped, adding, batch_of, tokens):
    one, two = wrapped(), wrapped()
    batch, steering = batch_of(tokens(0, 5)), adding(1)
    expected = two.forward(batch, Plan(logits="all")).logits
    with one.steered(steering):
        assert torch.equal(two.forward(batch, Plan(logits="all")).logits, expected)
        assert torch.equal(two.hf(input_ids=batch.ids).logits, expected)
        assert not torch.equal(one.hf(input_ids=batch.ids).logits, expected)
        with two.steered(steering, 2):
            assert torch.equal(one.hf(input_ids=batch.ids).logits, one.forward(batch, Plan(logits="all")).logits)
        assert _hooks(two) == _overrides(two) == 0


# 8. The edit follows the module.


def test_bfloat16_blocks_take_edits_made_in_float32(wrapped, adding, batch_of, tokens):
    model, batch = wrapped(dtype=torch.bfloat16), batch_of(tokens(0, 7))
    promoting = Steering({Site(1): lambda h, s: h.float() + 1.0}, {"a": 1.0})
    trace = model.forward(batch, Plan((steer(promoting),), frozenset([Site(2)]), "all"))
    assert trace.activations[Site(2)].dtype == torch.bfloat16
    same = Steering({Site(1): lambda h, s: h + 1.0}, {"a": 1.0})
    assert torch.equal(trace.logits, model.forward(batch, Plan((steer(same),), logits="all")).logits)


@pytest.mark.parametrize(
    "offloaded", [[], ["model.layers.1", "model.layers.3"], ["model.embed_tokens", "model.layers.0"]]
)
def test_offloaded_blocks_give_the_same_activations_and_steered_logits(
    offloaded, plain, wrapped, adding, batch_of, tokens, tmp_path
):
    whole = wrapped()
    hf = plain()
    where = dict.fromkeys(["model.embed_tokens", "model.rotary_emb", "model.norm", "lm_head"], "cpu")
    where |= {f"model.layers.{k}": "cpu" for k in range(4)} | dict.fromkeys(offloaded, "disk")
    hf = dispatch_model(hf, where, main_device="cpu", offload_dir=tmp_path, force_hooks=True)
    assert any(p.is_meta for p in hf.parameters()) == bool(offloaded)
    parts = Model(hf)
    batch = batch_of(tokens(0, 7, 5), [3, 2])
    plans = [
        Plan(read=frozenset([Site(1), Site(2, "attention"), Site(3)])),
        Plan(read=frozenset([Site(1, "mlp")])),
        Plan((steer(adding(1, "mlp:3")),), logits="all"),
        Plan((steer(adding(1)),), frozenset([Site(3)]), "answer"),
    ]
    for plan in [*plans, *plans]:
        one, two = whole.forward(batch, plan), parts.forward(batch, plan)
        for site in plan.read:
            assert torch.equal(one.activations[site], two.activations[site])
        assert one.logits is two.logits is None or torch.equal(one.logits, two.logits)
    assert parts.digest == whole.digest


# 9. Position 0 and massive activations are left out of means.


def _row(model: Model, prompt: str) -> Encoded:
    return model.encoder().encode([Rendered("", prompt, "")])[0]


def test_means_leave_out_position_0_and_massive_activations_and_count_them(model, tokenizer):
    texts, site = ["The sky is blue and the grass is green", "A ship, a ship"], Site(1)
    rows = [_row(model, t).ids for t in texts]
    spoiled = [(0, 3), (0, 5), (1, 2)]

    def spoil(module: Any, args: Any, output: Tensor) -> Tensor:
        output = output.clone()
        output[:, 0] *= 1e4  # the sink
        for r, t in spoiled:
            output[r, t] *= 1e4
        return output

    handle = model.hf.model.layers[1].register_forward_hook(spoil)
    captured = model.capture(texts, [site], read="mean")
    handle.remove()
    clean = [
        model.forward(step_batch(torch.tensor([r]), None, None, torch.tensor([1])), Plan(read=frozenset([site])))
        for r in rows
    ]
    for i, trace in enumerate(clean):
        h = trace.activations[site][0]
        kept = [t for t in range(1, len(h)) if (i, t) not in spoiled]
        torch.testing.assert_close(captured.activations[site][i], h[kept].mean(dim=0), rtol=1e-4, atol=1e-5)
    assert captured.n_massive == {site: 3}
    assert model.capture(texts, [site], read="mean").n_massive == {site: 0}
    assert model.capture(texts, [site], read="last").n_massive == {site: None}  # nothing was looked for
    assert model.capture(texts, [site], read="prompt").n_massive == {site: None}


def test_an_answer_of_massive_tokens_only_is_an_error_and_no_zero_vector(model):
    def spoil(module: Any, args: Any, output: Tensor) -> Tensor:
        output = output.clone()
        output[:, 6:] *= 1e4
        return output

    model.hf.model.layers[1].register_forward_hook(spoil)
    text = Rendered("", "The capital of England is London", ".")
    with pytest.raises(InputError, match=r"text 1.*massive"):
        model.capture([text], [Site(1)], read="mean")


def test_the_typical_norm_leaves_out_position_0(model):
    site, text = Site(2), "The sky is blue"
    batch = step_batch(torch.tensor([_row(model, text).ids]), None, None, torch.tensor([1]))
    norms = model.forward(batch, Plan(read=frozenset([site]))).activations[site][0].norm(dim=-1)
    assert norms[1:].median() != norms.median()
    assert model.capture([text], [site]).norms[site].tolist() == pytest.approx([float(norms[1:].median())])
