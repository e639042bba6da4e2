"""Contract 7: sites, edits, resuming and logits mean the same whatever the architecture."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.models import Model, Plan, Site, Steer, steer

ALL = [
    "llama", "qwen2", "qwen3", "mistral", "gemma2", "gemma3", "gpt2", "gpt_neox", "gpt_neox_sequential", "opt",
    "phi", "falcon", "falcon_sequential", "bloom", "mixtral", "qwen3_moe",
]  # fmt: skip
NO_TERMS = ["opt", "bloom"]  # OPT flattens its mlp to [B·T, d]; Bloom adds inside its attention and mlp
NO_POSITIONS = ["bloom", "falcon_sequential"]  # alibi
WIDTH = 32


@pytest.fixture(params=ALL)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _inputs(batch: Any, hf: Any) -> dict[str, Tensor]:
    import inspect

    inputs = {"input_ids": batch.ids, "attention_mask": batch.real.long()}
    if "position_ids" in inspect.signature(hf.forward).parameters:
        inputs["position_ids"] = batch.position
    return inputs


def _logits(hf: Any, batch: Any) -> Tensor:
    with torch.no_grad():
        logits: Tensor = hf(**_inputs(batch, hf)).logits
    return logits


def _residual_in(hf: Any, anatomy: Any, batch: Any) -> list[Tensor]:
    """What each block receives, by hooks of our own."""
    got: list[Tensor] = []
    handles = [
        b.register_forward_pre_hook(
            lambda m, a, k: got.append((a[0] if a else k["hidden_states"]).clone()), with_kwargs=True
        )
        for b in anatomy.blocks
    ]
    try:
        _logits(hf, batch)
    finally:
        for h in handles:
            h.remove()
    return got


def test_residual_site_equals_hidden_states(name, plain, wrapped, batch_of, tokens):
    model, hf = wrapped(name), plain(name)
    batch = batch_of(tokens(1, 7, 7))
    sites = [Site(k) for k in range(4)]
    with torch.no_grad():
        hidden = hf(**_inputs(batch, hf), output_hidden_states=True).hidden_states
    trace = model.forward(batch, Plan(read=frozenset(sites)))
    assert trace.logits is None
    for k in range(3):
        torch.testing.assert_close(trace.activations[sites[k]], hidden[k + 1], rtol=0, atol=0)
    last = trace.activations[sites[3]]
    assert not torch.equal(last, hidden[4])
    with torch.no_grad():
        for module in model.anatomy.tail:
            last = module(last)
    torch.testing.assert_close(last, hidden[4], rtol=0, atol=0)


def test_attention_and_mlp_are_the_terms_added_to_the_residual(name, wrapped, batch_of, tokens):
    model, batch = wrapped(name), batch_of(tokens(1, 7, 7))
    if name in NO_TERMS:
        with pytest.raises(InputError, match=r"site mlp:1: block 1 is not a plain sum .* use the residual, site 1"):
            model.forward(batch, Plan(read=frozenset([Site(1, "mlp")])))
        return
    received = _residual_in(model.hf, model.anatomy, batch)
    for k in range(4):
        terms = [Site(k, "attention"), Site(k, "mlp"), Site(k)]
        got = model.forward(batch, Plan(read=frozenset(terms))).activations
        torch.testing.assert_close(received[k] + got[terms[0]] + got[terms[1]], got[terms[2]], rtol=1e-5, atol=1e-5)
        assert not torch.allclose(got[terms[0]], got[terms[1]])


def test_attention_and_mlp_terms_are_told_apart(name, wrapped):
    if name in NO_TERMS:
        return
    model = wrapped(name)
    of = {id(m): n for n, m in model.anatomy.blocks[0].named_modules()}
    attention, mlp = (of[id(m)] for m in model.anatomy.terms[0])
    assert "att" in attention
    assert "mlp" in mlp or "feedforward" in mlp


@pytest.mark.parametrize("component", ["residual", "attention", "mlp"])
def test_editing_adds_exactly_the_vector_to_the_block(name, component, wrapped, adding, batch_of, tokens):
    model, batch = wrapped(name), batch_of(tokens(1, 7, 7))
    site = Site(1, component)
    if name in NO_TERMS and component != "residual":
        with pytest.raises(InputError, match="use the residual"):
            model.forward(batch, Plan((steer(adding(str(site))),), logits="last"))
        return
    steering = adding(str(site))
    before = model.forward(batch, Plan(read=frozenset([Site(1), Site(2)]))).activations
    # a residual is read before its own edit, so the shift is seen by a bare hook behind ours
    seen: list[Tensor] = []
    with _after(model.anatomy.blocks[1], seen):
        trace = model.forward(batch, Plan((steer(steering),), frozenset([Site(2)])))
    v = steering.edits[site].vectors[0]
    if component == "attention" and not _parallel(name):
        assert (seen[0] - before[Site(1)] - v).abs().max() > 1e-3  # the mlp behind it has seen the shift
        assert (seen[0] - before[Site(1)]).abs().max() > 1e-3
    else:
        torch.testing.assert_close(seen[0], before[Site(1)] + v, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(trace.activations[Site(2)], before[Site(2)])
    assert trace.selected == 14


def _parallel(name: str) -> bool:
    return name in ("gpt_neox", "phi", "falcon")


class _after:  # noqa: N801
    """Collect a block's final output, behind every other hook that is there when the block is called."""

    def __init__(self, block: torch.nn.Module, seen: list[Tensor]) -> None:
        self.block, self.seen = block, seen

    def __enter__(self) -> None:
        call = type(self.block).__call__
        assert call is torch.nn.Module.__call__ or True
        self.original = self.block.__class__
        seen, original = self.seen, self.original

        class Watched(original):
            def __call__(self, *args: Any, **kwargs: Any) -> Any:
                out = super().__call__(*args, **kwargs)
                seen.append((out[0] if isinstance(out, tuple) else out).clone())
                return out

        self.block.__class__ = Watched

    def __exit__(self, *_: Any) -> None:
        self.block.__class__ = self.original
