"""Contracts 3, 4 and 5 with every kind of edit: rows are isolated; a KV cache changes nothing; scopes mean the same."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.models.greedy import BOUND, PROMPTS, greedy, row_of, until_close
from tests.steering.every_kind import EDITS, SITES, steering_of
from torch import Tensor
from transformers import DynamicCache

from trimtab.interventions import POSITION_SCOPES, Site
from trimtab.models import Model, Plan, Steer, in_scope, steer
from trimtab.models.direct import step_batch

KIND = pytest.mark.parametrize("kind", list(EDITS))
FEW = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
STRENGTHS = st.sampled_from([-1.0, 0.0, 0.5, 2.0])


@pytest.fixture
def model(wrapped) -> Model:
    """A tiny Llama in float32."""
    return wrapped()


# 3. Rows are isolated.


@KIND
@FEW
@given(data=st.data(), side=st.sampled_from(["left", "right"]))
def test_changing_one_row_leaves_the_others_bit_equal(kind, data, side, model, batch_of, tokens):
    """Its text, its strengths (an attribute turned off too) and its scope."""
    lengths = data.draw(st.lists(st.integers(3, 10), min_size=2, max_size=4))
    n = len(lengths)
    prompt_len = [data.draw(st.integers(1, length)) for length in lengths]
    both = st.fixed_dictionaries({"a": STRENGTHS, "b": STRENGTHS})
    strengths = data.draw(st.lists(both, min_size=n, max_size=n))
    scopes = data.draw(st.lists(st.sampled_from(POSITION_SCOPES), min_size=n, max_size=n))
    i = data.draw(st.integers(0, n - 1))
    steering, rows = steering_of(kind), tokens(0, *lengths)
    one = _logits(model, batch_of(rows, prompt_len, side), steer(steering, strengths, scopes))
    rows[i], strengths[i], scopes[i] = (
        tokens(1, *lengths)[i],
        data.draw(both),
        data.draw(st.sampled_from(POSITION_SCOPES)),
    )
    two = _logits(model, batch_of(rows, prompt_len, side), steer(steering, strengths, scopes))
    for j in set(range(n)) - {i}:
        assert torch.equal(one[j], two[j])


def _logits(model: Model, batch, *steers: Steer) -> Tensor:
    logits = model.forward(batch, Plan(steers, logits="all")).logits
    assert logits is not None
    return logits


@KIND
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_row_in_a_batch_is_that_row_alone(kind, side, model, batch_of, tokens):
    rows, prompt_len, scopes = tokens(6, 4, 17, 9), [2, 10, 8], ["prompt", "generated", "last"]
    strengths = [{"a": 1.0, "b": -0.5}, {"a": 0.0, "b": 1.5}, {"a": 2.0, "b": 0.0}]
    batch = batch_of(rows, prompt_len, side)
    together = _logits(model, batch, steer(steering_of(kind), strengths, scopes))
    for i, row in enumerate(rows):
        alone = _logits(model, batch_of([row], [prompt_len[i]]), steer(steering_of(kind), strengths[i], scopes[i]))
        assert (together[i][batch.real[i]] - alone[0]).abs().max() < BOUND


@KIND
@pytest.mark.parametrize("beams", [1, 2])
def test_prompts_keep_their_strengths_and_scopes_beside_others_and_in_beams(kind, beams, model):
    strengths = [0, {"a": 2, "b": 0}, {"a": 0, "b": 2}, 1.5]
    given_ = {"steering": steering_of(kind), "num_beams": beams, "max_new_tokens": 8}
    scopes = ["all", "generated", "prompt", "last"]
    texts = model.generate(PROMPTS, strength=strengths, scope=scopes, **given_)
    assert texts[0] == model.generate(PROMPTS[0], num_beams=beams, max_new_tokens=8)
    for i, prompt in enumerate(PROMPTS):
        assert model.generate(prompt, strength=strengths[i], scope=scopes[i], **given_) == texts[i]
    others = [PROMPTS[0], "The grass", *PROMPTS[2:]]
    after = model.generate(others, strength=strengths, scope=scopes, **given_)
    assert [after[0], *after[2:]] == [texts[0], *texts[2:]]


# 4. With and without KV cache the same; the first generated token is steered.


@KIND
@pytest.mark.parametrize("scope", POSITION_SCOPES)
def test_generation_is_a_loop_of_forward_passes_with_and_without_cache(kind, scope, model):
    """Contract 5 too: the loop scores each token under the scope of a text whose answer it belongs to."""
    strength = {"a": 1.5, "b": -0.5}
    ids, gaps = greedy(model, PROMPTS[1], 8, (steer(steering_of(kind), strength, scope),))
    sure = model.encoder().decode(until_close(ids, gaps)).rstrip("\ufffd")
    assert sure
    for use_cache in (True, False):
        options = {"scope": scope, "strength": strength, "max_new_tokens": 8, "use_cache": use_cache}
        assert model.generate(PROMPTS[1], steering=steering_of(kind), **options).startswith(sure)


@KIND
def test_a_cache_continues_an_edit_in_pieces(kind, model, tokens):
    rows, prompt_len = torch.tensor(tokens(8, 9, 9)), torch.tensor([4, 6])
    steers = (steer(steering_of(kind), [{"a": 1, "b": 0}, -0.5], ["generated", "prompt"]),)
    whole = _logits(model, step_batch(rows, None, None, prompt_len), *steers)
    cache, parts = DynamicCache(config=model.hf.config), []
    for piece in (rows[:, :3], rows[:, 3:4], rows[:, 4:8], rows[:, 8:]):
        batch = step_batch(piece, None, cache, prompt_len)
        parts.append(model.forward(batch, Plan(steers, logits="all"), cache).logits)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=1e-4, atol=1e-3)


@KIND
def test_the_first_generated_token_is_steered(kind, model, batch_of):
    """Every scope but one of nothing reaches it: its logits are those of a steered last prompt token."""
    row, site = row_of(model, PROMPTS[0]), Site(1)
    steering = steering_of(kind, "1")
    batch = batch_of([list(row.ids)])
    h = model.forward(batch, Plan(read=frozenset([site]))).activations[site].clone()
    h[:, -1:] = steering.edits[site](h, torch.tensor([[1.0, 1.0]]))[:, -1:]
    expected = model.forward(batch, Plan(resume=(site, h), logits="last")).logits
    got = model.forward(batch, Plan((steer(steering, 1.0, "generated"),), logits="last")).logits
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
    first = model.generate(PROMPTS[0], steering=steering, strength=1, scope="generated", max_new_tokens=1)
    assert first == model.encoder().decode([int(expected.argmax())])


# 5. Scope means the same everywhere, and nothing outside it moves by a bit.


@KIND
@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("side", ["left", "right"])
def test_tokens_outside_the_scope_are_bit_equal_and_those_inside_are_the_edit(
    kind, site, side, model, batch_of, tokens
):
    batch, place = batch_of(tokens(2, 8, 10, 6, 9), [3, 10, 1, 4], side), Site.parse(site)
    steering, strength = steering_of(kind, site), torch.tensor([[0.8, -1.5]])
    plain = model.forward(batch, Plan(read=frozenset([place]))).activations[place]
    steers = steer(steering, {"a": 0.8, "b": -1.5}, POSITION_SCOPES)
    inside = in_scope(batch, steers.window)
    seen: list[Tensor] = []
    handle = model.hf.model.layers[place.block + (place.component == "residual")].register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(args[0] if args else kwargs["hidden_states"]), with_kwargs=True
    )
    if place.component == "residual":
        _logits(model, batch, steers)
        assert torch.equal(seen[0][~inside & batch.real], plain[~inside & batch.real])
        assert torch.equal(seen[0][inside], steering.edits[place](plain, strength)[inside])
    else:  # what the attention adds is seen in the sum, at tokens that nothing was added to
        deeper = frozenset([Site(place.block)])
        after = model.forward(batch, Plan((steers,), deeper)).activations[Site(place.block)]
        before = model.forward(batch, Plan(read=deeper)).activations[Site(place.block)]
        outside = ~inside & batch.real
        assert torch.equal(after[outside], before[outside])
        assert not torch.equal(after[inside], before[inside])
    handle.remove()
