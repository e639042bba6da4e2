"""The embedded model, SmolLM2-135M-Instruct: facts that everything else builds on."""

import pytest
import torch

import trimtab as tt
from trimtab.behaviors import Probe
from trimtab.interventions import Site
from trimtab.models import Encoded, Model, Plan, collate, divergence, steer
from trimtab.steering import Steering
from trimtab.texts import Rendered

pytestmark = pytest.mark.embedded
PROMPTS = [
    "The capital of France is",
    "Water boils at",
    "A short story about a dog. Once upon a time, there was a",
    "2 + 2 =",
]


def test_facts(embedded):
    assert (embedded.id, embedded.n_blocks, embedded.d_model, embedded.context_length) == ("smollm2", 30, 576, 8192)
    assert embedded.tokenizer.model_max_length == 8192
    assert embedded.tokenizer.bos_token_id == 1
    assert embedded.tokenizer.eos_token_id == 2
    assert embedded.tokenizer.pad_token_id == 2
    assert embedded.dtype == torch.float32
    assert embedded.encoder(chat_template=True).chat_template


def test_digits_are_tokens_of_their_own(embedded):
    split = [embedded.tokenizer.decode(t) for t in embedded.tokenizer(" 2024", add_special_tokens=False)["input_ids"]]
    assert split == [" ", "2", "0", "2", "4"]


def test_the_chat_template_brings_its_own_first_token(embedded):
    row = embedded.encoder(chat_template=True).encode([Rendered("", "Hello", " Hi")])[0]
    assert list(row.ids).count(embedded.tokenizer.convert_tokens_to_ids("<|im_start|>")) == 3  # system, user, assistant
    assert embedded.tokenizer.decode(row.ids[row.prompt_len :]) == "Hi"


def test_paris_beats_london(embedded):
    prompts = ["The capital of France is"]
    assert embedded.logit_differences(prompts, [" Paris"], [" London"]).item() > 3
    scores = embedded.score(prompts * 2, [" Paris", " London"])
    assert scores.total[0] > scores.total[1] + 3
    assert scores.n_tokens.tolist() == [1, 1]


def test_greedy_texts_are_the_same_in_a_batch_and_alone_where_gaps_allow(embedded):
    n, bound = 8, 5e-3
    together = embedded.generate(PROMPTS, max_new_tokens=n)
    for prompt, text in zip(PROMPTS, together, strict=True):
        alone = embedded.generate(prompt, max_new_tokens=n)
        if alone != text:
            assert _smallest_gap(embedded, prompt, alone) < bound


def _smallest_gap(model: Model, prompt: str, text: str) -> float:
    row = model.encoder().encode([Rendered("", prompt, text)])[0]
    logits = model.forward(collate([row], 0, model.device), Plan(logits="answer")).logits
    top = logits.topk(2, dim=1).values
    return float((top[:, 0] - top[:, 1]).min())


def test_steered_logits_equal_a_bare_hooks(embedded, bare_hook, batch_of):
    ids = embedded.tokenizer(PROMPTS[0])["input_ids"]
    torch.manual_seed(0)
    v = torch.randn(576)
    batch = batch_of([ids])
    with bare_hook(embedded.anatomy.blocks[14], lambda h: h + 4 * v), torch.no_grad():
        expected = embedded.hf(input_ids=batch.ids).logits
    plan = Plan((steer(Steering.from_vector(Site(14), v), 4.0),), logits="all")
    got = embedded.forward(batch, plan).logits
    assert torch.equal(got, expected)
    assert not torch.allclose(got, embedded.forward(batch, Plan(logits="all")).logits, atol=0.1)


def test_position_0_is_a_sink_that_means_leave_out(embedded, batch_of):
    text, site = "The weather is nice today, and the sky is blue.", Site(14)
    row = embedded.encoder().encode([Rendered("", text, "")])[0]
    norms = embedded.forward(batch_of([row.ids]), Plan(read=frozenset([site]))).activations[site][0].norm(dim=-1)
    captured = embedded.capture([text], [site], read="mean")
    assert norms[0] > 10 * captured.norms[site]
    assert captured.activations[site].norm() < 2 * captured.norms[site]


def test_a_texts_divergence_in_bfloat16_is_within_1_percent_of_that_from_float32_logits(embedded, monkeypatch):
    model, seen = tt.load("smollm2", dtype="bfloat16"), []
    compared = divergence._compared

    def recorded(m, hidden, *more):
        seen.append(hidden)
        return compared(m, hidden, *more)

    monkeypatch.setattr(divergence, "_compared", recorded)
    texts = [Rendered("", "", text) for text in Probe.builtin("neutral").texts[:6]]
    rows = [Encoded(row.ids[:48], 1) for row in model.encoder().encode(texts)]
    steering = Steering.from_vector(Site(17), torch.randn(576, generator=torch.Generator().manual_seed(0)))
    variants = [(steer(steering, strength),) for strength in (0.2, 0.5, 1.0, 2.0)]
    head = embedded.hf.get_output_embeddings().weight.detach().double()
    figures = []
    for row in rows:
        found = divergence.divergences(model, [row], variants)
        base, *steered = [(h.double() @ head.T).log_softmax(dim=1) for h in seen.pop()]
        for got, log_q in zip(found, steered, strict=True):
            figures.append(float((base.exp() * (base - log_q)).sum(dim=1).mean()))
            assert float(got.kl) == pytest.approx(figures[-1], rel=0.01)
            answer = torch.tensor(row.ids[1:])[:, None]
            assert float(got.log_prob) == pytest.approx(float(log_q.gather(1, answer).sum()), abs=0.01 * len(answer))
    assert min(figures) < 0.005
    assert max(figures) > 0.2
