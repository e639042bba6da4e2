"""The notebooks in examples/: in every run that they parse and that trimtab has the names they use.

Run from end to end they are by `make test-notebooks`, on the embedded model.
"""

import ast
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from tests.names import has, used_names

pytestmark = pytest.mark.filterwarnings("ignore")  # Jupyter's own
FILES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))
NOTEBOOKS = [file for file in FILES if "marimo" not in file.stem]


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to run in; skips where notebooks are not asked for."""
    if "notebooks" not in os.environ.get("TRIMTAB_REQUIRE", "").split(","):
        pytest.skip("runs a notebook from end to end (make test-notebooks)")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_runs_from_end_to_end_and_shows_something_in_every_cell_that_ends_with_a_value(
    file: Path, ready: Path
) -> None:
    jupytext, nbclient = import_module("jupytext"), import_module("nbclient")
    notebook = jupytext.read(file)
    nbclient.NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": str(ready)}}).execute()
    for cell in notebook.cells:
        if cell.cell_type == "code" and isinstance(ast.parse(cell.source).body[-1], ast.Expr):
            kinds = {output.output_type for output in cell.outputs}
            assert kinds & {"execute_result", "display_data"}, cell.source


@pytest.mark.parametrize("file", [file for file in FILES if file not in NOTEBOOKS], ids=lambda file: file.stem)
def test_a_marimo_notebook_runs_as_a_script(file: Path, ready: Path) -> None:
    done = subprocess.run([sys.executable, str(file)], cwd=ready, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_notebook_uses_names_that_trimtab_has(file: Path) -> None:
    found = used_names(file.read_text(encoding="utf-8"))
    assert found, "it uses nothing of trimtab"
    assert not [name for name in found if not has(name)]
