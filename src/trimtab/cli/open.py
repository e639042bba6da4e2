"""`trimtab open`."""

from pathlib import Path
from typing import Annotated

import typer

from trimtab.cli import completion


def open_(
    report: Annotated[
        Path,
        typer.Argument(
            help="A page, or the folder of a check, fit, study, evaluation or tuning.",
            autocompletion=completion.reports,
        ),
    ],
) -> None:
    """Show a report in the default browser; the page's path is printed, too, and alone where there is no display."""
    from trimtab.reports.opening import page_of, show

    page = page_of(report)
    typer.echo(f"page: {page}")
    show(page)
