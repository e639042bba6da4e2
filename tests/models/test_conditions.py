"""Conditions are decided from each row's own prompt, and texts in front of prompts stand where they would by hand."""

import pytest
import torch

from trimtab.errors import InputError, PlanError
from trimtab.interventions import Condition, Site
from trimtab.models import Encoded, Model, Plan, collate, steer
from trimtab.models.conditions import cosines, decided, met
from trimtab.models.divergence import divergence_behind, divergences
from trimtab.models.scoring import score_variants
from trimtab.steering import Additive, Steering

PROMPTS = ["The sky", "She said hello to", "Is the grass red? No,", "A trim tab", "The capital of France"]
ANSWERS = [" is blue", " the world", " green.", " is small", " is Paris"]
OTHERS = [" red", " nobody", " yes", " large", " London"]


def mean_of_prompt(model: Model, prompt: str, site: Site) -> torch.Tensor:
    """The mean over the prompt's tokens but the first, by a plain loop."""
    (row,) = model.encoder().encode([_rendered(prompt)])
    batch = collate([row], 0, model.device)
    return model.forward(batch, Plan(read=frozenset([site]))).activations[site][0, 1:].mean(dim=0)


def _rendered(prompt: str):
    from trimtab.texts import Rendered

    return Rendered("", "", prompt)


@pytest.fixture
def split(model: Model) -> Condition:
    """A condition that some of the prompts meet."""
    direction = torch.randn(32, generator=torch.Generator().manual_seed(3))
    result = cosines(Condition(1, direction, 0.0), torch.stack([mean_of_prompt(model, p, Site(1)) for p in PROMPTS]))
    return Condition(1, direction, float(result.sort().values[1:3].mean()))


@pytest.fixture
def conditional(split: Condition) -> Steering:
    edits = {2: Additive(torch.randn(2, 32, generator=torch.Generator().manual_seed(5)))}
    return Steering(edits, {"a": 1.0, "b": 1.0}, conditions={"a": split})


def acts(model: Model, condition: Condition) -> list[bool]:
    return met(condition, torch.stack([mean_of_prompt(model, p, condition.site) for p in PROMPTS])).tolist()


def test_each_row_is_steered_as_its_own_prompt_decides(model, conditional, split):
    on = acts(model, split)
    assert 0 < sum(on) < len(on)
    by_hand = [{"a": 2.0 if yes else 0.0, "b": 0.5} for yes in on]
    always = conditional.changed(conditions={})
    strengths = {"a": 2.0, "b": 0.5}
    expected = model.score(PROMPTS, ANSWERS, steering=always, strength=by_hand).mean
    assert torch.equal(model.score(PROMPTS, ANSWERS, steering=conditional, strength=strengths).mean, expected)
    written = model.generate(PROMPTS, steering=conditional, strength=strengths, max_new_tokens=6)
    assert written == model.generate(PROMPTS, steering=always, strength=by_hand, max_new_tokens=6)
    captured = model.capture(PROMPTS, [3], steering=conditional, strength=strengths).activations[Site(3)]
    assert torch.equal(captured, model.capture(PROMPTS, [3], steering=always, strength=by_hand).activations[Site(3)])
    differences = model.logit_differences(PROMPTS, ANSWERS, OTHERS, steering=conditional, strength=strengths)
    assert torch.equal(
        differences, model.logit_differences(PROMPTS, ANSWERS, OTHERS, steering=always, strength=by_hand)
    )


def test_a_row_decides_alone_as_it_does_in_a_batch(model, conditional, split):
    for prompt, answer, yes in zip(PROMPTS, ANSWERS, acts(model, split), strict=True):
        alone = model.score([prompt], [answer], steering=conditional, strength={"b": 0.0}).mean
        plain = model.score([prompt], [answer]).mean
        assert torch.equal(alone, plain) is not yes


def test_beams_and_per_row_strengths_keep_to_their_rows(model, conditional, split):
    strengths = [{"a": 2.0, "b": 0.0} if k % 2 else {"a": 0.0, "b": 1.0} for k in range(len(PROMPTS))]
    by_hand = [{**row, "a": row["a"] * yes} for row, yes in zip(strengths, acts(model, split), strict=True)]
    always = conditional.changed(conditions={})
    written = model.generate(PROMPTS, steering=conditional, strength=strengths, max_new_tokens=5, num_beams=2)
    assert written == model.generate(PROMPTS, steering=always, strength=by_hand, max_new_tokens=5, num_beams=2)


def test_below_is_the_opposite_of_above(model, split):
    other = Condition(split.site, split.direction, split.threshold, above=False)
    assert acts(model, other) == [not yes for yes in acts(model, split)]


def test_of_several_conditions_all_must_hold(model, conditional, split):
    direction = torch.randn(32, generator=torch.Generator().manual_seed(11))
    result = cosines(Condition(2, direction, 0.0), torch.stack([mean_of_prompt(model, p, Site(2)) for p in PROMPTS]))
    on = result[torch.tensor(acts(model, split))].sort().values  # of three prompts
    bounds = [(on[:2], True), (on[1:], False)]  # of which one leaves out the first, the other the last
    others = [Condition(2, direction, float(ends.mean()), above=above) for ends, above in bounds]
    wanted = [all(row) for row in zip(*(acts(model, c) for c in (split, *others)), strict=True)]
    assert sum(wanted) == 1
    both = conditional.changed(conditions={"a": [split, *others]})
    by_hand = [{"a": 2.0 if yes else 0.0} for yes in wanted]
    strengths = {"a": 2.0}
    expected = model.score(PROMPTS, ANSWERS, steering=conditional.changed(conditions={}), strength=by_hand).mean
    assert torch.equal(model.score(PROMPTS, ANSWERS, steering=both, strength=strengths).mean, expected)


def test_variants_of_a_sweep_decide_alike(model, conditional, split):
    rows = model.encoder().encode([_rendered(p + a) for p, a in zip(PROMPTS, ANSWERS, strict=True)])
    rows = [Encoded(r.ids, 3) for r in rows]
    variants = [(), (steer(conditional, 1.0),), (steer(conditional, 2.0),)]
    together = score_variants(model, rows, variants)
    for variant, result in zip(variants, together, strict=True):
        torch.testing.assert_close(result.total, score_variants(model, rows, [variant])[0].total, atol=2e-4, rtol=1e-4)
    (by_row,) = decided(model, rows, [variants[1]])
    assert by_row[0].strength.shape == (len(rows), 2)
    assert not by_row[0].undecided


def test_where_no_prompt_is_given_a_condition_is_refused(model, conditional, batch_of, tokens):
    with pytest.raises(PlanError, match="conditions"):
        model.forward(batch_of(tokens(0, 5)), Plan((steer(conditional, 1.0),), logits="last"))
    with pytest.raises(InputError, match="conditions"), model.steered(conditional):
        pass
    off = model.forward(batch_of(tokens(0, 5)), Plan((steer(conditional, 0.0),), logits="last"))
    assert torch.equal(off.logits, model.forward(batch_of(tokens(0, 5)), Plan(logits="last")).logits)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"direction": torch.zeros(4)}, "not 0"),
        ({"direction": torch.ones(2, 2)}, "d_model"),
        ({"direction": torch.tensor([float("nan")])}, "finite"),
        ({"threshold": 1.5}, "cosine"),
        ({"threshold": True}, "cosine"),
        ({"above": 1}, "true or false"),
    ],
)
def test_what_is_no_condition_is_refused(fields, word):
    with pytest.raises(InputError, match=word):
        Condition(**{"site": 1, "direction": torch.ones(4), "threshold": 0.5, **fields})


# Text in front of prompts


FRONT, AGAINST = "She said hello.\n\n", "No, the grass is green.\n\n"


@pytest.fixture
def asking() -> Steering:
    return Steering({}, {"ask": 1.0}, prompts={"ask": (FRONT, AGAINST)})


def test_text_in_front_is_the_prompt_written_so(model, asking):
    for strength, prompt_prefix in ((1.0, FRONT), (2.5, FRONT), (-1.0, AGAINST), (0.0, "")):
        texts = [prompt_prefix + p for p in PROMPTS]
        result = model.score(PROMPTS, ANSWERS, steering=asking, strength=strength).mean
        assert torch.equal(result, model.score(texts, ANSWERS).mean)
        written = model.generate(PROMPTS, steering=asking, strength=strength, max_new_tokens=5)
        assert written == model.generate(texts, max_new_tokens=5)


def test_rows_have_texts_of_their_own_and_edits_go_along(model, asking):
    both = Steering.combined([asking, Steering.from_vector(1, torch.ones(32))])
    strengths = [{"ask": 1.0, "vector": 0.0}, {"ask": 0.0, "vector": 1.0}, {"ask": -1.0, "vector": 0.5}]
    result = model.score(PROMPTS[:3], ANSWERS[:3], steering=both, strength=strengths).mean
    texts = [FRONT + PROMPTS[0], PROMPTS[1], AGAINST + PROMPTS[2]]
    vector = Steering.from_vector(1, torch.ones(32))
    assert torch.equal(result, model.score(texts, ANSWERS[:3], steering=vector, strength=[0.0, 1.0, 0.5]).mean)


def test_divergence_behind_text_is_that_of_whole_distributions(model):
    texts = [_rendered(p + a) for p, a in zip(PROMPTS, ANSWERS, strict=True)]
    rows = [Encoded(r.ids, 1) for r in model.encoder().encode(texts)]
    fronted = [Encoded(r.ids, 1) for r in model.encoder().encode([_rendered(FRONT + t.answer) for t in texts])]
    result = divergence_behind(model, rows, fronted)
    for i, (row, other) in enumerate(zip(rows, fronted, strict=True)):
        n = len(row.ids) - 1
        plain, after = (
            model.forward(collate([r], 0, model.device), Plan(logits="all"))
            .logits[0, -n - 1 : -1]
            .double()
            .log_softmax(1)
            for r in (row, other)
        )
        kl = (plain.exp() * (plain - after)).sum(dim=1).mean()
        assert float(result.kl[i]) == pytest.approx(float(kl), abs=1e-4)
        answer = torch.tensor(row.ids[1:])[:, None]
        assert float(result.log_prob[i]) == pytest.approx(float(after.gather(1, answer).sum()), abs=1e-3)
    assert float(divergence_behind(model, rows, rows).kl.max()) < 1e-5
    vector = (steer(Steering.from_vector(1, torch.ones(32)), 1.0),)
    (expected,) = divergences(model, rows, [vector])
    torch.testing.assert_close(divergence_behind(model, rows, rows, vector).kl, expected.kl, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("threshold", ["0.5", None, True, 2.0, float("nan"), 10**400, torch.tensor(0.5)])
def test_a_threshold_that_is_no_cosine_is_refused(threshold: object) -> None:
    with pytest.raises(InputError, match="a cosine between -1 and 1"):
        Condition(1, torch.ones(4), threshold)


@pytest.mark.parametrize("direction", [None, "ones", torch.ones(2, 2), torch.zeros(4), torch.ones(4) * 1j, [1.0, "a"]])
def test_a_direction_that_is_no_vector_is_refused(direction: object) -> None:
    with pytest.raises(InputError, match="finite vector"):
        Condition(1, direction, 0.5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_done_to_a_direction_later_changes_nothing(dtype: torch.dtype) -> None:
    direction = torch.ones(4, dtype=dtype)
    condition = Condition(1, direction, 0.5)
    direction[:] = -1
    assert met(condition, torch.ones(1, 4)).tolist() == [True]
