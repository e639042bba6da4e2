"""Activations of every token in a folder: the same figures, memory-mapped, resumed after any interruption."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from trimtab.errors import InputError
from trimtab.interventions import Site
from trimtab.models import Encoded, tokens
from trimtab.models.tokens import capture_tokens
from trimtab.texts import Rendered

SITES = [Site(0), Site(2)]
TEXTS = [Rendered("", f"A {chr(97 + i // 2)} ship and", f" the {'very ' * (i % 4)}small flap {i}.") for i in range(16)]
TWINS = [i ^ 1 for i in range(len(TEXTS))]
JSON = "capture.jsonl"


@pytest.fixture
def small_windows(monkeypatch):
    monkeypatch.setattr(tokens, "MIN_TOKENS", 40)
    monkeypatch.setattr(tokens, "WINDOW_BYTES", 0)


@pytest.fixture
def counted(monkeypatch):
    """Texts whose activations were computed, not found."""
    runs: list[int] = []
    original = tokens._run

    def run(model, spans, *rest):
        runs.append(len(spans))
        return original(model, spans, *rest)

    monkeypatch.setattr(tokens, "_run", run)
    return runs


def files(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != ".lock"}


@pytest.mark.parametrize("which", ["response", "all", "last"])
def test_a_folder_holds_what_memory_would(model, tmp_path, small_windows, which):
    expected = model.capture_tokens(TEXTS, SITES, tokens=which)
    result = model.capture_tokens((t for t in TEXTS), SITES, tokens=which, into=tmp_path / "out")
    for site in SITES:
        torch.testing.assert_close(result.activations[site], expected.activations[site], rtol=1e-5, atol=1e-5)
        assert result.text[site].equal(expected.text[site])
        assert result.position[site].equal(expected.position[site])
        for name, values in (("", result.activations), (".text", result.text), (".position", result.position)):
            mapped = np.load(tmp_path / "out" / f"{site}{name}.npy", mmap_mode="r")
            assert np.array_equal(mapped, values[site].numpy())
    assert (result.n_massive, result.n_identical) == (expected.n_massive, expected.n_identical)
    assert result.sharing.given == expected.sharing.given


def test_no_more_than_a_window_of_tokens_is_run_at_a_time(model, tmp_path, small_windows, counted):
    rows = model.encoder().encode(TEXTS)
    capture_tokens(model, rows, SITES, "response", tmp_path / "out")
    answers = [len(r.ids) - r.prompt_len for r in rows]
    assert len(counted) > 3
    for n in counted:
        own, answers = answers[:n], answers[n:]
        assert sum(own) <= 40 or len(own) == 1
        assert not answers or sum(own) + answers[0] > 40
    capture_tokens(model, rows, SITES, "response", tmp_path / "out")
    assert sum(counted) == len(rows)  # what is finished is not run again


def test_a_window_holds_so_many_bytes_whatever_the_model():
    assert tokens.window(4 * 576, 1) == (1 << 28) // (4 * 576)
    assert tokens.window(4 * 576, 20) == (1 << 28) // (4 * 576 * 20)
    assert tokens.window(2 * 8192, 80) == 4096


def test_windows_are_cut_by_tokens_and_by_texts():
    spans = [tokens._Span(Encoded((1,) * 11, 1), 1, 0)] * 50
    assert [len(w) for w in tokens._windows(spans, 200)] == [20, 20, 10]
    assert [len(w) for w in tokens._windows(spans, 3)] == [1] * 50
    assert [len(w) for w in tokens._windows(spans * 100, 1 << 20)] == [4096, 904]


PROGRAM = """
import json, multiprocessing, random, sys, time
from pathlib import Path
import torch, trimtab as tt
from trimtab.texts import Rendered
from trimtab.models import tokens

torch.set_num_threads(1)
tokens.MIN_TOKENS, tokens.WINDOW_BYTES = 60, 0
model = tt.load(sys.argv[1], dtype=sys.argv[3])
texts = [Rendered("", f"text {i // 2} of", f" some {'many ' * (i % 5)}{i}.") for i in range(240)]
twins = [i ^ 1 for i in range(240)]

def capture(name):
    model.capture_tokens(texts, [1, "mlp:2"], tokens="all", twins=twins, drop_identical=True, into=folder / name)

def windows():
    journal = folder / "parts" / "capture.jsonl"
    return len(journal.read_text().splitlines()) - 1 if journal.exists() else 0

folder, chance, stops = Path(sys.argv[2]), random.Random(sys.argv[3]), []
capture("warm")
begun = time.monotonic()
capture("whole")
seconds = time.monotonic() - begun
while sum(n > 0 for n in stops) < 3 and len(stops) < 40:  # a busy machine may be slow to begin
    process = multiprocessing.get_context("fork").Process(target=capture, args=("parts",))
    process.start()
    time.sleep(chance.uniform(0.05, 0.25) * seconds * (1 + len(stops) / 4))
    process.kill()  # SIGKILL
    process.join()
    stops.append(windows())
capture("parts")
print(json.dumps([stops, windows()]))
"""


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_capture_killed_at_random_moments_goes_on_to_the_same_bytes(tiny_folder, tmp_path, dtype):
    command = [sys.executable, "-c", PROGRAM, str(tiny_folder), str(tmp_path), dtype]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    stops, windows = json.loads(run.stdout)
    assert windows > 10
    assert any(0 < n < windows for n in stops), stops
    whole, parts = files(tmp_path / "whole"), files(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    for name, content in whole.items():
        assert parts[name] == content, name


def test_half_a_window_on_disk_is_written_anew(model, tmp_path, small_windows, counted):
    model.capture_tokens(TEXTS, SITES, into=tmp_path / "whole")
    counted.clear()

    def interrupted():
        yield from TEXTS[:9]
        raise KeyboardInterrupt

    rows = list(model.encoder().encode(TEXTS))
    with pytest.raises(KeyboardInterrupt):
        capture_tokens(model, (r for r, _ in zip(rows, interrupted(), strict=False)), SITES, "response", tmp_path / "p")
    assert 0 < sum(counted) < 9
    for name in ("0.npy", "2.text.npy"):
        with (tmp_path / "p" / name).open("ab") as file:
            file.write(b"half a row")
    model.capture_tokens(TEXTS, SITES, into=tmp_path / "p")
    assert sum(counted) == len(TEXTS)
    assert files(tmp_path / "p") == files(tmp_path / "whole")


def test_a_folder_of_something_else_is_refused(model, wrapped, tmp_path):
    folder = tmp_path / "out"
    model.capture_tokens(TEXTS, SITES, into=folder)
    before = files(folder)
    other = wrapped(num_hidden_layers=3)
    for call, message in (
        (lambda: model.capture_tokens(TEXTS, SITES[:1], into=folder), "another sites"),
        (
            lambda: model.capture_tokens(TEXTS, SITES, tokens="all", into=folder),
            "another read .response tokens, not all",
        ),
        (lambda: model.capture_tokens(TEXTS, SITES, twins=TWINS, drop_identical=True, into=folder), "another read"),
        (lambda: other.capture_tokens(TEXTS, SITES, into=folder), "another model"),
        (lambda: wrapped(dtype=torch.bfloat16).capture_tokens(TEXTS, SITES, into=folder), "another dtype"),
        (lambda: model.capture_tokens(TEXTS[1:], SITES, into=folder), "other texts"),
        (lambda: model.capture_tokens([*TEXTS, TEXTS[0]], SITES, into=folder), "other texts|holds 16 texts"),
        (lambda: model.capture(TEXTS, SITES, into=folder), "another read .response tokens, not last"),
        (lambda: model.capture_tokens(TEXTS, SITES, into=folder / "0.npy"), "cannot write to the folder"),
    ):
        with pytest.raises(InputError, match=message):
            call()
        assert files(folder) == before
    os.truncate(folder / "2.position.npy", 140)
    with pytest.raises(InputError, match=r"2.position.npy is shorter"):
        model.capture_tokens(TEXTS, SITES, into=folder)


@pytest.mark.parametrize("damage", ["{", "no head", "no tokens", "no rows", "half a line amid others"])
def test_a_damaged_journal_is_said_to_be(model, tmp_path, damage):
    model.capture_tokens(TEXTS, SITES, into=tmp_path)
    head, window = (tmp_path / JSON).read_text().splitlines()
    without = json.loads(window)
    del without["rows"]["2"]
    lines = {
        "{": "{",
        "no head": f"{window}\n",
        "no tokens": f'{head}\n{{"n": 3}}\n',
        "no rows": f"{head}\n{json.dumps(without)}\n",
        "half a line amid others": f"{head}\n{window[:40]}\n{window}\n",
    }
    (tmp_path / JSON).write_text(lines[damage])
    with pytest.raises(InputError, match="damaged"):
        model.capture_tokens(TEXTS, SITES, into=tmp_path)
