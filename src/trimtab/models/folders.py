"""Recognize what a folder holds if it is not a model, and say what to give instead."""

import json
from pathlib import Path
from typing import Any

from trimtab.errors import InputError
from trimtab.models.sources import check_complete_files, name_list

ADAPTER = "adapter_config.json"
_DATA = ("dataset_info.json", "dataset_dict.json", "state.json")


def check_model_folder(folder: Path) -> None:
    """Check that a folder holds a transformers model whose files are complete.

    Raises:
        InputError: it is something else; the message says what, and what to give.
    """
    names = {p.name for p in folder.iterdir()}
    if ADAPTER in names:
        merged = (
            "; if its weights are merged into the model already, remove " + ADAPTER if "config.json" in names else ""
        )
        advice = adapter_advice(_base(folder / ADAPTER), str(folder))
        raise InputError(f"model folder {folder} {advice}{merged}", code="wrong-file", field="adapter")
    if "config.json" not in names:
        raise InputError(f"model folder {folder} has no config.json; {_instead(folder, names)}")
    check_complete_files(folder)


def adapter_advice(base: str | None, adapter: str) -> str:
    """How to load an adapter that was given as a model."""
    base_id = base or "ITS-BASE-MODEL"
    return (
        f"is a PEFT adapter{f' for {base}' if base else ''}, not a model; give its base as the model and it as the "
        f'adapter, as trimtab.load("{base_id}", adapter="{adapter}")'
    )


def _base(config: Path) -> str | None:
    try:
        base: Any = json.loads(config.read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError):
        return None
    return base if isinstance(base, str) and base else None


def _instead(folder: Path, names: set[str]) -> str:
    ggufs = [str(folder / name) for name in names if name.lower().endswith(".gguf")]
    if ggufs:
        return f"give one of its GGUF files: {name_list(ggufs)}"
    if names.intersection(_DATA) or any(name.endswith((".arrow", ".parquet")) for name in names):
        return "it is a data set, not a model"
    if "model_index.json" in names:
        return "it is a diffusion pipeline, not a language model"
    if "params.json" in names:
        return "its weights are in the original release's format; give the version of the model for transformers"
    inner = [str(p.parent) for depth in ("*", "*/*") for p in folder.glob(f"{depth}/config.json")]
    if inner:
        return f"did you mean {name_list(inner)}?"
    return "is it a transformers model?"
