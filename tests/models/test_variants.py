"""Several edits scored together give what each gives alone; the blocks below their sites run once."""

from dataclasses import replace

import pytest
import torch

from trimtab.interventions import Site
from trimtab.models import steer
from trimtab.models.plan import side_by_side
from trimtab.models.scoring import choice_variants, logit_differences, score, score_variants
from trimtab.models.text import joined

PROMPTS = ["The capital of France is", "A trim tab is", "Is the sky blue?"]
PLUS = [" Paris, and the capital", " the small flap", " Yes"]
MINUS = [" London", " a ship.", " No"]
ARCHITECTURES = ["llama", "mistral", "gemma2", "gemma3", "gpt2", "gpt_neox", "opt", "phi", "falcon", "bloom", "mixtral"]


def variants(adding):
    """None, two strengths at one site, another site, block 0, and per-row strengths with a scope."""
    return [
        (),
        (steer(adding(2), 1.0),),
        (steer(adding(2), -1.0),),
        (steer(adding(1), 0.5, "generated"),),
        (steer(adding(0), 1.0),),
        (steer(adding(3), [0.0, 2.0, -2.0], ["all", "prompt", "last"]),),
    ]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_variants_scored_together_equal_each_alone(wrapped, adding, name):
    model = wrapped(name)
    rows = model.encoder().encode(joined(PROMPTS, PLUS))
    together = score_variants(model, rows, variants(adding))
    for variant, scores in zip(variants(adding), together, strict=True):
        torch.testing.assert_close(scores.total, score(model, rows, variant).total, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_logit_differences_of_variants_equal_each_alone(wrapped, adding, name):
    model = wrapped(name)
    plus, minus = (model.encoder().encode(joined(PROMPTS, answers)) for answers in (PLUS, MINUS))
    together = choice_variants(model, plus, minus, variants(adding))
    for variant, both in zip(variants(adding), together, strict=True):
        alone = logit_differences(model, plus, minus, variant)
        torch.testing.assert_close(both[:, 0] - both[:, 1], alone, rtol=1e-5, atol=1e-5)
        assert (both < 0).all()


@pytest.mark.parametrize("component", ["attention", "mlp"])
def test_variants_at_components_resume_below_their_block(wrapped, adding, component):
    model = wrapped("llama")
    rows = model.encoder().encode(joined(PROMPTS, PLUS))
    both = [(steer(adding(f"{component}:2"), s),) for s in (1.0, -1.0)]
    for variant, scores in zip(both, score_variants(model, rows, both), strict=True):
        torch.testing.assert_close(scores.total, score(model, rows, variant).total, rtol=1e-5, atol=1e-5)


def test_variants_inside_steered_carry_the_open_edits(wrapped, adding):
    model = wrapped("llama")
    rows = model.encoder().encode(joined(PROMPTS, PLUS))
    two = [(), (steer(adding(3), 1.0),)]
    with model.steered(adding(1), 2.0):
        together = score_variants(model, rows, two)
        for variant, scores in zip(two, together, strict=True):
            torch.testing.assert_close(scores.total, score(model, rows, variant).total, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(together[0].total, score(model, rows).total)


def test_blocks_below_the_site_run_once_for_all_variants(wrapped, adding, monkeypatch):
    model = wrapped("llama")
    rows = model.encoder().encode(joined(PROMPTS, PLUS))
    model._packs = {"sdpa": False}  # so that rows are easily counted
    runs, rows_run = [0] * model.n_blocks, [0] * model.n_blocks

    def counting(k, forward):
        def run(h):
            runs[k] += 1
            rows_run[k] += len(h)
            return forward(h)

        return run

    for k, block in enumerate(model.anatomy.blocks):
        monkeypatch.setattr(block.mlp, "forward", counting(k, block.mlp.forward))
    variants = [(steer(adding(Site(2), seed=s), float(s)),) for s in (1, 2, 3, 4)]
    score_variants(model, rows, variants)
    assert (runs, rows_run) == ([1, 1, 1, 1], [3, 3, 3, 12])  # four variants side by side in one batch
    runs[:] = rows_run[:] = [0] * model.n_blocks
    model.batch_tokens = 2 * max(len(r.ids) for r in rows) * len(rows)
    score_variants(model, rows, variants)
    assert (runs, rows_run) == ([1, 1, 1, 2], [3, 3, 3, 12])  # two at a time


def test_one_steering_at_several_strengths_is_one_steer_with_a_row_for_each(adding):
    same, other = adding(1), adding(2)
    variants = [(steer(same, 1.0),), (), (steer(same, 2.0),), (steer(other, 3.0), steer(same, 4.0, "last"))]
    first, second, third = side_by_side(variants, 2)
    assert first.strength.flatten().tolist() == [1, 0, 2, 0] * 2
    assert second.strength.flatten().tolist() == [0, 0, 0, 3] * 2
    assert third.strength.flatten().tolist() == [0, 0, 0, 4] * 2
    assert (first.edits is same.edits, second.edits is other.edits, third.scope) == (True, True, "last")


def test_rows_repeated_stand_side_by_side(batch_of):
    batch = batch_of([[1, 5, 6], [1, 7]], [2, 1])
    twice = batch.repeated(2)
    assert twice.ids.tolist() == [[1, 5, 6], [1, 5, 6], [1, 7, 0], [1, 7, 0]]
    assert twice.prompt_len.tolist() == [2, 2, 1, 1]
    packed = replace(batch, text=torch.tensor([[-1, 0, 1], [2, 2, -1]])).repeated(2)
    assert packed.text.tolist() == [[-1, 0, 2], [-1, 1, 3], [4, 4, -1], [5, 5, -1]]
