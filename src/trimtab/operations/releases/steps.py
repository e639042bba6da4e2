"""A step of a release: the state that it came to, and what the audit says of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from trimtab.operations.audit import Change
from trimtab.operations.audit.entries import Entry
from trimtab.operations.releases.release import Release
from trimtab.operations.releases.rows import Kept, current
from trimtab.operations.releases.transitions import ConflictError


@dataclass(frozen=True)
class Step:
    """A state of a release, and how it got there.

    Example:
        >>> from trimtab.operations import Step
        >>> [name for name in Step.__dataclass_fields__]
        ['release', 'entry']
    """

    release: Release
    entry: Entry


def as_expected(connection: Connection, name: str, expected: int) -> Kept:
    """The release, at the version that a step is meant for.

    Raises:
        ConflictError: somebody else was faster.
    """
    kept = current(connection, name)
    if kept.release.version != expected:
        raise ConflictError(
            f"{kept.release}: it was changed after version {expected}, which this step was meant for; look at it, and "
            "decide again",
            release=kept.release,
        )
    return kept


def change_of(before: Release, new: Release, by: str, what: str, why: str, figures: Mapping[str, Any] | None) -> Change:
    """What the audit says of a step: the state before and after, and the figures that it rests on."""
    seen = {} if figures is None else {"figures": dict(figures)}
    return Change(by, what, before.name, why, _brief(before), _brief(new) | seen)


def _brief(release: Release) -> dict[str, Any]:
    """What of a release changes."""
    return {name: value for name, value in release.record.items() if name not in ("definition", "name", "model")}
