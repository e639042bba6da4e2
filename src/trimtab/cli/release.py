"""`trimtab release`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from trimtab.cli.options import Json, one_of
from trimtab.cli.release_off import off, on
from trimtab.cli.release_watch import status, watch
from trimtab.cli.stores import By, Place, Why, days, numbers, opened, table, who
from trimtab.errors import InputError
from trimtab.interventions import POSITION_SCOPES

if TYPE_CHECKING:
    from trimtab.interventions import Scope
    from trimtab.operations import Release
    from trimtab.operations.releases.transitions import Action

release = typer.Typer(
    no_args_is_help=True,
    help="Put a steering live for a share of the traffic, by stages, and take it back in one step.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Name = Annotated[str, typer.Argument(help="Of the release.")]
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


@release.command()
def create(
    name: Name,
    treatment: Annotated[str, typer.Option(help="Folder of the steering, or FOLDER@PRESET.")],
    control: Annotated[
        str, typer.Option(help="What it is compared with: none (unsteered), or a folder, or FOLDER@PRESET.")
    ] = "none",
    model: Annotated[str, typer.Option(help="Name by which servers know the model.")] = "smollm2",
    stages: Annotated[str, typer.Option(help="Per cent of the traffic, rising.")] = "1,5,25,50,100",
    traffic: Annotated[
        str,
        typer.Option(help="Slice of the model's traffic, in per cent; two releases at once need slices apart."),
    ] = "0-100",
    unit: Annotated[str, typer.Option(help="What the unit ids of requests are.")] = "user",
    without_unit: Annotated[
        str, typer.Option(help="What a request without a unit id gets: control, or the arm of the request's own id.")
    ] = "control",
    metric: Annotated[
        str | None,
        typer.Option(help="By which it is judged: NAME, NAME:EFFECT that matters, or NAME:EFFECT:MARGIN."),
    ] = None,
    guardrail: Annotated[
        list[str] | None,
        typer.Option(help="What must not get worse: NAME, NAME:MARGIN of harm, or NAME:MARGIN:ACTION; repeatable."),
    ] = None,
    on_harm: Annotated[
        str,
        typer.Option(help="What harm leads to, unless a guardrail says its own: pause or rollback."),
    ] = "pause",
    on_alarm: Annotated[
        str,
        typer.Option(
            help="What a server's canary or shadow leads to that finds the treatment wrong: nothing, pause or rollback."
        ),
    ] = "pause",
    alpha: Annotated[
        float, typer.Option(help="Chance that a release that changes nothing is ever taken back for harm.")
    ] = 0.05,
    min_units: Annotated[
        int, typer.Option(help="Units that either arm must have in a stage before it is promoted by itself.")
    ] = 100,
    decide_by: Annotated[
        int, typer.Option(help="Units of both arms by which a decision is wanted: there intervals are narrowest.")
    ] = 2000,
    auto_promote: Annotated[
        bool, typer.Option("--auto-promote", help="Go to the next stage by itself where no metric shows harm.")
    ] = False,
    check: Annotated[
        list[Path] | None, typer.Option(help="Folder of a finished trimtab check --steering; repeatable.")
    ] = None,
    max_age: Annotated[str, typer.Option(help="Older checks do not count.")] = "30d",
    unchecked: Annotated[
        str | None, typer.Option(help="Why it is released although the checks are not enough; kept in the audit.")
    ] = None,
    accepted: Annotated[
        str | None, typer.Option(help="Why serving it otherwise than checked does no harm; kept in the audit.")
    ] = None,
    scope: Annotated[
        str | None, typer.Option(help="all, prompt, last or generated; by default the checked one.")
    ] = None,
    dtype: Annotated[str | None, typer.Option(help="Of the served model; by default that of the check.")] = None,
    chat_template: Annotated[
        bool, typer.Option("--chat-template/--no-chat-template", help="Whether requests go through the chat template.")
    ] = True,
    four_eyes: Annotated[bool, typer.Option("--four-eyes", help="All of the traffic needs a second person.")] = False,
    by: By = None,
    why: Why = "",
    store: Place = None,
    json_: Json = False,
) -> None:
    """Make a release; nobody gets it before `start`. Makes the store too, if there is none."""
    one_of("--without-unit", without_unit, ("control", "request"))
    one_of("--scope", scope, POSITION_SCOPES)
    one_of("--on-harm", on_harm, ("pause", "rollback"))
    one_of("--on-alarm", on_alarm, ("nothing", "pause", "rollback"))
    taken = numbers(traffic, "-", "traffic", "0-50")
    if len(taken) != 2:
        raise InputError(f"{traffic!r} is no slice; give two numbers such as 0-50", field="traffic")
    folder, preset = _folder(treatment)
    other, other_preset = (None, None) if control == "none" else _folder(control)
    with opened(store, create=True) as kept:
        from trimtab.operations import Releases, planned

        judged = planned(
            metric, guardrail or (), on_harm=on_harm, alpha=alpha, min_units=min_units, decide_by=decide_by,
            auto_promote=auto_promote,
        )  # fmt: skip
        made = Releases(kept).create(
            name, folder, other, by=who(by), why=why, model=model,
            stages=numbers(stages, ",", "stages", "1,5,25"), strength=preset, control_strength=other_preset,
            scope=cast("Scope | None", scope), checks=check or (), max_age_days=days(max_age, "max_age"),
            unchecked=unchecked, accepted=accepted, dtype=dtype, chat_template=chat_template, traffic=taken, unit=unit,
            without_unit=without_unit, on_alarm=on_alarm, four_eyes=four_eyes, **judged,
        )  # fmt: skip
    _show(made, json_)


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
    keep: Annotated[str, typer.Option(help="What everybody gets from now on: treatment (at 100 %) or control.")],
    by: By = None,
    why: Why = "",
    expected: Expected = None,
    store: Place = None,
    json_: Json = False,
) -> None:
    """End it, and keep one of the arms for everybody."""
    one_of("--keep", keep, ("treatment", "control"))
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
        (step.entry.time[:19], step.entry.who, step.entry.what, f"{step.release.state} {step.release.share:g} %",
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
    rows = [(r.name, r.definition.model, r.state, f"{r.share:g} %", str(r.version)) for r in found]
    table(("name", "model", "state", "share", "version"), rows)


for command in (status, watch, off, on):
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


def _folder(text: str) -> tuple[Path, str | None]:
    """`FOLDER@PRESET`; a folder whose own name has an @ is that folder."""
    folder, at, preset = text.rpartition("@")
    if not at or Path(text).is_dir():
        return Path(text), None
    return Path(folder), preset
