"""A notebook becomes a page with its text, its code, and what that showed."""

import json
from base64 import b64encode
from pathlib import Path

from docs.site import notebooks

PICTURE = b"\x89PNG a picture"


def test_a_notebook_is_a_page_of_the_menu_with_its_outputs(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# A title\n", "\n", "Text."]},
        {"cell_type": "code", "source": "print(1)\n2", "outputs": [
            {"output_type": "stream", "name": "stdout", "text": ["1\n"]},
            {"output_type": "execute_result", "data": {"text/plain": ["2"]}},
        ]},
        {"cell_type": "code", "source": ["draw()"], "outputs": [
            {"output_type": "display_data", "data": {"image/png": b64encode(PICTURE).decode(), "text/plain": "<F>"}},
        ]},
        {"cell_type": "code", "source": ["quiet()"], "outputs": []},
        {"cell_type": "raw", "source": "not shown"},
    ]  # fmt: skip
    source = tmp_path / "tour.ipynb"
    source.write_text(json.dumps({"cells": cells, "nbformat": 4}))
    pages = notebooks.page(source, tmp_path / "examples")
    text = (
        "# A title\n\nText.\n\n```python\nprint(1)\n2\n```\n\n```\n1\n```\n\n```\n2\n```\n\n```python\ndraw()\n```\n\n"
        "![What the code above draws](tour-2.png)\n\n```python\nquiet()\n```\n"
    )
    assert pages == {"examples/tour.md": text}
    assert (tmp_path / "examples" / "tour.md").read_text() == text
    assert (tmp_path / "examples" / "tour-2.png").read_bytes() == PICTURE
