"""Tiny random models of three families with one tokenizer, and a steering of every stored kind of edit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tests.conftest import CHAT_TEMPLATE

from trimtab.interventions import Edit
from trimtab.models import Model
from trimtab.steering.edits import Ablation, Additive, Clamp, ClassifierGradient, Gated, Rotation, Stack

WIDTH = 32
FAMILIES: dict[str, dict[str, Any]] = {
    "LlamaConfig": {"num_key_value_heads": 2, "num_hidden_layers": 3},
    "GPT2Config": {"n_embd": WIDTH, "n_layer": 3, "n_head": 4, "n_positions": 1024},
    "GPTNeoXConfig": {"num_hidden_layers": 3},
}
UNBATCHED: dict[str, dict[str, Any]] = {  # come out otherwise in packed passes
    "GPTJConfig": {"num_hidden_layers": 3, "rotary_dim": 4},
    "BloomConfig": {"num_hidden_layers": 3},
    "MambaConfig": {"num_hidden_layers": 3, "state_size": 8},
}
_SHARED = {
    "hidden_size": WIDTH, "intermediate_size": 48, "num_attention_heads": 4, "max_position_embeddings": 1024,
    "initializer_range": 0.2, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> Callable[..., Model]:
    """`tiny("GPT2Config")`: a fresh tiny random model in float32, always with the same weights."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_folder)
    tokenizer.chat_template = CHAT_TEMPLATE

    def make(family: str = "LlamaConfig") -> Model:
        special = {**FAMILIES, **UNBATCHED}[family]
        own = special if family == "GPT2Config" else {**_SHARED, **special}
        ids = {"vocab_size": len(tokenizer), "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.2}
        torch.manual_seed(0)
        hf = transformers.AutoModelForCausalLM.from_config(getattr(transformers, family)(**{**own, **ids}))
        return Model(hf, tokenizer, id=family)

    return make


@pytest.fixture(scope="session")
def every_kind() -> dict[str, Edit]:
    """By kind, an edit that takes one strength; `stack` holds two of them."""
    generator = torch.Generator().manual_seed(3)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    one, gated = Additive(random(1, WIDTH)), Gated(random(1, WIDTH), 0.3 * random(1, WIDTH), torch.zeros(1))
    return {
        "additive": one,
        "additive, norm kept": Additive(2 * random(1, WIDTH), keep_norm=True),
        "gated": gated,
        "ablation": Ablation(random(1, WIDTH)),
        "rotation": Rotation(random(1, WIDTH), random(1, WIDTH), torch.tensor([0.7])),
        "clamp": Clamp(random(1, WIDTH), torch.tensor([1.5])),
        "classifier-gradient": ClassifierGradient(
            torch.zeros(WIDTH), torch.ones(WIDTH), random(8, WIDTH), random(8), random(1, 8), random(1)
        ),
        "stack": Stack(((one, (0,)), (gated, (0,)))),
    }
