"""Each benchmark begins: its imports are there and its arguments are read; what it measures takes hours, elsewhere."""

import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
FILES = sorted(BENCHMARKS.rglob("*.py"))
SCRIPTS = [file for file in FILES if file.parent == BENCHMARKS and "__main__" in file.read_text(encoding="utf-8")]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Their folder comes first on the path, as when they are run; what they import by short names is forgotten."""
    monkeypatch.syspath_prepend(str(BENCHMARKS / "contenders"))
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda file: file.stem)
def test_a_script_reads_its_arguments(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [str(file), "--help"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(file), run_name="__main__")
    assert not stopped.value.code
    assert "usage" in capsys.readouterr().out.lower()


@pytest.mark.parametrize("file", [f for f in FILES if f not in SCRIPTS], ids=lambda file: file.stem)
def test_what_scripts_and_contenders_import_is_there(file: Path) -> None:
    """Libraries to compare with are in environments of their own; all else must be here."""
    try:
        runpy.run_path(str(file), run_name="looked at")
    except ModuleNotFoundError as missing:
        if str(missing.name).partition(".")[0] not in ("steering_vectors", "repeng", "nnsight", "pyvene"):
            raise
