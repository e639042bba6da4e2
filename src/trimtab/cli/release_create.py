"""`trimtab release create`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from trimtab.cli import completion
from trimtab.cli.options import Json, one_of
from trimtab.cli.stores import By, Place, Why, days, numbers, opened, who
from trimtab.errors import InputError

if TYPE_CHECKING:
    from trimtab.interventions import Scope
    from trimtab.operations import Adapt

Name = Annotated[str, typer.Argument(help="Of the release.")]


def create(
    name: Name,
    treatment: Annotated[
        str | None, typer.Option(help="Folder of the steering, or FOLDER@PRESET.", autocompletion=completion.steerings)
    ] = None,
    control: Annotated[
        str,
        typer.Option(
            help="What it is compared with: none (unsteered), or a folder, or FOLDER@PRESET.",
            autocompletion=completion.steerings,
        ),
    ] = "none",
    adapt: Annotated[
        bool, typer.Option("--adapt", help="Give more traffic to the arms that do better, instead of testing one.")
    ] = False,
    arm: Annotated[
        list[str] | None,
        typer.Option(help="With --adapt: a steering or preset beside control, as FOLDER@PRESET; repeatable."),
    ] = None,
    explore: Annotated[
        float | None, typer.Option(help="With --adapt: least share of every arm, 0.001 to 0.5; by default 0.05.")
    ] = None,
    half_life: Annotated[
        str | None,
        typer.Option(help="With --adapt: after so long a visit counts half, such as 14d (the default); or none."),
    ] = None,
    epoch_visits: Annotated[
        int | None, typer.Option(help="With --adapt: visits before the shares are set anew; by default 200.")
    ] = None,
    scale: Annotated[
        float | None,
        typer.Option(help="With --adapt: standard deviation of a metric that has no bounds."),
    ] = None,
    factorial: Annotated[
        bool,
        typer.Option("--factorial", help="Switch each attribute of the treatment on and off: which moves what?"),
    ] = False,
    model: Annotated[str, typer.Option(help="Name by which servers know the model.")] = "smollm2",
    stages: Annotated[
        str | None, typer.Option(help="Per cent of the traffic, rising; by default 1,5,25,50,100. Of a test alone.")
    ] = None,
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
    from trimtab.interventions import POSITION_SCOPES

    one_of("--scope", scope, POSITION_SCOPES)
    one_of("--on-harm", on_harm, ("pause", "rollback"))
    one_of("--on-alarm", on_alarm, ("nothing", "pause", "rollback"))
    taken = numbers(traffic, "-", "traffic", "0-50")
    if len(taken) != 2:
        raise InputError(f"{traffic!r} is no slice; give two numbers such as 0-50", field="traffic")
    other, other_preset = (None, None) if control == "none" else _folder(control)
    with opened(store, create=True) as kept:
        from trimtab.operations import Releases, Wish, planned, wished

        judged = planned(
            metric, guardrail or (), on_harm=on_harm, alpha=alpha, min_units=min_units, decide_by=decide_by,
            auto_promote=auto_promote,
        )  # fmt: skip
        settings = _settings(explore=explore, half_life=half_life, epoch_visits=epoch_visits, scale=scale)
        wish = Wish(
            None if treatment is None else _folder(treatment), tuple(map(_folder, arm or ())),
            _adapt(adapt, arm, settings), factorial,
            None if stages is None else numbers(stages, ",", "stages", "1,5,25"),
        )  # fmt: skip
        served = wished(wish, cast("Scope | None", scope))
        made = Releases(kept).create(
            name, control=other, by=who(by), why=why, model=model, control_strength=other_preset,
            scope=cast("Scope | None", scope), checks=check or (), max_age_days=days(max_age, "max_age"),
            unchecked=unchecked, accepted=accepted, dtype=dtype, chat_template=chat_template, traffic=taken, unit=unit,
            without_unit=without_unit, on_alarm=on_alarm, four_eyes=four_eyes, **served, **judged,
        )  # fmt: skip
    typer.echo(json.dumps(made.record) if json_ else str(made))


def _settings(**given: Any) -> dict[str, Any]:
    """The options of an adaptive release that are given, as fields of `Adapt`."""
    found = {name: value for name, value in given.items() if value is not None}
    if "half_life" in found:
        text = found.pop("half_life")
        found["half_life_days"] = None if text == "none" else days(text, "half_life")
    return found


def _adapt(adapt: bool, arms: list[str] | None, settings: dict[str, Any]) -> "Adapt | None":
    """How an adaptive release changes its shares; None for one that does not.

    Raises:
        InputError: options of an adaptive release without --adapt; a value out of range.
    """
    if not adapt:
        if arms or settings:
            given = ", ".join((["--arm"] if arms else []) + [f"--{name.replace('_', '-')}" for name in settings])
            raise InputError(f"{given}: only of a release that adapts; add --adapt, or leave it out", field="adapt")
        return None
    from trimtab.operations import adapting

    return adapting(**settings)


def _folder(text: str) -> tuple[Path, str | None]:
    """`FOLDER@PRESET`; a folder whose own name has an @ is that folder."""
    folder, at, preset = text.rpartition("@")
    if not at or Path(text).is_dir():
        return Path(text), None
    return Path(folder), preset
