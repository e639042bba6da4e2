"""What readers of outcomes share: which rows count, and how a value changed."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, not_, or_

from trimtab.operations.exposures.exposure import OF_UNIT
from trimtab.operations.outcomes.values import Position
from trimtab.operations.store.tables import EXPOSURES


@dataclass(frozen=True)
class Window:
    """Which exposures count, and which of them were not read before.

    Args:
        release: its name.
        versions: of its state.
        dry_run: whether those of a dry run, or all others.
        since: what was read before.
        end: what is read now.
        among: which of them; None for all.
    """

    release: str
    versions: tuple[int, ...]
    dry_run: bool
    since: Position
    end: Position
    among: ColumnElement[bool] | None = None

    @property
    def number(self) -> ColumnElement[int]:
        """Of an exposure; of some units as a sum, so that SQLite finds these by their index and not all by number."""
        return EXPOSURES.c.number if self.among is None else EXPOSURES.c.number + 0

    @property
    def counts(self) -> ColumnElement[bool]:
        """That an exposure counts, read before or not."""
        return and_(
            EXPOSURES.c.release == self.release,
            EXPOSURES.c.version.in_(self.versions),
            EXPOSURES.c.dry_run == self.dry_run,
            self.number <= self.end.exposures,
            remembered(),
            *(() if self.among is None else (self.among,)),
        )


def of_units(names: Sequence[str], by_request: bool) -> ColumnElement[bool]:
    """That an exposure is of one of these units.

    Args:
        names: hashed, or of requests without a unit.
        by_request: whether there are such.
    """
    named = and_(_two_arms(), EXPOSURES.c.unit.in_(names))
    return or_(named, and_(EXPOSURES.c.unit.is_(None), EXPOSURES.c.request.in_(names))) if by_request else named


def parts_of_all(first: int, last: int, n: int) -> Iterator[ColumnElement[bool]]:
    """Conditions that deal a release's exposures into parts: by their units' hashes, then those without a unit.

    No unit is in two of them.

    Args:
        first, last: numbers of the exposures.
        n: parts of either kind.
    """
    unit, number = EXPOSURES.c.unit, EXPOSURES.c.number
    drawn = _two_arms()
    ends = [None, *(f"{(i << 32) // n:08x}" for i in range(1, n)), None]
    for low, high in pairwise(ends):
        within = ([] if low is None else [unit >= low]) + ([] if high is None else [unit < high])
        yield and_(drawn, unit.is_not(None), *within)
    for i in range(n):
        low_, high_ = (first + (last + 1 - first) * k // n for k in (i, i + 1))
        yield and_(drawn, unit.is_(None), number >= low_, number < high_)


def _two_arms() -> ColumnElement[bool]:
    """That an exposure has one of two arms, as all do: so that the index by arm and unit finds a unit's."""
    return EXPOSURES.c.arm.in_(("control", "treatment"))


def remembered() -> ColumnElement[bool]:
    """That an exposure's unit is not forgotten: its requests were drawn together, and are no units of their own."""
    said = json.dumps({OF_UNIT: True})[1:-1]  # which no text inside the JSON can hold, as its quotes are escaped
    return or_(EXPOSURES.c.unit.is_not(None), not_(EXPOSURES.c.content.contains(said, autoescape=True)))


class Change(NamedTuple):
    """A value that came (sign 1) or counts no more (-1); a tuple, since there is one of every answer."""

    request: str
    unit: str | None
    arm: str
    value: float
    sign: int
    version: int
    exposure: int
    time: float
