"""Float32 behind the last block: during our passes, with the weights of the moment, and never else."""

import copy
from typing import Any

import pytest
import torch
from accelerate import dispatch_model

from trimtab.interventions import Site
from trimtab.models import Model, Plan, precision
from trimtab.models.linear import FEW_ROWS

ALL = Plan(logits="all")
LOW = [torch.bfloat16, torch.float16]


@pytest.fixture
def low(wrapped) -> Model:
    """A tiny Llama in bfloat16."""
    return wrapped(dtype=torch.bfloat16)


@pytest.fixture
def ids(tokens):
    return torch.tensor(tokens(0, 7, 7))


def _overrides(hf: Any) -> int:
    return sum("forward" in m.__dict__ for m in hf.modules())


# Contract 12. Final norm, head and log-softmax run in float32.


@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt2", "gpt_neox", "opt", "falcon"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_norm_and_head_run_in_float32_whatever_the_blocks_dtype(name, dtype, wrapped, plain, batch_of, tokens):
    model, batch, site = wrapped(name, dtype), batch_of(tokens(0, 7)), Site(3)
    trace = model.forward(batch, Plan(read=frozenset([site]), logits="all"))
    assert trace.activations[site].dtype == model.dtype == dtype
    assert trace.logits.dtype == torch.float32
    twin = plain(name).to(dtype).float()
    h = trace.activations[site].float()
    with torch.no_grad():
        for part in Model(twin).anatomy.tail:
            h = part(h)
        expected = twin.get_output_embeddings()(h)
        if name == "gemma2":
            expected = 30 * torch.tanh(expected / 30)
    torch.testing.assert_close(trace.logits, expected, rtol=0, atol=0)
    assert model.tail.not_float32 == []
    assert {p.dtype for p in model.hf.parameters()} == {dtype}  # the copies stay out of the state dict


def test_many_passes_of_few_rows_have_the_same_logits(wrapped, tokens):
    model = wrapped(dtype=torch.bfloat16, hidden_size=256, vocab_size=400)
    head, ids = model.hf.get_output_embeddings(), torch.tensor(tokens(0, FEW_ROWS))

    def logits(few_rows, ids=ids):
        with torch.no_grad(), model.gate.open(), model.tail.in_float32(begins=True, few_rows=few_rows):
            return model.hf(ids).logits

    torch.testing.assert_close(logits(True), logits(False), rtol=0, atol=1e-6)
    before = logits(True)
    head.weight.data.mul_(2)
    torch.testing.assert_close(logits(True), 2 * before, rtol=0, atol=1e-6)


def test_only_few_rows_are_computed_by_the_weights_laid_out_for_them(wrapped, tokens, monkeypatch):
    monkeypatch.setattr(precision, "for_few_rows", lambda layer: lambda h: torch.zeros(*h.shape[:-1], 400))
    model = wrapped(dtype=torch.bfloat16, hidden_size=256, vocab_size=400)
    with model.gate.open(), model.tail.in_float32(begins=True, few_rows=True):
        for rows, few in ((FEW_ROWS, True), (FEW_ROWS + 1, False)):
            with torch.no_grad():
                assert (not model.hf(torch.tensor(tokens(0, rows))).logits.any()) is few
        assert model.hf(torch.tensor(tokens(0, 3))).logits.any(), "gradients are wanted"


@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt2", "opt", "falcon"])
@pytest.mark.parametrize("dtype", [torch.float32, *LOW])
def test_a_wrapped_model_itself_computes_as_one_never_wrapped(name, dtype, plain, tokenizer, ids, adding, batch_of):
    hf, never = plain(name).to(dtype), plain(name).to(dtype)
    model = Model(hf, tokenizer)
    model.forward(batch_of(ids.tolist()), ALL)
    model.generate("The sky", steering=adding(1), max_new_tokens=2)
    with model.steered(adding(1)):
        assert hf(input_ids=ids).logits.dtype == torch.float32
    mine, its = hf(input_ids=ids).logits, never(input_ids=ids).logits
    assert mine.dtype == its.dtype == dtype
    assert torch.equal(mine, its)
    assert _overrides(hf) == 0
    mine.sum().backward()
    assert hf.get_output_embeddings().weight.grad.abs().sum() > 0


def test_steered_calls_of_the_model_itself_have_our_logits(low, ids, adding, batch_of):
    with low.steered(adding(1), 2):
        assert torch.equal(low.hf(input_ids=ids).logits, low.forward(batch_of(ids.tolist()), ALL).logits)
    with low.steered(adding(1)), torch.inference_mode():
        steered = low.hf(input_ids=ids).logits
    with low.steered(adding(1)):
        assert torch.equal(low.hf(input_ids=ids).logits, steered)


def test_gradients_go_to_the_models_own_weights_while_it_is_steered(low, ids, adding):
    with low.steered(adding(1)):
        low.hf(input_ids=ids).logits.sum().backward()
    grad = low.hf.lm_head.weight.grad
    assert grad.dtype == torch.bfloat16
    assert grad.abs().sum() > 0
    assert low.hf.model.embed_tokens.weight.grad.abs().sum() > 0


def _written(hf: Any) -> None:
    with torch.no_grad():
        hf.lm_head.weight.zero_()


def _written_through_data(hf: Any) -> None:
    hf.lm_head.weight.data.zero_()


def _replaced(hf: Any) -> None:
    hf.lm_head.weight = torch.nn.Parameter(torch.zeros_like(hf.lm_head.weight))


def _replaced_data(hf: Any) -> None:
    hf.lm_head.weight.data = torch.zeros_like(hf.lm_head.weight)


def _loaded(hf: Any) -> None:
    hf.load_state_dict({**hf.state_dict(), "lm_head.weight": torch.zeros_like(hf.lm_head.weight)})


@pytest.mark.parametrize("change", [_written, _written_through_data, _replaced, _replaced_data, _loaded])
def test_changed_weights_are_seen_by_every_wrapper_and_by_none_of_a_copy(change, plain, ids, batch_of):
    hf = plain().to(torch.bfloat16)
    one, two, other = Model(hf), Model(hf), Model(copy.deepcopy(hf))
    batch = batch_of(ids.tolist())
    before = [m.forward(batch, ALL).logits for m in (one, two, other)]
    assert torch.equal(before[0], before[1])
    assert torch.equal(before[0], before[2])
    change(hf)
    for model in (one, two, Model(hf), Model(copy.deepcopy(hf))):
        assert model.forward(batch, ALL).logits.count_nonzero() == 0
    assert torch.equal(other.forward(batch, ALL).logits, before[2])


@pytest.mark.parametrize("change", [_written, _replaced, _replaced_data, _loaded])
def test_a_step_behind_a_cache_sees_a_new_version_of_the_weights(change, low, ids, adding):
    with low.steered(adding(1)), torch.no_grad():
        first = low.hf(input_ids=ids, use_cache=True)
        assert first.logits.count_nonzero()
        change(low.hf)
        step = low.hf(input_ids=ids[:, :1], past_key_values=first.past_key_values, use_cache=True)
    assert step.logits.dtype == torch.float32
    assert step.logits.count_nonzero() == 0


def test_twins_are_made_once(low, monkeypatch):
    copied = []
    original = precision._float32

    def float32(module):
        copied.append(module)
        return original(module)

    monkeypatch.setattr(precision, "_float32", float32)
    low.generate(["The sky", "Is"], max_new_tokens=5)
    low.score(["The sky"], [" is blue"])
    assert copied == [low.hf.model.norm, low.hf.lm_head]


def test_a_capture_and_a_float32_model_need_no_twins(low, model, monkeypatch):
    monkeypatch.setattr(precision, "_float32", None)
    low.capture(["The sky"], [3])
    model.score(["The sky"], [" is blue"])
    model.generate("The sky", max_new_tokens=2)


def test_a_model_that_is_cast_after_wrapping_is_raised_from_then_on(model, wrapped, ids, batch_of):
    batch = batch_of(ids.tolist())
    model.forward(batch, ALL)
    model.hf.bfloat16()
    expected = wrapped(dtype=torch.bfloat16).forward(batch, ALL).logits
    assert torch.equal(model.forward(batch, ALL).logits, expected)


def test_hooks_on_the_head_run_once_a_pass(low, ids, batch_of):
    dtypes = []
    low.hf.lm_head.register_forward_hook(lambda module, args, out: dtypes.append(out.dtype))
    low.forward(batch_of(ids.tolist()), ALL)
    assert dtypes == [torch.float32]


def test_what_was_first_run_in_inference_mode_can_be_changed_later(low, ids, batch_of):
    batch = batch_of(ids.tolist())
    with torch.inference_mode():
        low.forward(batch, ALL)
    _written_through_data(low.hf)
    assert low.forward(batch, ALL).logits.count_nonzero() == 0


@pytest.mark.parametrize("dtype", LOW)
def test_an_offloaded_head_keeps_its_dtype_and_says_so(dtype, plain, ids, batch_of, tmp_path):
    hf = plain().to(dtype)
    expected = hf(input_ids=ids).logits.float()
    where = {"model": "cpu", "lm_head": "disk"}
    model = Model(dispatch_model(hf, where, main_device="cpu", offload_dir=tmp_path, force_hooks=True))
    assert model.tail.not_float32 == ["LlamaRMSNorm", "Linear"]
    assert torch.equal(model.forward(batch_of(ids.tolist()), ALL).logits, expected)
    digest = model.digest
    model.forward(batch_of(ids.tolist()), ALL)
    assert model.digest == digest
