"""`trimtab keys`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trimtab.cli.options import Json

if TYPE_CHECKING:
    from trimtab.serving.keys import Key, KeyFile

keys = typer.Typer(
    no_args_is_help=True,
    help="API keys of the server: make, list and revoke them.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Name = Annotated[str, typer.Argument(help="Of the key; it stands in lists and logs.")]
File = Annotated[
    Path | None,
    typer.Option("--file", help="Where keys are kept; by default TRIMTAB_KEYS, else ~/.config/trimtab/keys.json."),
]


@keys.command()
def create(
    name: Name,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="read (lists, metrics), infer (answers) or operate (load, enable and disable steerings); repeatable. "
            "Without any: read and infer."
        ),
    ] = None,
    file: File = None,
    json_: Json = False,
) -> None:
    """Make a key and show it, once: only its digest is kept."""
    held = _file(file)
    scopes = scope or ["read", "infer"]
    key = held.create(name, scopes)
    if json_:
        typer.echo(json.dumps({"name": name, "scopes": sorted(set(scopes)), "key": key, "file": str(held.file)}))
        return
    typer.echo(key)
    note = f"{name}: {', '.join(sorted(set(scopes)))}; kept as a digest in {held.file}, and not shown again"
    Console(stderr=True, soft_wrap=True).print(note, markup=False, highlight=False)


@keys.command(name="list")
def list_(file: File = None, json_: Json = False) -> None:
    """Names, scopes and ages of the keys."""
    held = _file(file)
    if json_:
        typer.echo(json.dumps([_row(key) for key in held.keys]))
        return
    if not held.keys:
        typer.echo(f"no keys in {held.file}; make one with: trimtab keys create NAME")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("name", "scopes", "created"):
        table.add_column(column, overflow="fold")
    for key in held.keys:
        row = _row(key)
        table.add_row(escape(key.name), ", ".join(row["scopes"]), row["created"])
    Console().print(table)


@keys.command()
def revoke(name: Name, file: File = None, json_: Json = False) -> None:
    """Remove a key: from its next request on it is refused."""
    gone = _file(file).revoke(name)
    typer.echo(json.dumps(_row(gone)) if json_ else f"revoked: {gone.name}")


def _file(file: Path | None) -> "KeyFile":
    from trimtab.serving.keys import KeyFile, default_file

    return KeyFile(file or default_file())


def _row(key: "Key") -> dict[str, Any]:
    return {"name": key.name, "scopes": sorted(key.scopes), "created": key.created.isoformat()}
