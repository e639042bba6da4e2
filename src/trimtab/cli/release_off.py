"""`trimtab release off` and `on`."""

import json
from typing import Annotated

import typer
from rich.console import Console

from trimtab.cli.options import Json
from trimtab.cli.stores import By, Place, Why, needed, opened, who
from trimtab.errors import InputError, TrimtabError


def off(
    all_: Annotated[bool, typer.Option("--all", help="Confirm that all steering by releases is meant.")] = False,
    by: By = None,
    why: Why = "",
    store: Place = None,
    json_: Json = False,
) -> None:
    """Emergency off: servers on this machine steer nobody, with the store gone too; running releases are paused."""
    if not all_:
        raise InputError("this switches off all steering; confirm it with --all", code="missing-value", field="all")
    with needed():
        from trimtab.operations import OffSwitch

    switch, done = OffSwitch.beside(store), list[str]()
    switch.pull(by=who(by), why=why)
    fault = None
    try:
        with opened(store) as kept:
            from trimtab.operations import Releases

            done.extend(Releases(kept).pause_all(by=who(by), why=why))
            switch.note(kept, off=True, by=who(by), why=why)
    except TrimtabError as error:  # the file works without the store
        fault = str(error)
    if json_:
        typer.echo(json.dumps({"file": str(switch.file), "paused": done, "store": fault}))
        return
    typer.echo(f"off: {switch.file}; remove it with: trimtab release on")
    typer.echo(f"paused: {', '.join(done) or 'nothing'}")
    _tell(fault)


def on(by: By = None, why: Why = "", store: Place = None, json_: Json = False) -> None:
    """End the emergency off. Releases that were paused stay so until each is resumed."""
    with needed():
        from trimtab.operations import OffSwitch
    switch = OffSwitch.beside(store)
    there, fault = switch.release(), None
    if there:
        try:
            with opened(store) as kept:
                switch.note(kept, off=False, by=who(by), why=why)
        except TrimtabError as error:
            fault = str(error)
    if json_:
        typer.echo(json.dumps({"file": str(switch.file), "removed": there, "store": fault}))
        return
    typer.echo(f"removed: {switch.file}" if there else f"there is no {switch.file}: nothing was off")
    _tell(fault)


def _tell(fault: str | None) -> None:
    if fault:
        Console(stderr=True, soft_wrap=True).print(f"the store was not changed: {fault}", markup=False, highlight=False)
