"""The page for those who come from AISteer360, which is on no registry: our code, on a file in its form."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tests.migrate.pages import ours

PAGE = "aisteer360"
OURS = "text=text, text_generated=text_generated, v14=steering.vector(14), brought14=brought.vector(14)"


def test_our_code_reads_a_file_in_their_form(peer: Callable[[str], str], workplace: Path) -> None:
    peer(PAGE)
    rows = np.random.default_rng(0).normal(size=(30, 1, 576)).astype(np.float32)
    held = {"model_type": "llama", "directions": {str(layer): row.tolist() for layer, row in enumerate(rows)}}
    (workplace / "theirs.svec").write_text(json.dumps(held), encoding="utf-8")
    own = ours(PAGE, OURS, workplace)
    assert np.array_equal(own["brought14"], rows[14, 0])
    assert own["v14"].shape == (576,)
    assert str(own["text"]) != str(own["text_generated"])  # the scopes differ
