"""`trimtab convert`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from trimtab.cli.strengths import strengths


def convert(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE...",
            help="Folder of a steering (several are combined), .gguf control vector, .safetensors, .svec or .pt.",
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
            help="What numbers in .safetensors, .svec, .pt mean: block (output of block k), hidden-states (of k − 1)."
        ),
    ] = None,
) -> None:
    """Steerings to other tools' files and back; the site convention is said, never guessed."""
    from trimtab.integrations.convert import convert as run
    from trimtab.integrations.convert import read

    names = name or []
    chosen = None
    if strength or off:
        chosen = strengths(read(sources, names=names, site=site, convention=convention), strength or [], off or [])
    result = run(
        sources, target, strength=chosen, ungated=ungated, hint=hint, names=names, site=site, blocks=blocks,
        convention=convention,
    )  # fmt: skip
    console = Console(soft_wrap=True)
    for place in result.sites:
        where = "output of block" if place.component == "residual" else f"{place.component} of block"
        console.print(f"site {place} ({where} {place.block}, counted from 0)", highlight=False, markup=False)
    for place in result.beyond:
        console.print(
            f"left out: site {place}; a model of {blocks} blocks has blocks 0 to {(blocks or 0) - 1}",
            highlight=False, markup=False,
        )  # fmt: skip
    for known in result.reports:
        console.print(
            f"left out: the report on {known}, which is true of the sources as they are", highlight=False, markup=False
        )
    console.print(f"written: {target}", highlight=False, markup=False)
