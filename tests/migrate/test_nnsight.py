"""The page for those who come from nnsight: both codes do the same."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tests.migrate.pages import blocks, ours, ran

PAGE = "nnsight"


def test_both_codes_give_the_same_logits(peer: Callable[[str], str], tiny_workplace: Path) -> None:
    python, folder = peer(PAGE), tiny_workplace
    own = ours(PAGE, "logits=own_logits, plain=model.hf(ids('The film was')).logits[0, -1]", folder)
    theirs = ran(
        python, blocks(PAGE, "both", PAGE),
        "own=own_logits, logits=logits, vectors=__import__('torch').stack(list(vectors.values()))", folder,
        HF_HUB_OFFLINE="1",
    )  # fmt: skip
    assert np.abs(own["logits"] - theirs["own"]).max() < 1e-4
    assert np.abs(own["logits"] - own["plain"]).max() > 0.1
    code = blocks(PAGE, "both", "trimtab", "trimtab, afterwards")  # reads the file that they wrote
    brought = ran(
        sys.executable, code, "logits=logits, vectors=torch.stack(list(module_hooks(brought, model).values()))", folder
    )
    assert np.array_equal(brought["vectors"], theirs["vectors"])
    assert np.abs(brought["logits"] - theirs["logits"]).max() < 1e-4
    assert np.abs(brought["logits"] - own["plain"]).max() > 0.1
