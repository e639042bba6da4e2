"""The fingerprint of weights of every kind: without dimensions, quantised, packed by a subclass."""

import peft
import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_map

from trimtab.models import Model
from trimtab.models.digest import digest, shapes


class Scaled(torch.Tensor):
    """Whole numbers with one scale for all, as quantisation libraries pack them into a tensor's subclass."""

    @staticmethod
    def __new__(cls, numbers, scale):
        return torch.Tensor._make_wrapper_subclass(cls, numbers.shape, dtype=torch.float32)

    def __init__(self, numbers, scale):
        self.numbers, self.scale = numbers, scale

    def __tensor_flatten__(self):
        return ["numbers", "scale"], None

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):  # type: ignore[override]  # torch has it unbound
        if func is torch.ops.aten.detach.default:
            return cls(args[0].numbers, args[0].scale)
        plain = tree_map(lambda t: t.numbers * t.scale if isinstance(t, cls) else t, (args, kwargs or {}))
        return func(*plain[0], **plain[1])


class EightBits(nn.Module):
    """A linear layer with int8 weights and a scale without dimensions."""

    scale: torch.Tensor

    def __init__(self, layer):
        super().__init__()
        scale = layer.weight.abs().max() / 127
        self.weight = nn.Parameter((layer.weight / scale).round().to(torch.int8), requires_grad=False)
        self.register_buffer("scale", scale.detach().clone())

    def forward(self, h):
        return h @ (self.weight.to(h.dtype) * self.scale.to(h.dtype)).T


def linears(hf):
    return [(n, m) for n, m in hf.named_modules() if isinstance(m, nn.Linear) and "lm_head" not in n]


def subclassed(hf):
    for _, layer in linears(hf):
        scale = layer.weight.detach().abs().max() / 127
        numbers = (layer.weight.detach() / scale).round().to(torch.int8)
        layer.weight = nn.Parameter(Scaled(numbers, scale), requires_grad=False)
    return hf


def eight_bits(hf):
    for name, layer in linears(hf):
        owner, _, leaf = name.rpartition(".")
        setattr(hf.get_submodule(owner), leaf, EightBits(layer))
    return hf


def dynamic(hf):
    return torch.ao.quantization.quantize_dynamic(hf, {nn.Linear}, dtype=torch.qint8)


def beside(hf):
    hf.audio = nn.BatchNorm1d(4)
    hf.register_buffer("phase", torch.randn(3, dtype=torch.complex64))
    hf.register_buffer("steps", torch.tensor(1 << 40))
    hf.register_buffer("nothing", torch.zeros(0))
    hf.register_buffer("small", torch.randn(3).to(torch.float8_e4m3fn))
    return hf


def ranks(hf):
    config = peft.AdaLoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"], total_step=10)
    return peft.get_peft_model(hf, config)


KINDS = {"subclass": subclassed, "8 bits": eight_bits, "dynamic": dynamic, "beside": beside, "AdaLoRA": ranks}


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning", "ignore:.*:FutureWarning", "ignore:.*:UserWarning")
@pytest.mark.parametrize("kind", list(KINDS))
def test_weights_of_every_kind_are_fingerprinted_and_steered(kind, plain, tokenizer, adding):
    torch.manual_seed(1)
    model = Model(KINDS[kind](plain()), tokenizer)
    assert model.digest == model.digest
    assert model.dtype == torch.float32
    assert model.facts.digest == model.digest
    options = {"max_new_tokens": 6}
    steered = model.generate(["The sky", "A ship"], steering=adding(1, size=6), **options)
    assert steered != model.generate(["The sky", "A ship"], **options)


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning", "ignore:.*:FutureWarning", "ignore:.*:UserWarning")
@pytest.mark.parametrize("kind", ["subclass", "8 bits", "dynamic"])
def test_a_quantised_weight_that_differs_is_seen(kind, plain):
    one, other = plain(), plain()
    with torch.no_grad():
        other.model.layers[2].mlp.up_proj.weight[3, 4] += 0.5
    one, other = KINDS[kind](one), KINDS[kind](other)
    assert digest(one) != digest(other)
    assert digest(one) == digest(KINDS[kind](plain()))
    assert shapes(one) == shapes(other)


def test_whole_numbers_count_to_the_last_digit(plain):
    one, other = plain(), plain()
    one.register_buffer("steps", torch.tensor(1 << 40))
    other.register_buffer("steps", torch.tensor((1 << 40) + 1))
    assert digest(one) != digest(other)


def test_eight_bit_blocks_have_the_dtype_that_they_compute_in(plain, tokenizer):
    assert Model(eight_bits(plain().bfloat16()), tokenizer).dtype == torch.bfloat16
