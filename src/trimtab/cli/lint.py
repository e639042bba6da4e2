"""`trimtab lint`."""

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from trimtab.cli import completion, options


def lint(
    behaviors: Annotated[
        list[str],
        typer.Argument(
            help="Files, built-in behaviors or Hugging Face datasets (org/name).", autocompletion=completion.behaviors
        ),
    ],
    view: options.View = None,
    format: options.Format = None,
    skip_bad: options.SkipBad = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with code 3 when there is an error or warning.")
    ] = False,
    json_: options.Json = False,
) -> None:
    """What is wrong with the examples, before any model sees them."""
    from trimtab.behaviors import lint as examine
    from trimtab.behaviors import load

    results = []
    for source in behaviors:
        behavior = load(source, view=view, format=format, skip_bad=skip_bad)
        results.append((behavior, examine(behavior)))
    if json_:
        documents = [
            {"behavior": b.name, "n": len(b.examples), "notes": list(b.notes), "findings": [asdict(f) for f in result]}
            for b, result in results
        ]
        typer.echo(json.dumps(documents[0] if len(documents) == 1 else documents))
    else:
        for behavior, result in results:
            print_findings(behavior, result)
    if strict and any(f.severity != "info" for _, result in results for f in result):
        raise typer.Exit(3)


def print_findings(behavior: Any, result: Any) -> None:
    from trimtab.results.numbers import plain

    console = Console()
    console.print(f"[bold]{escape(plain(behavior.name))}[/]: {len(behavior.examples)} examples", highlight=False)
    for note in behavior.notes:
        console.print(f"  note: {escape(plain(note))}", highlight=False)
    for f in result:
        style = {"error": "bold red", "warning": "yellow", "info": "cyan"}[f.severity]
        rows = f" ({', '.join(f.rows)})" if f.rows else ""
        console.print(f"  [{style}]{f.severity}[/] {escape(plain(f'{f.code}: {f.message}{rows}'))}", highlight=False)
    if not any(f.severity != "info" for f in result):
        console.print("  [green]clean[/]")
