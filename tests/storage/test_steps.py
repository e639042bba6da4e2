"""Finished steps are kept, with and without a folder."""

from pathlib import Path

import numpy as np
import pytest

from trimtab.storage.steps import Ledger


@pytest.mark.parametrize("kept_in", ["folder", "memory"])
def test_a_step_asked_for_again_is_not_computed_again(tmp_path: Path, kept_in: str):
    ledger, calls = Ledger(tmp_path if kept_in == "folder" else None, "key"), []

    def compute():
        calls.append(1)
        return {"a": np.arange(3)}

    first, second = ledger.step("one", compute), ledger.step("one", compute)
    assert calls == [1]
    assert np.array_equal(first["a"], second["a"])
    assert ledger.step("two", lambda: {"a": np.zeros(1)})["a"].tolist() == [0.0]
