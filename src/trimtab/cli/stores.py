"""What the commands of releases, audit and store share: the store, who acts, and how parts of a command are read."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from getpass import getuser
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trimtab.errors import InputError

if TYPE_CHECKING:
    from trimtab.operations import Store

Place = Annotated[
    str | None,
    typer.Option(
        "--store",
        help="Folder of the steerings (its operations.db), a file, or a postgresql:// URL; by default TRIMTAB_STORE, "
        "else the current folder.",
    ),
]
By = Annotated[str | None, typer.Option(help="Who does this, for the audit; by default the user of this machine.")]
Why = Annotated[str, typer.Option(help="Why, for the audit.")]


@contextmanager
def opened(place: str | None, *, create: bool = False) -> Iterator["Store"]:
    """The store of a command.

    Raises:
        InputError: there is none, it is of another version, or what it needs is not installed.
        TrimtabError: it cannot be reached.
    """
    with needed():
        from trimtab.operations import Store

        store = Store(place, create=create)
    with store:
        yield store


@contextmanager
def needed() -> Iterator[None]:
    """Say how to install what is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise InputError(
            f"releases, audit and store need {error.name}; install it with: pip install 'trimtab[operations]'",
            code="not-installed",
            field="store",
        ) from error


def who(by: str | None) -> str:
    """Who acts."""
    if by is not None:
        return by
    try:
        return getuser()
    except (KeyError, OSError):  # a user without a name
        raise InputError("nobody knows who does this; say so", code="missing-value", field="by") from None


def days(text: str, field: str) -> float:
    """A number of days, such as `30d` or `30`; or of hours, such as `12h`.

    Raises:
        InputError: anything else, or none above 0.
    """
    number, unit = (text[:-1], text[-1]) if text[-1:] in ("d", "h") else (text, "d")
    try:
        value = float(number) / (24 if unit == "h" else 1)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise InputError(f"{text!r} is no time; give days or hours, such as 30d or 12h", field=field)
    return value


def numbers(text: str, separator: str, field: str, such: str) -> tuple[float, ...]:
    """Numbers in one text.

    Raises:
        InputError: a part is no number.
    """
    try:
        return tuple(float(part) for part in text.split(separator))
    except ValueError:
        raise InputError(f"{text!r} is not as needed; give numbers such as {such}", field=field) from None


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their columns' names."""
    if not rows:
        typer.echo("none yet")
        return
    shown = Table(box=None, pad_edge=False)
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*map(escape, row))
    Console().print(shown)
