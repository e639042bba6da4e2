"""An instruction searched on dev: what is tried, what is taken, and what the record says of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.conftest import Run
from tests.workflows.test_study import few

import trimtab as tt
from trimtab.behaviors import split
from trimtab.errors import InputError
from trimtab.models import Model
from trimtab.results.fit import Fit
from trimtab.statistics.contrast import Contrast
from trimtab.steering import Steering
from trimtab.steering.methods import PromptMaterial
from trimtab.steering.methods.prompting import WORDINGS, Instruction, SearchedInstruction
from trimtab.workflows.fit import fit
from trimtab.workflows.fit.fit import Fitted
from trimtab.workflows.fit.instructions import best

SIZES: dict[str, Any] = {"train": 12, "evaluation": 16}
OWN = "Say that all is well.\tSay that nothing is well.\nBe glad."


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> Model:
    return tt.load(tiny_folder, dtype="float32")


@pytest.fixture(scope="module")
def found(model: Model, tmp_path_factory: pytest.TempPathFactory) -> tuple[Fitted, Path]:
    folder = tmp_path_factory.mktemp("searched")
    options: dict[str, Any] = {"method": "searched-instruction", "own": OWN, "verify": False, **SIZES}
    return fit(model, [few("sentiment")], folder=folder, save_to=folder / "s", **options), folder


def test_a_dozen_wordings_and_those_of_ones_own_are_tried_each_once() -> None:
    material = PromptMaterial(("Be kind.", "Be rude."), description="Kindness.")
    found = SearchedInstruction(own=f"{OWN}\n\nBe kind.\n").candidates_of(material)
    assert len(found) == len(set(found)) == len(WORDINGS) + 3 >= 15
    assert found[0] == Instruction().texts(material) == ("Be kind.\n\n", "Be rude.\n\n")
    assert found[-2:] == [
        ("Say that all is well.\n\n", "Say that nothing is well.\n\n"),
        ("Be glad.\n\n", "Be rude.\n\n"),
    ]
    assert ("What is wanted here: Kindness.\n\n", "Not wanted here: Kindness.\n\n") in found
    turned = SearchedInstruction().candidates_of(PromptMaterial(("Be rude.", "Be kind.")))
    assert turned == [(against, text) for text, against in found[: len(WORDINGS)]]
    assert all("{" not in text for pair in found for text in pair)


def test_of_those_not_plainly_behind_the_one_with_the_fewest_backfires_is_taken() -> None:
    rng, n = np.random.default_rng(0), 40

    def effect(rows: Any) -> Contrast:
        return Contrast(np.asarray(rows), np.zeros(len(rows)), tuple(map(str, range(len(rows)))), "natural")

    strongest = rng.normal(0.6, 1.0, n)
    as_good = np.where(strongest < 0, 0.02, 0.8 * strongest)  # hardly less, and one goes wrong
    as_good[0] = -0.01
    plainly_less = np.full(n, 0.01)  # none goes wrong, but next to nothing happens
    shorter = np.full(12, 9.0)  # dropped by the race, however well it looks
    assert strongest.mean() > as_good.mean() > plainly_less.mean()
    assert (strongest < 0).mean() > (as_good < 0).mean() > 0
    effects = {0: effect(strongest), 1: effect(plainly_less), 2: effect(as_good), 3: effect(shorter)}
    assert best(effects) == 2
    del effects[2]
    assert best(effects) == 0
    assert best({0: effect(strongest), 1: effect(strongest + 0.001 * (strongest > 0))}) == 1  # as many, and more effect


def test_figures_of_wordings_are_those_of_the_text_put_in_front_by_hand(
    found: tuple[Fitted, Path], model: Model
) -> None:
    result, _ = found
    dev = split(few("sentiment"), train=12, evaluation=16, seed=0).dev.examples
    tried = result.training.instructions["sentiment"]
    assert {"Say that all is well.", "Be glad."} <= {t.text for t in tried}
    assert len(tried) == len(WORDINGS) + 3
    assert [t.n for t in tried] == sorted((t.n for t in tried), reverse=True)
    assert max(t.n for t in tried) == len(dev)

    def margins(text: str, n: int) -> np.ndarray[Any, Any]:
        prompts = [text + e.prompt for e in dev[:n]]
        sides = ([e.positive for e in dev[:n]], [e.negative for e in dev[:n]])
        up, down = (model.score(prompts, list(side)).mean.numpy() for side in sides)
        return np.asarray(up - down)

    for t in tried[:2] + tried[-1:]:
        effects = margins(f"{t.text}\n\n", t.n) - margins("", t.n)
        assert t.effect.value == pytest.approx(effects.mean(), abs=1e-4)
        assert t.wrong.value == pytest.approx((effects < 0).mean(), abs=1e-9)


def test_the_one_that_was_taken_is_an_ordinary_text_steering_and_the_page_shows_all(found: tuple[Fitted, Path]) -> None:
    result, folder = found
    (taken,) = [t for t in result.training.instructions["sentiment"] if t.taken]
    loaded = Steering.load(folder / "s")
    assert loaded.edits == {}
    assert loaded.prompts["sentiment"][0] == f"{taken.text}\n\n"
    assert loaded.origin.hyperparameters == {"own": OWN}
    assert Fit.model_validate_json((folder / "fit.json").read_text()) == result.record
    page = (folder / "fit.html").read_text()
    assert all(text in page for text in ("Say that all is well.", "Be glad.", "★ taken"))
    assert any("instructions tried on dev" in note for note in result.notes)


def test_own_instructions_are_of_one_behavior(model: Model) -> None:
    with pytest.raises(InputError, match="of one behavior, and 2 are given") as refused:
        fit(model, [few("sentiment"), few("formality")], method="searched-instruction", own=OWN, verify=False, **SIZES)
    assert refused.value.field == "options.own"


def test_own_instructions_come_from_a_file_or_not_at_all(run: Run, tiny_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "own.txt"
    given = ["fit", "sentiment", "--model", str(tiny_folder), "--method", "searched-instruction", "--no-check"]
    given += ["--out", str(tmp_path / "s"), "--set", f"own=@{file}"]
    for data, word in ((None, "cannot be read"), (b"\xff\xfe\xfa", "is not UTF-8")):
        if data is not None:
            file.write_bytes(data)
        code, _, err = run(*given)
        assert code == 2
        assert word in err.replace("\n", " ")
        assert "--set own" in err
    assert not (tmp_path / "s").exists()
