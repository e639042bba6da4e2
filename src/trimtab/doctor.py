"""What this installation has, what it lacks, and the commands that fix it."""

import importlib.metadata
import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from packaging.requirements import Requirement

State = Literal["ok", "missing", "broken"]


@dataclass(frozen=True)
class InstalledPart:
    """One line of the doctor.

    Args:
        part: what was looked at.
        state: `ok`; `missing`, an optional part; `broken`, something without which checks cannot run.
        detail: version, place or reason.
        fix: the command that fixes it, if there is one.
    """

    part: str
    state: State
    detail: str
    fix: str = ""


_PARSER: Final = "packaging"  # reads requirements; itself one of them


def examine() -> list[InstalledPart]:
    """Look at versions, devices, dtypes, the cache and the optional parts."""
    parts = [InstalledPart("python", "ok", sys.version.split()[0]), *_packages()]
    if all(part.state != "broken" for part in parts):
        parts += _devices()
        parts.append(_embedded())
    parts.append(_cache())
    return parts


def _packages() -> list[InstalledPart]:
    """What the package's own metadata requires: first what is always needed, then what its extras add."""
    try:
        lines = importlib.metadata.requires("trimtab")
    except importlib.metadata.PackageNotFoundError:
        return [InstalledPart("trimtab", "broken", "not installed: its metadata is missing", "pip install trimtab")]
    if importlib.util.find_spec(_PARSER) is None:
        return [InstalledPart(_PARSER, "broken", "not installed", f"pip install {_PARSER}")]
    from packaging.requirements import Requirement

    requirements = [Requirement(line) for line in lines or []]
    extras = importlib.metadata.metadata("trimtab").get_all("Provides-Extra") or []
    core = [r for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})]
    needed = [_package(r, "pip install --upgrade trimtab", "broken") for r in core]
    optional: dict[str, InstalledPart] = {}
    for extra in extras:
        for r in requirements:
            if r not in core and r.marker is not None and r.marker.evaluate({"extra": extra}) and r.name != "trimtab":
                optional.setdefault(r.name, _package(r, f"pip install 'trimtab[{extra}]'", "missing"))
    return [*needed, *optional.values()]


def _package(required: "Requirement", fix: str, without: State) -> InstalledPart:
    """Whether a package is there, in a version that will do."""
    from packaging.utils import canonicalize_name

    name = canonicalize_name(required.name)
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return InstalledPart(name, without, "not installed", fix)
    if not required.specifier.contains(version, prereleases=True):
        return InstalledPart(name, without, f"{version}, but {required.specifier} is needed", fix)
    return InstalledPart(name, "ok", version)


def _devices() -> list[InstalledPart]:
    import torch

    from trimtab.models.loading import native_dtype

    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    gpus = InstalledPart("gpu", "ok" if names else "missing", ", ".join(names) or "none seen by torch; the CPU is used")
    device = "cuda" if names else "cpu"
    dtype = str(native_dtype(device)).removeprefix("torch.")
    threads = f"{torch.get_num_threads()} threads of {os.cpu_count()} cores"
    return [
        gpus,
        InstalledPart("dtype", "ok", f"{dtype} on {device} by default"),
        InstalledPart("threads", "ok", threads),
    ]


def _embedded() -> InstalledPart:
    from trimtab.models.loading import EMBEDDED_FIX, embedded_file
    from trimtab.models.reading import EMBEDDED

    file = embedded_file()
    if file is None:
        return InstalledPart(f"model {EMBEDDED}", "missing", "the embedded model is not installed", EMBEDDED_FIX)
    return InstalledPart(f"model {EMBEDDED}", "ok", str(file))


def _cache() -> InstalledPart:
    from trimtab.models.cache import cache_dir

    place = cache_dir()
    existing = next(p for p in (place, *place.parents) if p.exists())
    if not (existing.is_dir() and os.access(existing, os.W_OK)):
        return InstalledPart("cache", "broken", f"{place} cannot be written", "export TRIMTAB_CACHE=/a/folder/you/own")
    free = shutil.disk_usage(existing).free / 2**30
    if free < 1:
        return InstalledPart(
            "cache", "broken", f"{place}: only {free:.1f} GiB free", "export TRIMTAB_CACHE=/a/larger/disk"
        )
    return InstalledPart("cache", "ok", f"{place} ({free:.0f} GiB free)")
