"""The built-in behaviors, for `trimtab check --list`."""

import json

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table


def show_builtins(as_json: bool) -> None:
    """Print name, number of examples and description of each."""
    from trimtab.behaviors import builtin, builtin_names

    behaviors = [builtin(name) for name in builtin_names()]
    if as_json:
        rows = [{"behavior": b.name, "n": len(b.examples), "description": b.description} for b in behaviors]
        typer.echo(json.dumps(rows))
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("behavior", style="bold", no_wrap=True)
    table.add_column("examples", justify="right")
    table.add_column("what the positive side does", overflow="fold")
    for b in behaviors:
        table.add_row(b.name, str(len(b.examples)), escape(b.description))
    Console().print(table)
