"""The prefilled vector against an independent loop over plain transformers, on the real model."""

from pathlib import Path
from typing import Any

import pytest
import torch

import trimtab as tt
from trimtab.behaviors import PromptType, split
from trimtab.experiment.instrument import Instrument
from trimtab.steering import mean_difference
from trimtab.texts import Rendered

SITE = tt.Site(14)


def by_hand(hf: Any, tokenizer: Any, examples: Any, block: int) -> torch.Tensor:
    """Mean over the answer's tokens at a block's output, positive minus negative, one text at a time."""
    total: Any = 0
    for e in examples:
        for sign, answer in ((1, e.positive), (-1, e.negative)):
            prompt = tokenizer(e.prompt, add_special_tokens=False)["input_ids"]
            whole = tokenizer(e.prompt + answer, add_special_tokens=False)["input_ids"]
            assert whole[: len(prompt)] == prompt
            ids = torch.tensor([[tokenizer.bos_token_id, *whole]])
            with torch.no_grad():
                h = hf(ids, output_hidden_states=True).hidden_states[block + 1][0]
            total = total + sign * h[1 + len(prompt) :].mean(dim=0)
    return total / len(examples)


@pytest.mark.embedded
def test_prefilled_vector_equals_a_plain_loop_to_1e4_relative(embedded: tt.Model) -> None:
    behavior = tt.Behavior.builtin("sentiment")
    examples = split(behavior, train=24, evaluation=10).train.examples
    instrument = Instrument(embedded, behavior, chat_template=False, read="mean")
    plus, minus = instrument.activations(examples, (), PromptType.PREFILLED, [SITE]).activations[SITE].chunk(2)
    steering = mean_difference(plus, minus, SITE)
    expected = by_hand(embedded.hf, embedded.tokenizer, examples, 14)
    assert (steering.vector(SITE) - expected).norm() <= 1e-4 * expected.norm()


@pytest.mark.embedded
def test_steered_score_equals_a_bare_forward_hook(embedded: tt.Model) -> None:
    torch.manual_seed(0)
    v = torch.randn(embedded.d_model) * 5
    prompt, answer = "The garden in spring", " is full of small surprises."
    ours = embedded.score([prompt], [answer], steering=tt.Steering.from_vector(SITE, v), strength=0.7).total

    prompt_prefix = embedded.tokenizer(prompt)["input_ids"]
    ids = torch.tensor([[embedded.tokenizer.bos_token_id, *embedded.tokenizer(prompt + answer)["input_ids"]]])
    handle = embedded.hf.model.layers[14].register_forward_hook(lambda m, args, out: out + 0.7 * v)
    try:
        with torch.no_grad():
            logprobs = embedded.hf(ids).logits[0].log_softmax(dim=-1)
    finally:
        handle.remove()
    first = 1 + len(prompt_prefix)
    theirs = sum(logprobs[i - 1, ids[0, i]] for i in range(first, ids.shape[1]))
    torch.testing.assert_close(ours[0], torch.as_tensor(theirs), rtol=1e-5, atol=1e-4)


def test_a_vector_of_two_lists_is_the_mean_difference_of_a_plain_loop(tiny_folder: Path) -> None:
    model = tt.load(tiny_folder, dtype="float32")
    good, bad = ["What a joy!", "Well done, all of you."], ["What a bore.", "Hopeless.", "No."]
    result = tt.vector(model, good, bad, site=1, name="kind")
    means = []
    for texts in (good, bad):
        rows = []
        for text in texts:
            ids = torch.tensor([model.encoder().encode([Rendered("", "", text)])[0].ids])
            with torch.no_grad():
                rows.append(model.hf(ids, output_hidden_states=True).hidden_states[2][0, 1:].mean(dim=0))
        means.append(torch.stack(rows).mean(dim=0))
    torch.testing.assert_close(result.vector(tt.Site(1)), means[0] - means[1], rtol=1e-4, atol=1e-5)
    assert dict(result.attributes) == {"kind": 1.0}
    assert result.made_for == model.facts
    for wrong in (([], bad), ("What a joy!", bad), (good, []), (good, good)):
        with pytest.raises(tt.InputError):
            tt.vector(model, *wrong, site=1)  # type: ignore[arg-type]


def test_every_verb_is_at_the_front_door() -> None:
    verbs = {"check", "fit", "predict", "study", "draft", "lint", "compare", "generate", "vector", "load"}
    assert verbs <= set(tt.__all__)
    assert all(callable(getattr(tt, name)) for name in verbs)
