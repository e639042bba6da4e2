"""Rows that cannot be read: refused with their number, or left out and counted where a caller allows it."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from trimtab.errors import InputError

_SHOWN = 3

Item = TypeVar("Item")
Made = TypeVar("Made")


class InvalidRows:
    """What is left out of one reading.

    Args:
        allowed: whether rows that cannot be read are left out; else the first one stops the reading.
    """

    def __init__(self, allowed: bool) -> None:
        self.allowed = allowed
        self.faults: list[str] = []

    def read(self, rows: Iterable[Item], reader: Callable[[Item], Made]) -> list[Made]:
        """What `reader` makes of every row that it can read.

        Raises:
            InputError: a row that cannot be read, unless such are allowed; or none that can.
        """
        made: list[Made] = []
        faults: list[str] = []
        for row in rows:
            try:
                made.append(reader(row))
            except InputError as error:
                faults.append(str(error))
        self.add(faults, len(made))
        return made

    def add(self, faults: list[str], n_read: int) -> None:
        """Take in rows that cannot be read.

        Args:
            faults: what is wrong with each, beginning with its place.
            n_read: how many were read beside them.

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

    def notes(self, total: int) -> tuple[str, ...]:
        """How many of how many rows were left out, and the first few with their reasons."""
        if not self.faults:
            return ()
        first = "; ".join(fault.split("\n", 1)[0].split("; ", 1)[0] for fault in self.faults[:_SHOWN])
        more = f"; and {len(self.faults) - _SHOWN} more" if len(self.faults) > _SHOWN else ""
        return (f"{len(self.faults)} of {total} rows left out because they cannot be read, as told: {first}{more}",)
