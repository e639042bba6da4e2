"""Arrays that grow know no model: any columns, any settings; what the journal does not name is written anew."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trimtab.errors import InputError
from trimtab.storage.arrays import ArrayFolder, Column, alone

COLUMNS = [Column("a", "<f4", (3,)), Column("tokens", "<i8", (), "t")]
SETTINGS = {"of": "numbers"}


def opened(folder: Path, settings: dict[str, Any] = SETTINGS) -> ArrayFolder:
    folder.mkdir(exist_ok=True)
    return ArrayFolder(folder, settings, COLUMNS, lambda window: window["n"])


def window(k: int) -> tuple[dict[str, Any], dict[str, Any]]:
    arrays = {"a": np.full((2, 3), k), "tokens": np.arange(k + 1)}
    return arrays, {"n": 2, "rows": {"t": k + 1}}


def test_windows_stand_behind_each_other_and_numpy_reads_them(tmp_path: Path) -> None:
    for k in range(3):
        opened(tmp_path).append(*window(k))
    done = opened(tmp_path)
    done.finish()
    assert done.n == 6
    assert np.load(tmp_path / "a.npy").tolist() == [[k] * 3 for k in (0, 0, 1, 1, 2, 2)]
    assert done.mapped()["tokens"].tolist() == [0, 0, 1, 0, 1, 2]


def test_rows_that_the_journal_does_not_name_are_written_anew(tmp_path: Path) -> None:
    for folder in (tmp_path / "whole", tmp_path / "cut"):
        opened(folder).append(*window(1))
    for name, more in (("a.npy", b"half a row"), ("tokens.npy", b"more"), ("capture.jsonl", b'{"n": 2, "ro')):
        with (tmp_path / "cut" / name).open("ab") as file:
            file.write(more)
    for folder in (tmp_path / "whole", tmp_path / "cut"):
        files = opened(folder)
        assert files.n == 2
        files.append(*window(2))
        files.finish()
    for path in (tmp_path / "whole").iterdir():
        assert (tmp_path / "cut" / path.name).read_bytes() == path.read_bytes()


def test_a_killed_writer_leaves_only_whole_windows(tmp_path: Path) -> None:
    code = (
        "import os, sys; import numpy as np; from pathlib import Path\n"
        "from trimtab.storage import arrays\n"
        "files = arrays.ArrayFolder(Path(sys.argv[1]), {'of': 'numbers'}, [arrays.Column('a', '<f4')], lambda w: 0)\n"
        "files.append({'a': np.zeros(2)}, {'n': 2})\n"
        "arrays.Lines.append = lambda *_: os.kill(os.getpid(), 9)\n"
        "files.append({'a': np.ones(2)}, {'n': 2})"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    files = ArrayFolder(tmp_path, SETTINGS, [Column("a", "<f4")], lambda w: None)
    assert files.n == 2
    files.finish()
    assert np.load(tmp_path / "a.npy").tolist() == [0, 0]


def test_other_settings_and_strange_files_are_refused_and_left_alone(tmp_path: Path) -> None:
    opened(tmp_path / "mine").append(*window(1))
    before = {p.name: p.read_bytes() for p in (tmp_path / "mine").iterdir()}
    with pytest.raises(InputError, match=r"another of \(numbers, not letters\) and another more \(None, not 1\)"):
        opened(tmp_path / "mine", {"of": "letters", "more": 1})
    assert {p.name: p.read_bytes() for p in (tmp_path / "mine").iterdir()} == before
    (tmp_path / "mine" / "capture.jsonl").unlink()
    with pytest.raises(InputError, match=r"a file a.npy of another origin"):
        opened(tmp_path / "mine")


def test_two_writers_are_kept_apart(tmp_path: Path) -> None:
    with alone(tmp_path), pytest.raises(InputError, match="another process is writing"), alone(tmp_path):
        pass
    with alone(tmp_path):
        pass
