"""Check that every parameter of a model has a source in its files, and every weight of its blocks a place."""

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from trimtab.errors import InputError

LOG = logging.getLogger("trimtab")
MAX_NAMES = 8
INDEX, WHOLE = "model.safetensors.index.json", "model.safetensors"
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


def name_list(names: Iterable[str]) -> str:
    """The first few names in their order, and how many more there are."""
    every = sorted(names)
    more = f" and {len(every) - MAX_NAMES} more" if len(every) > MAX_NAMES else ""
    return ", ".join(every[:MAX_NAMES]) + more


def check_complete_files(folder: Path) -> None:
    """Check, before anything is built, that a folder has the shards that its index names, complete, and no others.

    Raises:
        InputError: a shard is missing, damaged or left over, or lacks weights.
    """
    shards = sorted(p.name for p in folder.glob("*.safetensors") if _SHARD.fullmatch(p.name))
    if (folder / WHOLE).exists():
        _keys(folder / WHOLE)
        return
    if not (folder / INDEX).is_file():
        if shards:
            raise InputError(
                f"model folder {folder} holds {name_list(shards)} but no {INDEX}, which says what is where; download it"
            )
        return
    files = _index(folder / INDEX)
    absent = [name for name in files if not (folder / name).is_file()]
    if absent:
        raise InputError(
            f"model folder {folder} lacks {len(absent)} of the {len(files)} files that {INDEX} names: "
            f"{name_list(absent)}; download them"
        )
    for name, keys in sorted(files.items()):
        lost = keys - _keys(folder / name)
        if lost:
            raise InputError(
                f"{folder / name} lacks {len(lost)} weights that {INDEX} says are in it: {name_list(lost)}; download "
                "both again"
            )
    extra = [name for name in shards if name not in files]
    if extra:
        raise InputError(
            f"model folder {folder} holds files that {INDEX} does not name: {name_list(extra)}; they "
            "or the index are of another download; remove them, or download the model again"
        )


def _index(path: Path) -> dict[str, set[str]]:
    """By file, the weights that the index says are in it."""
    files: dict[str, set[str]] = {}
    try:
        for key, name in json.loads(path.read_text(encoding="utf-8"))["weight_map"].items():
            files.setdefault(str(name), set()).add(key)
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise InputError(
            f"{path} is not an index of weights ({type(error).__name__}: {error}); download it again"
        ) from error
    return files


def _keys(path: Path) -> set[str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return set(file.keys())
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path} cannot be loaded: {error}; it is damaged or not completely downloaded, so download it again"
        ) from error


def check_all_sourced(hf: nn.Module, report: Mapping[str, Any], what: str) -> None:
    """Check transformers' loading report: no weight was drawn at random, and no block lost weights.

    Args:
        hf: the model.
        report: its loading report.
        what: the model in messages, such as "model 'x'".

    Raises:
        InputError: weights are missing, of other shapes, or fit nothing though they belong to the decoder.
    """
    missing, unexpected = set(report["missing_keys"]), set(report["unexpected_keys"])
    misfits = {key: (tuple(there), tuple(here)) for key, there, here in report.get("mismatched_keys") or ()}
    if misfits:
        shapes = [f"{key} {list(there)} instead of {list(here)}" for key, (there, here) in misfits.items()]
        raise InputError(
            f"{what} cannot be loaded: {len(misfits)} weights have other shapes than its config says: "
            f"{name_list(shapes)}"
        )
    if missing:
        beside = f"; {len(unexpected)} others fit nothing: {name_list(unexpected)}" if unexpected else ""
        raise InputError(
            f"{what} cannot be loaded: {len(missing)} weights are missing, {name_list(missing)}{beside}; is it a "
            "language model with its head, and are its files complete?"
        )
    lost = [key for key in unexpected if _belongs(hf, key)]
    if lost:
        raise InputError(
            f"{what} cannot be loaded: {len(lost)} weights of its files have no place in the model that its config "
            f"describes: {name_list(lost)}; config and weights are of different models"
        )
    if unexpected:
        LOG.warning(
            "%s: %d weights have no place in it and are left out: %s", what, len(unexpected), name_list(unexpected)
        )


def _belongs(hf: nn.Module, key: str) -> bool:
    """Whether a weight is one of the decoder's: of a block, or beside weights that the model has."""
    parts, modules = key.split("."), dict(hf.named_modules())
    for end in range(len(parts) - 1, 0, -1):
        owner = modules.get(".".join(parts[:end]))
        if owner is not None:
            within_stack = isinstance(owner, nn.ModuleList)
            return within_stack or end == len(parts) - 1 or _in_stack(".".join(parts[:end]), modules)
    return False


def _in_stack(path: str, modules: Mapping[str, nn.Module]) -> bool:
    parts = path.split(".")
    return any(isinstance(modules.get(".".join(parts[:end])), nn.ModuleList) for end in range(1, len(parts)))


@contextmanager
def loading_log() -> Iterator[list[str]]:
    """Collect what transformers would print about weights, for a message of our own."""
    logger = logging.getLogger("transformers.modeling_utils")
    lines: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.extend(_ANSI.sub("", record.getMessage()).splitlines())

    handler, level, propagates = Collector(), logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING - 1)  # from WARNING on it also looks for a tensor-parallel plan that nobody made
    logger.propagate = False
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagates


def explanation(error: Exception, lines: Iterable[str]) -> str:
    """The first line of an error; where it points to a report, the report's rows."""
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    if "report" not in first:
        return first
    rows = [re.sub(r"\s*\|\s*", " ", line).strip(" |") for line in lines if "|" in line and "Status" not in line]
    return f"weights do not fit: {name_list(rows)}" if rows else first
