"""Activations written to a folder: the same figures, memory-mapped, resumed after any interruption."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from trimtab.errors import InputError
from trimtab.interventions import Site
from trimtab.models import streaming
from trimtab.models.capture import capture
from trimtab.texts import Rendered

SITES = [Site(1), Site(2, "attention")]
TEXTS = [Rendered("", f"{chr(97 + i % 26)} ship and", f" the {'very ' * (i % 4)}small flap {i}.") for i in range(57)]


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(streaming, "MIN_TEXTS", 10)
    monkeypatch.setattr(streaming, "MAX_TEXTS", 10)


@pytest.fixture
def counted(model, monkeypatch):
    """Texts whose activations were computed, not found."""
    runs: list[int] = []

    def run(model, rows, *rest, **options):
        runs.append(len(rows))
        return capture(model, rows, *rest, **options)

    monkeypatch.setattr(streaming, "capture", run)
    return runs


@pytest.mark.parametrize("read", ["last", "mean"])
def test_a_folder_holds_what_memory_would(model, tmp_path, read):
    expected = model.capture(TEXTS, SITES, read=read)
    result = model.capture((t for t in TEXTS), SITES, read=read, into=tmp_path / "out")
    for site in SITES:
        assert result.activations[site].dtype == torch.float32
        torch.testing.assert_close(result.activations[site], expected.activations[site], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(result.norms[site], expected.norms[site], rtol=1e-5, atol=1e-5)
    assert result.n_massive == expected.n_massive
    assert result.sharing.given == expected.sharing.given
    mapped = np.load(tmp_path / "out" / "attention-2.npy", mmap_mode="r")
    assert mapped.shape == (57, 32)
    assert isinstance(mapped, np.memmap)
    assert np.array_equal(mapped, result.activations[SITES[1]].numpy())


def test_writing_to_the_tensors_changes_no_file(model, tmp_path):
    result = model.capture(TEXTS[:5], SITES[:1], into=tmp_path)
    before = (tmp_path / "1.npy").read_bytes()
    result.activations[SITES[0]].zero_()
    assert (tmp_path / "1.npy").read_bytes() == before


def test_what_is_finished_is_not_run_again(model, tmp_path, counted):
    first = model.capture(TEXTS, SITES, into=tmp_path)
    assert counted == [10] * 5 + [7]
    again = model.capture(TEXTS, SITES, into=tmp_path)
    assert len(counted) == 6
    assert torch.equal(first.activations[SITES[0]], again.activations[SITES[0]])
    assert first.sharing == again.sharing


@pytest.mark.parametrize("stop_after", [1, 3, 5])
def test_an_interrupted_capture_goes_on_to_the_same_bytes(model, tmp_path, counted, stop_after):
    model.capture(TEXTS, SITES, into=tmp_path / "whole")
    counted.clear()

    def interrupted():
        for i, text in enumerate(TEXTS):
            if i == 10 * stop_after + 3:
                raise KeyboardInterrupt
            yield text

    with pytest.raises(KeyboardInterrupt):
        model.capture(interrupted(), SITES, into=tmp_path / "parts")
    with (tmp_path / "parts" / "1.npy").open("ab") as file:
        file.write(b"half a row")  # the process died while it was writing the next window
    model.capture(TEXTS, SITES, into=tmp_path / "parts")
    assert sum(counted) == len(TEXTS)
    for name in ("1.npy", "1.norms.npy", "attention-2.npy", "capture.jsonl"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_killed_process_leaves_what_the_next_one_goes_on_with(tiny_folder, tmp_path):
    program = f"""
import os, signal, sys
import trimtab as tt
from trimtab.models import streaming
from trimtab.models.capture import capture
streaming.MIN_TEXTS = streaming.MAX_TEXTS = 10
model = tt.load({str(tiny_folder)!r}, dtype="float32")
texts = [f"text number {{i}} of some" for i in range(45)]
def until(n):
    for i, t in enumerate(texts):
        if i == n:
            os.kill(os.getpid(), signal.SIGKILL)
        yield t
captured = model.capture(until(int(sys.argv[2])), [1], into=sys.argv[1])
print(captured.activations[tt.Site(1)].double().sum().item())
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def run(folder, n):
        command = [sys.executable, "-c", program, str(tmp_path / folder), str(n)]
        return subprocess.run(command, check=False, capture_output=True, text=True, env=environment)

    whole = run("whole", 999)
    assert whole.returncode == 0, whole.stderr
    killed = run("parts", 33)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "parts" / "capture.jsonl").read_bytes().count(b"\n") == 1 + 3
    resumed = run("parts", 999)
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout == whole.stdout


def test_a_folder_of_something_else_is_refused(model, wrapped, tmp_path, adding):
    model.capture(TEXTS, SITES, into=tmp_path)
    kept = (tmp_path / "1.npy").read_bytes()
    other = wrapped("llama", num_hidden_layers=3)
    low = wrapped("llama", dtype=torch.bfloat16)
    for call, message in (
        (lambda: model.capture(TEXTS, SITES[:1], into=tmp_path), "another sites"),
        (lambda: model.capture(TEXTS, SITES, read="mean", into=tmp_path), r"another read \(last, not mean\)"),
        (lambda: other.capture(TEXTS, SITES, into=tmp_path), "another model"),
        (lambda: low.capture(TEXTS, SITES, into=tmp_path), r"another dtype \(float32, not bfloat16\)"),
        (lambda: model.capture(TEXTS[1:], SITES, into=tmp_path), "other texts"),
        (lambda: model.capture(TEXTS[:20], SITES, into=tmp_path), "holds 57 texts and these are 20"),
        (lambda: model.capture([], SITES, into=tmp_path / "new"), "no texts"),
        (lambda: model.capture(TEXTS, SITES, into=tmp_path / "1.npy"), "cannot write to the folder"),
        (lambda: model.capture(TEXTS, [], into=tmp_path / "n"), "name at least one site"),
        (lambda: model.capture(TEXTS, [9], into=tmp_path / "n"), "blocks 0 to 3"),
        (lambda: model.capture(TEXTS, SITES, read="first", into=tmp_path / "n"), "unknown read"),
        (lambda: model.capture(TEXTS, SITES, into=tmp_path / "s", steering=adding(1)), "unsteered"),
    ):
        with pytest.raises(InputError, match=message):
            call()
    assert (tmp_path / "1.npy").read_bytes() == kept
    assert not (tmp_path / "n").exists()


def test_files_of_another_origin_are_left_alone(model, tmp_path):
    (tmp_path / "1.npy").write_bytes(b"somebody's own")
    with pytest.raises(InputError, match=r"a file 1.npy of another origin"):
        model.capture(TEXTS, SITES, into=tmp_path)
    assert (tmp_path / "1.npy").read_bytes() == b"somebody's own"


def test_a_second_process_is_kept_out(model, tmp_path):
    def while_open():
        with pytest.raises(InputError, match="another process is writing"):
            model.capture(TEXTS, SITES, into=tmp_path)
        yield from TEXTS

    model.capture(while_open(), SITES, into=tmp_path)
    assert np.load(tmp_path / "1.npy").shape == (57, 32)


def test_errors_of_the_texts_own_source_and_numbers_of_texts_are_kept(model, tmp_path):
    def missing():
        yield TEXTS[0]
        raise FileNotFoundError("texts.csv")

    with pytest.raises(FileNotFoundError, match=r"texts\.csv"):
        model.capture(missing(), SITES, into=tmp_path / "a")
    bare = [*TEXTS[:13], Rendered("", "no answer", "")]
    with pytest.raises(InputError, match="text 14 has no answer"):
        model.capture(bare, SITES, read="mean", into=tmp_path / "b")


def test_a_finished_folder_may_be_read_only(model, tmp_path):
    model.capture(TEXTS, SITES, into=tmp_path)
    before = (tmp_path / "1.npy").stat().st_mtime_ns
    model.capture(TEXTS, SITES, into=tmp_path)
    assert (tmp_path / "1.npy").stat().st_mtime_ns == before


@pytest.mark.parametrize("damage", ["{", "[]\n", '{"settings": {}}', '{"settings": 3}\n', 'HEAD\n{"n": -1}\n', "\x00"])
def test_a_damaged_journal_is_said_to_be(model, tmp_path, damage):
    model.capture(TEXTS[:5], SITES, into=tmp_path)
    head = (tmp_path / "capture.jsonl").read_text().splitlines()[0]
    (tmp_path / "capture.jsonl").write_text(damage.replace("HEAD", head))
    with pytest.raises(InputError, match="damaged"):
        model.capture(TEXTS[:5], SITES, into=tmp_path)


def test_a_folder_written_before_the_journal_had_lines_is_read_and_not_run_again(model, tmp_path, monkeypatch):
    result = model.capture(TEXTS[:15], SITES, into=tmp_path).activations[SITES[0]].clone()
    head, *windows = map(json.loads, (tmp_path / "capture.jsonl").read_text().splitlines())
    (tmp_path / "capture.json").write_text(json.dumps({**head, "windows": windows}))
    (tmp_path / "capture.jsonl").unlink()
    monkeypatch.setattr(streaming, "capture", None)
    assert model.capture(TEXTS[:15], SITES, into=tmp_path).activations[SITES[0]].equal(result)
    assert not (tmp_path / "capture.json").exists()
    (tmp_path / "capture.jsonl").unlink()
    for damage in ("{", "[]", '{"settings": {}}'):
        (tmp_path / "capture.json").write_text(damage)
        with pytest.raises(InputError, match="damaged"):
            model.capture(TEXTS[:15], SITES, into=tmp_path)


def test_a_file_that_was_cut_is_said_to_be(model, tmp_path):
    model.capture(TEXTS[:15], SITES, into=tmp_path)
    os.truncate(tmp_path / "1.npy", 200)
    with pytest.raises(InputError, match=r"1.npy is shorter than"):
        model.capture(TEXTS[:15], SITES, into=tmp_path)


def test_a_window_holds_so_many_bytes_whatever_the_model(monkeypatch):
    monkeypatch.setattr(streaming, "MIN_TEXTS", 256)
    monkeypatch.setattr(streaming, "MAX_TEXTS", 4096)
    assert streaming.window(576, 1) == 4096
    assert streaming.window(576, 30) == (1 << 26) // (4 * 576 * 30)
    assert streaming.window(8192, 80) == 256
