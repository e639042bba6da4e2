"""Batches shrink when memory runs out, and the results stay what they were."""

from types import SimpleNamespace

import pytest
import torch

from trimtab.errors import TrimtabError
from trimtab.interventions import Site
from trimtab.models.batches import fitting_tokens

TEXTS = [f"{chr(97 + i)} sky is {'very ' * (i % 5)}blue." for i in range(24)]  # no two begin alike


def stingy(model, rows, error):
    """Let a model fail on batches of more than so many rows."""
    plain, failures = model.hf.forward, []

    def forward(*args, **kwargs):
        if len(kwargs["input_ids"]) > rows:
            failures.append(len(kwargs["input_ids"]))
            raise error
        return plain(*args, **kwargs)

    model.hf.forward = forward
    return failures


ERRORS = [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]


@pytest.mark.parametrize("error", ERRORS)
def test_a_batch_that_does_not_fit_is_halved_until_it_does(wrapped, error):
    plain, model = wrapped("llama"), wrapped("llama")
    expected = plain.capture(TEXTS, [Site(2)]).activations[Site(2)]
    scores = plain.score(TEXTS, [" Yes"] * len(TEXTS)).total
    texts = plain.generate(TEXTS, max_new_tokens=3)
    failures = stingy(model, 5, error)
    torch.testing.assert_close(model.capture(TEXTS, [Site(2)]).activations[Site(2)], expected, rtol=1e-5, atol=1e-5)
    assert failures
    n_failures = len(failures)
    torch.testing.assert_close(model.score(TEXTS, [" Yes"] * len(TEXTS)).total, scores, rtol=1e-5, atol=1e-5)
    assert model.generate(TEXTS, max_new_tokens=3) == texts
    assert len(failures) <= n_failures + 2, "what did not fit once is not tried again and again"


def test_a_row_that_does_not_fit_alone_is_said_to(wrapped):
    model = wrapped("llama")
    stingy(model, 0, ERRORS[0])
    with pytest.raises(TrimtabError, match="a single text of"):
        model.capture(TEXTS, [Site(2)])


def test_a_prefix_that_does_not_fit_is_said_to(wrapped):
    model = wrapped("llama")
    assert model.packs
    stingy(model, 0, ERRORS[1])
    with pytest.raises(TrimtabError, match="a single text of"):
        model.capture(["The sky is blue, and the grass is green. " + t for t in TEXTS], [Site(2)])


def test_other_failures_are_not_taken_for_lack_of_memory(wrapped):
    model = wrapped("llama")
    stingy(model, 2, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes"):
        model.capture(TEXTS, [Site(2)])


@pytest.mark.parametrize(
    ("memory", "vocabulary", "d_model", "tokens"),
    [(80 << 30, 128_256, 4096, 8192), (24 << 30, 49_152, 576, 8192), (141 << 30, 32_000, 4096, 32768), (1, 9, 9, 512)],
)
def test_a_gpus_batches_go_by_its_memory(monkeypatch, memory, vocabulary, d_model, tokens):
    embedding = SimpleNamespace(weight=SimpleNamespace(shape=(vocabulary, d_model), device=torch.device("cuda:0")))
    hf = SimpleNamespace(get_input_embeddings=lambda: embedding)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=memory))
    assert fitting_tokens(hf) == tokens


def test_a_cpus_batches_stay_in_its_caches(wrapped):
    assert wrapped("llama").batch_tokens == 512
