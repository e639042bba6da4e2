"""The page for those who come from TransformerLens: both codes do the same, and it says which loading to take."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.migrate.pages import alike, blocks, ours, ran

PAGE = "transformer-lens"
THEIRS = "logits=logits, v1=vectors['blocks.1.hook_resid_post'], v2=vectors['blocks.2.hook_attn_out']"
OURS = """
    logits=logits, own_logits=own_logits, v1=steering.vector(1), v2=steering.vector("attention:2"),
    plain=model.hf(ids("The film was")).logits[0, -1],
    residual=model.hf(ids("The film was"), output_hidden_states=True).hidden_states[2][0, -1],
    by_names_alone=[str(site) for site in tt.convert("theirs.pt", "theirs").sites],
"""


def log_probs(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max()


def test_both_codes_give_the_same_logits_and_compatibility_mode_does_what_the_page_says(
    peer: Callable[[str], str], tiny_workplace: Path, request: pytest.FixtureRequest
) -> None:
    python, folder = peer(PAGE), tiny_workplace
    layer_norm, capped = ("GPT-2" in request.node.name), ("Gemma 2" in request.node.name)
    theirs = ran(python, blocks(PAGE, "both", PAGE), THEIRS, folder, HF_HUB_OFFLINE="1")
    own = ours(PAGE, OURS, folder)  # reads the file that they wrote
    for name in ("v1", "v2"):
        assert np.array_equal(own[name], theirs[name])
    assert list(own["by_names_alone"]) == ["1", "attention:2"]
    assert np.abs(own["logits"] - theirs["logits"]).max() < 1e-4
    code = blocks(PAGE, "both", PAGE, f"{PAGE}, afterwards", f"{PAGE}, in compatibility mode")
    back = ran(
        python, code, "logits=own_logits, folded=folded_logits, residual=residual", folder, HF_HUB_OFFLINE="1"
    )  # fmt: skip
    assert np.abs(own["own_logits"] - back["logits"]).max() < 1e-4
    assert np.abs(own["own_logits"] - own["plain"]).max() > 0.1

    residual = own["residual"]
    assert abs(residual.mean()) > 0.01 * np.abs(residual).max()  # or the two could not be told apart
    alike(back["residual"], residual - residual.mean() if layer_norm else residual)
    assert np.abs(log_probs(back["folded"]) - log_probs(own["own_logits"])).max() < 1e-4
    mean = 0.0 if capped else own["own_logits"].mean()
    assert np.abs(back["folded"] - (own["own_logits"] - mean)).max() < 1e-4
