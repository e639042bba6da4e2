"""What kept steps are named by."""

from dataclasses import replace
from pathlib import Path

import trimtab as tt
from trimtab.experiment.preparation import key_of


def test_steps_of_a_behavior_of_another_name_are_not_taken_for_its_own(tiny_folder: Path) -> None:
    model, behavior = tt.load(tiny_folder, dtype="float32"), tt.Behavior.builtin("sentiment")
    renamed = replace(behavior, name="mood")  # whose prompts are other prompts to it
    assert behavior.digest == renamed.digest
    assert key_of(model, behavior, 1) != key_of(model, renamed, 1)
    assert key_of(model, behavior, 1) == key_of(model, tt.Behavior.builtin("sentiment"), 1)
