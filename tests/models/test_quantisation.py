"""Weights of 8 and 4 bits: read, steered and generated from as plain hooks do it; needs bitsandbytes and torchao."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.families import FAMILIES, build
from tests.models.table import cells
from torch import Tensor
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

import trimtab as tt
from trimtab.errors import InputError
from trimtab.models import Encoded, Plan, collate, load, steer
from trimtab.models.quantisation import QUANTISATIONS, quantisation_config

pytestmark = pytest.mark.filterwarnings("ignore")  # the libraries' own

PROMPTS = ["It was a good day", "No"]


@pytest.fixture(scope="module")
def folder(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model as wide as a block of 4-bit weights."""
    torch.manual_seed(0)
    config = LlamaConfig.from_pretrained(tiny_folder, hidden_size=64, intermediate_size=128, head_dim=16)
    made = tmp_path_factory.mktemp("wide") / "tiny"
    LlamaForCausalLM(config).save_pretrained(made)
    AutoTokenizer.from_pretrained(tiny_folder).save_pretrained(made)
    return made


@pytest.fixture(params=QUANTISATIONS)
def quantised(request: Any, require: Any, folder: Path) -> tt.Model:
    """The tiny model, quantised while it is loaded."""
    library = request.param.rpartition("-")[0]
    require(library, library)
    return load(folder, dtype="float32", quantisation=request.param)


@pytest.fixture(scope="module")
def whole(folder: Path) -> tt.Model:
    return load(folder, dtype="float32")


def seen_by(model: tt.Model, prompt: str, block: int, added: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """What a plain hook sees of a block's output, `[T, d]`, and the logits, `[T, V]`, a vector added to it."""
    seen: list[Tensor] = []

    def hook(module: Any, given: Any, output: Any) -> Any:
        h = output[0] if isinstance(output, tuple | list) else output
        seen.append(h.detach().clone())
        h = h if added is None else h + added
        return (h, *output[1:]) if isinstance(output, tuple | list) else h

    handle = model.anatomy.blocks[block].register_forward_hook(hook)
    try:
        with torch.no_grad():
            logits = model.hf(model.tokenizer(prompt, return_tensors="pt").input_ids, use_cache=False).logits
    finally:
        handle.remove()
    return seen[0][0], logits[0]


def encoded(model: tt.Model, prompt: str) -> Any:
    return collate([Encoded(tuple(model.tokenizer(prompt)["input_ids"]), 1)], 0, model.device)


def saved(model: tt.Model, folder: Path) -> int:
    """Bytes of the weights of the blocks' linear layers as they are stored, their own tensors and those inside."""
    torch.save([m.weight for m in model.hf.model.layers.modules() if isinstance(m, torch.nn.Linear)], folder / "w.pt")
    return (folder / "w.pt").stat().st_size


def test_linear_layers_hold_fewer_bits_and_the_model_stays_near_itself(quantised, whole, tmp_path, request):
    bits = int(request.node.callspec.params["quantised"][-1])
    assert saved(quantised, tmp_path) < 0.6 * saved(whole, tmp_path)  # small layers, with what the file says of each
    assert quantised.digest != whole.digest
    one, other = (seen_by(m, PROMPTS[0], 1)[1].flatten() for m in (quantised, whole))
    assert torch.corrcoef(torch.stack([one, other]))[0, 1] > (0.99 if bits == 8 else 0.7)  # random weights amplify


def test_what_is_read_is_what_a_plain_hook_sees(quantised):
    for prompt in PROMPTS:
        trace = quantised.forward(encoded(quantised, prompt), Plan(read=frozenset([tt.Site(1)]), logits="all"))
        seen, logits = seen_by(quantised, prompt, 1)
        torch.testing.assert_close(trace.activations[tt.Site(1)][0], seen)
        torch.testing.assert_close(trace.logits[0], logits, rtol=1e-3, atol=1e-3)


def test_a_vector_acts_as_a_plain_hook_that_adds_it(quantised):
    vector = torch.randn(quantised.d_model, generator=torch.Generator().manual_seed(0))
    plan = Plan((steer(tt.Steering.from_vector(1, vector), 1.5),), logits="all")
    steered = quantised.forward(encoded(quantised, PROMPTS[0]), plan).logits[0]
    plain = seen_by(quantised, PROMPTS[0], 1)[1]
    torch.testing.assert_close(steered, seen_by(quantised, PROMPTS[0], 1, 1.5 * vector)[1], rtol=1e-3, atol=1e-3)
    assert (steered - plain).abs().max() > 0.1


def test_strength_0_is_bit_identical_and_another_strength_writes_another_text(quantised):
    steering = tt.Steering.from_vector(1, 4 * torch.ones(quantised.d_model))
    options = {"max_new_tokens": 8}
    plain = quantised.generate(PROMPTS, **options)
    assert quantised.generate(PROMPTS, steering=steering, strength=0.0, **options) == plain
    assert quantised.generate(PROMPTS, steering=steering, strength=2.0, **options) != plain


def test_a_vector_is_fitted_on_a_quantised_model(quantised):
    steering = tt.vector(quantised, ["a good day", "such a treat"], ["a bad day", "such a chore"], site=1)
    assert steering.made_for.digest == quantised.digest
    assert torch.isfinite(steering.vector(tt.Site(1))).all()


def test_an_unknown_quantisation_and_a_missing_library_are_refused(tiny_folder, monkeypatch):
    with pytest.raises(InputError, match="bitsandbytes-8, bitsandbytes-4, torchao-8, torchao-4") as raised:
        load(tiny_folder, quantisation="gptq")
    assert raised.value.field == "quantisation"
    monkeypatch.setattr("trimtab.models.quantisation.find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install torchao") as raised:
        quantisation_config("torchao-4")
    assert raised.value.code == "not-installed"


def test_a_steering_of_the_whole_model_is_refused_or_has_to_be_allowed(quantised, whole, tmp_path, request):
    """bitsandbytes stores other shapes, torchao those of the whole weights."""
    tt.vector(whole, ["a good day", "such a treat"], ["a bad day", "such a chore"], site=1).save(tmp_path / "s")
    with pytest.raises(InputError, match="weights"):
        quantised.generate(PROMPTS, steering=tt.Steering.load(tmp_path / "s"), max_new_tokens=2)
    allowed = tt.Steering.load(tmp_path / "s", allow_mismatch=True)
    if request.node.callspec.params["quantised"].startswith("torchao"):
        assert len(quantised.generate(PROMPTS, steering=allowed, max_new_tokens=2)) == 2
    else:
        with pytest.raises(InputError, match="other names or shapes"):
            quantised.generate(PROMPTS, steering=allowed, max_new_tokens=2)


def rounded(name: str, tokenizer: Any, folder: Path) -> str:
    """A cell of the table in docs/models.md: the quantisations under which a tiny model of a family is steered as by
    plain hooks."""
    build(name, wide=True).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    whole = load(folder, dtype="float32")
    added = 2 * torch.randn(whole.d_model, generator=torch.Generator().manual_seed(3))
    found = []
    for quantisation in QUANTISATIONS:
        try:
            model = load(folder, dtype="float32", quantisation=quantisation)
        except InputError:  # nothing of it is rounded, or the library cannot compute it
            continue
        plan = Plan((steer(tt.Steering.from_vector(1, added)),), frozenset([tt.Site(1)]), "all")
        trace, (seen, logits) = model.forward(encoded(model, PROMPTS[0]), plan), seen_by(model, PROMPTS[0], 1, added)
        assert trace.logits is not None
        torch.testing.assert_close(trace.activations[tt.Site(1)][0], seen)
        torch.testing.assert_close(trace.logits[0], logits, rtol=1e-3, atol=1e-3)
        assert (logits - seen_by(whole, PROMPTS[0], 1, added)[1]).abs().max() > 1e-3
        assert (logits - seen_by(model, PROMPTS[0], 1)[1]).abs().max() > 0.1
        assert model.digest != whole.digest
        found.append(quantisation)
    return "all four" if len(found) == len(QUANTISATIONS) else ", ".join(found) or "refused"


@pytest.mark.parametrize("name", FAMILIES)
def test_families_are_steered_with_fewer_bits_as_the_page_says(
    name: str, require: Any, tokenizer: Any, tmp_path: Path
) -> None:
    said = cells(name)
    if said["reads"].startswith("refused"):
        assert said["fewer bits"] == ""
        return
    if said["fewer bits"] == "not run":
        pytest.skip("no tiny model of this family is as wide as a block of 4-bit weights")
    for library in ("bitsandbytes", "torchao"):
        require(library, library)
    assert rounded(name, tokenizer, tmp_path / "model") == said["fewer bits"]


def test_a_model_of_which_nothing_would_be_rounded_is_refused(require: Any, tokenizer: Any, tmp_path: Path) -> None:
    require("torchao", "torchao")
    build("GPT-2").save_pretrained(tmp_path)  # layers that are no nn.Linear
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="torchao-8 rounds none of the weights of a GPT2LMHeadModel") as raised:
        load(tmp_path, quantisation="torchao-8")
    assert (raised.value.code, raised.value.field) == ("unsupported", "quantisation")
