"""Fits on the tiny random model: vectors of a check's own training examples, strengths within bounds, checks, files."""

import json
from pathlib import Path

import pytest
import torch
from tests.conftest import Run
from tests.workflows.test_study import few

import trimtab as tt
from trimtab.errors import InputError
from trimtab.models import Model, Site
from trimtab.steering import Steering
from trimtab.steering.artifact import read
from trimtab.steering.methods import method_names
from trimtab.workflows.fit import Fitted, alone, fit
from trimtab.workflows.progress import Silent

SIZES = {"train": 12, "evaluation": 16}


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Model:
    return tt.load(tiny_folder, dtype="float32")


@pytest.fixture(scope="module")
def found(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    behaviors = [few("sentiment"), few("formality")]
    return fit(model, behaviors, sites=[1], strength=0.5, folder=tmp_path_factory.mktemp("fit"), **SIZES)


def test_an_attribute_is_the_vector_that_a_check_trains(model: Model, found: Fitted) -> None:
    steering = found.steering
    assert dict(steering.attributes) == {"sentiment": 0.5, "formality": 0.5}
    assert steering.made_for == model.facts
    assert set(steering.origin.data.values()) == {few("sentiment").digest, few("formality").digest}
    report = tt.check(model, few("sentiment"), site=1, prompt_types=["prefilled"], strength=0.5, **SIZES)
    own = found.reports["sentiment"]
    assert own.prompt_types["finished steering"].effects == pytest.approx(
        report.prompt_types["prefilled"].effects, abs=1e-5
    )
    assert own.verdict.decision == report.verdict.decision
    assert any("trained on this set" in note for note in own.notes)
    assert own.steering is not None
    assert own.steering.attributes == {"sentiment": 0.5, "formality": 0.0}


def test_poor_attributes_are_warned_of_and_told_in_the_artifact(found: Fitted, tmp_path: Path) -> None:
    poor = [name for name, r in found.reports.items() if r.verdict.decision in ("no-go", "inconclusive")]
    assert len(poor) == len(found.warnings) > 0  # a random model steers nowhere
    found.steering.save(tmp_path / "s", found.reliability)
    told = read(tmp_path / "s").reliability
    assert told is not None
    assert told["sentiment"]["decision"] == found.reports["sentiment"].verdict.decision
    assert found.reports["formality"].verdict.decision in (tmp_path / "s" / "README.md").read_text()


def test_site_and_strengths_are_chosen_on_dev_within_the_bound(model: Model) -> None:
    chosen = fit(model, [few("sentiment"), few("formality")], max_kl=0.05, verify=False, **SIZES)
    (site,) = chosen.steering.edits
    assert site.component == "residual"
    assert any("chosen on dev" in note for note in chosen.notes)
    assert chosen.reports == {}
    looser = fit(model, [few("sentiment"), few("formality")], max_kl=50.0, verify=False, sites=[site], **SIZES)
    assert sum(looser.steering.attributes.values()) >= sum(chosen.steering.attributes.values())


@pytest.mark.parametrize("name", method_names())
def test_every_method_fits_and_is_applied(name: str, model: Model, tmp_path: Path) -> None:
    sites = ["1", "attention:2"]
    made = fit(model, [few("sentiment")], method=name, sites=sites, strength=1.0, verify=False, **SIZES).steering
    if name == "iti":  # one head of eight
        assert len(made.edits) == 1
        assert set(made.edits) < {Site(1, "attention"), Site(2, "attention")}
    else:
        assert list(made.edits) == [Site(1), Site(2, "attention")]
    made.save(tmp_path / "s")
    again = Steering.load(tmp_path / "s")
    prompts = ["It was", "The food"]
    plain = model.score(prompts, [" fine."] * 2).mean
    steered = model.score(prompts, [" fine."] * 2, steering=made, strength=3.0).mean
    assert not torch.equal(plain, steered)
    assert torch.equal(steered, model.score(prompts, [" fine."] * 2, steering=again, strength=3.0).mean)
    assert torch.equal(plain, model.score(prompts, [" fine."] * 2, steering=made, strength=0).mean)
    assert model.generate(prompts, steering=made, max_new_tokens=6) == model.generate(
        prompts, steering=again, max_new_tokens=6
    )


class Stop(Silent):
    """Interrupts after so many steps."""

    def __init__(self, after: int) -> None:
        self.left = after

    def advance(self, stage: str, amount: int) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


def test_an_interrupted_fit_goes_on_to_the_same_steering(model: Model, tmp_path: Path) -> None:
    def run(folder: Path, progress: Silent | None = None) -> Fitted:
        return fit(model, [few("sentiment")], folder=folder, verify=False, progress=progress, **SIZES)

    whole = run(tmp_path / "whole")
    for steps in (2, 9):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "cut", Stop(steps))
    assert run(tmp_path / "cut").steering.id == whole.steering.id
    assert not [p for p in (tmp_path / "cut").iterdir() if p.name.startswith(".unfinished")]


def test_the_others_are_off_when_one_is_alone(found: Fitted) -> None:
    assert dict(alone(found.steering, "formality").attributes) == {"sentiment": 0.0, "formality": 0.5}


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"method": "guess"}, "no method is called 'guess'"),
        ({"c": 1.0}, "no hyperparameter 'c'"),
        ({"method": "logistic-probe", "c": "much"}, "must be float"),
        ({"method": "k-steering", "hidden": 2.5}, "must be int"),
        ({"method": "probe-gated", "keep_norm": 1}, "must be bool"),
        ({"strength": 0.0}, "above 0"),
        ({"sites": [9]}, "9"),
        ({"sites": []}, "at least one"),
        ({"prompt_type": "guess"}, "guess"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, object], word: str, model: Model) -> None:
    with pytest.raises(InputError, match=word):
        fit(model, [few("sentiment")], **{"sites": [1], "verify": False, **SIZES, **options})  # type: ignore[arg-type]


def test_behaviors_need_names_of_their_own(model: Model) -> None:
    for behaviors in ([], [few("sentiment"), few("sentiment")]):
        with pytest.raises(InputError, match="a name of its own"):
            fit(model, behaviors, sites=[1], **SIZES)


def test_command_line(tiny_folder: Path, run: Run, tmp_path: Path) -> None:
    given = ("--model", tiny_folder, "--dtype", "float32", "--train", 12, "--eval", 16, "--out", tmp_path / "s")
    code, out, err = run("fit", "sentiment", *given, "--site", "1", "--strength", "1", "--method", "probe-gated",
                         "--set", "threshold=0.1", "--json")  # fmt: skip
    assert code == 0, err
    told = json.loads(out)
    made = Steering.load(tmp_path / "s")
    assert told["id"] == made.id
    assert made.origin.hyperparameters["threshold"] == 0.1
    assert (tmp_path / "s-checks" / "checks" / "sentiment" / "report.html").is_file()
    code, out, err = run("fit", "sentiment", *given, "--site", "1", "--strength", "1", "--no-check")
    assert code == 0, err
    assert "saved in" in out
    code, out, err = run("fit", "--list")
    assert code == 0
    assert "mean-difference" in out
    assert "2510.26243" in out
    for odd, word in (
        ((), "name at least one"),
        (("sentiment", "--method", "guess"), "guess"),
        (("sentiment", "--set", "c"), "name=value"),
        (("sentiment", "--set", "c=1", "--set", "c=2"), "once"),
        (("sentiment", "--strength", "much"), "much"),
    ):
        code, _, err = run("fit", *odd, *given)
        assert code == 2
        assert word in err
