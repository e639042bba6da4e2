"""The page for those who come from repeng: both codes do the same."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from tests.migrate.pages import blocks, ours, ran

PAGE = "repeng"
THEIRS = "v10=vector.directions[10], v14=vector.directions[14], logits=logits, text=text"
OURS = """
    v10=unit.vector(10), v14=unit.vector(14), w14=steering.vector(14), logits=logits, text=text, same=same,
    brought10=brought.vector(10), brought14=brought.vector(14)
"""


def test_both_codes_give_the_same_vectors_logits_and_texts(peer: Callable[[str], str], workplace: Path) -> None:
    theirs = ran(peer(PAGE), blocks(PAGE, "both", PAGE), THEIRS, workplace)
    own = ours(PAGE, OURS, workplace)  # reads the file that they wrote
    for name in ("v10", "v14"):
        assert own[name] @ theirs[name] > 1 - 1e-5  # both have length 1
        assert np.array_equal(own[name.replace("v", "brought")], theirs[name])
    assert np.abs(own["logits"] - theirs["logits"]).max() < 1e-3
    assert str(own["text"]) == str(own["same"]) == str(theirs["text"])
    back = ran(peer(PAGE), blocks(PAGE, "repeng, afterwards"), "v14=back.directions[14]", workplace)
    assert np.array_equal(back["v14"], own["w14"])
