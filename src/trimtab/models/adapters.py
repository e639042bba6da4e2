"""Put a PEFT adapter on top of a loaded model: the whole adapter, or an error."""

import importlib.util
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from trimtab.errors import InputError
from trimtab.models.folders import ADAPTER
from trimtab.models.sources import explanation, loading_log, name_list

WEIGHTS = "adapter_model.safetensors"
_PROMPT_TUNING = {"PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "MULTITASK_PROMPT_TUNING", "CPT", "CARTRIDGE"}


def adapt(hf: Any, adapter: str) -> None:
    """Put an adapter (id or folder) onto a model, in place.

    Raises:
        InputError: PEFT is not installed, or the adapter cannot be read, is pickled, or does not fit the model whole.
    """
    if importlib.util.find_spec("peft") is None:
        raise InputError("adapters need PEFT; run: pip install 'trimtab[adapters]'")
    what = f"adapter {adapter!r} cannot be loaded"
    base, weights = _base_and_weights(adapter, what)
    base_note = f"; it was made for {base}" if base else ""
    with loading_log() as lines:
        try:
            report = hf.load_adapter(adapter, use_safetensors=True, ignore_mismatched_sizes=True)
            _put_magnitudes(hf, report, weights)
        except (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError, SafetensorError) as error:
            why = explanation(error, lines)
            if "get_peft_model" in why or "create_and_replace" in why:
                why = (
                    "only PEFT itself can apply adapters of this kind; pass "
                    "PeftModel.from_pretrained(model, adapter) to trimtab.Model"
                )
            raise InputError(f"{what}: {why}{base_note}") from error
    _check_shapes(report, what, base_note)
    hf.eval()


def _base_and_weights(adapter: str, what: str) -> tuple[str | None, Path]:
    """The base model that an adapter names, and the file with its weights.

    Raises:
        InputError: a file is missing, or the adapter is of a kind that is not supported.
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
    if kind in _PROMPT_TUNING:
        raise InputError(f"{what}: {kind} puts learned tokens in front of the text, which trimtab does not support")
    if config.get("alora_invocation_tokens"):
        raise InputError(f"{what}: it acts only after its invocation tokens (activated LoRA), which is not supported")
    base = config.get("base_model_name_or_path")
    return base if isinstance(base, str) and base else None, weights


def _put_magnitudes(hf: Any, report: Any, weights: Path) -> None:
    """Load DoRA's magnitudes: PEFT saves them without the last part of their name, so transformers skips them."""
    keys = {key for key in report.unexpected_keys if ".lora_magnitude_vector" in key}
    if not keys:
        return
    tensors, parameters = load_file(weights), dict(hf.named_parameters())
    for key in keys:
        place = parameters.get(f"{key}.weight")
        value = tensors.get(f"base_model.model.{key.removesuffix('.default')}")
        if place is not None and value is not None and place.shape == value.shape:
            place.data.copy_(value)
            report.unexpected_keys.discard(key)
            report.missing_keys.discard(f"{key}.weight")


def _check_shapes(report: Any, what: str, base_note: str) -> None:
    # AdaLoRA's rank numbers are in its settings, not among its weights
    missing = {key for key in report.missing_keys if ".ranknum." not in key}
    unexpected = set(report.unexpected_keys)
    misfits = [f"{key} {list(got)} instead of {list(expected)}" for key, got, expected in report.mismatched_keys]
    if misfits:
        raise InputError(f"{what}: {len(misfits)} of its weights have other shapes: {name_list(misfits)}{base_note}")
    if unexpected:
        raise InputError(
            f"{what}: {len(unexpected)} of its weights fit nothing in the model: {name_list(unexpected)}{base_note}"
        )
    if missing:
        raise InputError(f"{what}: it has no weights for {len(missing)} of its parts: {name_list(missing)}{base_note}")
