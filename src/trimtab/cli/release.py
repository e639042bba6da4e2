"""`trimtab release`."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trimtab.cli import completion
from trimtab.cli.options import Json
from trimtab.cli.release_create import create
from trimtab.cli.release_off import off, on
from trimtab.cli.release_watch import estimate, status, watch
from trimtab.cli.stores import By, Place, Why, opened, table, who

if TYPE_CHECKING:
    from trimtab.operations import Release
    from trimtab.operations.releases.transitions import Action

release = typer.Typer(
    no_args_is_help=True,
    help="Put a steering live for a share of the traffic, by stages, and take it back in one step.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Name = Annotated[str, typer.Argument(help="Of the release.", autocompletion=completion.releases)]
Expected = Annotated[
    int | None,
    typer.Option(help="Do it only if the release is still at this version, as `status` says it."),
]


def _plain(action: "Action", what: str) -> None:
    """A command that has no options of its own."""

    @release.command(name=action, help=what)
    def act(
        name: Name, by: By = None, why: Why = "", expected: Expected = None, store: Place = None, json_: Json = False
    ) -> None:
        _act(name, action, by, why, expected, store, json_)


_plain("start", "Go live at the first stage.")
_plain("dry-run", "Answer everybody with control, and record who would have got treatment at the first stage.")


@release.command()
def promote(
    name: Name,
    to: Annotated[float | None, typer.Option(help="The stage that is meant, in per cent; it must be the next.")] = None,
    by: By = None,
    why: Why = "",
    expected: Expected = None,
    store: Place = None,
    json_: Json = False,
) -> None:
    """Go to the next stage. With --four-eyes, 100 % is asked for by one person and done by another."""
    _act(name, "promote", by, why, expected, store, json_, to=to)


_plain("pause", "Give everybody control until it is resumed.")
_plain("resume", "Go on at the stage at which it was paused, with the same units.")
_plain("rollback", "Give everybody control, for good.")


@release.command()
def finish(
    name: Name,
    keep: Annotated[
        str,
        typer.Option(help="What everybody gets from now on: treatment (at 100 %), control, or one of several arms."),
    ],
    by: By = None,
    why: Why = "",
    expected: Expected = None,
    store: Place = None,
    json_: Json = False,
) -> None:
    """End it, and keep one of the arms for everybody."""
    _act(name, "finish", by, why, expected, store, json_, keep=keep)


@release.command()
def history(name: Name, store: Place = None, json_: Json = False) -> None:
    """All that was done to a release: when, by whom and why."""
    with opened(store) as kept:
        from trimtab.operations import Releases

        steps = Releases(kept).history(name)
    if json_:
        brief = ("version", "state", "share", "asked_by", "time")
        typer.echo(json.dumps([
            {k: step.release.record[k] for k in brief} | {"entry": step.entry.number, "by": step.entry.who,
                                                           "what": step.entry.what, "why": step.entry.why}
            for step in steps
        ]))  # fmt: skip
        return
    rows = [
        (step.entry.time[:19], step.entry.who, step.entry.what, f"{step.release.state} {step.release.share:.3g} %",
         step.entry.why) for step in steps
    ]  # fmt: skip
    table(("time (UTC)", "by", "what", "state", "why"), rows)


@release.command(name="list")
def list_(
    model: Annotated[str | None, typer.Option(help="Only those of this model.")] = None,
    store: Place = None,
    json_: Json = False,
) -> None:
    """All releases and their states."""
    with opened(store) as kept:
        from trimtab.operations import Releases

        found = Releases(kept).all(model)
    if json_:
        typer.echo(json.dumps([one.record for one in found]))
        return
    rows = [(r.name, r.definition.model, r.state, f"{r.share:.3g} %", str(r.version)) for r in found]
    table(("name", "model", "state", "share", "version"), rows)


for command in (create, status, estimate, watch, off, on):
    release.command()(command)


def _act(
    name: str,
    action: "Action",
    by: str | None,
    why: str,
    expected: int | None,
    store: str | None,
    json_: bool,
    **more: Any,
) -> None:
    with opened(store) as kept:
        from trimtab.operations import Releases

        done = Releases(kept).act(name, action, by=who(by), why=why, expected=expected, **more)
    _show(done, json_)


def _show(found: "Release", json_: bool) -> None:
    typer.echo(json.dumps(found.record) if json_ else str(found))
