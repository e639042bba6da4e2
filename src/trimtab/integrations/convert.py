"""Steerings to other tools' files and back."""

import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from trimtab.errors import InputError
from trimtab.integrations.checkpoints import read_checkpoint
from trimtab.integrations.control_vectors import read_control_vector, write_control_vector
from trimtab.integrations.plain import read_vectors, write_vectors
from trimtab.integrations.svec import read_svec
from trimtab.integrations.vectors import within
from trimtab.interventions import Place, Site
from trimtab.steering import Steering
from trimtab.steering.stored import load
from trimtab.storage.atomic import fault, outside_steerings

FILES: Final = (".gguf", ".safetensors")
TORCH: Final = (".pt", ".pth", ".bin")
SVEC: Final = ".svec"
OTHER_FILES: Final = (
    *TORCH, SVEC, ".ckpt", ".pkl", ".npz", ".npy", ".onnx", ".json", ".jsonl", ".parquet", ".txt", ".md",
    ".zip",
)  # fmt: skip


@dataclass(frozen=True)
class Conversion:
    """What was written.

    Example:
        >>> import torch, trimtab as tt
        >>> folder = tt.Steering.from_vector(3, torch.ones(8), "warm").save("warm")
        >>> tt.convert("warm", "warm.safetensors").sites
        (Site(block=3, component='residual'),)

    Args:
        steering: as it was written.
        target: where it lies.
        sites: where it acts.
        beyond: sites left out, since the model has fewer blocks.
        reports: names of what the sources' reports say that is true of the sources only, and so was left out.
    """

    steering: Steering
    target: Path
    sites: tuple[Site, ...]
    beyond: tuple[Site, ...] = ()
    reports: tuple[str, ...] = ()


def convert(
    source: str | Path | Sequence[str | Path],
    target: str | Path,
    *,
    strength: Mapping[str, float] | None = None,
    ungated: bool = False,
    hint: str | None = None,
    names: Sequence[str] = (),
    site: Place | None = None,
    blocks: int | None = None,
    convention: str | None = None,
) -> Conversion:
    """Write a steering as another tool's file, or read such a file into the folder of a steering.

    Example:
        >>> import torch, trimtab as tt
        >>> folder = tt.Steering.from_vector(3, torch.ones(8), "warm").save("warm")
        >>> tt.convert("warm", "warm.safetensors").target
        PosixPath('warm.safetensors')
        >>> tt.convert("warm.safetensors", "again", names=["warm"]).steering.attributes
        {'warm': 1.0}

    Args:
        source: the folder of a steering, or several, which are combined; a `.gguf` control vector; a `.safetensors` of
            vectors; a `.svec`; a `.pt` of torch.save.
        target: a `.gguf`, a `.safetensors`, or a folder for a steering.
        strength: of attributes, instead of their defaults; vectors are written as long as this makes them.
        ungated: write vectors behind gates as if the gates were open, which is another edit.
        hint: llama.cpp's name of the architecture, for `.gguf`.
        names: of the attributes that are read from a file.
        site: where a vector belongs that does not say so itself; of several, the one to take.
        blocks: how many blocks the model has; what is for a block beyond is left out and named.
        convention: what numbers in a file mean: `block` (output of block k) or `hidden-states` (of k − 1).

    Raises:
        InputError: a source that cannot be read, or does not say where it acts; a target that lies in a source or
            cannot be written; arguments that mean nothing for these formats.
    """
    sources, target = _paths(source), Path(target)
    kind = _kind(target)
    for field, value, fitting in (("hint", hint, FILES[:1]), ("ungated", ungated, FILES)):
        if value and kind not in fitting:
            raise InputError(
                f"{field} means nothing for {target}; it is for a {' or '.join(fitting)}",
                code="conflicting-arguments",
                field=field,
            )
    _check_target(target, sources)
    steering, documents = _read(sources, names, None if site is None else Site.of(site), convention)
    beyond: list[Site] = []
    if blocks is not None:
        steering, beyond = within(steering, blocks)
    reports: list[str] = []
    if kind == ".gguf":
        write_control_vector(steering, target, strength, ungated=ungated, hint=hint)
    elif kind == ".safetensors":
        write_vectors(steering, target, strength, ungated=ungated)
    else:
        steering, reports = _saved(steering, dict(strength or {}), documents, target)
    return Conversion(steering, target, tuple(sorted(steering.edits)), tuple(beyond), tuple(reports))


def read(
    source: str | Path | Sequence[str | Path],
    *,
    names: Sequence[str] = (),
    site: Place | None = None,
    convention: str | None = None,
) -> Steering:
    """The steering of another tool's file, or of folders; arguments as of `convert`.

    Example:
        >>> import torch, trimtab as tt
        >>> from trimtab.integrations import read
        >>> torch.save({"layer": 3, "vector": torch.ones(8)}, "vector.pt")
        >>> read("vector.pt", site=3).edits.keys()
        dict_keys([Site(block=3, component='residual')])

    Raises:
        InputError: it cannot be read, or does not say where it acts.
    """
    return _read(_paths(source), names, None if site is None else Site.of(site), convention)[0]


def _paths(source: str | Path | Sequence[str | Path]) -> list[Path]:
    return [Path(source)] if isinstance(source, str | Path) else [Path(one) for one in source]


def _saved(
    steering: Steering, strengths: dict[str, float], documents: Sequence[Mapping[str, Any]], target: Path
) -> tuple[Steering, list[str]]:
    """Write the folder, with what the sources' reports say of attributes whose strength stays.

    Returns:
        the steering, and what is left out of the reports.
    """
    changed = {name for name, value in strengths.items() if value != steering.attributes.get(name)}
    result = steering.changed(attributes=strengths)
    if len(documents) == 1 and not changed:
        result.save(target, documents[0] or None)
        return result, []
    known: dict[str, Any] = {}
    for document in documents:
        verdicts = document.get("attributes")
        known |= verdicts if isinstance(verdicts, dict) else {}
    kept = {name: v for name, v in known.items() if name in steering.attributes and name not in changed}
    result.save(target, {"attributes": kept} if kept else None)
    rest = dict.fromkeys(name for document in documents for name in document if name != "attributes")
    return result, [*(name for name in known if name not in kept), *rest]


def _kind(target: Path) -> str:
    """`.gguf`, `.safetensors`, or nothing for a folder, whose name may have dots."""
    suffix = target.suffix.lower() or target.name.lower()
    if suffix in OTHER_FILES and not _is_folder(target):
        raise InputError(f"{target}: write a .gguf, a .safetensors or a folder", code="unknown-choice", field="target")
    return suffix if suffix in FILES else ""


def _check_target(target: Path, sources: Sequence[Path]) -> None:
    """Sources stay as they are, and what cannot be written is known before anything is read."""
    if why := fault(target):
        raise InputError(f"{str(target)!r} {why}; give another target", code="unwritable-file", field="target")
    for source in sources:
        if target.resolve().is_relative_to(source.resolve()):
            raise InputError(
                f"{target} is the source {source} or lies in it, and sources stay; give another target",
                code="conflicting-arguments",
                field="target",
            )
    outside_steerings(target.parent)


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:  # a name that is too long
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _read(
    sources: Sequence[Path], names: Sequence[str], site: Site | None, convention: str | None
) -> tuple[Steering, list[Mapping[str, Any]]]:
    """The steering of one file, or of one folder or several together, with the folders' reports."""
    folders = [source for source in sources if _is_folder(source)]
    if not sources:
        raise InputError("give at least one source", code="missing-value", field="source")
    if len(sources) > 1 and (len(folders) < len(sources) or names or site or convention):
        raise InputError(
            "several sources are combined where all are folders of steerings; convert other files one by one",
            code="conflicting-arguments",
            field="source",
        )
    if not folders:
        return _read_file(sources[0], names, site, convention), []
    if site is not None:
        raise InputError(
            "a site is for other tools' files; a steering says where it acts",
            code="conflicting-arguments",
            field="site",
        )
    _check_convention("folder", convention)
    if names:
        raise InputError(
            "names are for other tools' files; the attributes of a steering have names",
            code="conflicting-arguments",
            field="names",
        )
    loaded = [load(folder) for folder in folders]
    return Steering.combined([steering for steering, _ in loaded]), [kept.reliability or {} for _, kept in loaded]


def _check_convention(kind: str, convention: str | None) -> None:
    """A format that says what it means takes no convention."""
    if convention is not None and kind not in (".safetensors", SVEC):
        raise InputError(
            "a convention is for .safetensors, .svec and .pt of plain vectors; other formats say what they mean",
            code="conflicting-arguments",
            field="convention",
        )


def _read_file(source: Path, names: Sequence[str], site: Site | None, convention: str | None) -> Steering:
    kind = source.suffix.lower()
    if kind in TORCH:
        return read_checkpoint(source, names, site, convention)
    _check_convention(kind, convention)
    if len(names) > 1:
        raise InputError(f"{source} holds one attribute; give one name", code="out-of-range", field="names")
    name = names[0] if names else "vector"
    if kind == ".gguf":
        return read_control_vector(source, name, site=site)
    if kind == ".safetensors":
        return read_vectors(source, name, convention, site)
    if kind == SVEC:
        return read_svec(source, name, convention, site)
    raise InputError(
        f"{source}: give the folder of a steering, a .gguf, a .safetensors, a .svec, or a .pt of torch.save",
        code="unsupported",
        field="source",
    )
