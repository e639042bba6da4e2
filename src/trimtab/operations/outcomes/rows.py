"""What readers of outcomes share: which rows count, and how a value changed."""

import json
from dataclasses import dataclass
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
    """

    release: str
    versions: tuple[int, ...]
    dry_run: bool
    since: Position
    end: Position

    @property
    def counts(self) -> ColumnElement[bool]:
        """That an exposure counts, read before or not."""
        return and_(
            EXPOSURES.c.release == self.release,
            EXPOSURES.c.version.in_(self.versions),
            EXPOSURES.c.dry_run == self.dry_run,
            EXPOSURES.c.number <= self.end.exposures,
            remembered(),
        )


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
