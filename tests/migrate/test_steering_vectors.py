"""The page for those who come from steering-vectors: both codes do the same."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from tests.migrate.pages import alike, blocks, ours, ran

PAGE = "steering-vectors"
THEIRS = """
    v10=vector.layer_activations[10], v14=vector.layer_activations[14], logits=logits, text=text, difference=difference,
    cached=tokenizer.decode(cached[0, last + 1 :], skip_special_tokens=True),
    uncached=tokenizer.decode(uncached[0, last + 1 :], skip_special_tokens=True),
"""
OURS = """
    v10=steering.vector(10), v14=steering.vector(14), logits=logits, text=text, difference=difference,
    cached=like_cached, uncached=like_uncached, brought10=brought.vector(10), brought14=brought.vector(14),
"""


def test_both_codes_give_the_same_vectors_logits_and_texts(peer: Callable[[str], str], workplace: Path) -> None:
    theirs = ran(peer(PAGE), blocks(PAGE, "both", PAGE), THEIRS, workplace)
    own = ours(PAGE, OURS, workplace)  # reads the file that they wrote
    for name in ("v10", "v14"):
        alike(own[name], theirs[name])
        assert np.array_equal(own[name.replace("v", "brought")], theirs[name])
    assert np.abs(own["logits"] - theirs["logits"]).max() < 1e-3
    assert abs(own["difference"] - theirs["difference"]) < 1e-3
    for name in ("text", "cached", "uncached"):
        assert str(own[name]) == str(theirs[name])
    assert str(theirs["cached"]) != str(theirs["uncached"])  # or the section on tokens would say nothing


def test_the_check_of_a_vector_brought_along_comes_to_a_decision(peer: Callable[[str], str], workplace: Path) -> None:
    peer(PAGE)
    torch.save({"vector": torch.linspace(-1, 1, 576), "layer": 14}, workplace / "vector.pt")
    code = f"""
import trimtab as tt
model = tt.load({str(workplace / "model")!r})
brought = tt.convert("vector.pt", "theirs", site=14).steering
{blocks(PAGE, "trimtab, in minutes")}"""
    own = ran(sys.executable, code, "decision=decision, reasons=reasons", workplace)
    assert str(own["decision"]) in ("no-go", "inconclusive")  # a ramp is no behavior
    assert len(own["reasons"])
