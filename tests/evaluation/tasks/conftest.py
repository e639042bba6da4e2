"""What tests of tasks share: a tiny model, a loop that scores answers by itself, and small files."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

import trimtab as tt
from trimtab.models import Model

Plain = Callable[[Model, str, Sequence[str]], list[tuple[float, int]]]


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> Model:
    """The tiny random Llama in float32."""
    return tt.load(tiny_folder, dtype="float32")


@pytest.fixture(scope="session")
def plain() -> Plain:
    """Log-probability and number of tokens of each answer, one pass of transformers a text, without trimtab's."""

    def loop(model: Model, prompt: str, answers: Sequence[str]) -> list[tuple[float, int]]:
        tokenizer, out = model.tokenizer, []
        first = [tokenizer.bos_token_id]
        for answer in answers:
            before = first + tokenizer(prompt, add_special_tokens=False)["input_ids"]
            ids = first + tokenizer(prompt + answer, add_special_tokens=False)["input_ids"]
            assert ids[: len(before)] == before
            with torch.no_grad():
                logits = model.hf(torch.tensor([ids])).logits[0].double()
            log_probs = torch.log_softmax(logits[:-1], dim=-1)
            total = sum(float(log_probs[at - 1, ids[at]]) for at in range(len(before), len(ids)))
            out.append((total, len(ids) - len(before)))
        return out

    return loop


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, list[dict[str, Any]]], str]:
    """Rows to a file, one a line; gives its path."""

    def written(name: str, rows: list[dict[str, Any]]) -> str:
        file = tmp_path / name
        file.write_text("\n".join(map(json.dumps, rows)))
        return str(file)

    return written
