"""A prefix that is run once gives what running it for every row gives."""

import pytest
import torch

from trimtab.behaviors import Rendered
from trimtab.models import Encoded, Site, prefix
from trimtab.models.prefix import common_length
from trimtab.steering import Steering

CONTEXT = "The sky is blue. Is the grass red? No, the grass is green. She said hello to the world in 1999.\n\n"
TEXTS = [
    Rendered(CONTEXT, "The capital of France", " is Paris, and the capital of England is London."),
    Rendered(CONTEXT, "A trim tab", " is the small flap."),
    Rendered(CONTEXT, "The world said", " hello back"),
]
ARCHITECTURES = ["llama", "mistral", "gemma2", "gemma3", "gpt2", "gpt_neox", "opt", "phi", "falcon", "bloom", "mixtral"]


@pytest.mark.parametrize("read", ["last", "mean", "prompt"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_shared_prefix_gives_the_activations_of_the_plain_path(wrapped, name, read, monkeypatch):
    tiny = wrapped(name)
    sites = [Site(1), Site(3)]
    run = []
    monkeypatch.setattr(
        prefix.Prefix, "cache", lambda self, n, cache=prefix.Prefix.cache: run.append(n) or cache(self, n)
    )
    shared = tiny.capture(TEXTS, sites, read=read)
    assert sum(run) == len(TEXTS), "the prefix was not shared"
    monkeypatch.setattr(prefix, "LEAST", 10**6)
    plain = tiny.capture(TEXTS, sites, read=read)
    assert sum(run) == len(TEXTS)
    for site in sites:
        scale = plain.activations[site].abs().max()
        assert (shared.activations[site] - plain.activations[site]).abs().max() <= 1e-5 * scale
        torch.testing.assert_close(shared.norms[site], plain.norms[site], rtol=1e-5, atol=1e-5)
    assert shared.n_massive == plain.n_massive


def test_many_batches_share_one_prefix_without_touching_it(wrapped):
    tiny = wrapped("llama")
    together = tiny.capture(TEXTS * 4, [Site(2)], read="mean").activations[Site(2)]
    tiny.batch_tokens = 16
    apart = tiny.capture(TEXTS * 4, [Site(2)], read="mean").activations[Site(2)]
    torch.testing.assert_close(apart, together, rtol=1e-5, atol=1e-5)


def test_what_is_read_is_never_in_the_prefix(wrapped):
    tiny = wrapped("llama")
    same = [TEXTS[0]] * 3
    captured = tiny.capture(same, [Site(2)], read="prompt").activations[Site(2)]
    alone = tiny.capture(same[:1], [Site(2)], read="prompt").activations[Site(2)]
    torch.testing.assert_close(captured, alone.expand(3, -1), rtol=1e-5, atol=1e-5)


def test_steered_captures_take_the_plain_path(wrapped, monkeypatch):
    tiny = wrapped("llama")
    monkeypatch.setattr(prefix.Prefix, "cache", lambda self, n: pytest.fail("shared although steered"))
    steering = Steering.from_vector(Site(0), torch.ones(tiny.d_model))
    tiny.capture(TEXTS, [Site(2)], steering=steering)
    with tiny.steered(steering):
        tiny.capture(TEXTS, [Site(2)])


def test_common_length_is_what_all_rows_begin_with():
    rows = [Encoded((1, 2, 3, 4), 1), Encoded((1, 2, 3), 1), Encoded((1, 2, 5, 0), 1), Encoded((1, 2, 4), 1)]
    assert common_length(rows) == 2
    assert common_length(rows[:2]) == 3
