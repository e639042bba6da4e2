"""A tiny Llama whose heads are as wide as vLLM's attention on CPUs takes them."""

import shutil
from pathlib import Path

import pytest
import torch


@pytest.fixture(scope="session")
def wide_folder(chat_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model's folder, with a tokenizer and a chat template."""
    from transformers import AutoConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("wide") / "wide-llama"
    shutil.copytree(chat_folder, folder)
    config = AutoConfig.from_pretrained(folder)
    config.update({"hidden_size": 64, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32})
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder
