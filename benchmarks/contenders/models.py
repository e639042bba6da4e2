"""The embedded model for contenders, the same whatever transformers their environment has."""

import json
from pathlib import Path
from typing import Any


def load(folder: str, dtype: str) -> tuple[Any, Any]:
    """A transformers model and its tokenizer, which pads on the right and adds no tokens of its own.

    Args:
        folder: the converted embedded model.
        dtype: `float32` or `bfloat16`.
    """
    import torch
    import transformers

    options: dict[str, Any] = {}
    if int(transformers.__version__.split(".")[0]) < 5:  # older ones look for the rotary base elsewhere
        config = transformers.AutoConfig.from_pretrained(folder)
        parameters = json.loads((Path(folder) / "config.json").read_text())["rope_parameters"]
        config.rope_theta = parameters["rope_theta"]
        options["config"] = config
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype), **options)
    return model.eval(), tokenizer(folder)


def tokenizer(folder: str) -> Any:
    """The tokenizer as its file says; older transformers cannot read the folder's settings."""
    import transformers

    return transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(Path(folder) / "tokenizer.json"), pad_token="<|im_end|>", padding_side="right"
    )
