"""Steerings as vectors for other libraries' hooks, held against plain torch hooks, and vectors brought back."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from tests.models.families import build
from torch import Tensor

import trimtab as tt
from trimtab.errors import InputError
from trimtab.integrations import from_hooks, module_hooks, transformer_lens_hooks
from trimtab.steering import Additive
from trimtab.steering.edits import Ablation, Gated

WIDTH = 32
IDS = torch.tensor([[1, 17, 42, 5, 130, 77]])
FAMILIES = {  # by family the modules of a block, its attention term and its mlp term
    "Llama": ("model.layers.{}", "model.layers.{}.self_attn", "model.layers.{}.mlp"),
    "GPT-2": ("transformer.h.{}", "transformer.h.{}.attn", "transformer.h.{}.mlp"),
    "GPT-NeoX": (
        "gpt_neox.layers.{}", "gpt_neox.layers.{}.post_attention_dropout", "gpt_neox.layers.{}.post_mlp_dropout",
    ),
    "Gemma 2": (
        "model.layers.{}", "model.layers.{}.post_attention_layernorm", "model.layers.{}.post_feedforward_layernorm",
    ),
}  # fmt: skip
SITES = ("1", "2", "attention:1", "mlp:3")


def vectors(count: int) -> Tensor:
    return 2 * torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(0))


def steering() -> tt.Steering:
    """Two attributes, one of which acts at every site."""
    edits = {site: Additive(torch.stack([v, 3 * v.flip(0)])) for site, v in zip(SITES, vectors(4), strict=True)}
    return tt.Steering(edits, {"one": 1.0, "other": 0.5})


@contextmanager
def hooked(hf: Any, added: dict[str, Tensor]) -> Iterator[None]:
    """Plain hooks that add vectors to the outputs of modules."""

    def adding(vector: Tensor) -> Any:
        def hook(module: Any, given: Any, output: Any) -> Any:
            return (output[0] + vector, *output[1:]) if isinstance(output, tuple) else output + vector

        return hook

    handles = [hf.get_submodule(path).register_forward_hook(adding(vector)) for path, vector in added.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@pytest.fixture(params=FAMILIES)
def model(request: Any) -> tt.Model:
    return tt.Model(build(request.param), id=request.param)


def named(model: tt.Model) -> dict[str, str]:
    """The module of each site, as it is written above."""
    residual, attention, mlp = FAMILIES[model.id]
    return {
        "1": residual.format(1), "2": residual.format(2), "attention:1": attention.format(1), "mlp:3": mlp.format(3),
    }  # fmt: skip


def test_plain_hooks_with_these_vectors_give_the_steered_logits(model: tt.Model) -> None:
    made, strength = steering(), {"one": 0.5, "other": -1.0}
    added = module_hooks(made, model, strength)
    assert list(added) == [named(model)[site] for site in ("attention:1", "1", "2", "mlp:3")]  # as they are computed
    for site, v in zip(SITES, vectors(4), strict=True):
        torch.testing.assert_close(added[named(model)[site]], 0.5 * v - 3 * v.flip(0))
    with torch.no_grad():
        plain = model.hf(IDS).logits
        with hooked(model.hf, added):
            theirs = model.hf(IDS).logits
        with model.steered(made, strength):
            ours = model.hf(IDS).logits
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    assert (theirs - plain).abs().max() > 0.1


def test_vectors_come_back_to_the_sites_that_they_left(model: tt.Model) -> None:
    made = steering()
    added = module_hooks(made, model)
    for spelled in (
        added,
        {f"{path}.output": v for path, v in added.items()},
        {f"model.{p}": v for p, v in added.items()},
    ):
        back = from_hooks(spelled, "both", model=model)
        assert back.attributes == {"both": 1.0}
        assert back.made_for == model.facts
        assert set(back.edits) == set(made.edits)
        for site, path in named(model).items():
            assert torch.equal(back.vector(site), added[path])
    lens = transformer_lens_hooks(made)
    assert {name: v.tolist() for name, v in lens.items()} == {
        name: added[named(model)[site]].tolist()
        for name, site in {
            "blocks.1.hook_resid_post": "1", "blocks.2.hook_resid_post": "2", "blocks.1.hook_attn_out": "attention:1",
            "blocks.3.hook_mlp_out": "mlp:3",
        }.items()
    }  # fmt: skip
    assert from_hooks(lens, "both", model=model).id == back.changed(origin=from_hooks(lens).origin).id


@pytest.mark.parametrize(
    ("name", "site"),
    {
        "blocks.3.hook_resid_post": "3", "blocks.3.hook_resid_pre": "2", "blocks.3.hook_in": "2",
        "blocks.3.hook_out": "3", "blocks.3.hook_attn_out": "attention:3", "blocks.3.hook_mlp_out": "mlp:3",
        "model.layers.3": "3", "model.layers.3.output": "3", "model.layers.3.output[0]": "3",
        "model.model.layers.3.mlp.output": "mlp:3", "transformer.h.3.attn": "attention:3", "residual.3": "3",
    }.items(),
)  # fmt: skip
def test_a_place_is_known_by_its_name_without_a_model(name: str, site: str) -> None:
    (v,) = vectors(1)
    for shaped in (v, v[None, None], v.numpy(), v.double().requires_grad_()):
        assert torch.equal(from_hooks({name: shaped}).vector(site), v)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["blocks.0.hook_resid_pre"], "no place that is known"),  # the embedding
        (["blocks.3.attn.hook_out"], "no place that is known"),  # in front of a norm, where there is one
        (["blocks.3.hook_q"], "no place that is known"),
        (["3"], "no place that is known"),
        (["lm_head"], "no place that is known"),
        (["blocks.1.hook_resid_post", "blocks.2.hook_resid_pre"], "two vectors are for site 1"),
        ([], "there are no vectors"),
    ],
)
def test_what_is_no_place_is_refused(names: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said) as raised:
        from_hooks(dict.fromkeys(names, torch.ones(4)))
    assert raised.value.field == "vectors"


def test_what_passes_through_a_dropout_is_the_same_site() -> None:
    model, (v,) = tt.Model(build("GPT-NeoX")), vectors(1)
    for path, site in (("gpt_neox.layers.1.attention", "attention:1"), ("gpt_neox.layers.2.mlp.output", "mlp:2")):
        assert torch.equal(from_hooks({path: v}, model=model).vector(site), v)
    assert not any(module._forward_hooks for module in model.hf.modules())


def test_a_module_that_is_no_site_of_the_model_is_refused_with_those_that_are() -> None:
    gemma = tt.Model(build("Gemma 2"))
    for path in ("model.layers.1.self_attn", "model.layers.1.self_attn.o_proj", "model.norm", "lm_head"):
        with pytest.raises(InputError, match=r"model\.layers\.0\.post_attention_layernorm") as raised:
            from_hooks({path: torch.ones(WIDTH)}, model=gemma)
        assert raised.value.code == "no-such-site"
    with pytest.raises(InputError, match="blocks 0 to 3"):
        from_hooks({"blocks.9.hook_resid_post": torch.ones(WIDTH)}, model=gemma)
    with pytest.raises(InputError, match="blocks 0 to 3"):
        module_hooks(tt.Steering.from_vector(9, torch.ones(WIDTH)), gemma)


def test_a_steering_of_another_model_is_refused_unless_that_is_allowed() -> None:
    llama, gpt2 = (tt.Model(build(name), id=name) for name in ("Llama", "GPT-2"))
    made = tt.Steering.from_vector(1, torch.ones(WIDTH), made_for=gpt2.facts)
    with pytest.raises(InputError, match="made for GPT-2") as raised, llama.steered(made):
        pass
    with pytest.raises(InputError) as again:
        module_hooks(made, llama)
    assert str(again.value) == str(raised.value)
    narrow = tt.Steering.from_vector(1, torch.ones(WIDTH // 2))
    with pytest.raises(InputError, match="site 1: 16 wide; Llama is 32 wide"):
        module_hooks(narrow, llama)


@pytest.mark.parametrize(("place", "given", "said"), [
    ("model.layers.1", "abc", "'model.layers.1' has no vector"), ("model.layers.1", None, "has no vector"),
    (1, torch.ones(4), "'1' is no place that is known"),
])  # fmt: skip
def test_what_is_no_vector_of_a_place_is_refused(place: Any, given: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        from_hooks({place: given})


def test_what_adds_no_vector_is_refused() -> None:
    gated = Gated(torch.ones(1, WIDTH), torch.ones(1, WIDTH), torch.zeros(1))
    with pytest.raises(InputError, match="gates decide token by token"):
        transformer_lens_hooks(tt.Steering({1: gated}, {"x": 1.0}))
    opened = transformer_lens_hooks(tt.Steering({1: gated}, {"x": 2.0}), ungated=True)
    assert opened["blocks.1.hook_resid_post"].tolist() == [2.0] * WIDTH
    with pytest.raises(InputError, match="does not add a vector"):
        transformer_lens_hooks(tt.Steering({1: Ablation(torch.ones(1, WIDTH))}, {"x": 1.0}))
