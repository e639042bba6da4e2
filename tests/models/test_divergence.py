"""Divergences against whole distributions of plain transformers passes."""

import pytest
import torch
from torch.nn import functional

from trimtab.errors import InputError
from trimtab.interventions import Site
from trimtab.models import Encoded, steer
from trimtab.models.divergence import _sampled, divergence_behind, divergences
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


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_a_share_of_the_tokens_estimates_the_figures_of_all_without_bias(model, tokens, adding, share):
    rows = [Encoded(tuple(t), n) for t, n in zip(tokens(3, 50, 43, 30, 6), (1, 3, 1, 2), strict=True)]
    compared = [max(8, -(-int(100 * share) * n // 100)) for n in (49, 40, 29)] + [4]
    vector, steers = adding(2).edits[Site(2)].vectors[0], (steer(adding(2), 1.0),)
    kls, logged = [], []
    for row in rows:  # [n] of every token
        base, steered = plain(model, row), plain(model, row, Site(2), vector)
        kls.append((base.exp() * (base - steered)).sum(dim=1))
        logged.append(steered.gather(1, torch.tensor(row.ids[row.prompt_len :])[:, None])[:, 0])
    for run in (
        lambda seed: divergences(model, rows, [steers], share=share, seed=seed)[0],
        lambda seed: divergence_behind(model, rows, rows, steers, share=share, seed=seed),
    ):
        found = [run(seed) for seed in range(150)]
        assert all(d.n_tokens.tolist() == compared for d in found)
        assert torch.equal(found[3].kl, run(3).kl)
        for i, (kl, log_p) in enumerate(zip(kls, logged, strict=True)):
            for values, every in (
                ([float(d.kl[i]) for d in found], kl),
                ([float(d.log_prob[i] / d.n_tokens[i]) for d in found], log_p),
            ):
                drawn = torch.tensor(values, dtype=torch.float64)
                error = float(drawn.std()) / len(drawn) ** 0.5  # of the mean over seeds
                assert float(drawn.mean()) == pytest.approx(float(every.mean()), abs=4 * error + 1e-5)
            spread = torch.tensor([float(d.kl[i]) for d in found]).std()
            assert bool(spread > 1e-5) is (len(kl) > 8)


def test_tokens_of_a_share_are_spread_over_the_text_and_each_is_as_likely():
    n, share = 37, 0.3
    counts = torch.zeros(n)
    for seed in range(3000):
        (chosen,) = _sampled([n], share, seed)
        places = chosen.nonzero()[:, 0]
        assert len(places) == 12  # 0.3 · 37, rounded up
        assert places.diff().max() - places.diff().min() <= 1
        counts += chosen
    p = 12 / 37
    assert (counts / 3000 - p).abs().max() < 4.5 * (p * (1 - p) / 3000) ** 0.5


@pytest.mark.parametrize("share", [0, -0.5, 1.1, float("nan")])
def test_a_share_out_of_range_is_refused(model, adding, share):
    with pytest.raises(InputError, match="share"):
        divergences(model, [Encoded((1, 2, 3), 1)], [(steer(adding(1), 1.0),)], share=share)


def test_texts_that_leave_nothing_to_compare_are_refused(wrapped, adding):
    model = wrapped("llama")
    for row in (Encoded((1, 2, 3), 3), Encoded((1, 2, 3), 0)):
        with pytest.raises(InputError, match="text 1"):
            divergences(model, [row], [(steer(adding(1), 1.0),)])
