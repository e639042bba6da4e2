"""Fits from few examples that are shrunk toward directions known beforehand, on the tiny random model."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.conftest import Run
from tests.workflows.test_study import few

import trimtab as tt
from trimtab.behaviors import Behavior, Example, split
from trimtab.errors import InputError
from trimtab.interventions import Site
from trimtab.measurements import known_directions
from trimtab.models import Model
from trimtab.results.fit import Fit
from trimtab.statistics import ShrunkDifference, shrunk_difference
from trimtab.steering import Steering
from trimtab.steering.artifact import read
from trimtab.steering.methods import sides
from trimtab.texts import Rendered
from trimtab.workflows.fit.fit import Fitted, fit

SIZES = {"train": 8, "evaluation": 16}
OTHERS = ("brevity", "certainty", "formality", "honesty", "politeness", "refusal")
SITE = Site(1)
ROWS = 12  # read of each built-in behavior, where a fit reads 100


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Model:
    return tt.load(tiny_folder, dtype="float32")


@pytest.fixture(scope="module")
def found(model: Model, tmp_path_factory: pytest.TempPathFactory) -> tuple[Fitted, Path]:
    folder = tmp_path_factory.mktemp("shrunk")
    computed = []

    def counted(*given: Any, **options: Any) -> ShrunkDifference:
        computed.append(given)
        return shrunk_difference(*given, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(known_directions, "ROWS", ROWS)
        patch.setattr(sides, "shrunk_difference", counted)
        made = fit(
            model, [few("sentiment")], site=[1], strength=1.0, verify=False, folder=folder, save_to=folder / "s",
            shrink_toward=["instruction", "built-in"], **SIZES,
        )  # fmt: skip
    assert len(computed) == 1  # for the vector and for the record
    return made, folder


def activations(model: Model, texts: list[Rendered], read_: str = "mean") -> np.ndarray:
    return model.capture(texts, [SITE], read=read_).activations[SITE].double().numpy()  # type: ignore[arg-type]


def answers(examples: tuple[Example, ...], side: str) -> list[Rendered]:
    return [Rendered("", e.prompt, getattr(e, side)) for e in examples]


def test_the_vector_is_that_of_the_statistics_on_activations_read_apart(
    model: Model, found: tuple[Fitted, Path]
) -> None:
    behavior = few("sentiment")
    train = split(behavior, train=8, evaluation=16, seed=0).train
    positive, negative = (activations(model, answers(train.examples, side)) for side in ("positive", "negative"))
    told = [
        [Rendered(behavior.instruction(side) + "\n\n", e.prompt, "") for e in train.examples]
        for side in ("positive", "negative")
    ]
    instruction = np.subtract(*(activations(model, texts, "last").mean(axis=0) for texts in told))
    known = [instruction]
    for name in OTHERS:
        some = tuple(Behavior.builtin(name).examples[:ROWS])
        known.append(
            np.subtract(*(activations(model, answers(some, s)).mean(axis=0) for s in ("positive", "negative")))
        )
    expected = shrunk_difference(positive, negative, known, np.array(train.clusters), pairing="natural")
    along = expected.vector / np.linalg.norm(expected.vector)
    length = float((positive.mean(axis=0) - negative.mean(axis=0)) @ along)
    vector = found[0].steering.vector(SITE).double().numpy()
    np.testing.assert_allclose(vector, along * length, atol=2e-4 * abs(length))
    assert found[0].record is not None
    (recorded,) = found[0].record.attributes["sentiment"].shrinkage
    assert recorded.drawn == pytest.approx(expected.shrinkage, rel=1e-2)
    assert recorded.examples == pytest.approx(expected.own_share, abs=1e-2)
    assert recorded.directions == pytest.approx(
        dict(zip(("instruction", *OTHERS), expected.shares, strict=True)), abs=1e-2
    )


def test_what_it_was_shrunk_toward_is_told_and_kept(found: tuple[Fitted, Path]) -> None:
    made, folder = found
    assert made.steering.origin.hyperparameters == {"shrink_toward": ["instruction", "built-in"]}
    assert read(folder / "s").manifest.hyperparameters == {"shrink_toward": ["instruction", "built-in"]}
    (note,) = [note for note in made.notes if "known beforehand" in note]
    assert note.startswith("sentiment: at site 1 ")
    assert Fit.model_validate_json((folder / "fit.json").read_text()) == made.record
    page = (folder / "fit.html").read_text()
    assert "where the vector comes from" in page
    assert "politeness" in page


def test_a_fit_that_is_not_asked_to_is_as_before(model: Model) -> None:
    plain = fit(model, [few("sentiment")], site=[1], strength=1.0, verify=False, **SIZES)
    assert plain.steering.origin.hyperparameters == {}
    train = split(few("sentiment"), train=8, evaluation=16, seed=0).train
    sides = [activations(model, answers(train.examples, side)).mean(axis=0) for side in ("positive", "negative")]
    np.testing.assert_allclose(plain.steering.vector(SITE).double().numpy(), sides[0] - sides[1], atol=1e-5)


def test_a_finished_steering_is_a_direction_and_an_own_one_is_not(model: Model) -> None:
    truth = fit(model, [few("sentiment")], site=[1], strength=1.0, verify=False, train=20, evaluation=8).steering
    options = {"site": [1], "strength": 1.0, "verify": False, **SIZES}
    made = fit(model, [few("sentiment")], shrink_toward=truth, **options)  # type: ignore[arg-type]
    plain = fit(model, [few("sentiment")], **options).steering  # type: ignore[arg-type]
    assert made.steering.origin.hyperparameters == {"shrink_toward": [truth.id]}
    assert made.record is not None
    (recorded,) = made.record.attributes["sentiment"].shrinkage
    assert list(recorded.directions) == [f"sentiment ({truth.id[:8]})"]

    def cosine(steering: Steering) -> float:
        return float(torch.cosine_similarity(steering.vector(SITE), truth.vector(SITE), dim=0))

    assert cosine(made.steering) > cosine(plain)


def test_what_makes_no_sense_is_refused(model: Model, tmp_path: Path, run: Run, tiny_folder: Path) -> None:
    elsewhere = Steering.from_vector(Site(2), torch.ones(32), made_for=model.facts)
    same = Behavior("same", [Example("One question?", f" Yes, {k}.", f" No, {k}.") for k in "abcdefghijklmnop"])
    for behavior, options, word in (
        (few("sentiment"), {"shrink_toward": "built-ins"}, "did you mean"),
        (few("sentiment"), {"shrink_toward": ["instruction"], "method": "pca"}, "method pca does not shrink"),
        (few("sentiment"), {"shrink_toward": elsewhere}, "adds no vector at site 1"),
        (few("sentiment"), {"shrink_toward": "instruction", "prompt_type": "instruction"}, "already"),
        (same, {"shrink_toward": "instruction"}, "its instruction gives no direction"),
    ):
        with pytest.raises(InputError, match=word) as error:
            fit(model, [behavior], **{"site": [1], "strength": 1.0, "verify": False, **options})  # type: ignore[arg-type]
        assert error.value.field == "shrink_toward"
    code, out, err = run(
        "fit", "sentiment", "--model", tiny_folder, "--shrink-toward", "no-such", "--out", tmp_path / "s"
    )
    assert (code, out) == (2, "")
    assert "no-such" in err
    assert "--shrink-toward" in err
