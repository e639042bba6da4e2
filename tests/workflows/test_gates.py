"""Dev examples shaded: gates and edits are those on the model's own activations, texts those of the data."""

from pathlib import Path

import pytest
import torch
from tests.workflows.test_study import few

import trimtab as tt
from trimtab.behaviors import Behavior, Example, split
from trimtab.interventions import Site
from trimtab.models import Model
from trimtab.models.decoding import pieces
from trimtab.results.fit import Training
from trimtab.steering import Steering
from trimtab.steering.edits import Gated
from trimtab.workflows.fit.fit import fit
from trimtab.workflows.fit.gates import EXAMPLES, PROMPT_TOKENS, TOKENS

SIZES = {"train": 12, "evaluation": 16}


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Model:
    return tt.load(tiny_folder, dtype="float32")


def fitted(model: Model, *behaviors: Behavior) -> tuple[Training, Steering]:
    given = {"method": "probe-gated", "site": [1], "strength": 2.0, "verify": False, **SIZES}
    result = fit(model, behaviors, **given)  # type: ignore[arg-type]
    return result.training, result.steering


def test_values_are_the_gates_and_the_edits_of_one_attribute_at_its_default_strength(model: Model) -> None:
    behaviors = few("sentiment"), few("formality")
    training, steering = fitted(model, *behaviors)
    assert [(t.attribute, t.side) for t in training.texts] == [
        (b.name, side) for b in behaviors for side in ("positive", "negative") for _ in range(EXAMPLES)
    ]
    assert (training.texts_site, training.shade, training.touched) == ("1", "gate", 0.01)
    edit = steering.edits[Site(1)]
    assert isinstance(edit, Gated)
    examples = {b.name: split(b, train=12, evaluation=16, seed=0).dev.examples for b in behaviors}
    for i, text in enumerate(training.texts):
        example = examples[text.attribute][i % EXAMPLES]
        answer = getattr(example, text.side)
        assert "".join(text.pieces) == f"<s>{example.prompt}{answer}"
        assert "".join(text.pieces[text.answer_from :]).strip() == answer.strip()
        ids = torch.tensor([[1, *model.tokenizer(example.prompt + answer)["input_ids"]]])
        h = model.hf(ids, output_hidden_states=True).hidden_states[2][0].detach()
        for a, name in enumerate(steering.attributes):
            gate = torch.sigmoid(h @ edit.weights[a] + edit.bias[a])
            assert text.seen[name] == pytest.approx(gate.tolist(), rel=2e-3, abs=1e-5)
            moved = h + 2.0 * gate[:, None] * edit.vectors[a]
            moved = moved * (h.norm(dim=1) / moved.norm(dim=1))[:, None] if edit.keep_norm else moved
            share = (moved - h).norm(dim=1) / h.norm(dim=1)
            assert text.edits[name] == pytest.approx(share.tolist(), rel=5e-3, abs=1e-5)


@pytest.mark.parametrize("prompt_words", [2, 150])
def test_long_texts_are_cut_around_the_seam_and_say_so(prompt_words: int, model: Model) -> None:
    subjects = [e.positive.strip() for e in few("sentiment").examples]
    examples = [
        Example(f"{s[:9]} " + "to " * prompt_words + "say:", " good" * 70, " bad" * 70) for s in dict.fromkeys(subjects)
    ]
    training, _ = fitted(model, Behavior("length", examples))
    for text in training.texts:
        assert len(text.pieces) == TOKENS
        prompt_prefix, behind = text.left_out
        assert behind > 0
        assert (prompt_prefix > 0) == (prompt_words > 2)
        assert text.pieces[text.answer_from].strip()[:1] in "gb"
        if prompt_prefix:
            assert text.answer_from == PROMPT_TOKENS


def test_edits_that_look_at_no_token_shade_nothing(model: Model) -> None:
    for method in ("mean-difference", "instruction"):
        result = fit(model, [few("sentiment")], method=method, strength=1.0, verify=False, **SIZES)
        assert not result.training
        assert result.record is not None
        assert result.record.training == Training()
        assert result.record.method == method
        assert bool(result.record.attributes["sentiment"].prompt_prefix) == (method == "instruction")


@pytest.mark.parametrize("text", ["plain words here", "方向 🚢 ok", "مرحبا\nبالعالم", "a � b"])
def test_pieces_make_up_the_text_and_never_break_a_character(text: str, model: Model) -> None:
    ids = model.tokenizer(text)["input_ids"]
    result = pieces(model.tokenizer, ids)
    assert len(result) == len(ids)
    assert "".join(result) == text
    assert "".join(result).count("�") == text.count("�")
