"""The size of an edit has one definition, wherever it is reported."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conftest import Run
from tests.workflows.test_study import few

import trimtab as tt
from trimtab.errors import InputError
from trimtab.experiment.preparation import ready
from trimtab.experiment.progress import Silent
from trimtab.interventions import Site
from trimtab.measurements.edit_size_ratio import edit_size_ratio, edit_size_ratio_of_texts
from trimtab.models import Model
from trimtab.models.text import Encoded
from trimtab.steering import Steering
from trimtab.steering.edits import Ablation, Additive, Gated
from trimtab.storage.steps import Ledger
from trimtab.texts import Rendered


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Model:
    return tt.load(tiny_folder, dtype="float32")


def rand(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def steerings(d: int) -> dict[str, Steering]:
    return {
        "vector": Steering({1: Additive(rand(1, d))}, {"x": 1.0}),
        "gates": Steering({0: Gated(rand(2, d), rand(2, d, seed=1), torch.zeros(2))}, {"x": 1.0, "y": 0.5}),
        "two sites": Steering({0: Ablation(rand(1, d)), Site(2): Additive(rand(1, d, seed=2))}, {"x": 1.0}),
        "text": Steering({}, {"x": 1.0}, prompts={"x": ("Be brief. ", "")}),
    }


@pytest.mark.parametrize("kind", ["vector", "gates", "two sites", "text"])
def test_a_check_and_generate_tell_the_same_figure_of_the_same_texts(kind: str, model: Model) -> None:
    options: dict[str, Any] = {"train": 12, "evaluation": 16, "seed": 0, "ledger": Ledger(None, "")}
    on, _ = ready(model, few("sentiment"), ["prefilled"], progress=Silent(), **options)
    steering = steerings(model.d_model)[kind]
    rows = [row for side in on.instrument.bare(on.splits.dev.examples) for row in side]
    for strength in (0.0, 0.5, 2.0):
        ratio = edit_size_ratio_of_texts(model, rows, steering, steering.scaled(strength))
        assert ratio == pytest.approx(edit_size_ratio(on, steering, strength), rel=1e-6)


def test_generate_tells_it_of_its_prompts(run: Run, model: Model, tiny_folder: Path, tmp_path: Path) -> None:
    steering = steerings(model.d_model)["gates"]
    folder = steering.save(tmp_path / "s")
    prompts = ["It was a fine day", "The food"]
    options = ("--steering", folder, "--model", tiny_folder, "--dtype", "float32", "--max-new-tokens", 2, "--json")
    code, out, err = run("generate", *prompts, *options)
    assert code == 0, err
    rows = model.encoder().encode([Rendered("", p, "") for p in prompts])
    assert json.loads(out)["edit_size_ratio"] == pytest.approx(
        edit_size_ratio_of_texts(model, rows, steering), rel=1e-6
    )


def test_it_is_the_median_change_of_last_tokens_over_a_typical_norm(model: Model) -> None:
    v = rand(model.d_model)
    rows = model.encoder().encode([Rendered("", p, "") for p in ("It was a fine day", "The food", "So")])
    captured = model.capture(["It was a fine day", "The food", "So"], [1], read="last")
    want = float(v.norm() / captured.norms[Site(1)].median())
    steering = Steering.from_vector(1, v)
    assert edit_size_ratio_of_texts(model, rows, steering) == pytest.approx(want, rel=1e-4)
    assert edit_size_ratio_of_texts(model, rows, steering, 2.0) == pytest.approx(2 * want, rel=1e-4)
    assert edit_size_ratio_of_texts(model, rows, steering, 0.0) == 0


def test_a_prompt_of_one_token_has_a_size_too(model: Model) -> None:
    size = edit_size_ratio_of_texts(model, [Encoded((1,), 1)], Steering.from_vector(1, rand(model.d_model)))
    assert 0 < size < float("inf")


def test_the_edit_must_be_finite_in_the_dtype_that_it_acts_in(tiny_folder: Path) -> None:
    """70,000 fits bfloat16 and float32, not float16."""
    for dtype in ("float32", "bfloat16", "float16"):
        lm = tt.load(tiny_folder, dtype=dtype)
        rows = lm.encoder().encode([Rendered("", "It was", "")])
        made = Steering.from_vector(1, torch.full((lm.d_model,), 7e4))
        if dtype == "float16":
            with pytest.raises(InputError, match="no finite length"):
                edit_size_ratio_of_texts(lm, rows, made)
        else:
            assert edit_size_ratio_of_texts(lm, rows, made) > 1000
