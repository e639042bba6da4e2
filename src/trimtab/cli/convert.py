"""`trimtab convert`."""

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console

from trimtab.cli.strengths import strengths
from trimtab.errors import InputError
from trimtab.storage.atomic import fault, outside_steerings

if TYPE_CHECKING:
    from trimtab.interventions import Site
    from trimtab.steering import Steering

FILES: Final = (".gguf", ".safetensors")
TORCH: Final = (".pt", ".pth", ".bin")
OTHER_FILES: Final = (
    *TORCH, ".ckpt", ".pkl", ".npz", ".npy", ".onnx", ".json", ".jsonl", ".parquet", ".txt", ".md",
    ".zip",
)  # fmt: skip


def convert(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE...",
            help="Folder of a steering (several are combined), .gguf control vector, .safetensors of vectors, .pt.",
        ),
    ],
    target: Annotated[Path, typer.Argument(help=".gguf, .safetensors, or a folder for a steering.")],
    strength: Annotated[
        list[str] | None,
        typer.Option(help="As of generate: name=1.5, one number, or a preset; vectors are written so long."),
    ] = None,
    off: Annotated[list[str] | None, typer.Option(help="An attribute to leave out (repeatable).")] = None,
    ungated: Annotated[
        bool, typer.Option("--ungated", help="Write vectors behind gates as if the gates were open: another edit.")
    ] = False,
    hint: Annotated[str | None, typer.Option(help="llama.cpp's name of the architecture, for .gguf.")] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(help="Name of the attribute that is read (repeatable where a .pt holds several)."),
    ] = None,
    site: Annotated[
        str | None,
        typer.Option(
            help="14 or attention:14: where a vector belongs that does not say so itself; of several, the one to take."
        ),
    ] = None,
    blocks: Annotated[
        int | None,
        typer.Option(
            help="How many blocks the model has: what is for a block beyond, as for the last layer of a control vector "
            "with one direction for every layer from 1, is left out and named."
        ),
    ] = None,
    convention: Annotated[
        str | None,
        typer.Option(
            help="What numbers in a .safetensors or .pt mean: block (output of block k) or hidden-states (of k − 1)."
        ),
    ] = None,
) -> None:
    """Steerings to other tools' files and back; the site convention is said, never guessed."""
    kind = _kind(target)
    for flag, given, fitting in (("--hint", hint, FILES[:1]), ("--ungated", ungated, FILES)):
        if given and kind not in fitting:
            raise InputError(f"{flag} means nothing for {target}; it is for a {' or '.join(fitting)}")
    _check_target(target, sources)
    made, documents = _read(sources, name or [], site, convention)
    beyond: list[Site] = []
    if blocks is not None:
        from trimtab.integrations.vectors import within

        made, beyond = within(made, blocks)
    described = strengths(made, strength or [], off or []) if strength or off else None
    left_out: list[str] = []
    if kind == ".gguf":
        from trimtab.integrations.control_vectors import write_control_vector

        write_control_vector(made, target, described, ungated=ungated, hint=hint)
    elif kind == ".safetensors":
        from trimtab.integrations.plain import write_vectors

        write_vectors(made, target, described, ungated=ungated)
    else:
        left_out = _saved(made, described or {}, documents, target)
    console = Console(soft_wrap=True)
    for place in sorted(made.edits):
        where = "output of block" if place.component == "residual" else f"{place.component} of block"
        console.print(f"site {place} ({where} {place.block}, counted from 0)", highlight=False, markup=False)
    for place in beyond:
        told_of = f"left out: site {place}; a model of {blocks} blocks has blocks 0 to {(blocks or 0) - 1}"
        console.print(told_of, highlight=False, markup=False)
    for known in left_out:
        console.print(
            f"left out: the report on {known}, which is true of the sources as they are", highlight=False, markup=False
        )
    console.print(f"written: {target}", highlight=False, markup=False)


def _saved(
    made: "Steering", described: dict[str, float], documents: list[Mapping[str, Any]], target: Path
) -> list[str]:
    """Write the folder, with what the sources' reports say of attributes whose strength stays.

    Returns:
        What is left out of them.
    """
    changed = {name for name, value in described.items() if value != made.attributes[name]}
    steering = made.changed(attributes=described)
    if len(documents) == 1 and not changed:
        steering.save(target, documents[0] or None)
        return []
    known: dict[str, Any] = {}
    for document in documents:
        verdicts = document.get("attributes")
        known |= verdicts if isinstance(verdicts, dict) else {}
    kept = {name: v for name, v in known.items() if name in made.attributes and name not in changed}
    steering.save(target, {"attributes": kept} if kept else None)
    rest = dict.fromkeys(name for document in documents for name in document if name != "attributes")
    return [*(name for name in known if name not in kept), *rest]


def _kind(target: Path) -> str:
    """`.gguf`, `.safetensors`, or nothing for a folder, whose name may have dots."""
    suffix = target.suffix.lower() or target.name.lower()
    if suffix in OTHER_FILES and not _is_folder(target):
        raise InputError(f"{target}: write a .gguf, a .safetensors or a folder")
    return suffix if suffix in FILES else ""


def _check_target(target: Path, sources: list[Path]) -> None:
    """Sources stay as they are, and what cannot be written is known before anything is read."""
    if why := fault(target):
        raise InputError(f"{str(target)!r} {why}; give another target")
    for source in sources:
        if target.resolve().is_relative_to(source.resolve()):
            raise InputError(f"{target} is the source {source} or lies in it, and sources stay; give another target")
    outside_steerings(target.parent)


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:  # a name that is too long
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _read(
    sources: list[Path], names: list[str], site: str | None, convention: str | None
) -> tuple["Steering", list[Mapping[str, Any]]]:
    """The steering of one file, or of one folder or several together, with the folders' reports."""
    folders = [source for source in sources if _is_folder(source)]
    if len(sources) > 1 and (len(folders) < len(sources) or names or site or convention):
        raise InputError(
            "several sources are combined where all are folders of steerings; convert other files one by one"
        )
    if not folders:
        return _read_file(sources[0], names, site, convention), []
    if site is not None:
        raise InputError("--site is for other tools' files; a steering says where it acts")
    _check_convention("folder", convention)
    if names:
        raise InputError("--name is for other tools' files; the attributes of a steering have names")
    from trimtab.steering import Steering
    from trimtab.steering.stored import load

    loaded = [load(folder) for folder in folders]
    return Steering.combined([steering for steering, _ in loaded]), [result.reliability or {} for _, result in loaded]


def _check_convention(kind: str, convention: str | None) -> None:
    """What formats say themselves is not told otherwise."""
    if convention is not None and kind != ".safetensors":
        raise InputError("--convention is for .safetensors and .pt of plain vectors; other formats say what they mean")


def _read_file(source: Path, names: list[str], site: str | None, convention: str | None) -> "Steering":
    from trimtab.interventions import Site

    kind, place = source.suffix.lower(), None if site is None else Site.parse(site)
    if kind in TORCH:
        from trimtab.integrations.checkpoints import read_checkpoint

        return read_checkpoint(source, names, place, convention)
    _check_convention(kind, convention)
    if len(names) > 1:
        raise InputError(f"{source} holds one attribute; give one --name")
    name = names[0] if names else "vector"
    if kind == ".gguf":
        from trimtab.integrations.control_vectors import read_control_vector

        return read_control_vector(source, name, site=place)
    if kind == ".safetensors":
        from trimtab.integrations.plain import read_vectors

        return read_vectors(source, name, convention, place)
    raise InputError(f"{source}: give the folder of a steering, a .gguf, a .safetensors, or a .pt of torch.save")
