"""A GGUF file becomes a safetensors folder: once, atomically, under a lock."""

import hashlib
import io
import json
from collections.abc import Sequence
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

from trimtab.errors import InputError
from trimtab.models.cache import cache_dir
from trimtab.models.gguf_header import check_biases, check_is_model, merged, open_parts, parts_of
from trimtab.models.sources import check_all_sourced, explanation, loading_log
from trimtab.storage.atomic import whole_folder

# Raised when what is written below changes, so that old conversions are not used.
_CONVERSION = 2


def convert(path: Path) -> Path:
    """Folder with the weights (float32) and tokenizer of a file, written on first use; split files are merged.

    Raises:
        InputError: the file is not a GGUF of a whole language model, or its architecture is not one that transformers
            can read.
    """
    from filelock import FileLock

    parts = parts_of(path)
    path, digest = parts[0], _digest(parts)
    home = cache_dir() / "gguf"
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot write to the cache {home} ({error.strerror}); set TRIMTAB_CACHE to a folder you own"
        ) from error
    target = home / f"{path.stem}-{digest[:16]}-v{_CONVERSION}"
    with FileLock(f"{target}.lock"):
        if not target.is_dir():
            with whole_folder(target) as work:
                _write(path, work)
                (work / "trimtab.json").write_text(json.dumps({"gguf_sha256": digest, "gguf_name": path.name}))
    return target


def _digest(parts: Sequence[Path]) -> str:
    sha = hashlib.sha256()
    for path in parts:
        try:
            with path.open("rb") as file:
                if file.read(4) != b"GGUF":
                    raise InputError(f"{path} is not a GGUF file: it does not begin with GGUF")
                file.seek(0)
                while piece := file.read(1 << 22):
                    sha.update(piece)
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from error
    return sha.hexdigest()


def _write(path: Path, work: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    parts = parts_of(path)
    headers = open_parts(parts)
    check_is_model(parts, headers)
    fields = headers[0].fields
    whole = path if len(parts) == 1 else merged(headers, work / "whole.gguf")
    with loading_log() as lines:
        try:
            # Without dequantize=True the model refuses to be saved.
            with redirect_stderr(io.StringIO()):  # its progress bar cannot be switched off
                loaded: Any = AutoModelForCausalLM.from_pretrained(
                    whole.parent, gguf_file=whole.name, dtype=torch.float32, output_loading_info=True,
                    quantization_config=GgufConfig(dequantize=True), ignore_mismatched_sizes=True,
                )  # fmt: skip
            tokenizer = AutoTokenizer.from_pretrained(whole.parent, gguf_file=whole.name)
        except (ValueError, KeyError, OSError, NotImplementedError, IndexError, RuntimeError, TypeError) as error:
            raise InputError(f"{path} cannot be converted: {explanation(error, lines)}") from error
    model, report = loaded
    check_biases(path, headers, list(model.state_dict()))
    check_all_sourced(model, report, f"GGUF file {path}")
    if whole is not path:
        whole.unlink()
    _correct(tokenizer, {k: f.contents() for k, f in fields.items() if not k.startswith("tokenizer.ggml.token")})
    model.save_pretrained(work)
    tokenizer.save_pretrained(work)


def _correct(tokenizer: Any, fields: dict[str, Any]) -> None:
    """Restore what the conversion loses: the pre-tokenizer that splits digits, and the context length."""
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence

    if fields.get("tokenizer.ggml.pre") == "smollm":
        tokenizer.backend_tokenizer.pre_tokenizer = Sequence(
            [Digits(individual_digits=True), ByteLevel(add_prefix_space=False, use_regex=True)]
        )
    context = fields.get(f"{fields.get('general.architecture')}.context_length")
    if isinstance(context, int):
        tokenizer.model_max_length = context
