"""Damage against plain passes: divergence of texts, and what desired answers lose."""

import pytest
import torch
from torch.nn import functional

import trimtab as tt
from trimtab.errors import InputError
from trimtab.evaluation.tasks import Treatment
from trimtab.measurements.damage import NEUTRAL, Damage, DamageTexts, damages
from trimtab.steering import Steering

EXAMPLES = [tt.Example(f"Greet guest {k}:", f" Welcome, number {k}.", " Go away.") for k in range(3)]


@pytest.fixture(scope="module")
def model(tiny_folder) -> tt.Model:
    return tt.load(tiny_folder, dtype="float32")


@pytest.fixture(scope="module")
def texts() -> DamageTexts:
    return DamageTexts.of({"kind": EXAMPLES}, 2, dev=True)


def log_probs(model: tt.Model, text: str, begin: int = 1, temperature: float = 1.0) -> tuple[torch.Tensor, list[int]]:
    """Of the tokens from `begin` on, by transformers alone, and the tokens."""
    ids = [model.tokenizer.bos_token_id, *model.tokenizer(text, add_special_tokens=False)["input_ids"]]
    with torch.no_grad():
        logits = model.hf(torch.tensor([ids])).logits[0].double() / temperature
    return logits[begin - 1 : -1].log_softmax(dim=1), ids[begin:]


def test_temperature_and_vectors_do_the_damage_that_plain_passes_show(model, texts):
    steering = Steering.from_vector(1, torch.linspace(-1, 1, model.d_model))
    hot, steered, nothing = damages(model, texts, [Treatment(flatten=2.0), Treatment(steering, 3.0), Treatment()])
    assert set(hot.by_group) == {NEUTRAL, "prompts of kind", "desired answers of kind"}
    kl = []
    for text in (rendered.prompt + rendered.answer for rendered in texts.whole["prompts of kind"]):
        (base, _), (other, _) = log_probs(model, text), log_probs(model, text, temperature=2.0)
        kl.append(float(functional.kl_div(other, base, log_target=True, reduction="sum") / len(base)))
    assert hot.by_group["prompts of kind"] == pytest.approx(sum(kl) / len(kl), rel=1e-3)
    lost = []
    for e in EXAMPLES[:2]:
        begin = 1 + len(model.tokenizer(e.prompt, add_special_tokens=False)["input_ids"])
        (base, ids), (other, _) = (log_probs(model, e.prompt + e.positive, begin, t) for t in (1.0, 2.0))
        at = torch.tensor(ids)[:, None]
        lost.append(float((base - other).gather(1, at).mean()))
    assert hot.by_group["desired answers of kind"] == pytest.approx(sum(lost) / len(lost), rel=1e-3)
    assert nothing.worst == pytest.approx(0, abs=1e-5)
    alone = damages(model, texts, [Treatment(steering, 3.0)])[0]
    assert steered.by_group == pytest.approx(alone.by_group, rel=1e-3, abs=1e-6)
    assert steered.worst > 0


def test_the_worst_group_decides_and_gains_of_desired_answers_are_no_damage():
    damage = Damage({NEUTRAL: 0.02, "prompts of a": 0.3, "desired answers of a": -2.0})
    assert (damage.worst, damage.where) == (0.3, "prompts of a")
    assert Damage({"desired answers of a": -2.0}).worst == 0.0


def test_text_in_front_of_prompts_is_compared_where_both_end_alike(model, texts):
    steering = Steering({}, {"kind": 1.0}, prompts={"kind": ("Be kind.\n\n", "Be rude.\n\n")})
    (damage,) = damages(model, texts, [Treatment(steering)])
    lost = []
    for e in EXAMPLES[:2]:
        values = []
        for front in ("", "Be kind.\n\n"):
            begin = 1 + len(model.tokenizer(front + e.prompt, add_special_tokens=False)["input_ids"])
            found, ids = log_probs(model, front + e.prompt + e.positive, begin)
            values.append(float(found.gather(1, torch.tensor(ids)[:, None]).mean()))
        lost.append(values[0] - values[1])
    assert damage.by_group["desired answers of kind"] == pytest.approx(sum(lost) / len(lost), rel=1e-2, abs=1e-5)
    assert damage.by_group[NEUTRAL] > 0


def test_neutral_texts_that_choices_are_made_by_are_others(texts):
    other = DamageTexts.of({"kind": EXAMPLES}, 20, dev=False)
    assert not set(texts.whole[NEUTRAL]) & set(other.whole[NEUTRAL])


def test_a_mixture_of_templates_is_refused(model, texts):
    with pytest.raises(InputError, match="all with the chat template"):
        damages(model, texts, [Treatment(), Treatment(chat_template=True)])
    with pytest.raises(InputError, match="at least one treatment"):
        damages(model, texts, [])
