"""`trimtab metrics`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trimtab.cli.options import Json
from trimtab.cli.stores import By, Place, Why, needed, opened, table, who

if TYPE_CHECKING:
    from trimtab.operations import Metric, MetricChanges

metrics = typer.Typer(
    no_args_is_help=True,
    help="What metrics mean: those that are built in, and those of a file that people write.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

File = Annotated[Path, typer.Argument(help="TOML, one table a metric; docs/feedback.md says what is in it.")]


@metrics.command(name="list")
def list_(
    built_in: Annotated[bool, typer.Option("--built-in", help="Only those that need no store.")] = False,
    place: Place = None,
    json_: Json = False,
) -> None:
    """The metrics that a release may name, in the versions that a new one would keep."""
    if built_in:
        with needed():
            from trimtab.operations.metrics.built_in import BUILT_IN
        found = list(BUILT_IN.values())
    else:
        with opened(place) as kept:
            from trimtab.operations import known_metrics

            found = list(known_metrics(kept).values())
    if json_:
        typer.echo(json.dumps([one.model_dump(mode="json") | {"digest": one.digest} for one in found]))
        return
    table(("metric", "version", "kind", "of", "bounds", "better", "per"), [_row(one) for one in found])


@metrics.command()
def check(file: File, place: Place = None, json_: Json = False) -> None:
    """Whether a file's definitions hold, and what importing it would change in the store; changes nothing."""
    with opened(place) as kept:
        from trimtab.operations import import_metrics, read_metrics

        found = import_metrics(kept, read_metrics(file), by="nobody", check_only=True)
    _tell(found, json_, "would be")


@metrics.command(name="import")
def import_(file: File, by: By = None, why: Why = "", place: Place = None, json_: Json = False) -> None:
    """Keep a file's definitions for new releases. Those that exist keep what they were made with."""
    with opened(place) as kept:
        from trimtab.operations import import_metrics, read_metrics

        found = import_metrics(kept, read_metrics(file), by=who(by), why=why)
    _tell(found, json_, "are")


def _row(metric: "Metric") -> tuple[str, ...]:
    kind = metric.kind if metric.q is None else f"{metric.kind} {metric.q:g}"
    of = metric.outcome or " / ".join(metric.parts) or f"feedback {metric.feedback} ({metric.source})"
    bounds = "" if metric.bounds is None else "{:g}…{:g}".format(*metric.bounds)
    return metric.name, str(metric.version), kind, of, bounds, metric.direction, metric.per


def _tell(found: "MetricChanges", json_: bool, are: str) -> None:
    said = {name: list(getattr(found, name)) for name in ("new", "changed", "unchanged", "live")}
    if json_:
        typer.echo(json.dumps(said))
        return
    for what in ("new", "changed", "unchanged"):
        if said[what]:
            typer.echo(f"{', '.join(said[what])} {'are' if what == 'unchanged' else are} {what}")
    if said["live"]:
        typer.echo(f"live releases that keep the former definition: {', '.join(said['live'])}")
