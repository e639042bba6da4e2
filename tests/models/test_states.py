"""Inside `with model.steered(…)`, models that keep a state in place of keys and values know which token is which."""

import pytest
import torch
import transformers

from trimtab.errors import InputError
from trimtab.interventions import Site
from trimtab.models import Model

SMALL = {"vocab_size": 200, "hidden_size": 32, "num_hidden_layers": 3, "bos_token_id": 1, "eos_token_id": 2}
KINDS = {
    "MambaConfig": {"pad_token_id": 0},
    "FalconMambaConfig": {"pad_token_id": 0},
    "Mamba2Config": {"pad_token_id": 0, "num_heads": 8, "head_dim": 8, "n_groups": 1, "state_size": 8},
    "RwkvConfig": {},
}
SCOPES = ("all", "prompt", "last", "generated")


@pytest.fixture(params=list(KINDS))
def model(request, tokenizer):
    torch.manual_seed(0)
    config = getattr(transformers, request.param)(**SMALL, **KINDS[request.param])
    hf = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for p in hf.parameters():
            if p.ndim > 1:
                p.normal_(0, 0.2)
    return Model(hf, tokenizer)


def plainly(model, ids, scope, steering, n):
    """Greedy without any cache: positions are those of the whole text."""
    v, length, seq = steering.vector(Site(1)), len(ids), list(ids)
    first, last = {
        "all": (0, 10**6), "prompt": (0, length), "last": (length - 1, length), "generated": (length - 1, 10**6),
    }[scope]  # fmt: skip

    def hook(module, args, out):
        h = out[0] if isinstance(out, tuple) else out
        at = torch.arange(h.shape[1])
        h = h + ((at >= first) & (at < last))[None, :, None] * v
        return (h, *out[1:]) if isinstance(out, tuple) else h

    handle = model.anatomy.blocks[1].register_forward_hook(hook)
    try:
        for _ in range(n):
            with torch.no_grad():
                seq.append(int(model.hf(torch.tensor([seq]), use_cache=False).logits[0, -1].argmax()))
    finally:
        handle.remove()
    return seq[length:]


@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize("scope", SCOPES)
def test_direct_generation_equals_a_plain_loop(scope, use_cache, model, adding, tokens):
    steering = adding(1, size=2)
    for ids in tokens(4, 1, 2, 7):
        row = torch.tensor([ids])
        with model.steered(steering, 1, scope):
            out = model.hf.generate(
                row, attention_mask=torch.ones_like(row), max_new_tokens=5, min_new_tokens=5, do_sample=False,
                pad_token_id=0, use_cache=use_cache, eos_token_id=-1,
            )  # fmt: skip
        assert out[0, len(ids) :].tolist() == plainly(model, ids, scope, steering, 5)


@pytest.mark.parametrize("scope", ["prompt", "generated"])
def test_steps_behind_a_state_that_one_was_given_are_told_apart(scope, model, adding, tokens):
    (ids,) = tokens(5, 6)
    steering, name = adding(1, size=2), "state" if "Rwkv" in type(model.hf).__name__ else "cache_params"
    expected = plainly(model, ids, scope, steering, 3)
    got = []
    with torch.no_grad(), model.steered(steering, 1, scope):
        out = model.hf(torch.tensor([ids]), use_cache=True)
        for _ in range(3):
            got.append(int(out.logits[0, -1].argmax()))
            out = model.hf(torch.tensor([got[-1:]]), use_cache=True, **{name: getattr(out, name)})
    assert got == expected


def test_a_state_of_unknown_length_is_refused(model, adding, tokens):
    (ids,) = tokens(5, 6)
    name = "state" if "Rwkv" in type(model.hf).__name__ else "cache_params"
    with torch.no_grad():
        state = getattr(model.hf(torch.tensor([ids]), use_cache=True), name)
        with (
            model.steered(adding(1), 1, "generated"),
            pytest.raises(InputError, match="does not say how many tokens it has read"),
        ):
            model.hf(torch.tensor([[5]]), use_cache=True, **{name: state})
