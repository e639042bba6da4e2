"""`trimtab store`."""

import json
from pathlib import Path
from time import sleep
from typing import Annotated

import typer

from trimtab.cli.options import Json
from trimtab.cli.stores import By, Place, Why, days, needed, opened, who

store = typer.Typer(
    no_args_is_help=True,
    help="The database of releases, exposures and audit: make it, bring it up to date, and forget what is in it.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@store.command()
def migrate(place: Place = None, json_: Json = False) -> None:
    """Make the store, or bring it to the schema of this version."""
    with needed():
        from trimtab.operations import migrate as migrated

    before, now = migrated(place)
    if json_:
        typer.echo(json.dumps({"before": before, "schema": now}))
    elif before == now:
        typer.echo(f"the store has the schema {now} already")
    else:
        typer.echo(f"the store has the schema {now} now" + ("" if before is None else f", and had {before}"))


@store.command()
def forget(
    unit: Annotated[str, typer.Argument(help="Id of the unit, such as a user's, as requests say it.")],
    by: By = None,
    why: Why = "",
    place: Place = None,
    json_: Json = False,
) -> None:
    """Remove a unit's texts, and from its exposures whose they are; the audit keeps that it was done, not to whom.

    Waits a second for what servers have answered already. What they answer from then on is kept as ever, and so is what
    a server holds that cannot reach the store: repeat it then.
    """
    with opened(place) as kept:
        from trimtab.operations import ExposureLog
        from trimtab.operations.exposures.writer import SECONDS

        sleep(10 * SECONDS)  # servers write that late what they answered before
        texts, exposures = ExposureLog(kept).forget(unit, by=who(by), why=why)
    if json_:
        typer.echo(json.dumps({"texts_removed": texts, "exposures_unlinked": exposures}))
        return
    typer.echo(f"texts removed: {texts}; exposures without a unit now: {exposures}")


@store.command()
def expire(
    keep: Annotated[str, typer.Option(help="How long texts are kept, such as 30d; older ones are removed.")],
    by: By = None,
    place: Place = None,
    json_: Json = False,
) -> None:
    """Remove prompts and answers that are too old; the exposures themselves stay."""
    wanted = days(keep, "keep")
    with opened(place) as kept:
        from trimtab.operations import ExposureLog

        removed = ExposureLog(kept).expire(wanted, by=who(by))
    typer.echo(json.dumps({"texts_removed": removed}) if json_ else f"texts removed: {removed}")


@store.command()
def exposures(
    unit: Annotated[str, typer.Argument(help="Id of the unit, such as a user's, as requests say it.")],
    text_key: Annotated[
        Path | None, typer.Option(help="File of the keys that texts are encrypted with; by default TRIMTAB_TEXT_KEY.")
    ] = None,
    place: Place = None,
) -> None:
    """What a unit was given and when, and the feedback on it, as JSON, one request a line; with texts that are kept."""
    with opened(place) as kept:
        from trimtab.operations import ExposureLog, OutcomeLog, TextCipher

        cipher = TextCipher.load(text_key)
        outcomes = OutcomeLog(kept, cipher)
        for one in ExposureLog(kept, cipher).of_unit(unit):
            said = [
                {name: value for name, value in outcome.items() if name != "request"}
                for outcome in outcomes.of_request(one["request"])
            ]
            typer.echo(json.dumps(one | {"feedback": said}))


@store.command()
def key() -> None:
    """Make a key for texts; put it into a file, one a line, the newest first, and name that in TRIMTAB_TEXT_KEY."""
    with needed():
        from cryptography.fernet import Fernet

    typer.echo(Fernet.generate_key().decode())
