"""`trimtab push` and `trimtab pull`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from trimtab.cli import completion, options
from trimtab.errors import InputError

if TYPE_CHECKING:
    from trimtab.integrations.hub import OnHub


def push(
    folder: Annotated[
        Path, typer.Argument(help="A steering, or the report of a check.", autocompletion=completion.steerings)
    ],
    name: Annotated[str, typer.Argument(metavar="ORG/NAME", help="The repository; made if there is none.")],
    public: Annotated[bool, typer.Option("--public", help="Whom a new repository is for: everybody.")] = False,
    message: Annotated[str | None, typer.Option(help="Of the commit.")] = None,
    json_: options.Json = False,
) -> None:
    """Put a steering or a report on the Hugging Face Hub, with its card; whose it is says `hf auth login`."""
    from trimtab.integrations.hub import push as run

    _show(run(folder, name, private=not public, message=message), "pushed", json_)


def pull(
    name: Annotated[str, typer.Argument(metavar="ORG/NAME", help="The repository.")],
    folder: Annotated[Path, typer.Argument(help="Where it goes; an older steering there is replaced.")],
    report: Annotated[bool, typer.Option("--report", help="The report of a check, which is a data set there.")] = False,
    revision: options.Revision = None,
    id_: Annotated[str | None, typer.Option("--id", help="That the steering must have.")] = None,
    json_: options.Json = False,
) -> None:
    """Take a steering or a report from the Hugging Face Hub, verified; says the commit to pin."""
    from trimtab.integrations.hub import pull as run

    if report and id_ is not None:
        raise InputError("--id is of a steering, and --report asks for a report; leave one out")
    _show(run(name, folder, kind="report" if report else "steering", revision=revision, id=id_), "pulled", json_)


def _show(done: "OnHub", what: str, json_: bool) -> None:
    if json_:
        known = {"kind": done.kind, "name": done.name, "commit": done.commit, "folder": str(done.folder)}
        typer.echo(json.dumps({**known, "id": done.id, "decisions": dict(done.decisions)}))
        return
    console = Console(soft_wrap=True)
    said = [f"{what}: {done.kind} {done.name}, commit {done.commit}"]
    said += [f"id: {done.id}"] if done.id else []
    said += [f"verdict: {decision}, {name}" for name, decision in done.decisions.items()]
    if not done.decisions:
        said.append("verdict: none, since nothing in it was checked")
    for line in [*said, f"folder: {done.folder}"]:
        console.print(line, highlight=False, markup=False)
