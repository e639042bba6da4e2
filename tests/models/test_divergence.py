"""Divergences against whole distributions of plain transformers passes."""

import pytest
import torch
from torch.nn import functional

from trimtab.errors import InputError
from trimtab.interventions import Site
from trimtab.models import Encoded, steer
from trimtab.models.divergence import divergences
from trimtab.models.text import joined

TEXTS = ["The tide turns twice a day on most coasts.", "A trim tab is a small flap.", "The tide turns, and then rest."]


def plain(model, row: Encoded, at: Site | None = None, vector=None):
    """log-softmax of the tokens after the prompt, by a hook of our own."""
    handle = None
    if at is not None:
        handle = model.anatomy.module(at).register_forward_hook(
            lambda m, a, out: out + vector if isinstance(out, torch.Tensor) else (out[0] + vector, *out[1:])
        )
    try:
        with torch.no_grad():
            logits = model.hf(torch.tensor([row.ids])).logits[0].double()
    finally:
        if handle is not None:
            handle.remove()
    return logits[row.prompt_len - 1 : -1].log_softmax(dim=1)


@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt2", "falcon", "mixtral"])
def test_kl_and_log_probability_are_those_of_the_whole_distributions(wrapped, adding, name):
    model = wrapped(name)
    rows = model.encoder().encode(joined(["", "A trim", ""], [TEXTS[0], " tab is a small flap.", TEXTS[2]]))
    rows = [Encoded(r.ids, max(1, r.prompt_len)) for r in rows]
    steering, strengths = adding(2), (1.0, -3.0)
    vector = steering.edits[Site(2)].vectors[0]
    result = divergences(model, rows, [(steer(steering, s),) for s in strengths])
    for strength, divergence in zip(strengths, result, strict=True):
        for i, row in enumerate(rows):
            base, steered = plain(model, row), plain(model, row, Site(2), strength * vector)
            kl = functional.kl_div(steered, base, log_target=True, reduction="sum") / len(base)
            assert divergence.kl[i].item() == pytest.approx(kl.item(), rel=1e-3, abs=2e-6)
            following = torch.tensor(row.ids[row.prompt_len :])[:, None]
            assert divergence.log_prob[i].item() == pytest.approx(steered.gather(1, following).sum().item(), rel=1e-4)
            assert divergence.base_log_prob[i].item() == pytest.approx(base.gather(1, following).sum().item(), rel=1e-4)
            assert divergence.n_tokens[i] == len(base)


def test_a_temperature_diverges_as_divided_logits_do(wrapped, adding):
    model = wrapped("llama")
    rows = [Encoded(r.ids, 1) for r in model.encoder().encode(joined([""] * 3, TEXTS))]
    variants, temperatures = [(), (steer(adding(1), 1.0),), (), ()], [2.0, 1.0, 1.0, 0.5]
    hot, steered, same, cold = divergences(model, rows, variants, temperatures)
    torch.testing.assert_close(steered.kl, divergences(model, rows, [variants[1]])[0].kl, rtol=1e-4, atol=2e-6)
    assert same.kl.max() < 1e-6
    for result, temperature in ((hot, 2.0), (cold, 0.5)):
        for i, row in enumerate(rows):
            base = plain(model, row)
            other = (base / temperature).log_softmax(dim=1)
            kl = functional.kl_div(other, base, log_target=True, reduction="sum") / len(base)
            assert result.kl[i].item() == pytest.approx(kl.item(), rel=1e-3, abs=2e-6)


def test_variants_at_other_sites_and_in_small_batches_are_the_same(wrapped, adding):
    model = wrapped("llama")
    rows = [Encoded(r.ids, 1) for r in model.encoder().encode(joined([""] * 3, TEXTS))]
    variants = [(steer(adding(3), 1.0),), (steer(adding(1), 0.5),), (), (steer(adding(0), 1.0),)]
    together = divergences(model, rows, variants)
    model.batch_tokens = 16
    for variant, expected in zip(variants, together, strict=True):
        alone = divergences(model, rows, [variant])[0]
        torch.testing.assert_close(alone.kl, expected.kl, rtol=1e-3, atol=2e-6)
        torch.testing.assert_close(alone.log_prob, expected.log_prob, rtol=1e-5, atol=1e-5)
    assert together[2].kl.max() < 1e-6


def test_texts_that_leave_nothing_to_compare_are_refused(wrapped, adding):
    model = wrapped("llama")
    for row in (Encoded((1, 2, 3), 3), Encoded((1, 2, 3), 0)):
        with pytest.raises(InputError, match="text 1"):
            divergences(model, [row], [(steer(adding(1), 1.0),)])
