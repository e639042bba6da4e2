"""The likeliest token by rounded logits with few made exact, against all logits in float32."""

import math

import pytest
import torch
from torch import nn

from trimtab.models import generate, greedy_head
from trimtab.models.greedy_head import GreedyHead, LongestRow, at_least, low_head

LOW = [torch.bfloat16, torch.float16]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A CPU with instructions for both low dtypes, whatever this one has."""
    monkeypatch.setattr(greedy_head, "quick_dtypes", lambda device: tuple(LOW))


def layer(dtype, bias, d=64, vocabulary=3000):
    """A head whose rows lie closer together than its dtype's logits can tell."""
    generator, spread = torch.Generator().manual_seed(3), 4 * torch.finfo(dtype).eps
    head = nn.Linear(d, vocabulary, bias=bias)
    with torch.no_grad():
        common = torch.randn(1, d, generator=generator)
        head.weight.copy_(common + spread * torch.randn(vocabulary, d, generator=generator))
        if bias:
            head.bias.copy_(spread * torch.randn(vocabulary, generator=generator))
    return head.to(dtype)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dtype", LOW)
def test_the_likeliest_token_is_that_of_float32(dtype, bias):
    head = layer(dtype, bias)
    hidden = torch.randn(200, 64, generator=torch.Generator().manual_seed(0)) * 5
    exact = nn.functional.linear(hidden, head.weight.float(), None if head.bias is None else head.bias.float())
    found = GreedyHead(head, LongestRow().of_layer(head))(hidden)
    assert found.dtype == torch.float32
    assert torch.equal(found.argmax(1), exact.argmax(1))
    torch.testing.assert_close(found.amax(1), exact.amax(1), rtol=1e-5, atol=1e-5)
    rounded = head(hidden.to(dtype)).argmax(1)
    assert (rounded != exact.argmax(1)).float().mean() > 0.05, "the head's own precision would do"


def test_the_likeliest_of_all_others_is_right_where_a_token_is_ruled_out():
    head = layer(torch.bfloat16, False)
    hidden = torch.randn(100, 64, generator=torch.Generator().manual_seed(1)) * 5
    end = 7
    with torch.no_grad():
        head.weight[end] *= 3  # far ahead or far behind
    exact = hidden @ head.weight.float().T
    barred = torch.tensor([end])
    found = GreedyHead(head, LongestRow().of_layer(head), [end])(hidden[:, None])[:, 0]
    assert torch.equal(found.argmax(1), exact.argmax(1))
    without = [logits.index_fill(1, barred, -math.inf).argmax(1) for logits in (found, exact)]
    assert torch.equal(*without)
    assert (exact.argmax(1) == end).any()


def test_the_longest_row_is_measured_anew_where_weights_change():
    head, longest = layer(torch.bfloat16, False), LongestRow()

    def truly():
        return float(head.weight.detach().double().norm(dim=1).max())

    assert longest.of_layer(head) == pytest.approx(truly(), rel=1e-6)
    with torch.no_grad():
        head.weight[11] *= 10
    assert longest.of_layer(head) == pytest.approx(truly(), rel=1e-6)
    head.weight.data.mul_(2)  # which torch does not count
    assert longest.of_layer(head) == pytest.approx(truly(), rel=1e-6)


@pytest.mark.parametrize("options", [{}, {"min_new_tokens": 8}, {"eos_token_id": [3, 4], "min_new_tokens": 4}])
@pytest.mark.parametrize("name", ["llama", "qwen2", "gpt2", "opt"])
def test_texts_are_those_of_a_head_in_float32(name, options, wrapped, adding, monkeypatch):
    model = wrapped(name, torch.bfloat16)
    prompts, used, call = ["The sky", "Is it late", "One more"], [], GreedyHead.__call__

    def noted(head, h):
        used.append(len(h))
        return call(head, h)

    monkeypatch.setattr(GreedyHead, "__call__", noted)

    def texts():
        return [model.generate(prompts, steering=s, max_new_tokens=8, **options) for s in (None, adding(1), adding(2))]

    found = texts()
    assert used
    monkeypatch.setattr(generate, "_greedy_head", lambda *_: None)
    assert found == texts()


@pytest.mark.parametrize(
    "options",
    [{"do_sample": True}, {"num_beams": 2}, {"repetition_penalty": 1.3}, {"no_repeat_ngram_size": 2}],
    ids=lambda o: next(iter(o)),
)
def test_what_asks_more_of_the_logits_gets_all_of_them_in_float32(options, wrapped, monkeypatch):
    monkeypatch.setattr(GreedyHead, "__call__", None)
    model = wrapped(dtype=torch.bfloat16)
    assert isinstance(model.generate("The sky", max_new_tokens=3, **options), str)


def test_only_a_plain_layer_of_low_precision_is_taken(wrapped, monkeypatch):
    monkeypatch.setattr(GreedyHead, "__call__", None)
    hooked = wrapped(dtype=torch.bfloat16)
    hooked.hf.lm_head.register_forward_hook(lambda module, args, out: 2 * out)
    for model in (hooked, wrapped("gemma2", torch.bfloat16), wrapped()):
        model.generate("The sky", max_new_tokens=2)
    head = layer(torch.float32, False)
    assert low_head(head, head.weight.device) is None


@pytest.mark.parametrize("width", [1, 7, 509, 1024, 1536])
def test_values_not_below_a_bound_are_found_by_blocks(width):
    values = torch.randn(5, width, generator=torch.Generator().manual_seed(width))
    bound = torch.tensor([-10.0, 0.0, 1.5, 10.0, float(values[4].max())])
    found = [index.tolist() for index in at_least(values, bound)]
    assert sorted(zip(*found, strict=True)) == [
        (i, j) for i in range(5) for j in range(width) if values[i, j] >= bound[i]
    ]
