"""Rows that cannot be read: an error with their place, or left out and counted where the caller allows it."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from trimtab.errors import InputError
from trimtab.phrases import Phrase, with_semicolons

_N_SHOWN = 3

Item = TypeVar("Item")
Output = TypeVar("Output")


class InvalidRows:
    """The rows left out while reading one source.

    Args:
        allowed: whether rows that cannot be read are left out; else the first one stops the reading.
    """

    def __init__(self, allowed: bool) -> None:
        self.allowed = allowed
        self.faults: list[str] = []

    def read(self, rows: Iterable[Item], reader: Callable[[Item], Output]) -> list[Output]:
        """What `reader` makes of every row that it can read.

        Raises:
            InputError: a row that cannot be read, unless the caller allows it; or no row that can.
        """
        outputs: list[Output] = []
        faults: list[str] = []
        for row in rows:
            try:
                outputs.append(reader(row))
            except InputError as error:
                faults.append(str(error))
        self.add(faults, len(outputs))
        return outputs

    def add(self, faults: list[str], n_read: int) -> None:
        """Record rows that cannot be read.

        Args:
            faults: what is wrong with each, beginning with its place.
            n_read: how many other rows were read.

        Raises:
            InputError: there are any, and they are not allowed, or there are no others.
        """
        if not faults:
            return
        if self.allowed and n_read:
            self.faults += faults
            return
        hint = ""
        if n_read and not self.allowed:
            rows = "row" if len(faults) == 1 else "rows"
            total = len(faults) + n_read
            hint = f"\n  {len(faults)} {rows} of {total} cannot be read; skip_bad leaves them out"
        raise InputError(faults[0] + hint, code="unreadable-row", field="skip_bad" if hint else None)

    def notes(self, total: int) -> tuple[Phrase, ...]:
        """How many of how many rows were left out, and the first few with their reasons."""
        if not self.faults:
            return ()
        n, more = len(self.faults), len(self.faults) - _N_SHOWN
        first = with_semicolons([fault.split("\n", 1)[0].split("; ", 1)[0] for fault in self.faults[:_N_SHOWN]])
        faults = Phrase("{faults}; and {n} more", faults=first, n=more) if more > 0 else first
        return (
            Phrase(
                "{n} of {total} rows left out, as requested, since they cannot be read: {faults}",
                n=n, total=total, faults=faults,
            ),
        )  # fmt: skip
