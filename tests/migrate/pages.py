"""The code on the pages in docs/migrate: every block begins with a comment that says whose it is."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "migrate"
MODEL = '"org/name"'  # what the pages load; tests put a folder in its place
Arrays = Mapping[str, np.ndarray[Any, Any]]


def owners(page: str) -> list[str]:
    """Whose the Python blocks of a page are, in their order: a library, or `both`."""
    return [owner for _, owner in _blocks(page)]


def blocks(page: str, *owners: str) -> str:
    """The Python blocks of some owners on a page, in their order, as one script."""
    found = _blocks(page)
    assert set(owners) <= {owner for _, owner in found}, f"{page}.md has no code of {' or '.join(owners)}"
    return "\n".join(code for code, owner in found if owner in owners)


def _blocks(page: str) -> list[tuple[str, str]]:
    """Code and owner."""
    text = (FOLDER / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(r"^```python\n(# ([^\n]+)\n.*?)^```", text, re.DOTALL | re.MULTILINE)


def ran(python: str, code: str, results: str, folder: Path, **environment: str) -> Arrays:
    """What a script leaves behind: `results` are keyword arguments that make arrays of its variables.

    It runs in `folder`, whose `model` is the model of the pages.
    """
    end = f"""
import numpy
left = dict({results})
numpy.savez("results.npz", **{{k: v.numpy(force=True) if hasattr(v, "numpy") else v for k, v in left.items()}})
"""
    script = folder / "script.py"
    script.write_text(code.replace(MODEL, repr(str(folder / "model"))) + end, encoding="utf-8")
    done = subprocess.run(
        [python, script.name], cwd=folder, capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    with np.load(folder / "results.npz") as held:
        return dict(held)


def ours(page: str, results: str, folder: Path) -> Arrays:
    """What trimtab's code on a page leaves behind."""
    shared = {"both"} & set(owners(page))
    return ran(sys.executable, blocks(page, "trimtab", *shared), results, folder)


def alike(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> None:
    """Two vectors are the same but for rounding: their direction to 10⁻⁵ of a cosine, their length to 0.1 %."""
    lengths = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    assert float(a @ b) / lengths[0] / lengths[1] > 1 - 1e-5
    assert abs(lengths[0] / lengths[1] - 1) < 1e-3
