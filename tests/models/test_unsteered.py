"""Divergences over a kept unsteered pass are those of a fresh one, and no block below the edits is run again."""

import weakref
from collections import Counter

import pytest
import torch

from trimtab.models import Encoded, Unsteered, steer
from trimtab.models.divergence import divergences
from trimtab.models.scoring import choice_variants, score
from trimtab.models.text import joined

TEXTS = ["The tide turns twice a day on most coasts.", "A trim tab is a small flap.", "The tide turns, and then rest."]
SAME_START = [f"It was a long and quiet evening by the sea, and then {end}." for end in "abcdefghijkl"]


def rows_of(model, texts):
    return [Encoded(r.ids, max(1, r.prompt_len)) for r in model.encoder().encode(joined([""] * len(texts), texts))]


def close(found, expected):
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a.kl, b.kl, rtol=1e-3, atol=2e-6)
        torch.testing.assert_close(a.log_prob, b.log_prob, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(a.base_log_prob, b.base_log_prob, rtol=1e-5, atol=1e-5)


@pytest.fixture
def tokens_by_block(request):
    """Counts the tokens that each block's MLP works on."""

    def of(model):
        seen: Counter[int] = Counter()
        for i, block in enumerate(model.anatomy.blocks):
            handle = block.mlp.register_forward_hook(lambda m, args, out, i=i: seen.update({i: out[..., 0].numel()}))
            request.addfinalizer(handle.remove)
        return seen

    return of


@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt2", "falcon", "mixtral"])
@pytest.mark.parametrize("texts", [TEXTS, SAME_START])
def test_one_call_after_another_gives_what_fresh_ones_give(wrapped, adding, name, texts):
    model, kept = wrapped(name), Unsteered()
    rows = rows_of(model, texts)
    for variants in (
        [(steer(adding(2), 1.0),)],
        [(steer(adding(2), -3.0),), (steer(adding(3), 1.0),)],
        [(), (steer(adding(2), 0.5), steer(adding("mlp:1"), 1.0))],
        [(steer(adding(0), 1.0),)],
        [(steer(adding(3), [0.0, *[2.0] * (len(texts) - 1)]),)],
    ):
        close(divergences(model, rows, variants, unsteered=kept), divergences(model, rows, variants))


@pytest.mark.parametrize("texts", [TEXTS, SAME_START])
def test_scores_and_choices_over_what_is_kept_are_those_of_fresh_runs(wrapped, adding, texts):
    model, kept, chosen = wrapped("llama"), Unsteered(), Unsteered()
    rows, other = rows_of(model, texts), rows_of(model, [text[:-2] + " no" for text in texts])
    by_row = (steer(adding(3), [0.0, *[2.0] * (len(texts) - 1)]),)
    for steers in ((steer(adding(2), 1.0),), by_row, (), (steer(adding(2), -2.0),), (steer(adding(1), 1.0),), by_row):
        found, expected = score(model, rows, steers, unsteered=kept), score(model, rows, steers)
        torch.testing.assert_close(found.total, expected.total, rtol=1e-5, atol=1e-5)
        (both,) = choice_variants(model, rows, other, [steers], unsteered=chosen)
        (wanted,) = choice_variants(model, rows, other, [steers])
        torch.testing.assert_close(both, wanted, rtol=1e-5, atol=1e-5)


def test_only_what_the_edits_change_is_run_again(wrapped, adding, tokens_by_block):
    model, kept = wrapped("llama"), Unsteered()
    rows = rows_of(model, TEXTS)
    divergences(model, rows, [(steer(adding(2), 1.0),)], unsteered=kept)
    seen = tokens_by_block(model)
    divergences(model, rows, [(steer(adding(2), 2.0),)], unsteered=kept)
    again, n = dict(seen), len(model.anatomy.blocks)
    assert set(again) == set(range(3, n))
    seen.clear()
    divergences(model, rows, [(steer(adding(2), 2.0),)])
    assert set(seen) == set(range(n))
    assert all(seen[i] == 2 * again[i] for i in again)  # the unsteered pass besides


def test_nothing_is_kept_of_another_list_of_texts_or_under_open_edits(wrapped, adding):
    model, kept = wrapped("llama"), Unsteered()
    rows, variants = rows_of(model, TEXTS), [(steer(adding(2), 1.0),)]
    expected = divergences(model, rows, variants, unsteered=kept)
    with model.steered(adding(1), 2.0):
        under = divergences(model, rows, variants)
        close(divergences(model, rows, variants, unsteered=kept), under)
    close(divergences(model, list(rows), variants, unsteered=kept), expected)
    with pytest.raises(ValueError, match="other texts"):
        divergences(model, rows[:2], variants, unsteered=kept)
    with pytest.raises(ValueError, match="another model"):
        divergences(wrapped("gpt2"), rows, variants, unsteered=kept)


def test_batches_that_become_smaller_begin_anew(wrapped, adding):
    model, kept = wrapped("llama"), Unsteered()
    rows, variants = rows_of(model, TEXTS), [(steer(adding(2), 1.0),)]
    expected = divergences(model, rows, variants, unsteered=kept)
    model.batch_tokens = 16
    for _ in range(2):
        close(divergences(model, rows, variants, unsteered=kept), expected)


def test_what_is_kept_of_other_texts_makes_room_where_memory_runs_out(wrapped, adding, monkeypatch):
    model, kept, other = wrapped("llama"), Unsteered(), Unsteered()
    held: list[weakref.ref[torch.Tensor]] = []
    rows, variants, forward = rows_of(model, TEXTS), [(steer(adding(2), 1.0),)], model.forward
    expected = divergences(model, rows, variants)

    def noted(*args, **kwargs):
        found = forward(*args, **kwargs)
        held.extend(map(weakref.ref, found.activations.values()))
        return found

    def full(*args, **kwargs):
        if any(h() is not None for h in held):
            raise torch.OutOfMemoryError
        return forward(*args, **kwargs)

    monkeypatch.setattr(model, "forward", noted)
    divergences(model, rows[:2], variants, unsteered=other)
    assert any(h() is not None for h in held)
    monkeypatch.setattr(model, "forward", full)
    close(divergences(model, rows, variants, unsteered=kept), expected)


def test_of_many_sites_the_last_few_are_kept(wrapped, adding, monkeypatch):
    monkeypatch.setattr("trimtab.models.unsteered.MAX_SITES", 2)
    model, kept = wrapped("llama"), Unsteered()
    rows = rows_of(model, TEXTS)
    every = [(steer(adding(place), 1.0),) for place in range(4)]
    for variants, held in (([every[0]], {0}), ([every[1]], {0, 1}), ([every[2]], {1, 2}), (every, {0, 1, 2, 3}),
                           ([every[3]], {0, 3})):  # fmt: skip
        close(divergences(model, rows, variants, unsteered=kept), divergences(model, rows, variants))
        for batch in kept._batches.values():
            assert {site.block for site in batch.residuals} == held
