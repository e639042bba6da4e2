"""Log-probabilities and logit differences against plain loops."""

import pytest
import torch

from trimtab.errors import InputError
from trimtab.interventions import Site
from trimtab.models import Encoded
from trimtab.models.scoring import choice_variants, score
from trimtab.steering import Steering
from trimtab.texts import Rendered

PROMPTS = ["The sky is", "She said hello to the world in", "The capital of", "Is"]
ANSWERS = [" blue and green", " 2024", " France is Paris", " the grass green? No"]


def _rows(model, prompts, answers):
    return model.encoder().encode([Rendered("", p, a) for p, a in zip(prompts, answers, strict=True)])


def _brute_force(hf, row):
    """Log-probability of the answer, token by token, no batch, no shortcuts."""
    total = 0.0
    for t in range(row.prompt_len, len(row.ids)):
        with torch.no_grad():
            logits = hf(input_ids=torch.tensor([row.ids[:t]])).logits[0, -1].double()
        total += float(logits.log_softmax(dim=0)[row.ids[t]])
    return total


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma3", "bloom"])
def test_scores_equal_a_plain_loop(name, wrapped, plain):
    model, hf = wrapped(name), plain(name)
    rows = _rows(model, PROMPTS, ANSWERS)
    expected = torch.tensor([_brute_force(hf, r) for r in rows])
    n = torch.tensor([len(r.ids) - r.prompt_len for r in rows])
    got = model.score(PROMPTS, ANSWERS)
    torch.testing.assert_close(got.total, expected, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(got.mean, expected / n, rtol=1e-5, atol=1e-4)
    assert got.n_tokens.tolist() == n.tolist()
    assert got.total.dtype == torch.float32


def test_steered_scores_equal_a_plain_loop_with_a_bare_hook(wrapped, plain, adding, bare_hook):
    model, hf, steering = wrapped(), plain(), adding(1)
    rows = _rows(model, PROMPTS, ANSWERS)
    with bare_hook(hf.model.layers[1], lambda h: h - 2 * steering.vector(Site(1))):
        expected = torch.tensor([_brute_force(hf, r) for r in rows])
    torch.testing.assert_close(
        model.score(PROMPTS, ANSWERS, steering=steering, strength=-2).total, expected, rtol=1e-5, atol=1e-4
    )


@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_scores_at_a_temperature_are_those_of_divided_logits(temperature, model, plain):
    hf, rows = plain(), _rows(model, PROMPTS, ANSWERS)

    def hot(**given):
        out = hf(**given)
        out.logits = out.logits / temperature
        return out

    expected = torch.tensor([_brute_force(hot, r) for r in rows])
    torch.testing.assert_close(score(model, rows, temperature=temperature).total, expected, rtol=1e-5, atol=1e-4)
    others = _rows(model, PROMPTS, [" red"] * 4)
    cold, hotter = (choice_variants(model, rows, others, [()], t)[0] for t in (1.0, temperature))
    torch.testing.assert_close(hotter.diff(), cold.diff() / temperature, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("batch_tokens", [1, 13, 40])
def test_results_come_in_input_order_whatever_the_batches(batch_tokens, model, adding):
    options = {"steering": adding(1), "strength": [1.0, 0.0, -1.0, 2.0]}
    one = model.score(PROMPTS, ANSWERS, **options)
    differ = model.logit_differences(PROMPTS, ANSWERS, [" red"] * 4, **options)
    read = model.capture(PROMPTS, [Site(2)]).activations[Site(2)]
    model.batch_tokens = batch_tokens
    torch.testing.assert_close(model.score(PROMPTS, ANSWERS, **options).total, one.total, rtol=1e-5, atol=1e-4)
    again = model.logit_differences(PROMPTS, ANSWERS, [" red"] * 4, **options)
    torch.testing.assert_close(again, differ, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(model.capture(PROMPTS, [Site(2)]).activations[Site(2)], read, rtol=1e-5, atol=1e-4)


def test_logit_differences_equal_a_plain_loop(model, plain):
    hf, positives, negatives = plain(), [" blue", " 1999", " the ship", " a"], [" green", " 2024", " the sky", " the"]
    got = model.logit_differences(PROMPTS, positives, negatives)
    plus, minus = _rows(model, PROMPTS, positives), _rows(model, PROMPTS, negatives)
    for i, (p, q) in enumerate(zip(plus, minus, strict=True)):
        t = next(k for k in range(99) if p.ids[k] != q.ids[k])
        with torch.no_grad():
            logits = hf(input_ids=torch.tensor([p.ids[:t]])).logits[0, -1]
        torch.testing.assert_close(got[i], logits[p.ids[t]] - logits[q.ids[t]], rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(model.logit_differences(PROMPTS, negatives, positives), -got)


@pytest.mark.parametrize("scope", ["prompt", "last", "generated"])
def test_logit_differences_mean_the_same_tokens_by_a_scope_as_scores(scope, model, adding):
    """The answers share their first token: it is the answer's, and steered as such."""
    prompts, plus, minus = ["The capital"], [" of France"], [" of England"]
    options = {"steering": adding(1, size=2), "scope": scope}
    rows = _rows(model, prompts, plus) + _rows(model, prompts, minus)
    assert all(len(r.ids) - r.prompt_len == 2 for r in rows)
    difference = model.score(prompts, plus, **options).total - model.score(prompts, minus, **options).total
    got = model.logit_differences(prompts, plus, minus, **options)
    torch.testing.assert_close(got, difference, rtol=1e-4, atol=1e-4)  # two tokens each, the first alike


def test_a_result_that_is_not_finite_is_an_error(model):
    options = {"steering": Steering({Site(1): lambda h, s: h / 0}, {"a": 1.0})}
    with pytest.raises(InputError, match=r"4 of 4 scores are NaN or infinite .*smaller strength or dtype float32"):
        model.score(PROMPTS, ANSWERS, **options)
    with pytest.raises(InputError, match=r"1 of 4 scores .*the first is text 3"):
        model.score(PROMPTS, ANSWERS, strength=[0, 0, 1, 0], **options)
    with pytest.raises(InputError, match="4 of 4 scores"):
        model.logit_differences(PROMPTS, ANSWERS, [" red"] * 4, **options)
    with pytest.raises(InputError, match="4 of 4 activations at site 3"):
        model.capture(PROMPTS, [Site(3)], **options)


def test_lists_of_unlike_length_are_an_error(model):
    with pytest.raises(InputError, match="4 prompts and 3 answers"):
        model.score(PROMPTS, ANSWERS[:3])
    with pytest.raises(InputError, match="4 prompts and 3 answers"):
        model.logit_differences(PROMPTS, ANSWERS, ANSWERS[:3])


def test_one_text_in_place_of_a_list_is_an_error(model):
    for call in (lambda: model.score("The", "sky"), lambda: model.capture("The sky", [Site(0)])):
        with pytest.raises(InputError, match="give a list of texts"):
            call()


def test_an_answer_without_tokens_is_an_error(model):
    with pytest.raises(InputError, match="text 2 has no answer tokens to score"):
        model.score(["The", "The sky"], [" sky", ""])
    with pytest.raises(InputError, match="text 1: its first token has no context"):
        score(model, [Encoded((5, 6), 0)])
    with pytest.raises(InputError, match="text 1 has no answer tokens to average"):
        model.capture([Rendered("", "The sky", "")], [Site(1)], read="mean")


def test_no_texts_give_no_results(model, adding):
    assert model.score([], [], steering=adding(1)).total.shape == (0,)
    assert model.logit_differences([], [], []).shape == (0,)
    assert model.generate([]) == []
    captured = model.capture([], [Site(1)])
    assert captured.activations[Site(1)].shape == (0, 32)
    assert captured.n_massive == {Site(1): None}


def test_an_answer_is_greedy_where_each_of_its_tokens_is_the_likeliest(wrapped, plain):
    model, hf = wrapped(), plain()
    (prompt,) = model.encoder().encode([Rendered("", PROMPTS[0], "")])
    ids = list(prompt.ids)
    for _ in range(3):
        with torch.no_grad():
            ids.append(int(hf(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    last, middle = list(ids), list(ids)
    last[-1], middle[-2] = (ids[-1] + 1) % 50, (ids[-2] + 1) % 50
    rows = [Encoded(tuple(row), prompt.prompt_len) for row in (ids, last, middle)]
    assert score(model, rows).greedy.tolist() == [True, False, False]
