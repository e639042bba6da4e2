"""Two behaviors in one file: the check says so, and `mixture` steers each prompt its own way."""

from pathlib import Path

import numpy as np
import pytest
from tests import mixtures
from tests.serving.engines.asking import answers_of, text_of

import trimtab as tt
from trimtab.errors import InputError
from trimtab.interventions import Request, RequestSteering, Sampling
from trimtab.results.report import Report
from trimtab.serving.engines.transformers import TransformersEngine
from trimtab.texts import Rendered
from trimtab.workflows.fit.fit import Fitted


@pytest.fixture(scope="module")
def model(tied_folder: Path) -> tt.Model:
    return tt.load(tied_folder, dtype="float32")


def test_a_check_asks_whether_these_are_two_behaviors(model: tt.Model, tmp_path: Path) -> None:
    """Of one sixth of the examples the halves tell nothing, the groups do; groups decide nothing by themselves."""
    report = tt.check(
        model, mixtures.behavior(90, 30), site=1, prompt_types="prefilled", strength=1.0, train=60, evaluation=40,
        folder=tmp_path / "out",
    )  # fmt: skip
    words, numbers = report.direction.grouping.groups
    assert words.anti_steerable.value == 0
    assert numbers.anti_steerable.value == 1
    assert not any("depends on what the example is about" in r for r in report.verdict.reservations)
    (note,) = [note for note in report.notes if "behaviors in one file" in note]
    assert note.startswith("by their prompts the training examples fall into 2 groups, whose directions differ")
    assert f"like “{numbers.prompts[0]}”, where the one vector has an effect of -" in note
    assert Report.load(tmp_path / "out").direction == report.direction


def fitted(model: tt.Model, behavior: tt.Behavior, train: int = 60, **options: object) -> Fitted:
    return tt.fit(
        model, [behavior], method="mixture", site=1, strength=1.0, train=train, evaluation=20, verify=False, **options
    )  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def mixture(model: tt.Model) -> Fitted:
    return fitted(model, mixtures.behavior(90, 45))


def test_two_directions_are_taken_where_one_pushes_many_the_wrong_way(mixture: Fitted) -> None:
    steering = mixture.steering
    assert steering.attributes == {"mood-1": 1.0, "mood-2": 1.0}
    assert steering.origin.hyperparameters["directions"] == 2
    assert any(note.startswith("2 directions, by groups of prompts: +") for note in mixture.notes)
    (words,) = [note for note in mixture.notes if note.startswith("mood-1: ")]
    (numbers,) = [note for note in mixture.notes if note.startswith("mood-2: ")]
    assert not any(letter.isdigit() for letter in words.split("“")[1])
    assert any(letter.isdigit() for letter in numbers.split("“")[1])
    assert mixture.record is not None
    assert list(mixture.record.attributes) == ["mood"]
    assert mixture.record.attributes["mood"].strength == 1.0
    assert mixture.reliability["training"]["candidates"][1]["settings"]["directions"] == 2


def test_each_prompt_is_steered_by_the_vector_of_its_own_group_alone(model: tt.Model, mixture: Fitted) -> None:
    steering = mixture.steering
    alone = [tt.Steering.from_vector(1, vector) for vector in steering.edits[tt.Site(1)].vectors]  # type: ignore[attr-defined]
    sorts = mixtures.sorts(6, 6, seed=5)
    kinds, prompts = np.array([kind for kind, _ in sorts]), [prompt for _, prompt in sorts]

    def gain(steered: tt.Steering) -> np.ndarray:
        """By how much the answer that words want gets likelier than the one that numbers want."""
        change = []
        for answer in mixtures.ANSWERS:
            scores = [model.score(prompts, [answer] * 12, steering=s).mean.numpy() for s in (None, steered)]
            change.append(scores[1] - scores[0])
        return np.asarray(change[0] - change[1])

    each = [gain(one) for one in alone]
    np.testing.assert_allclose(gain(steering), np.where(kinds == 0, each[0], each[1]), atol=1e-4)
    assert (each[0] > 0).all()  # which numbers do not want
    assert (each[1] < 0).all()  # which words do not want
    strong = {"steering": steering, "strength": 5.0, "max_new_tokens": 4}
    written = model.generate(prompts, **strong)
    by_group = [model.generate(prompts, **{**strong, "steering": one}) for one in alone]
    assert written == [by_group[kind][i] for i, kind in enumerate(kinds)]
    assert by_group[0] != by_group[1]


def test_three_sorts_have_a_direction_each_and_scoring_generation_and_server_agree_on_which_acts(
    model: tt.Model, tmp_path: Path
) -> None:
    steering = fitted(model, mixtures.behavior(60, 50, marks=40), train=75).steering
    assert list(steering.attributes) == ["mood-1", "mood-2", "mood-3"]
    steering.save(tmp_path / "three")
    steering = tt.Steering.load(tmp_path / "three")  # as a server has it
    alone = [tt.Steering.from_vector(1, vector) for vector in steering.edits[tt.Site(1)].vectors]  # type: ignore[attr-defined]
    sorts = mixtures.sorts(5, 5, seed=5, marks=5)
    prompts = [prompt for _, prompt in sorts]
    by = RequestSteering("three", dict.fromkeys(steering.attributes, 5.0))
    ids = [model.encoder().encode([Rendered("", prompt, "")])[0].ids for prompt in prompts]
    requests = [Request(str(i), row, Sampling(4, temperature=0), by) for i, row in enumerate(ids)]
    found = answers_of(TransformersEngine, model, {"three": steering}, requests)
    left = [{e.edits.left_alone for e in found[str(i)] if e.edits} for i in range(15)]
    acting = [[j for j, name in enumerate(steering.attributes) if name not in one] for (one,) in left]
    assert all(len(own) == 1 for own in acting)
    group = np.array([own for (own,) in acting])
    kinds = np.array([kind for kind, _ in sorts])
    assert [len(set(group[kinds == kind])) for kind in range(3)] == [1, 1, 1]
    assert len(set(group)) == 3
    written = [text_of(found[str(i)]) for i in range(15)]
    strong = {"strength": 5.0, "max_new_tokens": 4}
    assert written == model.generate(prompts, steering=steering, **strong)  # type: ignore[arg-type]
    by_group = [model.generate(prompts, steering=one, **strong) for one in alone]  # type: ignore[arg-type]
    assert written == [by_group[own][i] for i, own in enumerate(group)]
    scores = [model.score(prompts, [" yes!"] * 15, steering=s).mean.numpy() for s in (steering, *alone)]
    np.testing.assert_allclose(scores[0], np.stack(scores[1:])[group, np.arange(15)], atol=1e-4)
    assert np.ptp(scores[1:], axis=0).min() > 1e-3  # which of them acts makes a difference


def test_one_behavior_keeps_one_vector(model: tt.Model) -> None:
    for seed in range(2):
        found = fitted(model, mixtures.behavior(70, 50, opposed=False, seed=seed), seed=seed)
        assert found.steering.attributes == {"mood": 1.0}
        assert not found.steering.conditions


def test_what_the_method_cannot_learn_is_refused(model: tt.Model) -> None:
    mixed, other = mixtures.behavior(60, 30), tt.Behavior.builtin("sentiment")
    with pytest.raises(InputError, match="learns one behavior at a time"):
        tt.fit(model, [mixed, other], method="mixture", verify=False)
    with pytest.raises(InputError, match="has conditions of its own"):
        fitted(model, mixed, condition=other)
    with pytest.raises(InputError, match="has conditions of its own"):
        fitted(model, mixed, backfire=0.2)
    bare = tt.Behavior("mood", [tt.Example("", f"{p} yes indeed", f"{p} no never") for _, p in mixtures.sorts(40, 40)])
    with pytest.raises(InputError, match="no prompts that could tell groups apart"):
        fitted(model, bare)
