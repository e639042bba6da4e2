"""The page for those who come from llama.cpp: it adds the vector that trimtab writes as trimtab does."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.migrate.pages import ROOT, blocks, ours, ran

from trimtab.models.loading import embedded_file

PAGE = "llama-cpp"
OURS = """
    logits=logits, v14=steering.vector(14), brought14=brought.vector(14),
    ids=model.tokenizer("The film was")["input_ids"],
"""
THEIRS = "logits=logits, off=(steer(0.0), logits_after([1, 504, 4771, 436]))[1]"
GOOD = ["I love this city.", "What a wonderful day.", "The service was a delight."]
BAD = ["I hate this city.", "What a dreadful day.", "The service was a disgrace."]


def test_llama_cpp_adds_the_vector_of_the_file_as_we_do(
    peer: Callable[[str], str], workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python, source = peer(PAGE), embedded_file()
    assert source is not None
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from control_vectors import in_float32, library_of

    (workplace / "texts").mkdir()
    for name, texts in (("positive", GOOD), ("negative", BAD)):
        (workplace / "texts" / f"{name}.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    in_float32(source, workplace / "model.gguf")
    own = ours(PAGE, OURS, workplace)
    theirs = ran(python, blocks(PAGE, "llama.cpp"), THEIRS, workplace, LLAMA_CPP_LIB=str(library_of(python)))
    assert own["ids"].tolist() == [1, 504, 4771, 436]
    assert np.array_equal(own["brought14"], own["v14"])
    assert np.abs(theirs["logits"] - own["logits"]).max() < 1e-3
    assert np.abs(theirs["off"] - own["logits"]).max() > 1  # the vector does something
