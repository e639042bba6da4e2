"""A strength or block whose figures are NaN or infinite is left out and named; the others decide."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.workflows.test_study import few

import trimtab as tt
from trimtab.errors import InputError, NotFiniteError
from trimtab.experiment.finite import those_finite
from trimtab.interventions import Site
from trimtab.measurements import activations
from trimtab.models import Model
from trimtab.steering import Steering, mean_difference
from trimtab.workflows.fit.fit import fit

SIZES: dict[str, Any] = {"train": 12, "evaluation": 16}
LARGE = 25_000.0  # three times as much is beyond float16, twice as much is not


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Model:
    return tt.load(tiny_folder, dtype="float16")


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors of one coordinate, which is `LARGE`, at block 1 only; random ones of that length have smaller ones."""

    def scaled(positive: torch.Tensor, negative: torch.Tensor, site: Site, *more: Any) -> Steering:
        made = mean_difference(positive, negative, site, *more)
        v = made.vector(site)
        one = torch.where(v.abs() == v.abs().max(), LARGE * v.sign(), 0.0)
        return Steering.from_vector(site, one, *more) if site.block == 1 else made

    monkeypatch.setattr(activations, "mean_difference", scaled)


def test_one_strength_of_the_sweep_is_left_out_and_named(model: Model, large: None) -> None:
    report = tt.check(model, few("sentiment"), site=1, prompt_types="prefilled", effort="thorough", **SIZES)
    assert [p.strength for p in report.dev_strengths] == [0.25, 0.5, 0.75, 1.0, 1.5, 2.0]
    assert any("strength 3 " in note and "left out" in note for note in report.notes)


def test_the_curve_goes_as_far_as_it_is_finite(model: Model, large: None) -> None:
    report = tt.check(
        model, few("sentiment"), site=1, prompt_types="prefilled", strength=2.0, effort="thorough", **SIZES
    )
    assert report.strengths == (-2.0, -1.0, 0.0, 1.0, 2.0)
    assert [p.strength for p in report.curve.points] == list(report.strengths)
    assert any("strength -3, 3 left out of the strength curve" in note for note in report.notes)


def test_a_block_is_left_out_and_another_one_chosen(model: Model, monkeypatch: pytest.MonkeyPatch, large: None) -> None:
    monkeypatch.setattr("tests.workflows.test_not_finite.LARGE", 4 * LARGE)
    report = tt.check(model, few("sentiment"), prompt_types="prefilled", strength=1.0, **SIZES)
    assert report.site is not None
    assert report.site.block != 1
    (lost,) = [row for row in report.blocks if row.effect.value is None]
    assert (lost.block, "NaN or infinite" in str(lost.effect.reason)) == (1, True)


def test_a_fit_chooses_among_the_finite_strengths(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    real = fit.__globals__["_chosen"]

    def chosen(candidates: Any, *more: Any) -> Any:
        maker, steering, training = real(candidates, *more)
        v = steering.vector(Site(1))
        (name,) = steering.attributes
        large = Steering.from_vector(Site(1), v * (LARGE / v.abs().max()), name)
        return maker, steering.changed(edits=large.edits), training

    monkeypatch.setitem(fit.__globals__, "_chosen", chosen)
    result = fit(model, [few("sentiment")], site=[1], verify=False, **SIZES)
    assert result.steering.attributes["sentiment"] <= 2.0
    assert any("strength 3 " in note and "left out" in note for note in result.notes)


def test_a_prompt_type_is_left_out_and_the_others_decide(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    def scaled(positive: torch.Tensor, negative: torch.Tensor, site: Site, *more: Any) -> Steering:
        made = mean_difference(positive, negative, site, *more)
        drawn.append(made)
        one = torch.where(made.vector(site).abs() == made.vector(site).abs().max(), 4 * LARGE, 0.0)
        return Steering.from_vector(site, one, *more) if len(drawn) == 2 else made

    drawn: list[Steering] = []
    monkeypatch.setattr(activations, "mean_difference", scaled)
    types = ["prefilled", "prefilled+instruction", "prefilled+5-shot"]
    report = tt.check(model, few("sentiment"), site=1, prompt_types=types, strength=1.0, **SIZES)
    assert "NaN or infinite" in str(report.prompt_types["prefilled+instruction"].not_measured)
    assert all(report.prompt_types[t].effect is not None for t in types if t != "prefilled+instruction")
    assert report.prompt_type_chosen == "dev"


def test_where_nothing_is_finite_the_reason_is_told(model: Model) -> None:
    def never(names: Any) -> Any:
        raise NotFiniteError("this is NaN or infinite")

    with pytest.raises(InputError, match="NaN or infinite"):
        those_finite([1.0, 2.0], never)
    with pytest.raises(InputError, match="another fault"):
        those_finite([1.0, 2.0], lambda names: (_ for _ in ()).throw(InputError("another fault")))
    asked: list[Any] = []

    def odd(names: Any) -> dict[float, float]:
        asked.append(list(names))
        if 2.0 in names:
            raise NotFiniteError("2 is infinite")
        return {name: 2 * name for name in names}

    assert those_finite([1.0, 2.0, 3.0], odd) == ({1.0: 2.0, 3.0: 6.0}, {2.0: "2 is infinite"})
    assert asked == [[1.0, 2.0, 3.0], [1.0], [2.0], [3.0]]
    asked.clear()
    assert those_finite([1.0, 3.0], odd) == ({1.0: 2.0, 3.0: 6.0}, {})
    assert asked == [[1.0, 3.0]]
