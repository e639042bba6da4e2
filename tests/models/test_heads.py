"""What attention heads give is read before the projection, and a shift of it folds into the attention term."""

import pytest
import torch

from trimtab.errors import InputError, PlanError
from trimtab.interventions import Site
from trimtab.models import Plan, Steer
from trimtab.steering import Additive, Steering

# Gemma normalises the attention term before adding it; OPT, Phi, Falcon and BLOOM have no attention term apart
FOLDS = ["llama", "qwen2", "qwen3", "mistral", "gpt2", "gpt_neox_sequential", "mixtral", "qwen3_moe"]
HEADS = Site(2, "heads")


@pytest.mark.parametrize("name", FOLDS)
def test_a_shift_of_heads_by_hand_equals_the_folded_shift_of_the_attention_term(name, wrapped, batch_of, tokens):
    model = wrapped(name)
    heads = model.anatomy.heads_of(2)
    batch = batch_of(tokens(0, 7, 9))
    shift = torch.randn(heads.width, generator=torch.Generator().manual_seed(0))
    by_hand = heads.projection.register_forward_pre_hook(lambda module, args: (args[0] + shift, *args[1:]))
    expected = model.forward(batch, Plan(logits="all")).logits
    by_hand.remove()
    edits = {Site(2, "attention"): Additive(heads.folded(shift[None]))}
    folded = model.forward(batch, Plan((Steer(edits, torch.ones(1, 1)),), logits="all")).logits
    plain = model.forward(batch, Plan(logits="all")).logits
    real = batch.real
    torch.testing.assert_close(folded[real], expected[real], atol=1e-4, rtol=1e-4)
    assert (plain[real] - expected[real]).abs().max() > 0.01


@pytest.mark.parametrize("name", FOLDS)
def test_heads_are_read_as_the_projection_gets_them(name, wrapped, batch_of, tokens):
    model = wrapped(name)
    heads, inputs = model.anatomy.heads_of(2), []
    handle = heads.projection.register_forward_pre_hook(lambda module, args: inputs.append(args[0].clone()))
    read = model.forward(batch_of(tokens(0, 7, 9)), Plan(read=frozenset([HEADS]))).activations[HEADS]
    handle.remove()
    assert read.shape[-1] == heads.width == model.anatomy.width(HEADS)
    assert heads.width % heads.n == 0
    assert torch.equal(read, inputs[0])


def test_captured_heads_make_the_captured_attention_term(model):
    texts = ["The sky is blue", "The grass is green."]
    result = model.capture(texts, [HEADS, "attention:2"]).activations
    weight = model.anatomy.heads_of(2).projection.weight
    torch.testing.assert_close(result[HEADS] @ weight.T, result[Site(2, "attention")], atol=1e-5, rtol=1e-5)


def test_a_term_behind_a_norm_has_no_heads_to_fold(wrapped):
    with pytest.raises(InputError, match="heads:1"):
        wrapped("gemma2").capture(["The sky"], ["heads:1"])


def test_heads_are_not_edited(model, batch_of, tokens):
    steers = (Steer({HEADS: Additive(torch.ones(1, 32))}, torch.ones(1, 1)),)
    with pytest.raises(PlanError, match="attention:2"):
        model.forward(batch_of(tokens(0, 5)), Plan(steers, logits="last"))
    with pytest.raises(InputError, match="attention:2"):
        Steering.from_vector("heads:2", torch.ones(32))


def test_heads_go_into_a_folder_at_their_own_width(wrapped, tmp_path):
    model, texts = wrapped("qwen3", head_dim=16), ["The sky is blue", "The grass is green."]
    kept = model.capture(texts, [HEADS, 2], into=tmp_path / "a")
    held = model.capture(texts, [HEADS, 2])
    assert kept.activations[HEADS].shape == (2, 64)
    for site in (HEADS, Site(2)):
        torch.testing.assert_close(kept.activations[site], held.activations[site].cpu())
