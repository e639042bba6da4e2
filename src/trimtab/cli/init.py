"""`trimtab init`."""

from pathlib import Path
from typing import Annotated

import typer


def init(
    folder: Annotated[Path, typer.Argument(help="Made if need be; nothing in it is overwritten.")] = Path(),
) -> None:
    """Begin a project: example behavior, Makefile, and a CI that checks whether steering got worse."""
    from trimtab.workflows.init import create_project

    for file in create_project(folder):
        typer.echo(f"written: {file}")
    typer.echo("next: make lint check, then make accept; behaviors/README.md says what each step does")
