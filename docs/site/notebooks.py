"""Notebooks as pages. They are kept as Python files with cells (`# %%`, as jupytext has them), without outputs."""

import re
from pathlib import Path

_HEADER = re.compile(r"\A# ---\n(?:#.*\n)*?# ---\n")
_CELL = re.compile(r"^# %%(.*)\n", re.MULTILINE)


def is_notebook(path: Path) -> bool:
    """Whether a Python file is kept in cells."""
    return bool(_HEADER.match(path.read_text()))


def page(text: str) -> str:
    """A notebook as a page: its prose as it is, its code in blocks.

    Example:
        >>> print(page("# ---\\n# jupyter:\\n# ---\\n\\n# %% [markdown]\\n# # Title\\n\\n# %%\\n1 + 1\\n"), end="")
        # Title
        <BLANKLINE>
        ```python
        1 + 1
        ```
    """
    _, *cells = _CELL.split(_HEADER.sub("", text))
    shown = []
    for kind, body in zip(cells[::2], cells[1::2], strict=True):
        prose = "[markdown]" in kind
        shown.append(re.sub(r"^# ?", "", body, flags=re.MULTILINE).strip() if prose else _block(body.strip()))
    return "\n\n".join(part for part in shown if part) + "\n"


def _block(code: str) -> str:
    return f"```python\n{code}\n```" if code else ""
