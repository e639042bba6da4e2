"""Notebooks as pages: text as it is, code and what it printed as blocks, pictures beside the page."""

import json
from base64 import b64decode
from pathlib import Path
from typing import Any


def page(notebook: Path, folder: Path) -> dict[str, str]:
    """Write a notebook as a page, with its pictures, into a folder.

    Returns:
        the page by its path below the folder's parent, as the menu names it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cells = json.loads(notebook.read_text())["cells"]
    parts = [part for k, cell in enumerate(cells) for part in _cell(cell, folder / f"{notebook.stem}-{k}")]
    text = "\n\n".join(parts) + "\n"
    (folder / f"{notebook.stem}.md").write_text(text)
    return {f"{folder.name}/{notebook.stem}.md": text}


def _cell(cell: dict[str, Any], stem: Path) -> list[str]:
    source = _text(cell["source"])
    if cell["cell_type"] != "code":
        return [source] if cell["cell_type"] == "markdown" else []
    return [_block(source, "python"), *(part for output in cell["outputs"] for part in _output(output, stem))]


def _output(output: dict[str, Any], stem: Path) -> list[str]:
    """What a cell showed: a picture if there is one, else text."""
    data = output.get("data", {})
    if picture := data.get("image/png"):
        path = stem.with_suffix(".png")
        path.write_bytes(b64decode(_text(picture)))
        return [f"![What the code above draws]({path.name})"]
    text = _text(output.get("text", data.get("text/plain", ""))).rstrip()
    return [_block(text, "")] if text else []


def _block(text: str, language: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```"


def _text(given: str | list[str]) -> str:
    """Text that a notebook may keep in lines."""
    return given if isinstance(given, str) else "".join(given)
