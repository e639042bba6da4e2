"""What this installation has, what it lacks, and the command that mends it."""

import importlib.metadata
import os
import shutil
import sys
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "missing", "broken"]


@dataclass(frozen=True)
class Finding:
    """One line of the doctor.

    Args:
        part: what was looked at.
        state: `ok`; `missing`, an optional part; `broken`, without which checks cannot run.
        detail: version, place or reason.
        mend: the command that mends it, if there is one.
    """

    part: str
    state: State
    detail: str
    mend: str = ""


_NEEDED = (
    "torch", "transformers", "accelerate", "safetensors", "gguf", "huggingface_hub", "filelock", "numpy", "scipy",
    "scikit-learn", "polars", "pydantic", "typer", "rich", "jinja2", "plotly",
)  # fmt: skip
_EXTRAS = {"datasets": "hub", "peft": "adapters"}


def examine() -> list[Finding]:
    """Look at versions, devices, dtypes, the cache and the optional parts."""
    found = [Finding("python", "ok", sys.version.split()[0])]
    found += [_package(name, "pip install --upgrade trimtab", "broken") for name in _NEEDED]
    if all(f.state == "ok" for f in found):
        found += _devices()
        found.append(_embedded())
    found += [_package(name, f"pip install 'trimtab[{extra}]'", "missing") for name, extra in _EXTRAS.items()]
    found.append(_cache())
    return found


def _package(name: str, mend: str, without: State) -> Finding:
    try:
        return Finding(name, "ok", importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, without, "not installed", mend)


def _devices() -> list[Finding]:
    import torch

    from trimtab.models.loading import native_dtype

    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    gpus = Finding("gpu", "ok" if names else "missing", ", ".join(names) or "none seen by torch; the CPU is used")
    device = "cuda" if names else "cpu"
    dtype = str(native_dtype(device)).removeprefix("torch.")
    threads = f"{torch.get_num_threads()} threads of {os.cpu_count()} cores"
    return [gpus, Finding("dtype", "ok", f"{dtype} on {device} by default"), Finding("threads", "ok", threads)]


def _embedded() -> Finding:
    from trimtab.models.loading import EMBEDDED, EMBEDDED_MEND, embedded_file

    file = embedded_file()
    if file is None:
        return Finding(f"model {EMBEDDED}", "missing", "the embedded model is not installed", EMBEDDED_MEND)
    return Finding(f"model {EMBEDDED}", "ok", str(file))


def _cache() -> Finding:
    from trimtab.models.cache import cache_dir

    place = cache_dir()
    existing = next(p for p in (place, *place.parents) if p.exists())
    if not (existing.is_dir() and os.access(existing, os.W_OK)):
        return Finding("cache", "broken", f"{place} cannot be written", "export TRIMTAB_CACHE=/a/folder/you/own")
    free = shutil.disk_usage(existing).free / 2**30
    if free < 1:
        return Finding("cache", "broken", f"{place}: only {free:.1f} GiB free", "export TRIMTAB_CACHE=/a/larger/disk")
    return Finding("cache", "ok", f"{place} ({free:.0f} GiB free)")
