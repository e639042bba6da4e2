"""Releases in the store: read, and one more state written."""

from collections.abc import Iterator
from dataclasses import dataclass
from time import time
from typing import Any, Final

from sqlalchemy import Connection, func, insert, select, text

from trimtab.errors import InputError
from trimtab.nearest import meant
from trimtab.operations.audit import Change, record
from trimtab.operations.releases.adapting import Epoch
from trimtab.operations.releases.release import Definition, Release
from trimtab.operations.store.database import CHANNEL
from trimtab.operations.store.tables import RELEASE_STATES, RELEASES
from trimtab.texts import shown

_S: Final = RELEASE_STATES.c
_COLUMNS: Final = (
    _S.number, _S.version, _S.state, _S.share, _S.asked_by, _S.time, _S.entry, _S.epoch, RELEASES.c.id,
    RELEASES.c.content,
)  # fmt: skip


@dataclass(frozen=True)
class Kept:
    """A state in the store.

    Args:
        release: in that state.
        id: of the release's row.
        number: of the state's row, over all releases.
        entry: of the audit, that says who brought it there and why.
    """

    release: Release
    id: int
    number: int
    entry: int


def states(connection: Connection, model: str | None = None, name: str | None = None) -> Iterator[Kept]:
    """All states that releases ever had, in the order in which they got there."""
    wanted = select(*_COLUMNS).join(RELEASES, RELEASES.c.id == _S.release).order_by(_S.number)
    if model is not None:
        wanted = wanted.where(RELEASES.c.model == model)
    if name is not None:
        wanted = wanted.where(RELEASES.c.name == name)
    definitions: dict[int, Definition] = {}
    for row in connection.execute(wanted):
        if row.id not in definitions:
            definitions[row.id] = Definition.model_validate_json(row.content)
        yield _kept(row, definitions[row.id])


def current(connection: Connection, name: str) -> Kept:
    """A release as it is.

    Raises:
        InputError: there is none of this name.
    """
    found = list(states(connection, name=name))
    if not found:
        names = connection.scalars(select(RELEASES.c.name).order_by(RELEASES.c.id)).all()
        known = ", ".join(names) or "none"
        raise InputError(
            f"there is no release {shown(name, 80)!r}; {meant(name, names)}there is {shown(known, 400)}",
            code="unknown-choice",
            field="release",
        )
    return found[-1]


def latest(connection: Connection, model: str | None = None) -> list[Kept]:
    """Every release as it is, in the order in which they were made."""
    return list({kept.id: kept for kept in states(connection, model)}.values())


def started(connection: Connection, model: str) -> list[Kept]:
    """The releases that were ever started, as they are now; those that started last come first.

    The first whose traffic holds a unit decides what it gets, be it over or not.
    """
    now: dict[int, Kept] = {}
    first: dict[int, int] = {}
    for kept in states(connection, model):
        now[kept.id] = kept
        if kept.release.is_open:
            first.setdefault(kept.id, kept.number)
    return [now[id] for id in sorted(first, key=lambda id: -first[id])]


def newest(connection: Connection) -> int:
    """Number of the last change of any release; 0 before the first."""
    return int(connection.execute(select(func.max(_S.number))).scalar() or 0)


def add(connection: Connection, definition: Definition, change: Change) -> Release:
    """Write a new release, as a draft.

    Raises:
        InputError: there is one of this name.
    """
    if connection.execute(select(RELEASES.c.id).where(RELEASES.c.name == definition.name)).first():
        raise InputError(
            f"there is a release {definition.name!r} already; names are never used again",
            code="repeated-name",
            field="name",
        )
    now = time()
    row = {
        "name": definition.name,
        "model": definition.model,
        "created": now,
        "content": definition.model_dump_json(),
    }
    id = connection.execute(insert(RELEASES).values(row)).inserted_primary_key
    assert id is not None
    return _write(connection, int(id[0]), Release(definition, 1, "draft", 0.0, None, now), change)


def advance(connection: Connection, kept: Kept, release: Release, change: Change) -> Release:
    """Write a release's next state, with its entry in the audit; other processes are told when it is committed."""
    return _write(connection, kept.id, release, change)


def _write(connection: Connection, id: int, release: Release, change: Change) -> Release:
    entry = record(connection, change)
    values = {
        "release": id,
        "version": release.version,
        "state": release.state,
        "share": release.share,
        "asked_by": release.asked_by,
        "time": release.time,
        "entry": entry,
        "epoch": None if release.epoch is None else release.epoch.model_dump_json(),
    }
    connection.execute(insert(RELEASE_STATES).values(values))
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_notify(:channel, :name)"), {"channel": CHANNEL, "name": release.name})
    return release


def _kept(row: Any, definition: Definition) -> Kept:
    epoch = None if row.epoch is None else Epoch.model_validate_json(row.epoch)
    release = Release(definition, row.version, row.state, row.share, row.asked_by, row.time, epoch)
    return Kept(release, row.id, row.number, row.entry)
