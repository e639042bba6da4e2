"""`trimtab feedback`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from trimtab.cli.options import Json
from trimtab.cli.stores import By, Place, Why, needed, opened, who

feedback = typer.Typer(
    no_args_is_help=True,
    help="What came of answers: made into contrast examples for the next steering.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@feedback.callback()
def _group() -> None:
    """Keeps `export` a command of its own while it is the only one."""


@feedback.command()
def export(
    out: Annotated[Path, typer.Option(help="File to write, JSONL; trimtab lint, check and fit read it.")],
    metric: Annotated[
        str | None,
        typer.Option(help="Of feedback: of two answers to the same prompt the better by it is preferred."),
    ] = None,
    release: Annotated[str | None, typer.Option(help="Only answers that this release decided for.")] = None,
    name: Annotated[str, typer.Option(help="Of the behavior.")] = "feedback",
    region: Annotated[
        list[str] | None,
        typer.Option(help="Country whose phone numbers are masked without +, such as US; repeatable."),
    ] = None,
    text_key: Annotated[
        Path | None, typer.Option(help="File of the keys that texts are encrypted with; by default TRIMTAB_TEXT_KEY.")
    ] = None,
    by: By = None,
    why: Why = "",
    place: Place = None,
    json_: Json = False,
) -> None:
    """Write corrected texts and preferred answers of users who agreed, without personal data, as contrast examples."""
    with opened(place) as kept, needed():
        from trimtab.operations import TextCipher, export_contrasts, known_metrics
        from trimtab.operations.metrics.file import unknown
        from trimtab.operations.outcomes.masking import REGIONS

        known = known_metrics(kept)
        if metric is not None and metric not in known:
            raise unknown(metric, known)
        made = export_contrasts(
            kept, out, by=who(by), why=why, cipher=TextCipher.load(text_key), release=release,
            metric=None if metric is None else known[metric], name=name, regions=tuple(region or REGIONS),
        )  # fmt: skip
    if json_:
        typer.echo(json.dumps({"file": str(out), **vars(made)}))
        return
    typer.echo(f"{made.corrections} corrections and {made.preferences} preferences in {out}")
    for said, counts in (("masked", made.masked), ("left out", made.left_out)):
        if counts:
            typer.echo(f"{said}: {', '.join(f'{n} {what}' for what, n in counts.items())}")
