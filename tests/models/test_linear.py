"""Float32 linear layers by oneDNN give what torch gives, and leave alone what they must."""

import pytest
import torch
from torch import nn

from trimtab.interventions import Site
from trimtab.models import Plan
from trimtab.models.linear import FEW_ROWS, by_onednn, for_few_rows, quick_linears, suits


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return nn.Linear(300, 400)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(64, 300), (3, 20, 300), (1, 17, 300)])
def test_products_equal_float64(bias, shape):
    torch.manual_seed(0)
    layer = nn.Linear(300, 400, bias=bias)
    h = torch.randn(*shape)
    expected = layer.double()(h.double())
    layer.float()
    if not suits(layer):
        pytest.skip("this machine's torch has no oneDNN beside MKL")
    with torch.no_grad():
        result = by_onednn(layer)(h)
    assert (result - expected).abs().max() <= 1e-5 * expected.abs().max()
    assert result.shape == (*shape[:-1], 400)


def test_input_that_is_not_contiguous(layer):
    h = torch.randn(300, 40).T
    with torch.no_grad():
        torch.testing.assert_close(by_onednn(layer)(h), layer(h), rtol=1e-5, atol=1e-5)


def test_no_rows_give_no_rows(layer):
    with torch.no_grad():
        assert by_onednn(layer)(torch.ones(0, 300)).shape == (0, 400)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [0, 1, FEW_ROWS])
@pytest.mark.parametrize("size", [2.0**-20, 1.0, 2.0**20])
def test_few_rows_with_half_as_many_bytes_of_weights_equal_float64(bias, rows, size):
    torch.manual_seed(0)
    layer = nn.Linear(300, 401, bias=bias)
    layer.weight.data = size * layer.weight.data.bfloat16().float()
    h = torch.randn(1, rows, 300)
    expected = layer.double()(h.double())
    few = for_few_rows(layer.float())
    if few is None:
        pytest.skip("this machine's torch has no FBGEMM")
    with torch.no_grad():
        result = few(h)
    assert result.shape == (1, rows, 401)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result.double(), expected, rtol=0, atol=2e-6 * max(size, 0.1 * bias))


@pytest.mark.parametrize("weight", [0.03 * (1 + 2**-20), torch.inf, torch.nan])
def test_weights_with_more_digits_than_float16_has_are_left_as_they_are(layer, weight):
    layer.weight.data = layer.weight.data.bfloat16().float()
    assert for_few_rows(layer) is not None or "fbgemm" not in torch.backends.quantized.supported_engines
    layer.weight.data[3, 5] = weight
    assert for_few_rows(layer) is None


def test_gradients_are_left_to_torch(layer, monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", lambda *args: pytest.fail("by oneDNN"))
    by_onednn(layer)(torch.ones(40, 300)).sum().backward()
    assert layer.weight.grad is not None


def test_other_layers_do_not_suit(layer):
    class Special(nn.Linear):
        pass

    assert not suits(Special(300, 400))
    assert not suits(nn.Linear(30, 40))
    assert not suits(layer.to(torch.bfloat16))
    layer.float().forward = lambda h: h  # wrapped by somebody
    assert not suits(layer)


def test_layers_are_as_before_outside(layer):
    with quick_linears([nn.Sequential(layer)]):
        assert "forward" in layer.__dict__ or not suits(layer)
    assert "forward" not in layer.__dict__


def test_the_forward_pass_itself_stays_torchs_own(wrapped, batch_of, tokens):
    """Contract 1: captures, scores and texts are computed by oneDNN; a pass is bit-equal to the bare model's."""
    model = wrapped("llama", hidden_size=256, intermediate_size=512, vocab_size=200)
    batch = batch_of(tokens(0, 60, 60))
    with torch.no_grad():
        expected = model.hf(input_ids=batch.ids).logits
    assert torch.equal(model.forward(batch, Plan(logits="all")).logits, expected)
    texts = [f"{chr(97 + i)} sky is blue, and the grass is green" for i in range(20)]
    result = model.capture(texts, [Site(2)]).activations[Site(2)]
    alone = torch.cat([model.capture([t], [Site(2)]).activations[Site(2)] for t in texts])
    assert (result - alone).norm() <= 1e-4 * alone.norm()
