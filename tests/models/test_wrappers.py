"""What wraps a model in memory is taken off, so that edits and scopes hold, or it is refused by name."""

import contextlib

import accelerate
import peft
import pytest
import torch

from trimtab.errors import InputError
from trimtab.interventions import Site
from trimtab.models import Model

PROMPTS = ["The sky", "The capital of France is", "Is the grass red?"]
SCOPES = ("all", "prompt", "last", "generated")


class ValueHead(torch.nn.Module):
    """As trainers of rewards have it: a tuple, the logits first."""

    def __init__(self, model):
        super().__init__()
        self.pretrained_model = model
        self.value = torch.nn.Linear(32, 1)

    def forward(self, input_ids, attention_mask=None, **options):
        out = self.pretrained_model(input_ids=input_ids, attention_mask=attention_mask, **options)
        return out.logits, None, None

    def generate(self, *args, **options):
        return self.pretrained_model.generate(*args, **options)


class Cooled(torch.nn.Module):
    """Does more than to call what it wraps."""

    def __init__(self, model):
        super().__init__()
        self.inner = model

    def forward(self, **inputs):
        out = self.inner(**inputs)
        out.logits = out.logits / 2
        return out


def lora(hf, **changes):
    torch.manual_seed(3)
    options = {"r": 2, "target_modules": ["q_proj", "v_proj"], "init_lora_weights": False, **changes}
    return peft.get_peft_model(hf, peft.LoraConfig(task_type="CAUSAL_LM", **options))


def compiled(hf):
    return torch.compile(hf, backend="eager")


def offloaded(hf):
    return accelerate.cpu_offload(hf, "cpu")


def in_place(hf):
    hf.compile(backend="eager")
    hf(torch.tensor([[1, 5]]))  # a graph without hooks
    return hf


WRAPPERS = {
    "lora": lora,
    "compiled": compiled,
    "compiled lora": lambda hf: compiled(lora(hf)),
    "compiled in place": in_place,
    "data parallel": torch.nn.DataParallel,
    "data parallel lora": lambda hf: torch.nn.DataParallel(lora(hf)),
    "offloaded": offloaded,
    "value head": ValueHead,
}


@pytest.fixture(params=list(WRAPPERS))
def pair(request, plain, tokenizer):
    """A wrapped model, and the same weights without any wrapper."""
    wrapper = WRAPPERS[request.param](plain())
    bare = plain()
    if "lora" in request.param:
        bare = lora(bare).base_model.model
    return wrapper, Model(wrapper, tokenizer), Model(bare, tokenizer)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
@pytest.mark.parametrize("scope", SCOPES)
def test_a_wrapped_model_is_steered_as_the_bare_one(pair, scope, adding):
    _, model, bare = pair
    options = {"steering": adding(1, size=4), "scope": scope, "max_new_tokens": 6}
    expected = bare.generate(PROMPTS, **options)
    assert model.generate(PROMPTS, **options) == expected
    assert [model.generate(p, **options) for p in PROMPTS] == expected
    assert type(model.hf) is type(bare.hf)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
@pytest.mark.parametrize("scope", SCOPES)
def test_calls_of_the_wrapper_itself_are_steered(pair, scope, adding):
    wrapper, model, bare = pair
    ids, steering = torch.tensor([[1, 9, 30, 44]]), adding(1, size=4)
    with torch.no_grad(), bare.steered(steering, 1, scope):
        logits = bare.hf(ids).logits
        written = bare.hf.generate(ids, max_new_tokens=5, do_sample=False, pad_token_id=0)
    with torch.no_grad(), model.steered(steering, 1, scope):
        got = wrapper(input_ids=ids)
        torch.testing.assert_close(got.logits if hasattr(got, "logits") else got[0], logits, rtol=1e-5, atol=1e-5)
        if hasattr(wrapper, "generate"):
            assert torch.equal(
                wrapper.generate(input_ids=ids, max_new_tokens=5, do_sample=False, pad_token_id=0), written
            )
    with torch.no_grad():
        got = wrapper(input_ids=ids)
        after = got.logits if hasattr(got, "logits") else got[0]
        torch.testing.assert_close(after, bare.hf(ids).logits, rtol=1e-5, atol=1e-5)


def test_a_distributed_model_is_steered_as_the_bare_one(plain, tokenizer, adding, tmp_path):
    import torch.distributed as dist

    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        model = Model(torch.nn.parallel.DistributedDataParallel(plain()), tokenizer)
        options = {"steering": adding(1, size=4), "scope": "generated", "max_new_tokens": 6}
        assert model.generate(PROMPTS, **options) == Model(plain(), tokenizer).generate(PROMPTS, **options)
    finally:
        dist.destroy_process_group()


def test_nothing_is_compiled_anew_for_another_strength(plain, tokenizer, adding):
    """A graph for every strength would fill the memory."""
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    hf = compiled(plain())
    with torch.no_grad():
        hf(torch.tensor([[1, 5, 6]]))
    model, steering = Model(hf, tokenizer), adding(1, size=4)
    counters.clear()
    texts = {model.generate(PROMPTS[0], steering=steering, strength=k / 4, max_new_tokens=4) for k in range(1, 20)}
    with torch.no_grad():
        for k in range(1, 20):
            with model.steered(steering, k / 4):
                hf(torch.tensor([[1, 5, 6]]))
    assert len(texts) > 1
    assert counters["frames"]["total"] == 0


@pytest.mark.parametrize("kind", [peft.PromptTuningConfig, peft.PrefixTuningConfig])
def test_what_puts_learnt_tokens_in_front_is_refused_by_name(kind, plain):
    tuned = peft.get_peft_model(plain(), kind(task_type="CAUSAL_LM", num_virtual_tokens=3))
    with pytest.raises(InputError, match="PeftModelForCausalLM does more than call the LlamaForCausalLM"):
        Model(tuned)


def test_a_wrapper_that_changes_logits_is_refused_by_name(plain):
    with pytest.raises(InputError, match="Cooled does more than call the LlamaForCausalLM that it wraps"):
        Model(Cooled(plain()))


def test_an_adapter_that_looks_for_words_is_refused_by_name(plain):
    with pytest.raises(InputError, match="adapter 'default' acts only after its invocation tokens"):
        Model(lora(plain(), alora_invocation_tokens=[7, 8]))


def test_several_models_in_one_are_refused_by_name(plain):
    two = torch.nn.ModuleDict({"actor": plain(), "critic": plain()})
    with pytest.raises(InputError, match=r"ModuleDict holds 2 models that generate \(actor, critic\)"):
        Model(two)


def test_a_wrapper_that_cannot_be_called_is_refused_by_name(plain):
    with pytest.raises(InputError, match="ModuleList wraps a LlamaForCausalLM, but cannot be called like it"):
        Model(torch.nn.ModuleList([plain()]))


def test_what_is_no_module_is_refused_with_what_to_give(plain, tokenizer):
    import transformers

    with pytest.raises(InputError, match=r"call trimtab\.load\('gpt2'\)"):
        Model("gpt2")
    with pytest.raises(InputError, match="Model is a trimtab model already"):
        Model(Model(plain()))
    with contextlib.suppress(ImportError):
        pipe = transformers.pipeline("text-generation", model=plain(), tokenizer=tokenizer)
        with pytest.raises(
            InputError, match="TextGenerationPipeline is not a torch module; give the model that it holds"
        ):
            Model(pipe)


def test_hooks_and_overrides_of_a_wrapper_are_gone_afterwards(plain, tokenizer, adding):
    wrapper = lora(plain())
    model = Model(wrapper, tokenizer)
    with model.steered(adding(1)):
        pass
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in wrapper.modules())
    assert "forward" not in model.hf.__dict__
    assert "generate" not in model.hf.__dict__
    assert model.capture(["The sky"], [Site(1)]).activations[Site(1)].shape == (1, 32)
