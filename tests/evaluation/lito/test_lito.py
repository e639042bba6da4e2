"""Answers at several intensities: what is asked, read, chosen and kept, compared with loops of the tests' own."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import trimtab as tt
from trimtab.errors import InputError
from trimtab.evaluation.lito import Lito, Selector, SelectorTraining
from trimtab.evaluation.lito.lito import REFUSAL, taken
from trimtab.evaluation.lito.responses import responses
from trimtab.evaluation.tasks import (
    Answered,
    BehaviorTask,
    Figure,
    Task,
    Treatment,
    TruthfulQA,
    Unit,
    answers,
    run,
)
from trimtab.models import Model
from trimtab.texts import Rendered

STEPS = (0.5, 1.0, 2.0)


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Model:
    return tt.load(tiny_folder, dtype="float32")


@pytest.fixture(scope="module")
def steering(model: Model) -> tt.Steering:
    made = tt.Steering.from_vector(1, torch.linspace(-3, 3, model.d_model))
    return made.changed(attributes={"vector": 1.5})


class Digits(Task[Unit]):
    """Which of three answers is right; by the number of the unit."""

    name = "digits"
    source = "made up for this test"

    @classmethod
    def load(cls, source: str) -> "Digits":
        texts = [tuple(Rendered("", f"Say {k}:", f" {w}.") for w in ("one", "two of them", "three")) for k in range(24)]
        return cls([Unit(str(k), str(k), own) for k, own in enumerate(texts)])

    @property
    def figures(self) -> tuple[Figure, ...]:
        return (
            Figure("margin", "no range", "higher"),
            Figure("right", "the likeliest is right", "higher", 0.0, 1.0),
            Figure("wrong", "it is not", "lower", 0.0, 1.0),
        )

    def score(self, unit: Unit, answered: Answered) -> dict[str, float]:
        right = float(np.argmax(answered.total) == int(unit.id) % 2)
        return {"margin": 0.0, "right": right, "wrong": 1 - right}


@pytest.fixture(scope="module")
def task() -> Digits:
    return Digits.load("")


def fixed(model: Model, bias: Sequence[float]) -> Selector:
    """A selector that says the same of every response: by intensity, one probability each, whatever is read."""
    hidden = torch.randn(200, len(bias), model.d_model, generator=torch.Generator().manual_seed(0))
    labels = np.broadcast_to(np.array(bias) > 0.5, hidden.shape[:2]).copy()
    return Selector.train(hidden, labels, [str(k) for k in range(200)], 0, SelectorTraining(width=12, rate=2e-2))


# --- reading ---


def test_the_response_is_the_likeliest_answer_and_its_hidden_state_that_of_the_steered_pass(
    model: Model, steering: tt.Steering, task: Digits
) -> None:
    found = responses(task, task.units, model, Treatment(steering, 2.0))
    vector, norm = 2.0 * steering.vector(1), model.hf.model.norm
    seen: list[torch.Tensor] = []

    def shifted(module: Any, args: Any, output: Any) -> Any:
        return output + vector

    handles = [
        model.hf.model.layers[1].register_forward_hook(shifted),
        norm.register_forward_pre_hook(lambda _, args: seen.append(args[0][0].double())),
    ]
    try:
        for n, unit in enumerate(task.units[:6]):
            scores = []
            for text in unit.texts:
                tokenizer, first = model.tokenizer, [model.tokenizer.bos_token_id]
                before = first + tokenizer(text.prompt, add_special_tokens=False)["input_ids"]
                ids = first + tokenizer(text.prompt + text.answer, add_special_tokens=False)["input_ids"]
                with torch.no_grad():
                    log_probs = model.hf(torch.tensor([ids])).logits[0].double().log_softmax(dim=-1)
                own = [float(log_probs[at - 1, ids[at]]) for at in range(len(before), len(ids))]
                scores.append((sum(own), np.exp(np.mean(own)), seen.pop()[len(before) :].mean(dim=0)))
            _, confidence, hidden = max(scores, key=lambda s: s[0])
            assert found.confidence[n] == pytest.approx(confidence, rel=1e-3)
            torch.testing.assert_close(found.hidden[n].double(), hidden, atol=1e-3, rtol=1e-3)
    finally:
        for handle in handles:
            handle.remove()


def test_a_written_response_is_scored_and_read_as_it_was_written(
    model: Model, steering: tt.Steering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = _questions(tmp_path)
    found = responses(task, task.units, model, Treatment(steering, 0.5))
    for unit, answered, h, c in zip(task.units, found.answered, found.hidden, found.confidence, strict=True):
        assert answered.text
        (text,) = unit.texts
        whole = Rendered(text.context, text.prompt, answered.text)
        mean = model.score([text.context + text.prompt], [answered.text], steering=steering, strength=0.5).mean
        assert c == pytest.approx(float(mean.exp()), rel=1e-3)
        captured = model.capture([whole], [model.n_blocks - 1], read="mean", steering=steering, strength=0.5)
        torch.testing.assert_close(h, next(iter(captured.activations.values()))[0], atol=1e-4, rtol=1e-4)
    nothing = [Answered(np.empty(0), np.empty(0, dtype=np.int64), "") for _ in task.units]
    monkeypatch.setattr("trimtab.evaluation.lito.responses.answers", lambda *_: nothing)
    silent = responses(task, task.units, model, Treatment(steering, 0.5))
    assert (silent.confidence == 0).all()
    assert not silent.hidden.any()


# --- choosing ---


def test_the_most_confident_of_the_accurate_is_taken() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        p, c = rng.random(4), rng.integers(0, 3, 4) / 3
        best: tuple[float, int] | None = None
        for k in range(4):
            if p[k] > 0.5 and (best is None or c[k] > best[0]):
                best = float(c[k]), k
        assert taken(p, c) == (None if best is None else best[1])
    assert taken(np.array([0.5]), np.array([0.9])) is None


def test_a_selector_that_trusts_one_intensity_gives_the_answers_of_that_strength(
    model: Model, steering: tt.Steering, task: Digits
) -> None:
    for k, intensity in enumerate(STEPS):
        lito = Lito(steering, STEPS, fixed(model, [float(i == k) for i in range(3)]), "right")
        plain = answers(task, task.units, model, Treatment(steering, 1.5 * intensity))
        choices = lito.choose(task, task.units, model)
        mine = [n for n, c in enumerate(choices) if c.intensity == intensity]
        assert len(mine) > len(choices) / 2  # another model's hidden states may mislead the selector now and then
        for n in mine:
            np.testing.assert_array_equal(choices[n].answered.total, plain[n].total)
            assert choices[n].probabilities[k] > 0.5


def test_where_none_is_accurate_the_unsteered_model_answers_or_a_refusal_is_written(
    model: Model, steering: tt.Steering, task: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Selector, "probabilities", lambda self, hidden: np.full(hidden.shape[:2], 0.4))
    lito = Lito(steering, STEPS, fixed(model, [1.0, 0.0, 0.0]), "right")
    plain, choices = answers(task, task.units, model, Treatment()), lito.choose(task, task.units, model)
    for choice, answered in zip(choices, plain, strict=True):
        assert choice.intensity is None
        np.testing.assert_array_equal(choice.answered.total, answered.total)
    scores = lito.run(_questions(tmp_path), model)
    assert scores.mean("no_comment") == 1.0
    assert set(scores.texts.values()) == {REFUSAL}


# --- learning ---


@pytest.fixture(scope="module")
def learned(model: Model, steering: tt.Steering, task: Digits) -> Lito:
    return Lito.learn(task, model, steering, intensities=STEPS, training=SelectorTraining(rate=1e-2))


def test_what_is_learned_is_the_selector_of_the_responses_and_of_whether_they_are_right(
    model: Model, steering: tt.Steering, task: Digits, learned: Lito
) -> None:
    found = [responses(task, task.units, model, Treatment(steering, 1.5 * step)) for step in STEPS]
    labels = [[np.argmax(a.total) == int(u.id) % 2 for a, u in zip(r.answered, task.units, strict=True)] for r in found]
    assert learned.figure == "right"  # the primary one, margin, has no range
    hidden, clusters = torch.stack([r.hidden for r in found], dim=1), [u.cluster for u in task.units]
    expected = Selector.train(hidden, np.array(labels).T, clusters, 0, SelectorTraining(rate=1e-2))
    for name, tensor in expected.weights.items():
        torch.testing.assert_close(learned.selector.weights[name], tensor)
    mirrored = Lito.learn(
        task, model, steering, intensities=STEPS, figure="wrong", training=SelectorTraining(rate=1e-2)
    )
    for name, tensor in expected.weights.items():  # better is lower
        torch.testing.assert_close(mirrored.selector.weights[name], tensor)


def test_scores_are_those_of_the_answers_that_were_taken(model: Model, task: Digits, learned: Lito) -> None:
    scores, choices = learned.run(task, model), learned.choose(task, task.units, model)
    steered = {i: run(task, model, Treatment(learned.steering, 1.5 * i)) for i in STEPS}
    steered[0.0] = run(task, model)
    for n, (choice, value) in enumerate(zip(choices, scores.values("right")[0], strict=True)):
        assert value == steered[choice.intensity or 0.0].values("right")[0][n]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"intensities": (1.0,)}, "at least two"),
        ({"intensities": (1.0, 1.0)}, "each above the one before"),
        ({"intensities": (-1.0, 1.0)}, "0 or more"),
        ({"intensities": (1.0, float("inf"))}, "0 or more"),
        ({"figure": "margin"}, "has right, wrong"),
        ({"figure": "size"}, "'size'"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(
    change: dict[str, Any],
    word: str,
    model: Model,
    steering: tt.Steering,
    task: Digits,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trimtab.evaluation.lito.lito.responses", None)
    with pytest.raises(InputError, match=word):
        Lito.learn(task, model, steering, **change)


def test_a_behavior_of_unpaired_texts_says_of_no_answer_whether_it_is_accurate(
    model: Model, steering: tt.Steering
) -> None:
    rows = [tt.Example("", f"warm {k} day", f"cold {k} night") for k in range(8)]
    task = BehaviorTask(tt.Behavior("mine", rows, pairing="random"))
    with pytest.raises(InputError, match="the task has none"):
        Lito.learn(task, model, steering)


# --- keeping ---


def test_what_is_saved_chooses_the_same_and_has_the_same_id(
    model: Model, task: Digits, learned: Lito, tmp_path: Path
) -> None:
    folder = learned.save(tmp_path / "deep" / "lito")
    again = Lito.load(folder)
    assert again.id == learned.id
    assert again.steering.id == learned.steering.id
    assert again.intensities == learned.intensities
    hidden = torch.randn(5, 3, model.d_model)
    np.testing.assert_array_equal(again.selector.probabilities(hidden), learned.selector.probabilities(hidden))
    assert tt.Steering.load(folder / "steering").id == learned.steering.id  # an artifact like any other
    with pytest.raises(InputError, match="there already"):
        learned.save(folder)
    assert replace(learned, refusal="No.").id != learned.id


def _cut(folder: Path) -> None:
    file = folder / "selector.safetensors"
    file.write_bytes(file.read_bytes()[:-4])


def _other_steering(folder: Path) -> None:
    other = tt.Steering.load(folder / "steering").changed(attributes={"vector": 9.0})
    other.save(folder / "steering")


def _set(name: str, value: Any) -> Any:
    def change(folder: Path) -> None:
        file = folder / "lito.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), name: value}))

    return change


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (_cut, "selector.safetensors is not the one"),
        (_other_steering, "steering is not the one"),
        (_set("scope", "some"), "scope"),
        (_set("more", 1), "more"),
        (_set("intensities", [2.0, 1.0]), "each above"),
        (lambda folder: (folder / "lito.json").write_text("{"), "lito.json"),
        (lambda folder: (folder / "lito.json").unlink(), "cannot be read"),
    ],
)
def test_a_folder_that_was_changed_is_refused(change: Any, word: str, learned: Lito, tmp_path: Path) -> None:
    folder = learned.save(tmp_path / "lito")
    change(folder)
    with pytest.raises(InputError, match=word):
        Lito.load(folder)


def _questions(folder: Path) -> TruthfulQA:
    both = {"Yes.": 1, "No.": 0}
    rows = [{"question": q, "mc1_targets": both, "mc2_targets": both} for q in ("Is it?", "Was it so?")]
    (folder / "q.jsonl").write_text("\n".join(map(json.dumps, rows)))
    task: TruthfulQA = TruthfulQA.load(str(folder / "q.jsonl"), prompt="plain", form="generation")
    task.max_new_tokens = 8
    return task
