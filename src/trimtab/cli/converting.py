"""`trimtab convert`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from trimtab.cli.generating import strengths
from trimtab.errors import InputError

if TYPE_CHECKING:
    from trimtab.steering import Steering


def convert(
    source: Annotated[
        Path, typer.Argument(help="Folder of a steering, .gguf control vector or .safetensors of vectors.")
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
    name: Annotated[str, typer.Option(help="Name of the attribute, when vectors are read.")] = "vector",
    convention: Annotated[
        str | None,
        typer.Option(
            help="What numbers in a .safetensors mean: block (output of block k) or hidden-states (of k − 1)."
        ),
    ] = None,
) -> None:
    """Steerings to other tools' files and back; the site convention is said, never guessed."""
    made = _read(source, name, convention)
    told = strengths(made, strength or [], off or []) if strength or off else None
    if target.suffix == ".gguf":
        from trimtab.integrations.control_vectors import write_control_vector

        write_control_vector(made, target, told, ungated=ungated, hint=hint)
    elif target.suffix == ".safetensors":
        from trimtab.integrations.plain import write_vectors

        write_vectors(made, target, told, ungated=ungated)
    elif target.suffix:
        raise InputError(f"{target}: write a .gguf, a .safetensors or a folder")
    else:
        made.changed(attributes=told or {}).save(target)
    console = Console(soft_wrap=True)
    for site in sorted(made.edits):
        where = "output of block" if site.component == "residual" else f"{site.component} of block"
        console.print(f"site {site} ({where} {site.block}, counted from 0)", highlight=False, markup=False)
    console.print(f"written: {target}", highlight=False, markup=False)


def _read(source: Path, name: str, convention: str | None) -> "Steering":
    if convention is not None and source.suffix != ".safetensors":
        raise InputError("--convention is for .safetensors of plain vectors; other formats say what they mean")
    if source.is_dir():
        from trimtab.steering import Steering

        return Steering.load(source)
    if source.suffix == ".gguf":
        from trimtab.integrations.control_vectors import read_control_vector

        return read_control_vector(source, name)
    if source.suffix == ".safetensors":
        from trimtab.integrations.plain import read_vectors

        return read_vectors(source, name, convention)
    raise InputError(f"{source}: give the folder of a steering, a .gguf or a .safetensors")
