"""A PEFT adapter on top of a loaded model: all of it, or it is refused."""

import importlib.util
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from trimtab.errors import InputError
from trimtab.models.folders import ADAPTER
from trimtab.models.sources import explained, heard, named

WEIGHTS = "adapter_model.safetensors"
_NO_ROOM = {"PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "MULTITASK_PROMPT_TUNING", "CPT", "CARTRIDGE"}


def adapt(hf: Any, adapter: str) -> None:
    """Put an adapter (id or folder) onto a model, in place.

    Raises:
        InputError: PEFT is not installed, or the adapter cannot be read, is pickled, or does not fit the model whole.
    """
    if importlib.util.find_spec("peft") is None:
        raise InputError("adapters need PEFT; run: pip install 'trimtab[adapters]'")
    what = f"adapter {adapter!r} cannot be loaded"
    base, weights = _looked_at(adapter, what)
    made_for = f"; it was made for {base}" if base else ""
    with heard() as lines:
        try:
            report = hf.load_adapter(adapter, use_safetensors=True, ignore_mismatched_sizes=True)
            _put_magnitudes(hf, report, weights)
        except (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError, SafetensorError) as error:
            why = explained(error, lines)
            if "get_peft_model" in why or "create_and_replace" in why:
                why = (
                    "only PEFT itself can put one of its kind onto a model; do that, and give trimtab.Model what "
                    "PeftModel.from_pretrained(model, adapter) gives"
                )
            raise InputError(f"{what}: {why}{made_for}") from error
    _check_shapes(report, what, made_for)
    hf.eval()


def _looked_at(adapter: str, what: str) -> tuple[str | None, Path]:
    """The base that an adapter names, and its weights, which are there and of a kind that can be put onto a model.

    Raises:
        InputError: they are not.
    """
    from transformers.utils.hub import cached_file

    folder = Path(adapter).expanduser()
    if folder.is_dir() and not (folder / ADAPTER).is_file():
        hint = "; it holds a model: give it as the model" if (folder / "config.json").is_file() else ""
        raise InputError(f"{what}: the folder has no {ADAPTER}{hint}")
    try:
        config = json.loads(Path(cached_file(adapter, ADAPTER)).read_text(encoding="utf-8"))  # type: ignore[arg-type]
        weights = Path(cached_file(adapter, WEIGHTS))  # type: ignore[arg-type]  # fails without it, where load_adapter would take a pickle
    except (OSError, ValueError) as error:
        raise InputError(f"{what}: {str(error).splitlines()[0]}") from error
    if not isinstance(config, dict):
        raise InputError(f"{what}: {ADAPTER} holds no settings")
    kind = str(config.get("peft_type"))
    if kind in _NO_ROOM:
        raise InputError(f"{what}: {kind} puts learnt tokens in front of the text, which trimtab does not support")
    if config.get("alora_invocation_tokens"):
        raise InputError(f"{what}: it acts only behind its invocation tokens (activated LoRA), which is not supported")
    base = config.get("base_model_name_or_path")
    return base if isinstance(base, str) and base else None, weights


def _put_magnitudes(hf: Any, report: Any, weights: Path) -> None:
    """DoRA's magnitudes, which PEFT saves without the last part of their name, so that transformers finds no place."""
    lost = {key for key in report.unexpected_keys if ".lora_magnitude_vector" in key}
    if not lost:
        return
    there, parameters = load_file(weights), dict(hf.named_parameters())
    for key in lost:
        place = parameters.get(f"{key}.weight")
        value = there.get(f"base_model.model.{key.removesuffix('.default')}")
        if place is not None and value is not None and place.shape == value.shape:
            place.data.copy_(value)
            report.unexpected_keys.discard(key)
            report.missing_keys.discard(f"{key}.weight")


def _check_shapes(report: Any, what: str, made_for: str) -> None:
    # AdaLoRA's rank numbers are in its settings, not among its weights
    missing = {key for key in report.missing_keys if ".ranknum." not in key}
    unexpected = set(report.unexpected_keys)
    odd = [f"{key} {list(there)} instead of {list(here)}" for key, there, here in report.mismatched_keys]
    if odd:
        raise InputError(f"{what}: {len(odd)} of its weights have other shapes: {named(odd)}{made_for}")
    if unexpected:
        raise InputError(
            f"{what}: {len(unexpected)} of its weights fit nothing in the model: {named(unexpected)}{made_for}"
        )
    if missing:
        raise InputError(f"{what}: it has no weights for {len(missing)} of its parts: {named(missing)}{made_for}")
