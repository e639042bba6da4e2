"""Checks of finished steerings: the same verdict machinery, whatever the edits are."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.conftest import Run
from tests.workflows.test_study import few

import trimtab as tt
from trimtab.errors import InputError
from trimtab.models import Model
from trimtab.results import Report
from trimtab.steering import Origin, Steering
from trimtab.steering.edits import Additive, Clamp, Gated, Stack

SIZES = {"train": 12, "evaluation": 16}


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Model:
    return tt.load(tiny_folder, dtype="float32")


@pytest.fixture(scope="module")
def own(model: Model) -> Report:
    """An ordinary check at a site and strength that are given."""
    return tt.check(model, few("sentiment"), site=1, prompt_types=["prefilled"], strength=1.0, **SIZES)


@pytest.fixture(scope="module")
def vector(model: Model) -> torch.Tensor:
    """The vector that this check trains: the mean difference over its training examples."""
    from trimtab.behaviors import PromptType
    from trimtab.experiment.preparation import ready
    from trimtab.experiment.progress import Silent
    from trimtab.interventions import Site
    from trimtab.measurements.activations import training
    from trimtab.storage.steps import Ledger

    on, _ = ready(
        model,
        few("sentiment"),
        ["prefilled"],
        train=12,
        evaluation=16,
        seed=0,
        ledger=Ledger(None, ""),
        progress=Silent(),
    )
    return torch.from_numpy(training(on, PromptType.PREFILLED, [Site(1)])[Site(1)].vector).float()


def gated(model: Model, seed: int = 0) -> Gated:
    g = torch.Generator().manual_seed(seed)
    v, w = (torch.randn(2, model.d_model, generator=g) for _ in range(2))
    return Gated(v, 0.1 * w, torch.zeros(2))


def test_a_finished_vector_gets_the_figures_of_the_check_that_trains_it(
    model: Model, own: Report, vector: torch.Tensor
) -> None:
    result = tt.check(model, few("sentiment"), steering=Steering.from_vector(1, vector), **SIZES)
    assert result.verdict.decision == own.verdict.decision
    (described,) = result.prompt_types.values()
    before = own.prompt_types["prefilled"]
    assert np.allclose(described.effects, before.effects, atol=1e-5)
    assert described.edit_size_ratio == pytest.approx(before.edit_size_ratio, rel=1e-5)
    assert described.anti_steerable == before.anti_steerable
    for mine, theirs in zip(result.curve.points, own.curve.points, strict=True):
        assert mine.strength == theirs.strength
        assert mine.effect.value == pytest.approx(theirs.effect.value, abs=1e-5)
        assert mine.kl.value == pytest.approx(theirs.kl.value, abs=1e-5)
    assert result.side_effects.kl.value == pytest.approx(own.side_effects.kl.value, abs=1e-5)
    assert result.prompting_baseline.beats.value == pytest.approx(own.prompting_baseline.beats.value, abs=1e-5)
    names = [bound.name for bound in own.verdict.bounds]
    assert [bound.name for bound in result.verdict.bounds] == names


def test_what_needs_training_activations_says_so(model: Model, vector: torch.Tensor) -> None:
    result = tt.check(model, few("sentiment"), steering=Steering.from_vector(1, vector), **SIZES)
    (described,) = result.prompt_types.values()
    for figure in (
        described.directional_agreement_loo,
        described.separability_held_out,
        result.training_variability.effect,
    ):
        assert figure.value is None
        assert "came finished" in (figure.reason or "")
    assert "came finished" in (result.direction.reason or "")
    assert "came finished" in (result.convergence.reason or "")
    assert result.curve.points[0].sigmas is None
    assert (result.prompt_type_cosine.types, result.projections.positive) == ((), ())
    assert any("does not say what it was trained on" in note for note in result.notes)
    assert result.verdict.prompt_type == "finished steering"


def test_gates_on_several_sites_are_checked_and_reported(model: Model, tmp_path: Path) -> None:
    stack = Stack(((Clamp(torch.ones(1, model.d_model), torch.tensor([0.5])), (1,)), (gated(model, 1), (0, 1))))
    steering = Steering(
        {1: gated(model), "attention:2": stack},
        {"warm": 2.0, "brief": 0.5},
        Origin("by-hand", data={"warm": "0" * 64}),
        made_for=model.facts,
    )
    result = tt.check(
        model, few("sentiment"), steering=steering, folder=tmp_path / "report", effort="thorough", **SIZES
    )
    assert result.steering is not None
    assert result.steering.id == steering.id
    assert result.steering.edits == {"1": ("gated",), "attention:2": ("clamp", "gated")}
    assert result.steering.trained_on_this is False
    assert [p.strength for p in result.curve.points] == [0.0, 0.5, 1.0, 1.5]  # −λ is no opposite behind gates
    assert result.random_directions.figure == "effect"
    assert len(result.random_directions.odd) == 20
    assert "mean steering effect, against random directions" in [b.name for b in result.verdict.bounds]
    assert "sites 1, attention:2" in result.verdict.sentence
    assert Report.load(tmp_path / "report").model_dump() == result.model_dump()
    if result.verdict.error_rate is not None:
        assert any("not on finished steerings" in caveat for caveat in result.verdict.error_rate.reservations)
    page = (tmp_path / "report" / "report.html").read_text()
    assert "finished steering" in page
    assert "clamp, gated at site attention:2" in page
    assert "came finished" in page


def test_default_strengths_keep_their_proportions(model: Model, vector: torch.Tensor) -> None:
    """Strength 2 of a check doubles every attribute's default."""
    v = torch.stack([vector, torch.roll(vector, 1)])
    whole = Steering({1: Additive(v)}, {"a": 1.0, "b": 0.25})
    summed = Steering.from_vector(1, 2 * (v[0] + 0.25 * v[1]))
    first = tt.check(model, few("sentiment"), steering=whole, strength=2.0, **SIZES)
    second = tt.check(model, few("sentiment"), steering=summed, **SIZES)
    one, other = (next(iter(report.prompt_types.values())).effects for report in (first, second))
    assert np.allclose(one, other, atol=1e-5)
    assert first.verdict.strength == 2.0


def test_other_weights_and_contradictions_are_refused(model: Model, vector: torch.Tensor) -> None:
    behavior, facts = few("sentiment"), {**model.facts.__dict__, "digest": "0" * 64}
    steering = Steering.from_vector(1, vector, made_for=type(model.facts)(**facts))
    with pytest.raises(InputError, match="other weights"):
        tt.check(model, behavior, steering=steering, **SIZES)
    free = Steering.from_vector(1, vector)
    for options in ({"site": 1}, {"prompt_types": ["prefilled"]}):
        with pytest.raises(InputError, match="its own sites"):
            tt.check(model, behavior, steering=free, **SIZES, **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="takes a Steering"):
        tt.check(model, behavior, steering=vector, **SIZES)  # type: ignore[arg-type]
    for far in (free, None):
        with pytest.raises(InputError, match=r"at strength 1e.30 .* no finite length"):
            tt.check(model, behavior, steering=far, site=None if far else 1, strength=1e30, **SIZES)
    with pytest.raises(InputError, match="9"):
        tt.check(model, behavior, steering=Steering.from_vector(9, vector), **SIZES)
    with pytest.raises(InputError, match="edits nothing"):
        tt.check(model, behavior, steering=Steering({}, {"a": 1.0}), **SIZES)


def test_command_line_checks_a_folder(
    tiny_folder: Path, model: Model, vector: torch.Tensor, run: Run, tmp_path: Path
) -> None:
    Steering.from_vector(1, vector, made_for=model.facts).save(tmp_path / "s")
    given = ("--model", tiny_folder, "--dtype", "float32", "--train", 12, "--eval", 16, "--out", tmp_path / "out")
    code, out, err = run("check", "sentiment", *given, "--steering", tmp_path / "s", "--json")
    assert code == 0, err
    assert json.loads(out)["steering"]["id"] == Steering.load(tmp_path / "s").id
    code, out, err = run("check", "sentiment", *given, "--steering", tmp_path / "s")
    assert code == 0, err
    assert "finished steering" in out
    assert "★" not in out.split("Reasons")[0].split("prompt type")[0]
    for odd, word in (
        (("--steering", tmp_path / "nowhere"), "no folder"),
        (("--steering", tmp_path / "s", "--site", "1"), "its own sites"),
        (("--allow-mismatch",), "belongs to --steering"),
    ):
        code, _, err = run("check", "sentiment", *given, *odd)
        assert code == 2
        assert word in err


def test_a_steering_that_leaves_prompts_alone_is_judged_by_those_it_acts_on(
    model: Model, vector: torch.Tensor, own: Report
) -> None:
    direction = torch.randn(model.d_model, generator=torch.Generator().manual_seed(1))
    plain = Steering.from_vector(1, vector, "sentiment")
    somewhere = plain.changed(conditions={"sentiment": tt.Condition(0, direction, _middle(model, direction, own))})
    result = tt.check(model, few("sentiment"), steering=somewhere, effort="thorough", **SIZES)
    (found,), (before,) = result.prompt_types.values(), own.prompt_types.values()
    changed = np.array(found.effects) != 0
    assert 0 < changed.sum() < len(changed)
    assert np.allclose(np.array(found.effects)[changed], np.array(before.effects)[changed], atol=1e-5)
    assert found.acting is not None
    assert found.acting.share.value == pytest.approx(changed.mean())
    assert found.acting.effect.value == pytest.approx(np.array(found.effects)[changed].mean())
    assert found.anti_steerable is not None
    assert found.anti_steerable.share == pytest.approx((np.array(found.effects)[changed] < 0).mean())
    assert found.anti_steerable.n == changed.sum()
    assert found.effect is not None
    assert found.effect.mean == pytest.approx(np.mean(found.effects))
    assert "among those that it acts on" in result.verdict.sentence
    assert any("leaves the others alone" in reason for reason in result.verdict.reservations)


def _middle(model: Model, direction: torch.Tensor, report: Report) -> float:
    """The median cosine of the evaluation prompts."""
    from trimtab.interventions import Condition, Site
    from trimtab.models import Encoded
    from trimtab.models.capture import capture
    from trimtab.models.conditions import cosines
    from trimtab.texts import Rendered

    prompts = model.encoder(False).encode([Rendered("", text.prompt, "") for text in report.examples])
    rows = [Encoded(row.prompt.ids, 1) for row in prompts]
    h = capture(model, rows, [Site(0)], "mean").activations[Site(0)]
    return float(cosines(Condition(0, direction, 0.0), h).median())
