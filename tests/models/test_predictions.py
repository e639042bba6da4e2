"""Logits of few rows at a time, against whole tables of float32 logits."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from trimtab.models import Encoded, Plan, collate, greedy_head, steer
from trimtab.models.divergence import divergence_behind, divergences
from trimtab.models.predictions import CPU_ROWS, logits_of
from trimtab.models.scoring import choice_variants, score, score_variants

LOW = [torch.bfloat16, torch.float16]
STRENGTHS = (0.02, 0.1, 0.5, -1.0)


@pytest.fixture
def quick(monkeypatch):
    """A CPU with instructions for both low dtypes, whatever this one has."""
    monkeypatch.setattr(greedy_head, "quick_dtypes", lambda device: tuple(LOW))


@pytest.fixture
def rows(tokens):
    return [Encoded(tuple(t), n) for t, n in zip(tokens(5, 24, 31, 9, 24), (1, 6, 3, 6), strict=True)]


def whole(model, row, steers=()):
    """`[n, V]` log-probabilities at the answer's tokens, from all logits of a pass of the text alone, in float64."""
    batch = collate([row], model.pad, model.device)
    logits = model.forward(batch, Plan(steers, logits="all")).logits[0].double()
    return logits[row.prompt_len - 1 : -1].log_softmax(dim=1)


def answer(row):
    return torch.tensor(row.ids[row.prompt_len :])[:, None]


@pytest.mark.parametrize("dtype", [torch.float32, *LOW])
@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt2", "opt", "falcon", "phi"])
def test_logits_of_what_is_in_front_of_the_head_are_the_models_own(wrapped, rows, name, dtype):
    model, batch = wrapped(name, dtype), collate(rows, 0, torch.device("cpu"))
    assert model.anatomy.bare_head is (name != "gemma2")  # whose logits are capped behind the head
    for positions in ("last", "answer", "all"):
        hidden = model.forward(batch, Plan(logits=positions, head=False)).hidden
        logits = model.forward(batch, Plan(logits=positions)).logits
        got = logits_of(model, hidden.flatten(0, -2)).view(logits.shape)
        torch.testing.assert_close(got, logits, rtol=1e-5, atol=1e-5)


def test_a_model_that_makes_logits_without_a_head_gives_them_in_place_of_hidden_states(model, rows, adding):
    expected = score_variants(model, rows, [(), (steer(adding(1)),)])
    object.__setattr__(model.anatomy, "head", None)
    for got, want in zip(score_variants(model, rows, [(), (steer(adding(1)),)]), expected, strict=True):
        torch.testing.assert_close(got.total, want.total)


def test_hooks_on_the_head_run_once_for_every_logit(model, rows, adding):
    head, handed = model.hf.get_output_embeddings(), []
    head.register_forward_pre_hook(lambda module, args: (2 * args[0],))
    head.register_forward_hook(lambda module, args, out: handed.append(len(out)))
    scores = score(model, rows, (steer(adding(1)),))
    assert sum(handed) == sum(len(r.ids) - r.prompt_len for r in rows)
    for row, total in zip(rows, scores.total, strict=True):
        expected = whole(model, row, (steer(adding(1)),)).gather(1, answer(row)).sum()
        assert float(total) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("dtype", LOW)
@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt2", "phi"])  # phi's head has a bias
def test_divergences_in_low_precision_are_those_of_whole_float32_distributions(
    wrapped, adding, rows, quick, name, dtype
):
    model = wrapped(name, dtype)
    for row in rows:  # each alone, so that the blocks compute the same numbers
        for strength in STRENGTHS:
            steers = (steer(adding(2), strength),)
            (found,) = divergences(model, [row], [steers])
            base, steered = whole(model, row), whole(model, row, steers)
            kl = float((base.exp() * (base - steered)).sum(dim=1).mean())
            assert kl > 1e-6
            assert float(found.kl) == pytest.approx(kl, rel=0.01, abs=2e-6)
            for got, log_p in ((found.log_prob, steered), (found.base_log_prob, base)):
                assert float(got) / len(log_p) == pytest.approx(float(log_p.gather(1, answer(row)).mean()), abs=2e-3)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_temperatures_in_low_precision_are_those_of_divided_float32_logits(wrapped, adding, rows, quick, temperature):
    model, steers = wrapped(dtype=torch.bfloat16), (steer(adding(2), 0.3),)
    for variant in ((), steers):
        (found,) = divergences(model, rows[:1], [variant], [temperature])
        base, steered = whole(model, rows[0]), (whole(model, rows[0], variant) / temperature).log_softmax(dim=1)
        kl = float((base.exp() * (base - steered)).sum(dim=1).mean())
        assert float(found.kl) == pytest.approx(kl, rel=0.01)
        logged = steered.gather(1, answer(rows[0])).mean()
        assert float(found.log_prob / found.n_tokens) == pytest.approx(float(logged), abs=4e-3)


@pytest.mark.parametrize("dtype", [torch.float32, *LOW])
def test_strength_zero_among_others_is_bit_identical_to_unsteered_whatever_the_order(
    wrapped, adding, rows, quick, dtype
):
    model, steering = wrapped(dtype=dtype), adding(2)
    variants = [(steer(steering, s),) for s in (1.0, 0.0, -2.0)] + [()]
    scores = score_variants(model, rows, variants)
    assert torch.equal(scores[1].total, scores[3].total)
    assert not torch.equal(scores[0].total, scores[3].total)
    for got, want in zip(score_variants(model, rows, variants[::-1])[::-1], scores, strict=True):
        assert torch.equal(got.total, want.total)
    twins = [Encoded((*r.ids[: r.prompt_len], 7), r.prompt_len) for r in rows]
    choices = choice_variants(model, twins, [Encoded((*t.ids[:-1], 8), t.prompt_len) for t in twins], variants)
    assert torch.equal(choices[1], choices[3])
    one, zero = divergences(model, rows, variants[:2])
    assert zero.kl.max() < 1e-6 < one.kl.min()
    assert torch.equal(zero.log_prob, zero.base_log_prob)


class _Largest(TorchDispatchMode):
    """Notes the most elements that a tensor of many columns has."""

    def __init__(self, columns):
        super().__init__()
        self.columns, self.rows = columns, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        tensors = [t for t in tree_leaves(out) if isinstance(t, torch.Tensor) and t.shape[-1:] == (self.columns,)]
        self.rows = max([self.rows, *(t.numel() // self.columns for t in tensors)])
        return out


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["llama", "gemma2"])
def test_no_table_of_all_tokens_by_the_vocabulary_is_held(wrapped, adding, tokens, quick, name, dtype):
    model, vocabulary = wrapped(name, dtype, vocab_size=977, max_position_embeddings=512), 977
    rows = [Encoded(tuple(t), 1) for t in tokens(3, 400, 400)]
    variants = [(), (steer(adding(1), 1.0),), (steer(adding(1), -1.0),)]
    assert sum(len(r.ids) for r in rows) > 4 * CPU_ROWS
    others = [Encoded((*r.ids[:-1], 5), 1) for r in rows]
    for run in (
        lambda: divergences(model, rows, variants),
        lambda: divergence_behind(model, rows, rows, variants[1]),
        lambda: score_variants(model, rows, variants),
        lambda: choice_variants(model, rows, others, variants),
    ):
        with _Largest(vocabulary) as largest:
            run()
        assert 0 < largest.rows <= CPU_ROWS


def test_only_a_plain_layer_of_low_precision_leaves_float32(wrapped, adding, rows, monkeypatch):
    capped, hooked = wrapped("gemma2", torch.bfloat16), wrapped(dtype=torch.bfloat16)
    hooked.hf.lm_head.register_forward_hook(lambda module, args, out: 2 * out)
    variants = [(), (steer(adding(2), 1.0),)]

    def figures(model, quick):
        monkeypatch.setattr(greedy_head, "quick_dtypes", lambda device: quick)
        scores = [scores.total for scores in score_variants(model, rows, variants)]
        return torch.stack(scores), divergences(model, rows, variants[1:])[0].kl

    for model, exact in ((capped, True), (hooked, True), (wrapped(), True), (wrapped(dtype=torch.bfloat16), False)):
        (scores, kl), (plain_scores, plain_kl) = figures(model, LOW), figures(model, ())
        assert torch.equal(scores, plain_scores)
        assert torch.equal(kl, plain_kl) is exact
