"""`trimtab release status` and `trimtab release watch`: how an experiment stands, and acting on it."""

import json
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from trimtab.cli import completion
from trimtab.cli.options import Json
from trimtab.cli.stores import Place, opened, table

if TYPE_CHECKING:
    from trimtab.operations import Release
    from trimtab.operations.experiments import Finding, Look, Watched

Name = Annotated[str, typer.Argument(help="Of the release.", autocompletion=completion.releases)]


def status(name: Name, store: Place = None, json_: Json = False) -> None:
    """The state of a release, how many requests each arm had, and what its metrics say."""
    with opened(store) as kept:
        from trimtab.operations import ExposureLog, Releases
        from trimtab.operations.experiments import experiment_of

        found, counts = Releases(kept).get(name), ExposureLog(kept).counts(name)
        look = experiment_of(kept, name).look()
    if json_:
        rows = [{"arm": c.arm, "dry_run": c.dry_run, "requests": c.requests, "units": c.units} for c in counts]
        typer.echo(json.dumps(found.record | {"exposures": rows, "experiment": look.record}))
        return
    _tell_release(found)
    rows_ = [(c.arm + (" (dry run)" if c.dry_run else ""), str(c.requests), str(c.units)) for c in counts]
    table(("arm", "requests", "units"), rows_)
    if look.arms:
        _tell_arms(look)
    if look.findings or look.arms:
        _tell_experiment(look)


def estimate(
    name: Name,
    policy: Annotated[
        str, typer.Option(help="An arm (control too), uniform, or shares such as mild=0.5,bold=0.5.")
    ] = "uniform",
    store: Place = None,
    json_: Json = False,
) -> None:
    """What another policy would have given on the traffic of a release with several arms."""
    with opened(store) as kept:
        from trimtab.operations.experiments import policy_value

        found = policy_value(kept, name, policy)
    if json_:
        typer.echo(json.dumps(found.record))
        return
    able, all_ = found.visits
    said = ", ".join(f"{arm} {100 * share:.3g} %" for arm, share in found.policy.items() if share)
    typer.echo(f"{found.metric} under {said}, by {able:,} of {all_:,} visits:")
    rows = [(one.method, _number(one.value), f"[{_number(one.low)}, {_number(one.high)}]") for one in found.estimates]
    table(("method", "mean", "interval at all looks"), rows)


def watch(
    once: Annotated[bool, typer.Option("--once", help="Look once, act where that follows, and end; for cron.")] = False,
    every: Annotated[float, typer.Option(min=1, help="Seconds between two looks.")] = 60.0,
    model: Annotated[str | None, typer.Option(help="Only releases of this model.")] = None,
    webhook: Annotated[
        str | None,
        typer.Option(help="URL that is told of what is done, signed with the secret of TRIMTAB_WEBHOOK_SECRET_FILE."),
    ] = None,
    store: Place = None,
    json_: Json = False,
) -> None:
    """Look at all releases that run, and pause, roll back or promote them as they were made to. Servers do the same."""
    with opened(store) as kept:
        from trimtab.clients.webhook import Webhook, secret_from
        from trimtab.operations import Releases
        from trimtab.operations.experiments import Watch

        hook = None if webhook is None else Webhook(webhook, secret_from(), _given_up)
        try:
            looking = Watch(Releases(kept), model=model)
            while True:
                watched = looking.once()
                _tell_watched(watched, json_)
                for one in watched:
                    if hook is not None and (event := one.event) is not None:
                        hook.send(f"{one.release}-{event['version']}", event)
                if once:
                    break
                Event().wait(every)
        finally:
            if hook is not None:
                hook.close()


def _given_up(event: str, why: str) -> None:
    typer.echo(f"webhook: {event} could not be delivered: {why}", err=True)


def _tell_release(found: "Release") -> None:
    typer.echo(str(found))
    evidence = found.definition.evidence
    for said in (*evidence.faults, *evidence.differences):
        typer.echo(f"  {said}")
    for what, reason in (("unchecked", evidence.unchecked), ("accepted", evidence.accepted)):
        if reason is not None:
            typer.echo(f"  {what}: {reason}")


def _tell_experiment(look: "Look") -> None:
    typer.echo()
    if look.findings:
        table(
            ("metric", "control", "treatment", "difference", "state", "what it means"),
            [_row(finding) for finding in look.findings],
        )
    scorers = (f"{metric} is scored by: {who}" for metric, who in look.scored_by.items())
    pasts = (
        f"{one.metric} is adjusted by what the units did before: {100 * one.variance_removed:.3g} % of the variance "
        "of the difference is gone."
        for one in look.findings
        if one.variance_removed is not None
    )
    for said in (*pasts, *scorers, look.sample_ratio.meaning, look.note):
        if said:
            typer.echo(said)
    if (decision := look.decision) is not None:
        to = "" if decision.to is None else f" to {decision.to:g} %"
        typer.echo(f"The next watch takes the step {decision.action}{to}.")


def _tell_arms(look: "Look") -> None:
    """How the arms of a release with several do, and what its attributes move."""
    typer.echo()
    rows = [
        (one.arm, f"{100 * one.share:.3g} %", str(one.visits), _number(one.mean),
         f"[{_number(one.low)}, {_number(one.high)}]", f"{one.best:.2f}", one.excluded or "")
        for one in look.arms
    ]  # fmt: skip
    table(("arm", "share", "visits", "mean", "interval", "chance to be best", "excluded"), rows)
    if look.effects:
        typer.echo()
        table(
            ("metric", "attribute", "moves by", "interval", "what it means"),
            [(one.metric, " × ".join(one.attributes), _number(one.difference),
              f"[{_number(one.low)}, {_number(one.high)}]", one.meaning) for one in look.effects],
        )  # fmt: skip


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.4g}"


def _row(one: "Finding") -> tuple[str, ...]:
    low, high = ("-∞" if one.low is None else f"{one.low:+.3g}"), ("∞" if one.high is None else f"{one.high:+.3g}")
    apart = "" if one.difference is None else f"{one.difference:+.3g} [{low}, {high}]"
    values = ("" if value is None else f"{value:.4g}" for value in (one.control, one.treatment))
    metric = one.metric if one.arm == "treatment" else f"{one.metric}, {one.arm}"
    return (metric, *values, apart, one.state, one.meaning)


def _tell_watched(watched: "list[Watched]", json_: bool) -> None:
    if json_:
        typer.echo(json.dumps([
            {"release": one.release, "fault": one.fault, "decision": one.event,
             "states": {} if one.look is None else {f.metric: f.state for f in one.look.findings}}
            for one in watched
        ]))  # fmt: skip
        return
    if not watched:
        typer.echo("no release runs that has a metric or a guardrail")
    for one in watched:
        states = "" if one.look is None else ", ".join(f"{f.metric} {f.state}" for f in one.look.findings)
        typer.echo(f"{one.release}: {one.fault or states}")
        if one.decision is not None:
            typer.echo(f"  {one.done}: {one.decision.why}")
