"""Finished steps are kept, with and without a folder."""

import os
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


@pytest.mark.parametrize("kept_in", ["folder", "memory"])
def test_texts_are_kept_for_whoever_asks_next(tmp_path: Path, kept_in: str):
    ledger = Ledger(tmp_path if kept_in == "folder" else None, "key")
    assert ledger.text("one") is None
    ledger.keep("one", "ä\n漢")
    assert ledger.text("one") == "ä\n漢"
    if kept_in == "folder":
        assert Ledger(tmp_path, "key").text("one") == "ä\n漢"
        assert Ledger(tmp_path, "another key").text("one") is None


def test_steps_inside_a_step_go_with_it_and_leave_the_others(tmp_path: Path):
    ledger = Ledger(tmp_path, "key")
    ledger.keep("one", "1")
    inner = ledger.inside("two")
    inner.step("one", lambda: {"a": np.zeros(1)})
    inner.close()
    assert ledger.text("one") == "1"
    assert Ledger(tmp_path, "key").inside("two").step("one", lambda: {"a": np.ones(1)})["a"].tolist() == [1.0]
    ledger.close()
    assert list(tmp_path.iterdir()) == []


def test_a_step_is_kept_without_a_look_at_those_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    looked, real = [], os.listdir

    def noted(folder: Path) -> list[str]:
        looked.append(folder)
        return real(folder)

    monkeypatch.setattr(os, "listdir", noted)
    ledger = Ledger(tmp_path, "key")
    for k in range(5):
        ledger.keep(f"text {k}", "1")
        ledger.step(f"arrays {k}", lambda: {"a": np.zeros(1)})
    assert looked == [tmp_path]  # whether anything could be written there
    assert ledger.home is not None
    assert len(real(ledger.home)) == 10


def test_what_a_killed_process_left_among_the_steps_goes_with_them(tmp_path: Path):
    ledger = Ledger(tmp_path, "key")
    ledger.keep("one", "1")
    assert ledger.home is not None
    (ledger.home / f".one-{'0' * 8}-12-34-abcdefgh").mkdir()
    ledger.close()
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_step_is_computed_again(tmp_path: Path):
    ledger = Ledger(tmp_path, "key")
    ledger.step("one", lambda: {"a": np.zeros(1)})
    (file,) = tmp_path.glob("*/*.safetensors")
    file.write_bytes(file.read_bytes()[:20])
    assert ledger.step("one", lambda: {"a": np.ones(1)})["a"].tolist() == [1.0]
