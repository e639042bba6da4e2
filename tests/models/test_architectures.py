"""Contract 7: sites, edits, resuming and logits mean the same whatever the architecture."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from trimtab.errors import InputError
from trimtab.interventions import Site
from trimtab.models import Batch, Model, Plan, steer
from trimtab.texts import Rendered

ALL = [
    "llama", "qwen2", "qwen3", "mistral", "gemma2", "gemma3", "gpt2", "gpt_neox", "gpt_neox_sequential", "opt",
    "phi", "falcon", "falcon_sequential", "bloom", "mixtral", "qwen3_moe",
]  # fmt: skip
NO_TERMS = ["opt", "bloom"]  # OPT flattens its mlp to [B·T, d]; Bloom adds inside its attention and mlp
WIDTH = 32


@pytest.fixture(params=ALL)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _logits(hf: Any, batch: Batch, **options: Any) -> Any:
    """The plain Hugging Face forward pass."""
    inputs = {"input_ids": batch.ids, "attention_mask": batch.real.long(), **options}
    if "position_ids" in inspect.signature(hf.forward).parameters:
        inputs["position_ids"] = batch.position
    with torch.no_grad():
        return hf(**inputs)


@contextmanager
def _received(blocks: Sequence[torch.nn.Module]) -> Iterator[list[Tensor]]:
    """What each block is given: what the block below it put out, after every hook there."""
    got: list[Tensor] = []

    def before(module: Any, args: Any, kwargs: Any) -> None:
        got.append((args[0] if args else kwargs["hidden_states"]).clone())

    handles = [b.register_forward_pre_hook(before, with_kwargs=True) for b in blocks]
    try:
        yield got
    finally:
        for handle in handles:
            handle.remove()


def test_residual_site_equals_hidden_states(name, plain, wrapped, batch_of, tokens):
    model, hf = wrapped(name), plain(name)
    batch = batch_of(tokens(1, 7, 7))
    sites = [Site(k) for k in range(4)]
    hidden = _logits(hf, batch, output_hidden_states=True).hidden_states
    trace = model.forward(batch, Plan(read=frozenset(sites)))
    assert trace.logits is None
    for k in range(3):
        torch.testing.assert_close(trace.activations[sites[k]], hidden[k + 1], rtol=0, atol=0)
    last = trace.activations[sites[3]]
    assert not torch.equal(last, hidden[4])
    with torch.no_grad():
        for module in model.anatomy.tail:
            last = module(last)
    torch.testing.assert_close(last, hidden[4], rtol=0, atol=0)


def test_attention_and_mlp_are_the_terms_added_to_the_residual(name, wrapped, batch_of, tokens):
    model, batch = wrapped(name), batch_of(tokens(1, 7, 7))
    if name in NO_TERMS:
        with pytest.raises(InputError, match=r"site mlp:1: block 1 is not a plain sum .* use the residual, site 1"):
            model.forward(batch, Plan(read=frozenset([Site(1, "mlp")])))
        return
    with _received(model.anatomy.blocks) as received:
        _logits(model.hf, batch)
    for k in range(4):
        terms = [Site(k, "attention"), Site(k, "mlp"), Site(k)]
        got = model.forward(batch, Plan(read=frozenset(terms))).activations
        torch.testing.assert_close(received[k] + got[terms[0]] + got[terms[1]], got[terms[2]], rtol=1e-5, atol=1e-5)
        assert not torch.allclose(got[terms[0]], got[terms[1]])


def test_attention_and_mlp_terms_are_told_apart(name, wrapped):
    if name in NO_TERMS:
        return
    model = wrapped(name)
    of = {id(m): n for n, m in model.anatomy.blocks[0].named_modules()}
    attention, mlp = (of[id(m)] for m in model.anatomy.terms[0])
    assert "att" in attention
    assert "mlp" in mlp or "feedforward" in mlp


@pytest.mark.parametrize("component", ["residual", "attention", "mlp"])
def test_editing_adds_exactly_the_vector_to_the_block(name, component, wrapped, adding, batch_of, tokens):
    model, batch = wrapped(name), batch_of(tokens(1, 7, 7))
    site = Site(1, component)
    if name in NO_TERMS and component != "residual":
        with pytest.raises(InputError, match="use the residual"):
            model.forward(batch, Plan((steer(adding(str(site))),), logits="last"))
        return
    steering = adding(str(site))
    before = model.forward(batch, Plan(read=frozenset([Site(1), Site(2)]))).activations
    with _received([model.anatomy.blocks[2]]) as received:  # a residual is read before its own edit
        trace = model.forward(batch, Plan((steer(steering),), frozenset([Site(2)])))
    v = steering.edits[site].vectors[0]
    if component == "attention" and not _parallel(name):
        assert (received[0] - before[Site(1)] - v).abs().max() > 1e-3  # the mlp behind it has seen the shift
        assert (received[0] - before[Site(1)]).abs().max() > 1e-3
    else:
        torch.testing.assert_close(received[0], before[Site(1)] + v, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(trace.activations[Site(2)], before[Site(2)])
    assert trace.selected == 14


def _parallel(name: str) -> bool:
    return name in ("gpt_neox", "phi", "falcon")


def test_resuming_from_a_captured_residual_gives_the_plain_logits(name, wrapped, adding, batch_of, tokens):
    model, rows = wrapped(name), tokens(2, 8, 6)
    steering, strengths = adding(2), [-1.0, 0.0, 0.5, 2.0]
    batch, site = batch_of(rows), Site(2)
    residual = model.forward(batch, Plan(read=frozenset([site]))).activations[site]
    repeated = batch_of([r for r in rows for _ in strengths])
    sweep = steer(steering, strengths * 2)
    resumed = model.forward(
        repeated, Plan((sweep,), logits="last", resume=(site, residual.repeat_interleave(len(strengths), dim=0)))
    )
    whole = model.forward(repeated, Plan((sweep,), logits="last"))
    torch.testing.assert_close(resumed.logits, whole.logits, rtol=1e-5, atol=1e-5)
    unsteered = model.forward(batch, Plan(logits="last")).logits
    torch.testing.assert_close(resumed.logits[1::4], unsteered, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(resumed.logits[0], resumed.logits[3], atol=1e-2)


def test_blocks_below_a_resumed_residual_do_not_run(name, wrapped, batch_of, tokens):
    model, batch = wrapped(name), batch_of(tokens(2, 6))
    inner = [next(iter(b.children())) for b in model.anatomy.blocks]
    with _counted(inner) as calls:
        model.forward(batch, Plan(logits="last", resume=(Site(1), torch.zeros(1, 6, WIDTH))))
    assert calls == [0, 0, 1, 1]


@contextmanager
def _counted(modules: Sequence[torch.nn.Module]) -> Iterator[list[int]]:
    calls = [0] * len(modules)

    def count(k: int) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            calls[k] += 1

        return hook

    handles = [m.register_forward_hook(count(k)) for k, m in enumerate(modules)]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def test_last_answer_and_all_logits_agree_with_plain_logits(name, plain, wrapped, batch_of, tokens):
    model, batch = wrapped(name), batch_of(tokens(3, 9, 5, 7), [4, 3, 7])
    expected = _logits(plain(name), batch).logits
    every = model.forward(batch, Plan(logits="all"))
    assert torch.equal(every.logits[batch.real], expected[batch.real])
    last = model.forward(batch, Plan(logits="last")).logits
    torch.testing.assert_close(last, expected[[0, 1, 2], [8, 4, 6]], rtol=1e-5, atol=1e-5)
    answer = model.forward(batch, Plan(logits="answer")).logits
    by_hand = torch.cat([expected[0, 3:8], expected[1, 2:4]])  # row 3 has no answer
    torch.testing.assert_close(answer, by_hand, rtol=1e-5, atol=1e-5)
    assert batch.predicts_answer.nonzero().tolist() == [[0, c] for c in range(3, 8)] + [[1, 2], [1, 3]]


def test_steered_logits_equal_a_bare_hook(name, plain, wrapped, adding, batch_of, tokens, bare_hook):
    model, hf, steering = wrapped(name), plain(name), adding(1)
    batch = batch_of(tokens(4, 8, 8))
    v = steering.vector(Site(1))
    with bare_hook(Model(hf).anatomy.blocks[1], lambda h: h + 1.5 * v):
        expected = _logits(hf, batch).logits
    got = model.forward(batch, Plan((steer(steering, 1.5),), logits="all")).logits
    assert torch.equal(got, expected)


def test_left_padding_equals_right_padding(name, wrapped, adding, batch_of, tokens):
    model, rows, lengths = wrapped(name), tokens(5, 4, 9, 6), [2, 4, 6]
    plan = Plan((steer(adding(1), [1.0, 0.0, -1.0], ["prompt", "all", "generated"]),), logits="answer")
    left, right = (model.forward(batch_of(rows, lengths, side), plan) for side in ("left", "right"))
    torch.testing.assert_close(left.logits, right.logits, rtol=1e-4, atol=1e-4)
    alone = torch.cat(
        [
            model.forward(batch_of([r], [n]), Plan((s.select(torch.tensor([i])),), logits="answer")).logits
            for i, (r, n) in enumerate(zip(rows, lengths, strict=True))
            for s in plan.steers
        ]
    )
    torch.testing.assert_close(right.logits, alone, rtol=1e-4, atol=1e-4)


def test_generation_at_strength_zero_equals_plain_greedy_generation(name, plain, wrapped, adding, tokenizer):
    model, hf, prompt = wrapped(name), plain(name), "The sky is"
    ids = torch.tensor([model.encoder().encode([Rendered("", prompt, "")])[0].ids])
    expected = hf.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False)
    text = tokenizer.decode(expected[0, ids.shape[1] :], skip_special_tokens=True)
    assert model.generate(prompt, max_new_tokens=12) == text
    assert model.generate(prompt, steering=adding(1), strength=0, max_new_tokens=12) == text
    assert model.generate(prompt, steering=adding(1, size=4), strength=1, max_new_tokens=12) != text
