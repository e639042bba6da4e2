"""What a folder is that was given for a model, and what to give instead where it is none."""

import json
from pathlib import Path
from typing import Any

from trimtab.errors import InputError
from trimtab.models.sources import check_complete_files, named

ADAPTER = "adapter_config.json"
_DATA = ("dataset_info.json", "dataset_dict.json", "state.json")


def check_model_folder(folder: Path) -> None:
    """A folder must hold a transformers model whose files are whole.

    Raises:
        InputError: it is something else; the message says what, and what to give.
    """
    has = {p.name for p in folder.iterdir()}
    if ADAPTER in has:
        merged = "; if its weights are merged into the model already, remove " + ADAPTER if "config.json" in has else ""
        advice = adapter_advice(_base(folder / ADAPTER), str(folder))
        raise InputError(f"model folder {folder} {advice}{merged}", code="wrong-file", field="adapter")
    if "config.json" not in has:
        raise InputError(f"model folder {folder} has no config.json; {_instead(folder, has)}")
    check_complete_files(folder)


def adapter_advice(base: str | None, adapter: str) -> str:
    """What to call for an adapter that was given as a model."""
    of = base or "ITS-BASE-MODEL"
    return (
        f"is a PEFT adapter{f' for {base}' if base else ''}, not a model; give its base as the model and it as the "
        f'adapter, as trimtab.load("{of}", adapter="{adapter}")'
    )


def _base(config: Path) -> str | None:
    try:
        given: Any = json.loads(config.read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError):
        return None
    return given if isinstance(given, str) and given else None


def _instead(folder: Path, has: set[str]) -> str:
    ggufs = [str(folder / name) for name in has if name.lower().endswith(".gguf")]
    if ggufs:
        return f"give one of its GGUF files: {named(ggufs)}"
    if has.intersection(_DATA) or any(name.endswith((".arrow", ".parquet")) for name in has):
        return "it is a data set, not a model"
    if "model_index.json" in has:
        return "it is a diffusion pipeline, not a language model"
    if "params.json" in has:
        return "it holds weights in their maker's own format; give the transformers version of the model"
    inner = [str(p.parent) for depth in ("*", "*/*") for p in folder.glob(f"{depth}/config.json")]
    if inner:
        return f"did you mean {named(inner)}?"
    return "is it a transformers model?"
