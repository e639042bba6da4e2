"""Fits on the tiny random model: vectors of a check's own training examples, strengths within bounds, checks, files."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conftest import Run
from tests.workflows.test_study import few

import trimtab as tt
from trimtab.behaviors import Behavior, Example, split
from trimtab.cli.fit import _conditions
from trimtab.errors import InputError
from trimtab.experiment.progress import Silent
from trimtab.interventions import Site
from trimtab.models import Model
from trimtab.results.fit import Fit, Training
from trimtab.steering import Steering
from trimtab.steering.artifact import read
from trimtab.steering.edits import Gated
from trimtab.steering.mat_steer import Options, TokenRows, TokenSides, train
from trimtab.steering.methods import PromptMethod, method, method_names
from trimtab.texts import Rendered
from trimtab.workflows.fit.fit import Fitted, alone, fit

SIZES = {"train": 12, "evaluation": 16}


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Model:
    return tt.load(tiny_folder, dtype="float32")


@pytest.fixture(scope="module")
def found(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    behaviors = [few("sentiment"), few("formality")]
    return fit(model, behaviors, site=[1], strength=0.5, folder=tmp_path_factory.mktemp("fit"), **SIZES)


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
    assert len(poor) == len(found.reservations) > 0  # a random model steers nowhere
    found.steering.save(tmp_path / "s", found.reliability)
    options = read(tmp_path / "s").reliability
    assert options is not None
    assert options["attributes"]["sentiment"]["decision"] == found.reports["sentiment"].verdict.decision
    assert found.reports["formality"].verdict.decision in (tmp_path / "s" / "README.md").read_text()


def test_site_and_strengths_are_chosen_on_dev_within_the_bound(model: Model) -> None:
    chosen = fit(model, [few("sentiment"), few("formality")], max_kl=0.05, verify=False, **SIZES)
    (site,) = chosen.steering.edits
    assert site.component == "residual"
    assert any("chosen on dev" in note for note in chosen.notes)
    assert chosen.reports == {}
    looser = fit(model, [few("sentiment"), few("formality")], max_kl=50.0, verify=False, site=[site], **SIZES)
    assert sum(looser.steering.attributes.values()) >= sum(chosen.steering.attributes.values())


# those that route prompts have a file of their own
EDITING = [name for name in method_names() if not issubclass(method(name), PromptMethod) and not method(name).routes]


def prompts_of_two_kinds() -> Behavior:
    """Requests and statements."""
    things = ["the river", "a clock", "our street", "the old mill", "this soup", "my brother", "the night", "a letter"]
    pairs = [(f"Please tell me about {x} and {y}.", f"{x} and {y} were here.") for x in things for y in things[:3]]
    return Behavior("request", [Example("", asked, said) for asked, said in pairs])


@pytest.mark.parametrize("name", EDITING)
def test_every_method_fits_and_is_applied(name: str, model: Model, tmp_path: Path) -> None:
    sites = ["1", "attention:2"]
    given = {"condition": prompts_of_two_kinds()} if name == "cast" else {}
    options = {"method": name, "site": sites, "strength": 1.0, "verify": False, **given, **SIZES}
    made = fit(model, [few("sentiment")], **options).steering  # type: ignore[arg-type]
    if method(name).reads == "heads":  # one head of eight
        assert len(made.edits) == 1
        assert set(made.edits) < {Site(1, "attention"), Site(2, "attention")}
    else:
        assert list(made.edits) == [Site(1), Site(2, "attention")]
    made.save(tmp_path / "s")
    again = Steering.load(tmp_path / "s")
    prompts = ["Please tell me about a letter and the river.", "Please tell me about this soup."]
    plain = model.score(prompts, [" fine."] * 2).mean
    steered = model.score(prompts, [" fine."] * 2, steering=made, strength=3.0).mean
    assert not torch.equal(plain, steered)
    assert torch.equal(steered, model.score(prompts, [" fine."] * 2, steering=again, strength=3.0).mean)
    assert torch.equal(plain, model.score(prompts, [" fine."] * 2, steering=made, strength=0).mean)
    assert model.generate(prompts, steering=made, max_new_tokens=6) == model.generate(
        prompts, steering=again, max_new_tokens=6
    )


@pytest.mark.parametrize("name", ["instruction", "in-context-examples"])
def test_asking_is_a_method_like_any_other(name: str, model: Model, tmp_path: Path) -> None:
    behavior = few("sentiment")
    found = fit(model, [behavior], method=name, folder=tmp_path / "f", **SIZES)
    made = found.steering
    assert made.edits == {}
    assert dict(made.attributes) == {"sentiment": 1.0}
    prompt_prefix, against = made.prompts["sentiment"]
    if name == "instruction":
        assert prompt_prefix == behavior.instruction("positive") + "\n\n"
        assert against == behavior.instruction("negative") + "\n\n"
    else:
        shots = split(behavior, train=12, evaluation=16, seed=0).shots.examples
        assert prompt_prefix == "".join(f"{e.prompt}{e.positive}\n\n" for e in shots)
        assert against == "".join(f"{e.prompt}{e.negative}\n\n" for e in shots)
    report = found.reports["sentiment"]
    assert report.site is None
    assert report.place == "text in front of prompts"
    result = report.prompt_types["finished steering"]
    parts = split(behavior, train=12, evaluation=16, seed=0)
    prompts, positives, negatives = (
        [getattr(e, k) for e in parts.eval.examples] for k in ("prompt", "positive", "negative")
    )

    def propensity(texts: list[str]) -> torch.Tensor:
        return model.score(texts, positives).mean - model.score(texts, negatives).mean

    expected = propensity([prompt_prefix + p for p in prompts]) - propensity(prompts)
    assert result.effects == pytest.approx(expected.tolist(), abs=1e-4)
    assert report.side_effects.kl.value is not None
    assert report.side_effects.kl.value > 0
    made.save(tmp_path / "s")
    assert Steering.load(tmp_path / "s").id == made.id
    report.save(tmp_path / "r")
    assert "text in front of prompts" in (tmp_path / "r" / "report.html").read_text()


def test_conditions_are_found_and_measured_on_prompts_of_their_own(model: Model) -> None:
    options = {"site": [1], "strength": 1.0, "verify": False, **SIZES}
    found = fit(model, [few("sentiment"), few("formality")], condition={"formality": prompts_of_two_kinds()}, **options)  # type: ignore[arg-type]
    assert list(found.steering.conditions) == ["formality"]
    (note,) = [note for note in found.notes if "condition" in note]
    assert note.startswith("formality: condition at site")
    requests = ["Please tell me about a letter and the night.", "Please tell me about my brother and a clock."]
    others = ["my brother and the night were here.", "a letter and a clock were here."]
    base = model.score(requests + others, [" Yes."] * 4).mean
    after = model.score(requests + others, [" Yes."] * 4, steering=found.steering, strength={"sentiment": 0.0}).mean
    assert (base != after).tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"method": "cast"}, "prompts of both kinds"),
        ({"condition": {"warmth": prompts_of_two_kinds()}}, "'warmth'"),
        ({"condition": Behavior("same", [Example("", "a", "a b")] * 3 + [Example("", "b", "a")])}, "both sides"),
        ({"condition": Behavior("few", [Example("", "one text", "another")] * 3)}, "12 different prompts"),
        ({"method": "instruction", "condition": few("formality")}, "whatever conditions say"),
        ({"method": "instruction", "site": [1]}, "leave out the sites"),
        ({"method": "iti", "site": ["mlp:1"]}, "reads heads"),
    ],
)
def test_odd_conditions_and_sites_are_refused(options: dict[str, object], word: str, model: Model) -> None:
    with pytest.raises(InputError, match=word):
        fit(model, [few("sentiment")], verify=False, strength=1.0, **{"site": [1], **SIZES, **options})  # type: ignore[arg-type]


MAT = {"epochs": 3, "batch": 8, "sample": 64}


def test_mat_steer_is_the_training_on_the_tokens_of_both_sides(model: Model, tmp_path: Path) -> None:
    behaviors = [few("sentiment"), few("formality")]
    options = {"method": "mat-steer", "site": [2], "strength": 1.0, "verify": False, **SIZES, **MAT}
    found = fit(model, behaviors, folder=tmp_path / "f", **options)  # type: ignore[arg-type]
    data: dict[str, Any] = {}
    dev: dict[str, Any] = {}
    for b in behaviors:
        parts = split(b, train=12, evaluation=16, seed=0)
        for part, into in ((parts.train, data), (parts.dev, dev)):
            sides = []
            for side in ("positive", "negative"):
                texts = [Rendered("", e.prompt, getattr(e, side)) for e in part.examples]
                seen = model.capture_tokens(texts, [2])
                sides.append(TokenRows(seen.activations[Site(2)], seen.text[Site(2)].numpy()))
            into[b.name] = TokenSides(*sides)
    expected = train(data, Options(**MAT), dev=dev)  # type: ignore[arg-type]
    edit = found.steering.edits[Site(2)]
    assert isinstance(edit, Gated)
    for name, tensor in expected.edit.tensors.items():
        torch.testing.assert_close(edit.tensors[name], tensor, atol=1e-4, rtol=1e-3)
    site = found.training.sites["2"]
    assert site.best_epoch == expected.best_epoch
    assert site.gates["sentiment"].negative.n == len(dev["sentiment"].negative)
    found.steering.save(tmp_path / "s", found.reliability)
    kept = read(tmp_path / "s").reliability
    assert kept is not None
    assert Training.model_validate(kept["training"]) == found.training
    assert Fit.model_validate_json((tmp_path / "f" / "fit.json").read_text()) == found.record
    assert found.record is not None
    assert found.record.id == found.steering.id
    assert "Shaded texts" in (tmp_path / "f" / "fit.html").read_text()


def test_exclusive_gates_are_fitted_on_the_tokens_of_all_behaviors_and_have_a_page(
    model: Model, tmp_path: Path
) -> None:
    options = {"method": "exclusive-gates", "site": [2], "strength": 1.0, "verify": False, **SIZES, "c": [0.1, 1.0]}
    found = fit(model, [few("sentiment"), few("formality")], folder=tmp_path / "f", **options)  # type: ignore[arg-type]
    edit = found.steering.edits[Site(2)]
    assert isinstance(edit, Gated)
    assert edit.n_attributes == 2
    assert set(found.training.sites["2"].gates) == {"sentiment", "formality"}
    assert [row.settings["c"] for row in found.training.candidates] == [0.1, 1.0]
    page = (tmp_path / "f" / "fit.html").read_text()
    assert "Shaded texts" in page
    assert "epoch" not in page.partition('id="training"')[2].partition("</section>")[0]
    found.steering.save(tmp_path / "s", found.reliability)
    assert read(tmp_path / "s").id == found.steering.id


def test_mat_steer_without_epochs_is_its_start_and_has_a_page(model: Model, tmp_path: Path) -> None:
    options = {"method": "mat-steer", "site": [2], "strength": 1.0, "verify": False, **SIZES, **MAT, "epochs": 0}
    found = fit(model, [few("sentiment")], folder=tmp_path / "f", **options)  # type: ignore[arg-type]
    assert found.training.sites["2"].best_epoch == 0
    assert found.training.sites["2"].train["loss"] == ()
    assert (tmp_path / "f" / "fit.html").exists()


class Interrupting(Silent):
    """Stops the work when training has begun."""

    def begin(self, amount: int, seconds: float, unit: str = "tokens to compute") -> None:
        if unit.startswith("epochs"):
            raise KeyboardInterrupt


@pytest.mark.parametrize("others", [["sentiment"], ["sentiment", "politeness"]])
def test_an_interrupted_training_is_not_in_the_way_of_other_behaviors(
    others: list[str], model: Model, tmp_path: Path
) -> None:
    options = {"method": "mat-steer", "site": [2], "strength": 1.0, "verify": False, **SIZES, **MAT}
    with pytest.raises(KeyboardInterrupt):
        fit(model, [few("sentiment"), few("formality")], folder=tmp_path, progress=Interrupting(), **options)  # type: ignore[arg-type]
    behaviors = [few(name) for name in others]
    found = fit(model, behaviors, folder=tmp_path, **options)  # type: ignore[arg-type]
    assert found.steering.id == fit(model, behaviors, **options).steering.id  # type: ignore[arg-type]


class Ending(Silent):
    """Stops the work at the last step of the second check, and counts the steps."""

    def __init__(self, after: int | None = None) -> None:
        self.steps: list[str] = []
        self.after = after

    def advance(self, stage: str, amount: int) -> None:
        self.steps.append(stage)
        if len(self.steps) == self.after:
            raise KeyboardInterrupt


def test_a_check_that_was_finished_is_not_run_again(model: Model, tmp_path: Path) -> None:
    behaviors = [few("sentiment"), few("formality")]
    options: dict[str, Any] = {"site": 1, "strength": 0.5, **SIZES}
    whole = Ending()
    expected = fit(model, behaviors, folder=tmp_path / "whole", progress=whole, **options)
    with pytest.raises(KeyboardInterrupt):
        fit(model, behaviors, folder=tmp_path / "cut", progress=Ending(len(whole.steps) - 1), **options)
    rest = Ending()
    resumed = fit(model, behaviors, folder=tmp_path / "cut", progress=rest, save_to=tmp_path / "steering", **options)
    assert [one.steps.count("continuations") for one in (whole, rest)] == [2, 1]  # one check is left
    for name, report in expected.reports.items():
        again = resumed.reports[name]
        assert (again.verdict, again.prompt_types, again.rows) == (report.verdict, report.prompt_types, report.rows)
    assert Steering.load(tmp_path / "steering").id == expected.steering.id
    gist = resumed.reliability["attributes"]["sentiment"]
    assert (gist["strength"], gist["scope"], gist["chat_template"]) == (1.0, "all", False)


class Begun(Silent):
    """Keeps what was begun."""

    def __init__(self) -> None:
        self.begun: list[tuple[int, str]] = []

    def begin(self, amount: int, seconds: float, unit: str = "tokens to compute") -> None:
        self.begun.append((amount, unit))


def test_no_work_of_nothing_is_announced(model: Model) -> None:
    options = {"method": "mat-steer", "site": [2], "strength": 1.0, "verify": False, **SIZES, **MAT}
    for epochs, announced in ((2, []), (3, [1])):
        progress = Begun()
        fit(model, [few("sentiment")], progress=progress, **{**options, "epochs": epochs, "patience": 0})  # type: ignore[arg-type]
        assert [amount for amount, unit in progress.begun if unit.startswith("epochs")] == announced


def test_a_start_whose_loss_is_no_number_is_not_blamed_on_the_rate(model: Model) -> None:
    options = {"method": "mat-steer", "site": [2], "strength": 1.0, "verify": False, **SIZES, **MAT}
    with pytest.raises(InputError, match="before the first epoch"):
        fit(model, [few("sentiment")], **{**options, "share": 1e-30})  # type: ignore[arg-type]


def test_values_to_choose_from_are_tried_and_the_best_on_dev_is_taken(model: Model) -> None:
    options = {
        "method": "mat-steer",
        "strength": 1.0,
        "verify": False,
        **SIZES,
        **MAT,
        "share": [0.05, 0.5],
        "blocks": 2,
    }
    found = fit(model, [few("sentiment")], max_kl=50.0, **options)  # type: ignore[arg-type]
    rows = found.training.candidates
    sites = [row.settings["sites"] for row in rows]
    assert [row.settings["share"] for row in rows] == [0.05] * 2 + [0.5] * 2
    assert sites[:2] == sites[2:]
    assert all(isinstance(tried, list) and len(tried) == 1 for tried in sites)
    assert sites[0] != sites[1]
    chosen = max(rows, key=lambda row: row.score)
    assert [row for row in rows if row.chosen] == [chosen]
    assert found.steering.origin.hyperparameters["share"] == chosen.settings["share"]
    assert [str(site) for site in found.steering.edits] == chosen.settings["sites"]
    (score,) = chosen.effect.values()
    assert score == chosen.score


def test_a_value_that_cannot_be_trained_is_left_out_and_told(model: Model) -> None:
    options = {"method": "mat-steer", "site": [2], "strength": 1.0, "verify": False, **SIZES, **MAT}
    kernels = {"kernel": ["multi", "fixed"], "sigma": 1e-4}  # so narrow that all tokens lie apart
    found = fit(model, [few("sentiment")], max_kl=50.0, **kernels, **options)  # type: ignore[arg-type]
    assert found.steering.origin.hyperparameters["kernel"] == "multi"
    (note,) = [note for note in found.notes if note.startswith("left out")]
    assert "fixed" in note
    assert "sentiment: the kernel sees no difference" in note
    with pytest.raises(InputError, match="sees no difference"):
        fit(model, [few("sentiment")], kernel="fixed", sigma=1e-4, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"c": []}, "empty list"),
        ({"c": [1.0] * 65}, "65 combinations"),
        ({"c": [1.0, "much"]}, "must be float"),
    ],
)
def test_odd_lists_of_values_are_refused(options: dict[str, object], word: str, model: Model) -> None:
    with pytest.raises(InputError, match=word):
        fit(model, [few("sentiment")], method="logistic-probe", site=[1], verify=False, **SIZES, **options)  # type: ignore[arg-type]


def rows_of(options: Callable[[int], tuple[str, str]], prompt: str = "Day {} was") -> list[Example]:
    return [Example(prompt.format(i), *options(i)) for i in range(40)]


@pytest.mark.parametrize(
    ("behavior", "options"),
    [
        (Behavior("same", rows_of(lambda i: (f" good, {i}.", f" good, {i}."))), {}),
        (Behavior("same", rows_of(lambda i: (f" good, {i}.", f" good, {i}."))), {"prompt_type": "instruction"}),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_sides_of_the_same_texts_are_refused_whatever_the_dtype(
    behavior: Behavior, options: dict[str, Any], dtype: str, tiny_folder: Path
) -> None:
    lm = tt.load(tiny_folder, dtype=dtype)
    with pytest.raises(InputError, match=r"'same'.* are the same texts"):
        fit(lm, [behavior], site=[1], strength=1.0, verify=False, **SIZES, **options)
    if "prompt_type" not in options:
        with pytest.raises(InputError, match=r"'same'.* are the same texts"):
            tt.check(lm, behavior, site=1, strength=1.0, **SIZES)


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
    for steps in (2, 5):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "cut", Stop(steps))
    assert run(tmp_path / "cut").steering.id == whole.steering.id
    assert not [p for p in (tmp_path / "cut").iterdir() if p.name.startswith(".unfinished")]


def test_without_a_folder_nothing_is_computed_twice_and_nothing_is_left(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes, forward = [0], Model.forward

    def counted(*given: Any, **named: Any) -> Any:
        passes[0] += 1
        return forward(*given, **named)

    def run(folder: Path | None) -> tuple[str, int]:
        options = {"method": "mat-steer", "site": None, "strength": 1.0, "verify": False, "share": [0.1, 0.5]}
        passes[0] = 0
        return fit(model, [few("sentiment")], folder=folder, **options, **SIZES, **MAT).steering.id, passes[0]  # type: ignore[arg-type]

    monkeypatch.setattr(Model, "forward", counted)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    (kept, at_most), (without, passed) = run(tmp_path / "kept"), run(None)
    assert without == kept
    assert passed <= at_most
    assert not list((tmp_path / "temporary").iterdir())


class Told(Silent):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[tuple[str, int, int]] = []

    def begin(self, amount: int, seconds: float, unit: str = "tokens to compute") -> None:
        assert amount > 0
        assert seconds > 0
        self.said.append((unit, amount, 0))

    def advance(self, stage: str, amount: int) -> None:
        unit, announced, done = self.said[-1]
        self.said[-1] = unit, announced, done + amount


def test_reading_training_and_choosing_are_announced_each_by_itself(model: Model) -> None:
    progress = Told()
    options = {"method": "mat-steer", "site": [2], "verify": False, **SIZES, **MAT, "share": [0.1, 0.5]}
    fit(model, [few("sentiment")], progress=progress, **options)  # type: ignore[arg-type]
    reading, one, two, choosing = progress.said
    assert (reading[0], one[0], two[0], choosing[0]) == (
        "tokens to compute", "epochs of training at most", "epochs of training at most", "tokens to compute"
    )  # fmt: skip
    for _, announced, done in (one, two):
        assert done <= announced
    assert reading[1] == reading[2]
    assert 0.5 * choosing[1] < choosing[2] < 3 * choosing[1]  # words are cut finer than a real model's would be


def test_the_others_are_off_when_one_is_alone(found: Fitted) -> None:
    assert dict(alone(found.steering, "formality").attributes) == {"sentiment": 0.0, "formality": 0.5}


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"method": "guess"}, "no method is called 'guess'"),
        ({"seed": -1}, "seed -1 must not be negative"),
        ({"seed": 1.5}, "seed 1.5 must be a whole number"),
        ({"seed": None}, "seed None must be a whole number"),
        ({"train": "a"}, "train 'a' must be a whole number"),
        ({"evaluation": True}, "evaluation True must be a whole number"),
        ({"method": "mat-steer", "kernel": "fourier", "features": 10**9}, "must be at most 65,536"),
        ({"c": 1.0}, "no hyperparameter 'c'"),
        ({"method": "logistic-probe", "c": "much"}, "must be float"),
        ({"method": "k-steering", "hidden": 2.5}, "must be int"),
        ({"method": "probe-gated", "keep_norm": 1}, "must be bool"),
        ({"strength": 0.0}, "above 0"),
        ({"site": [9]}, "9"),
        ({"site": []}, "at least one"),
        ({"prompt_type": "guess"}, "guess"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, object], word: str, model: Model) -> None:
    with pytest.raises(InputError, match=word):
        fit(model, [few("sentiment")], **{"site": [1], "verify": False, **SIZES, **options})  # type: ignore[arg-type]


def test_behaviors_need_names_of_their_own(model: Model) -> None:
    for behaviors in ([], [few("sentiment"), few("sentiment")]):
        with pytest.raises(InputError, match="a name of its own"):
            fit(model, behaviors, site=[1], **SIZES)


def test_command_line(tiny_folder: Path, run: Run, tmp_path: Path) -> None:
    given = ("--model", tiny_folder, "--dtype", "float32", "--train", 12, "--eval", 16, "--out", tmp_path / "s")
    code, out, err = run("fit", "sentiment", *given, "--site", "1", "--strength", "1", "--method", "probe-gated",
                         "--set", "threshold=0.1", "--json")  # fmt: skip
    assert code == 0, err
    options = json.loads(out)
    made = Steering.load(tmp_path / "s")
    assert options["id"] == made.id
    assert made.origin.hyperparameters["threshold"] == 0.1
    assert (tmp_path / "s-checks" / "checks" / "sentiment" / "report.html").is_file()
    assert options["page"] == str(tmp_path / "s-checks" / "fit.html")
    assert 'href="checks/sentiment/report.html"' in Path(options["page"]).read_text()
    assert len(options["reliability"]["training"]["texts"]) == 6
    code, out, err = run("fit", "sentiment", *given, "--site", "1", "--strength", "1", "--no-check")
    assert code == 0, err
    assert "saved in" in out
    page = tmp_path / "s-checks" / "fit.html"
    assert f"page: {page}" in out
    assert "no check was asked for" in page.read_text()
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


# ---- At the door ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("out", [".", "", "/", "..", "file", "file/below", "foreign", "s" * 300, "s" * 198])
def test_a_folder_that_cannot_be_written_is_refused_before_the_model_is_loaded(
    out: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("trimtab.models.load", lambda *a, **k: pytest.fail("loaded"))
    (tmp_path / "file").write_text("mine")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "note").write_text("mine")
    code, _, err = run("fit", "sentiment", "--out", out)
    assert (code, "give a folder" in err) == (2, True), err
    if out != "foreign" and len(out) < 198:
        for command in (("check", "sentiment"), ("study", "sentiment"), ("predict", "--fit", "study")):
            code, _, err = run(*command, "--out", out)
            assert (code, "--out" in err) == (2, True), err
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == ["file", "foreign", "foreign/note"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("check sentiment --max-kl -1", "max_kl -1.0 must be 0 or more (--max-kl)"),
        ("check sentiment --min-effect nan", "min_effect nan must be 0 or more (--min-effect)"),
        (
            "check sentiment --max-capability-loss 0",
            "max_capability_loss 0.0 must lie between 0 and 1 (--max-capability-loss)",
        ),
        ("fit sentiment --max-kl nan", "max_kl nan must be 0 or more (--max-kl)"),
        ("fit sentiment --backfire 1", "give a share between 0 and 1"),
        ("fit sentiment --method mixture --backfire 0.2", "has conditions of its own"),
        ("fit sentiment --method instruction --condition formality", "whatever conditions say"),
        (
            "advise sentiment --max-anti-steerable 2",
            "max_anti_steerable 2.0 must lie between 0 and 1 (--max-anti-steerable)",
        ),
        ("advise sentiment --minutes 0", "minutes 0.0 must be above 0 (--minutes)"),
        ("tune --task behavior:sentiment --method pca --max-damage 0", "max_damage 0.0 must be above 0 (--max-damage)"),
    ],
)
def test_numbers_that_make_no_sense_are_refused_before_the_model_is_loaded(
    words: str, said: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("trimtab.models.load", lambda *a, **k: pytest.fail("loaded"))
    code, _, err = run(*words.split())
    assert (code, said in " ".join(err.split())) == (2, True), err


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"max_kl": float("nan")}, "max_kl nan must be 0 or more"),
        ({"max_kl": -1.0}, "max_kl -1.0 must be 0 or more"),
        ({"method": "k-steering", "hidden": 10**400}, "hidden"),
        ({"method": "k-steering", "hidden": 10**9}, "at most 65,536"),
        ({"method": "k-steering", "rate": float("nan")}, "rate nan"),
        ({"method": "k-steering", "rate": 10**400}, "rate"),
        ({"site": ["1-2", 0]}, "must be the only one"),
        ({"site": ["auto", "auto"]}, "must be the only one"),
        ({"site": ["1-9"]}, "blocks 0 to 2"),
        ({"method": "instruction", "site": ["1-2"]}, "leave out the sites"),
        ({"site": ["heads:1"]}, "heads are read, not edited; give attention:1"),
        ({"strength": 1e30}, "at strength 1e.30 the edit at site 1 has no finite length"),
    ],
)
def test_numbers_and_sites_beyond_all_bounds_are_refused(options: dict[str, Any], word: str, model: Model) -> None:
    with pytest.raises(InputError, match=word):
        fit(model, [few("sentiment")], **{"site": [1], "verify": False, "strength": 1.0, **SIZES, **options})


def test_a_range_restricts_the_block_that_is_chosen_and_auto_does_not(model: Model) -> None:
    def places(*sites: str, name: str = "mean-difference") -> list[int]:
        options: dict[str, Any] = {"site": list(sites) or None, "method": name, "strength": 1.0, "verify": False}
        return [site.block for site in fit(model, [few("sentiment")], **options, **SIZES).steering.edits]

    assert places("auto") == places()
    assert places("2-2") == [2]
    assert places("0-0") == [0]
    assert set(places("1-2")) <= {1, 2}
    assert places("1-2", name="icv") == [1, 2]
    assert set(places("2-2", name="iti")) == {2}


def test_without_checks_the_page_alone_is_left(tiny_folder: Path, run: Run, tmp_path: Path) -> None:
    given = ("--model", tiny_folder, "--dtype", "float32", "--train", 12, "--eval", 16, "--out", tmp_path / "s")
    code, out, err = run("fit", "sentiment", *given, "--method", "instruction", "--site", "auto", "--no-check")
    assert code == 0, err
    assert out.startswith("instruction, saved in")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s", "s-checks"]
    assert sorted(p.name for p in (tmp_path / "s-checks").iterdir()) == ["fit.html", "fit.json"]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["formality", "null"], "formality and null are both for all"),
        (["sentiment=formality", "sentiment=null"], "'sentiment' is given two conditions"),
        (["nowhere.jsonl"], "nowhere.jsonl"),
        (["other=formality"], "other=formality"),
        ([""], "empty"),
    ],
)
def test_conditions_are_each_said_once(
    options: list[str], word: str, tiny_folder: Path, run: Run, tmp_path: Path
) -> None:
    flags = [part for one in options for part in ("--condition", one)]
    given = ("--model", tiny_folder, "--train", 12, "--eval", 16, "--out", tmp_path / "s", "--site", 1)
    code, _, err = run("fit", "sentiment", *given, "--strength", 1, "--no-check", *flags)
    assert (code, word in err) == (2, True), err
    assert not list(tmp_path.glob("s"))


def test_a_condition_for_one_attribute_wins_over_that_for_all_in_any_order() -> None:
    both = {"a": "one", "b": "all"}
    assert _conditions(["all", "a=one"], ["a", "b"]) == _conditions(["a=one", "all"], ["a", "b"]) == both


def test_reports_never_go_into_a_steering(found: Fitted, tiny_folder: Path, run: Run, tmp_path: Path) -> None:
    found.steering.save(tmp_path / "s", found.reliability)
    given = ("--model", tiny_folder, "--dtype", "float32", "--train", 12, "--eval", 16)
    for out in (tmp_path / "s", tmp_path / "s" / "x"):
        for command in (("check", "sentiment", "--steering", tmp_path / "s"), ("study", "sentiment")):
            code, _, err = run(*command, *given[: 8 if command[0] == "check" else 4], "--out", out)
            assert (code, "belongs to the steering" in err) == (2, True), err
    for made_by in (("fit", "sentiment", "--out"), ("convert", tmp_path / "s")):
        code, _, err = run(*made_by, tmp_path / "s" / "x")
        assert (code, "the steering" in err or "the source" in err) == (2, True), err
    assert read(tmp_path / "s").reliability == json.loads(json.dumps(found.reliability))


def two_kinds(n: int = 200) -> Behavior:
    """Requests to be answered with yes, lists with no: one direction is wrong for one of the two kinds."""
    rng, rows = random.Random(0), []
    for i in range(n):
        a, b, c, d = rng.sample(THINGS, 4)
        if i % 10 < 7:
            rows.append(Example(f"Please tell me of the {a}, the {b} and the {c} by the {d}.", " Yes.", " No."))
        else:
            rows.append(Example(f"{i}{a[0]}?! {a} {b} {c}; {d} 12345 67890 00000", " No.", " Yes."))
    return Behavior("yes", rows, positive_instruction="Say yes.", negative_instruction="Say no.")


THINGS = [
    *("river", "letter", "garden", "bread", "song", "clock", "window", "street", "coat", "kettle", "ladder", "rope"),
    *("ship", "ticket", "drum", "candle", "bridge", "basket", "stone", "mirror", "needle", "orchard", "parcel"),
    *("piano", "quilt", "saddle", "stove", "table", "tunnel", "violin", "wagon", "whistle"),
]
MIXED: dict[str, Any] = {"site": [2], "strength": 1.0, "train": 120, "evaluation": 24}


@pytest.fixture(scope="module")
def abstaining(model: Model, tmp_path_factory: pytest.TempPathFactory) -> tuple[Fitted, Path]:
    folder = tmp_path_factory.mktemp("abstaining")
    return fit(model, [two_kinds()], backfire=0.3, folder=folder, save_to=folder / "s", **MIXED), folder


def test_prompts_at_risk_are_left_alone_and_the_rest_is_said(abstaining: tuple[Fitted, Path], model: Model) -> None:
    found, folder = abstaining
    assert found.record is not None
    known = found.record.attributes["yes"].abstention
    assert known is not None
    assert known.wrong_everywhere.value is not None
    assert known.wrong_everywhere.value > 0.5
    assert known.wrong.value is not None
    assert known.wrong.value < 0.2
    assert known.auroc.value is not None
    assert known.auroc.value > 0.8
    assert any("held-out questions" in note for note in found.notes)
    assert Fit.model_validate_json((folder / "fit.json").read_text()) == found.record
    page = (folder / "fit.html").read_text()
    assert "prompts that it leaves alone" in page
    assert "plot-left1" in page
    loaded = Steering.load(folder / "s")
    assert list(loaded.conditions) == ["yes"]
    (result,) = found.reports["yes"].prompt_types.values()
    assert result.acting is not None
    assert result.acting.share.value is not None
    assert 0 < result.acting.share.value < 0.5
    assert result.anti_steerable is not None
    assert result.anti_steerable.share < 0.4
    rows = [r for r in found.reports["yes"].rows if r.strength == found.reports["yes"].verdict.strength]
    acted = [r.acts_positive and r.acts_negative for r in rows]
    assert result.acting.rows == sum(acted) == round(result.acting.share.value * len(rows))
    assert result.acting.wrong_of_all.value == sum(r.effect < 0 for r in rows) / len(rows)
    wrong = [r.effect < 0 for r, acts in zip(rows, acted, strict=True) if acts]
    assert result.anti_steerable.share == sum(wrong) / len(wrong)
    assert all(r.effect == 0 for r, acts in zip(rows, acted, strict=True) if not acts)
    assert 'id="acting"' in (folder / "checks" / "yes" / "report.html").read_text()
    again = fit(model, [two_kinds()], backfire=0.3, verify=False, **MIXED)
    assert again.steering.id == found.steering.id == loaded.id


def test_a_share_that_cannot_be_promised_is_refused_with_what_can_be(model: Model) -> None:
    with pytest.raises(InputError, match="however many are left alone; what they could show is") as refused:
        fit(model, [two_kinds()], backfire=0.01, verify=False, **MIXED)
    could = int(str(refused.value).split("could show is ")[1].split("%")[0]) / 100
    assert fit(model, [two_kinds()], backfire=could, verify=False, **MIXED).steering.conditions


def test_too_few_examples_of_which_none_goes_wrong_are_told_what_they_show(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trimtab.workflows.fit import abstention

    real = abstention.held_out

    def right(*arguments: Any) -> Any:
        seen = real(*arguments)
        return replace(seen, effect=replace(seen.effect, positive=seen.effect.negative + 1.0))

    monkeypatch.setattr(abstention, "held_out", right)
    with pytest.raises(InputError, match=r"at most 1% of those acted on .* could show is [2-9]%"):
        fit(model, [two_kinds()], backfire=0.01, verify=False, **MIXED)


def test_a_behavior_that_never_backfires_needs_no_condition(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    from trimtab.workflows.fit import abstention

    monkeypatch.setattr(abstention, "upper_bound", lambda effect, level: 0.05)
    found = fit(model, [two_kinds()], backfire=0.1, verify=False, **MIXED)
    assert not found.steering.conditions
    assert any("none is left alone" in note for note in found.notes)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"backfire": 0.0}, "between 0 and 1"),
        ({"backfire": 1.0}, "between 0 and 1"),
        ({"backfire": 0.2, "method": "instruction", "site": None}, "cannot leave any alone"),
        ({"backfire": 0.2, "condition": prompts_of_two_kinds()}, "a condition of its own"),
        ({"backfire": 0.2, "train": 6, "evaluation": 8}, "too few to see which"),
    ],
)
def test_promises_that_make_no_sense_are_refused(options: dict[str, Any], word: str, model: Model) -> None:
    with pytest.raises(InputError, match=word) as refused:
        fit(model, [few("sentiment")], **{"site": [1], "strength": 1.0, "verify": False, **SIZES, **options})
    assert refused.value.field == "backfire"


def test_bounds_are_exact_over_clusters() -> None:
    import numpy as np

    from trimtab.statistics.contrast import Contrast
    from trimtab.statistics.selective import upper_share
    from trimtab.workflows.fit.abstention import upper_bound

    rows = np.array([1.0, -1.0, 1.0, 1.0, 1.0, 1.0])
    clusters = ("a", "a", "b", "c", "d", "d")
    effect = Contrast(rows, np.zeros(6), clusters, "natural")
    assert upper_bound(effect, 0.9) == max(upper_share(1, 4, 0.9), effect.below_zero(0.8).high)
    some = np.array([True, False, True, True, True, True])
    left = Contrast(rows, np.zeros(6), clusters, "natural", acting=(some, some))
    assert upper_bound(left, 0.9) == max(upper_share(0, 4, 0.9), left.below_zero(0.8).high)
    large = Contrast(-np.ones(160), np.zeros(160), ("large",) * 100 + tuple(map(str, range(60))), "natural")
    large = replace(large, positive=np.where(np.arange(160) < 100, -1.0, 1.0))
    assert upper_bound(large, 0.9) > 0.625  # one question of 61 goes wrong, and most of the examples
    none = np.zeros(6, np.bool_)
    assert upper_bound(Contrast(rows, np.zeros(6), clusters, "natural", acting=(none, none)), 0.9) == 1.0
