"""Other libraries' environments, and a model that all of them can load."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from tests.migrate.pages import ROOT

HOOKED = ("Llama", "GPT-2", "Gemma 2")  # RMSNorm; LayerNorm; norms behind attention and MLP, and a softcap


@pytest.fixture(scope="session")
def peer() -> Callable[[str], str]:
    """Interpreter of a library's environment, by the environment's name; `make test-migration` makes them."""

    def found(name: str) -> str:
        if name not in os.environ.get("TRIMTAB_REQUIRE", "").split(","):
            pytest.skip("runs another library in an environment of its own (make test-migration)")
        return str(ROOT / ".bench" / name / "bin" / "python")

    return found


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model as a folder that older transformers read as well, and with a tokenizer that puts the first
    token in front by itself, as most do."""
    from trimtab.models.gguf import convert
    from trimtab.models.loading import embedded_file

    file = embedded_file()
    assert file is not None
    folder = tmp_path_factory.mktemp("shared") / "model"
    folder.mkdir()
    source = convert(file)
    (folder / "model.safetensors").symlink_to(source / "model.safetensors")
    shutil.copy(source / "generation_config.json", folder)
    config = json.loads((source / "config.json").read_text())
    config["rope_theta"] = config["rope_parameters"]["rope_theta"]  # where transformers 4 looks for it
    (folder / "config.json").write_text(json.dumps(config))
    settings = json.loads((source / "tokenizer_config.json").read_text())
    settings |= {"tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": ["input_ids", "attention_mask"]}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    tokenizer = json.loads((source / "tokenizer.json").read_text())
    first, text = {"SpecialToken": {"id": "<|im_start|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}
    tokenizer["post_processor"] = {
        "type": "TemplateProcessing", "single": [first, text],
        "pair": [first, text, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<|im_start|>": {"id": "<|im_start|>", "ids": [1], "tokens": ["<|im_start|>"]}},
    }  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    return folder


@pytest.fixture(params=HOOKED)
def tiny_workplace(request: pytest.FixtureRequest, tmp_path: Path, tiny_folder: Path) -> Path:
    """A folder with a tiny random model of a kind beside it as `model`, whose norms have weights of their own."""
    from tests.models.families import FAMILIES
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_folder)
    config, own, _ = FAMILIES[request.param]
    own = {**own, "vocab_size": len(tokenizer), "pad_token_id": 0, "initializer_range": 0.2}
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(getattr(transformers, config)(**own))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" in name or "ln_" in name:
                weight.add_(0.3 * torch.randn_like(weight))
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path


@pytest.fixture
def workplace(tmp_path: Path, shared: Path) -> Path:
    """An empty folder with the model beside it as `model`."""
    (tmp_path / "model").symlink_to(shared)
    return tmp_path
