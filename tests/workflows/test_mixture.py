"""Two behaviors in one file: the check says so."""

from pathlib import Path

import pytest
from tests import mixtures

import trimtab as tt
from trimtab.results.report import Report


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
