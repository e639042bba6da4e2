"""Choosing tokens request by request, against transformers' own warpers, scipy and plain loops."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
import scipy.stats
import torch
import transformers
from torch import Tensor

from trimtab.errors import InputError, TrimtabError
from trimtab.interventions import Sampling
from trimtab.models import Model
from trimtab.serving.engines.grammars import Grammars
from trimtab.serving.engines.logits import TokenChoice, TokenChooser

V = 50


def entry(name: str, prompt: list[int], answer: list[int]) -> Any:
    state = SimpleNamespace(request_id=name, initial_tokens=prompt, generated_tokens=answer)
    return SimpleNamespace(state=state)


def drawn(choices: dict[str, TokenChoice], logits: dict[str, Tensor], answers: dict[str, list[int]]) -> dict[str, int]:
    """One pass: the token of each request."""
    chooser = TokenChooser(choices)
    chooser.prepare_tensor_args([entry(name, [1, 2], answers[name]) for name in choices])
    rows = torch.stack([*(logits[name] for name in choices), torch.zeros(V)])  # the last one is no request's
    scores = chooser(rows, torch.zeros(len(rows)))
    return dict(zip(choices, scores[:-1].argmax(dim=-1).tolist(), strict=True))


def logits_of(seed: int) -> Tensor:
    return 2 * torch.randn(V, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("top_k", "top_p", "temperature"), [(0, 1.0, 0.7), (8, 1.0, 1.3), (0, 0.8, 1.0), (12, 0.7, 0.9)]
)
def test_draws_have_the_probabilities_of_transformers_own_warpers(top_k: int, top_p: float, temperature: float) -> None:
    logits, n = logits_of(0) / 2, 4000
    choice = TokenChoice(Sampling(9, temperature=temperature, top_k=top_k, top_p=top_p, seed=5), 2)
    counts = torch.zeros(V)
    for _ in range(n):
        counts[int(choice.scores(logits, []).argmax())] += 1
    wanted = transformers.TemperatureLogitsWarper(temperature)(None, logits[None])
    wanted = transformers.TopKLogitsWarper(top_k)(None, wanted) if top_k else wanted
    wanted = transformers.TopPLogitsWarper(top_p)(None, wanted) if top_p < 1 else wanted
    p = wanted.softmax(dim=-1)[0]
    assert not counts[p == 0].any()
    common = p * n >= 5
    observed = [*counts[common].tolist(), float(counts[~common].sum())]
    expected = [*(p[common] * n).tolist(), float((p[~common] * n).sum())]
    kept = [(o, e) for o, e in zip(observed, expected, strict=True) if e > 0]
    scale = sum(o for o, _ in kept) / sum(e for _, e in kept)  # float32 probabilities do not quite add up
    test = scipy.stats.chisquare([o for o, _ in kept], [e * scale for _, e in kept])
    assert test.pvalue > 1e-3


def test_a_seed_gives_the_same_draws_whatever_shares_the_batch() -> None:
    def tokens(others: int, seed: int) -> list[int]:
        choices = {f"o{i}": TokenChoice(Sampling(9, seed=i), 2) for i in range(others)}
        choices["mine"] = TokenChoice(Sampling(9, seed=seed), 2)
        out: list[int] = []
        for step in range(12):
            logits = {name: logits_of(hash(name) % 100 if name != "mine" else step) for name in choices}
            out.append(drawn(choices, logits, {name: out if name == "mine" else [] for name in choices})["mine"])
        return out

    alone = tokens(0, 3)
    assert alone == tokens(5, 3) == tokens(1, 3)
    assert alone != tokens(0, 4)


def test_no_seed_draws_anew_each_time() -> None:
    draws = {tuple(int(c.scores(logits_of(1), []).argmax()) for _ in range(20)) for c in
             (TokenChoice(Sampling(9, temperature=2.0), 2) for _ in range(3))}  # fmt: skip
    assert len(draws) == 3


def test_bias_and_penalties_are_those_of_openai() -> None:
    sampling = Sampling(9, temperature=0, presence_penalty=0.5, frequency_penalty=-0.25, logit_bias={3: 2.0, 7: -100})
    answer, logits = [3, 5, 5, 9, 5], logits_of(2)
    wanted = logits.clone()
    for token in range(V):
        count = answer.count(token)
        wanted[token] -= 0.5 * (count > 0) - 0.25 * count
    wanted[3] += 2.0
    wanted[7] -= 100
    assert torch.allclose(TokenChoice(sampling, 2).adjusted(logits, answer), wanted)


def test_logprobs_are_of_the_model_whatever_chooses_the_token() -> None:
    logits = {"warm": logits_of(3), "cold": logits_of(4), "biased": logits_of(5)}
    choices = {
        "warm": TokenChoice(Sampling(9, temperature=3.0, seed=1, top_logprobs=4), 2),
        "cold": TokenChoice(Sampling(9, temperature=0, top_logprobs=0), 2),
        "biased": TokenChoice(Sampling(9, temperature=0, logit_bias={11: 100}, top_logprobs=2), 2),
    }
    tokens = drawn(choices, logits, {name: [] for name in choices})
    assert tokens["cold"] == int(logits["cold"].argmax())
    assert tokens["biased"] == 11
    for name, choice in choices.items():
        plain = logits[name].log_softmax(dim=0)
        told, k = choice.next_chosen(), choice.sampling.top_logprobs
        assert told.logprob == pytest.approx(float(plain[tokens[name]]), abs=1e-5)
        best = plain.sort(descending=True)
        assert list(told.top) == best.indices[:k].tolist()
        assert list(told.top.values()) == pytest.approx(best.values[:k].tolist(), abs=1e-5)


def test_what_fails_for_one_request_leaves_the_others_alone() -> None:
    class Broken:
        def allowed(self, tokens: Any, n: int) -> Tensor:
            raise TrimtabError("left its grammar")

    choices = {
        "bad": TokenChoice(Sampling(9, temperature=0), 2, Broken()),
        "good": TokenChoice(Sampling(9, temperature=0), 2),
    }
    tokens = drawn(choices, {"bad": logits_of(1), "good": logits_of(2)}, {"bad": [], "good": []})
    assert isinstance(choices["bad"].error, TrimtabError)
    assert tokens["good"] == int(logits_of(2).argmax())


SCHEMA = {"type": "object", "properties": {"ok": {"type": "boolean"}, "n": {"type": "integer", "maximum": 99}},
          "required": ["ok", "n"], "additionalProperties": False}  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_random_logits_under_a_grammar_write_what_it_accepts(tiny: Any, seed: int) -> None:
    model: Model = tiny()
    grammar = json.dumps({"grammars": [{"json_schema": {**SCHEMA, "x-guidance": {"whitespace_flexible": False}}}]})
    choice = TokenChoice(Sampling(200, seed=seed), 1, Grammars(model.tokenizer, [2]).compiled(grammar))
    generator = torch.Generator().manual_seed(seed)
    answer: list[int] = []
    while not answer or answer[-1] != 2:
        logits = torch.randn(len(model.tokenizer) + 8, generator=generator)
        answer.append(int(choice.scores(logits, answer).argmax()))
        assert len(answer) < 200
    value = json.loads(model.tokenizer.decode(answer, skip_special_tokens=True))
    assert set(value) == {"ok", "n"}
    assert isinstance(value["ok"], bool)


def test_a_grammar_that_is_none_is_an_input_error(tiny: Any) -> None:
    grammars = Grammars(tiny().tokenizer, [2])
    for wrong in ("{", '{"grammars": [{"json_schema": {"type": "nonsense"}}]}'):
        with pytest.raises(InputError, match="grammar"):
            grammars.compiled(wrong)
