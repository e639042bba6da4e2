"""`trimtab doctor`."""

import json
from dataclasses import asdict

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trimtab.cli.options import Json
from trimtab.version import __version__


def doctor(json_: Json = False) -> None:
    """Versions, devices, dtypes, cache; what is missing and the command that mends it."""
    from trimtab.doctor import examine

    result = examine()
    if json_:
        typer.echo(json.dumps({"trimtab": __version__, "findings": [asdict(f) for f in result]}))
    else:
        table = Table(box=None, pad_edge=False)
        for column in ("part", "state", "detail", "fix with"):
            table.add_column(column, overflow="fold")
        for f in result:
            style = {"ok": "green", "missing": "yellow", "broken": "bold red"}[f.state]
            table.add_row(f.part, f"[{style}]{f.state}[/]", escape(f.detail), escape(f.fix))
        Console().print(table)
    if any(f.state == "broken" for f in result):
        raise typer.Exit(4)
