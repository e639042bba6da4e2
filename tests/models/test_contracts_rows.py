"""Contracts 3, 4 and 5: rows are isolated; a KV cache changes nothing; scope means the same everywhere."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.models.greedy import BOUND, PROMPTS, greedy, row_of, until_close
from torch import Tensor
from transformers import DynamicCache

from trimtab.interventions import POSITION_SCOPES, Site
from trimtab.models import Plan, in_scope, steer
from trimtab.models.direct import step_batch
from trimtab.steering import Steering

FEW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


# 3. Rows are isolated.


@FEW
@given(data=st.data(), side=st.sampled_from(["left", "right"]))
def test_changing_one_row_leaves_the_others_bit_equal(data, side, model, adding, batch_of, tokens):
    lengths = data.draw(st.lists(st.integers(3, 10), min_size=2, max_size=4))
    n = len(lengths)
    prompt_len = [data.draw(st.integers(1, length)) for length in lengths]
    strengths = data.draw(st.lists(st.sampled_from([-2.0, 0.0, 0.5, 3.0]), min_size=n, max_size=n))
    scopes = data.draw(st.lists(st.sampled_from(POSITION_SCOPES), min_size=n, max_size=n))
    i = data.draw(st.integers(0, n - 1))
    rows, other = tokens(0, *lengths), tokens(1, *lengths)
    plan = Plan((steer(adding(1, "attention:2"), strengths, scopes),), logits="all")
    one = model.forward(batch_of(rows, prompt_len, side), plan).logits
    changed = list(strengths)
    changed[i] = 1.25
    rows[i] = other[i]
    plan = Plan((steer(adding(1, "attention:2"), changed, scopes),), logits="all")
    two = model.forward(batch_of(rows, prompt_len, side), plan).logits
    for j in set(range(n)) - {i}:
        assert torch.equal(one[j], two[j])


@pytest.mark.parametrize("beams", [1, 2])
def test_changing_one_prompt_leaves_the_other_texts_equal(beams, model, adding):
    steering, strengths, scopes = adding(1, size=2), [0.0, 1.0, 2.0], ["all", "generated", "last"]
    given_ = {"steering": steering, "strength": strengths, "scope": scopes, "num_beams": beams, "max_new_tokens": 10}
    one = model.generate(["The sky is", "The sky is", "The sky is"], **given_)
    two = model.generate(["The sky is", "She said hello", "The sky is"], **given_)
    assert [one[0], one[2]] == [two[0], two[2]]
    assert len(set(one)) == 3


def test_per_row_strengths_follow_their_prompts_when_rows_are_regrouped(model, adding, tokenizer):
    prompts = ["The", PROMPTS[1], "The sky", "The grass is green and", "Is"]
    strengths, scopes = [0.0, 1.0, -1.0, 2.0, 0.5], ["all", "prompt", "last", "generated", "all"]
    answers = [" blue"] * 5
    model.batch_tokens = 24
    together = model.score(prompts, answers, steering=adding(1), strength=strengths, scope=scopes).total
    with model.steered(adding(1), strengths, scopes):
        nested = model.score(prompts, answers).total
        texts = model.generate(prompts, max_new_tokens=4)
        read = model.capture(prompts, [Site(2)]).activations[Site(2)]
    assert torch.equal(nested, together)
    for i in range(5):
        own = {"steering": adding(1), "strength": strengths[i], "scope": scopes[i]}
        torch.testing.assert_close(
            model.score([prompts[i]], answers[:1], **own).total[0], together[i], atol=BOUND, rtol=0
        )
        assert model.generate(prompts[i], max_new_tokens=4, **own) == texts[i]
        alone = model.capture([prompts[i]], [Site(2)], **own).activations[Site(2)][0]
        torch.testing.assert_close(alone, read[i], atol=BOUND, rtol=0)


@pytest.mark.parametrize("scope", ["prompt", "generated"])
def test_beams_keep_the_strength_and_prompt_of_their_row(scope, model, adding):
    options = {"steering": adding(1, size=2), "scope": scope, "num_beams": 2, "max_new_tokens": 8}
    strengths = [0.0, 1.0, -1.0, 2.0]
    together = model.generate(PROMPTS, strength=strengths, **options)
    assert together == [model.generate(p, strength=s, **options) for p, s in zip(PROMPTS, strengths, strict=True)]
    assert together != model.generate(PROMPTS, strength=strengths[::-1], **options)


@pytest.mark.parametrize("name", ["mixtral", "qwen3_moe"])
def test_rows_of_a_mixture_of_experts_stay_within_the_bound(name, wrapped, batch_of, tokens):
    """Not bit-equal: experts take the tokens of all rows together, so a matrix's shape depends on the other rows."""
    model, (one, two), (_, other) = wrapped(name), tokens(0, 9, 9), tokens(1, 9, 9)
    first, second = (model.forward(batch_of([one, r]), Plan(logits="all")).logits[0] for r in (two, other))
    assert (first - second).abs().max() < BOUND


@pytest.mark.parametrize("scope", POSITION_SCOPES)
@pytest.mark.parametrize("use_cache", [True, False])
def test_across_batch_shapes_greedy_texts_part_only_at_near_ties(scope, use_cache, model, adding):
    steering, strengths = adding(1), [0.0, 1.0, -1.0, 2.0]
    texts = model.generate(
        PROMPTS, steering=steering, strength=strengths, scope=scope, max_new_tokens=12, use_cache=use_cache
    )
    for prompt, strength, text in zip(PROMPTS, strengths, texts, strict=True):
        ids, gaps = greedy(model, prompt, 12, (steer(steering, strength, scope),))
        sure = until_close(ids, gaps)
        assert text.startswith(model.encoder().decode(sure).rstrip("\ufffd"))


def test_across_batch_shapes_logits_agree_within_the_bound(model, adding, batch_of, tokens):
    rows = tokens(6, 4, 30, 17, 9)
    plan = Plan((steer(adding(1)),), logits="last")
    together = model.forward(batch_of(rows), plan).logits
    for row, expected in zip(rows, together, strict=True):
        assert (model.forward(batch_of([row]), plan).logits[0] - expected).abs().max() < BOUND


# 4. With and without KV cache the same; the first generated token is steered.


@pytest.mark.parametrize("scope", POSITION_SCOPES)
@pytest.mark.parametrize("use_cache", [True, False])
def test_generation_equals_a_loop_with_a_bare_hook(scope, use_cache, model, plain, adding, tokenizer, bare_hook):
    steering, hf = adding(1), plain()
    v, prompt = 2 * steering.vector(Site(1)), "She said hello"
    ids = list(row_of(model, prompt).ids)
    p = len(ids)

    def change(h: Tensor) -> Tensor:
        at = torch.arange(h.shape[1])
        chosen = {"all": at >= 0, "prompt": at < p, "last": at == p - 1, "generated": at >= p - 1}[scope]
        return torch.where(chosen[None, :, None], h + v, h)

    with bare_hook(hf.model.layers[1], change), torch.no_grad():
        for _ in range(10):
            ids.append(int(hf(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    options = {"max_new_tokens": 10, "use_cache": use_cache}
    expected = tokenizer.decode(ids[p:], skip_special_tokens=True)
    assert model.generate(prompt, steering=steering, strength=2, scope=scope, **options) == expected
    start = torch.tensor([ids[:p]])
    with model.steered(steering, 2, scope):
        out = model.hf.generate(start, attention_mask=torch.ones_like(start), do_sample=False, **options)
    assert out[0].tolist() == ids


def test_the_first_generated_token_is_steered(model, adding):
    plain_, steered = (
        model.generate(PROMPTS, steering=adding(1, size=4), strength=s, scope="generated", max_new_tokens=1)
        for s in (0, 1)
    )
    assert all(a != b for a, b in zip(plain_, steered, strict=True))


@pytest.mark.parametrize("name", ["llama", "mistral", "gpt2", "opt", "bloom"])
def test_a_cache_continues_positions_in_direct_calls(name, wrapped, adding, batch_of, tokens):
    model, rows = wrapped(name), torch.tensor(tokens(8, 9, 9))
    steers = (steer(adding(1), [1.0, 2.0], ["generated", "prompt"]),)
    prompt_len = torch.tensor([4, 6])
    whole = model.forward(step_batch(rows, None, None, prompt_len), Plan(steers, logits="all")).logits
    cache, parts = DynamicCache(config=model.hf.config), []
    for piece in (rows[:, :3], rows[:, 3:4], rows[:, 4:8], rows[:, 8:]):
        batch = step_batch(piece, None, cache, prompt_len)
        parts.append(model.forward(batch, Plan(steers, logits="all"), cache).logits)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=1e-4, atol=1e-4)


# 5. Scope means the same in scoring and generation.


@pytest.mark.parametrize("scope", POSITION_SCOPES)
def test_scoring_under_a_scope_prefers_what_generation_under_it_chose(scope, model, adding):
    steering, prompt = adding(1, size=3), "The sky is"
    ids, gaps = greedy(model, prompt, 8, (steer(steering, 1.0, scope),))
    row = row_of(model, prompt)
    text = model.generate(prompt, steering=steering, scope=scope, max_new_tokens=8)
    assert min(gaps) > 1e-4
    assert text == model.encoder().decode(ids)
    batch_ids = torch.tensor([[*row.ids, *ids]])
    batch = step_batch(batch_ids, None, None, torch.tensor([row.prompt_len]))
    logits = model.forward(batch, Plan((steer(steering, 1.0, scope),), logits="answer")).logits
    assert logits.argmax(dim=1).tolist() == ids


def test_scope_windows_are_as_documented(batch_of, tokens):
    for side in ("left", "right"):
        batch = batch_of(tokens(0, 6, 4), [3, 1], side)
        for scope, columns in {
            "all": [[0, 1, 2, 3, 4, 5], [0, 1, 2, 3]],
            "prompt": [[0, 1, 2], [0]],
            "last": [[2], [0]],
            "generated": [[2, 3, 4, 5], [0, 1, 2, 3]],
        }.items():
            window = steer(Steering({}, {"a": 1.0}), 1.0, scope).window
            shift = [0, 2 if side == "left" else 0]
            got = [row.nonzero().flatten().tolist() for row in in_scope(batch, window)]
            assert got == [[c + shift[r] for c in columns[r]] for r in range(2)]
