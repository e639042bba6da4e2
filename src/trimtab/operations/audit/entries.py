"""An entry of the audit: one change, as canonical JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from trimtab.errors import InputError
from trimtab.texts import checked_text

MAX_WHO: Final = 200
MAX_WHY: Final = 2000
_FIELDS: Final = ("number", "time", "who", "what", "subject", "why", "before", "after")


@dataclass(frozen=True)
class Change:
    """What is to be recorded.

    Args:
        who: did it: the name of a key, of a user, of a guardrail.
        what: was done, such as `release.promote`.
        subject: to what, such as the name of a release.
        why: in the words of who did it; may be empty.
        before: the state before; None if there was nothing.
        after: the state after; None if nothing is left.

    Raises:
        InputError: no name, or a text that is too long or no UTF-8.

    Example:
        >>> from trimtab.operations import Change
        >>> Change("ada", "release.promote", "warm", "no complaints", {"share": 1}, {"share": 5}).what
        'release.promote'
    """

    who: str
    what: str
    subject: str
    why: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None

    def __post_init__(self) -> None:
        if not self.who.strip():
            raise InputError("say who makes the change", code="missing-value", field="by")
        for field, text, most in (("by", self.who, MAX_WHO), ("why", self.why, MAX_WHY)):
            checked_text(text, "the change", field)
            if len(text) > most:
                raise InputError(f"{field}: {len(text):,} characters; give at most {most:,}", field=field)


@dataclass(frozen=True)
class Entry:
    """A change as it was recorded.

    Args:
        number: from 0.
        time: in ISO 8601, UTC, by the clock of the machine that recorded it.
        who, what, subject, why, before, after: see `Change`.
        content: the canonical JSON, which is what is hashed.

    Example:
        >>> from trimtab.operations import Change, Store, entries, record
        >>> with Store("audited.db", create=True) as store:
        ...     with store.changing() as connection:
        ...         number = record(connection, Change("ada", "release.start", "warm", "", None, {"share": 1}))
        ...     [entry] = entries(store)
        >>> number, entry.who, entry.content[:36]
        (0, 'ada', '{"after":{"share":1},"before":null,"')
    """

    number: int
    time: str
    who: str
    what: str
    subject: str
    why: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    content: str

    @property
    def record(self) -> dict[str, Any]:
        """All that was recorded, for JSON."""
        return {name: getattr(self, name) for name in _FIELDS}


def written(number: int, change: Change, time: datetime | None = None) -> str:
    """A change as canonical JSON: sorted names, no spaces, UTF-8."""
    when = (time or datetime.now(UTC)).isoformat(timespec="microseconds")
    return json.dumps(
        {"number": number, "time": when, **asdict(change)},
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    )


def parsed(content: str) -> Entry:
    """An entry from its JSON.

    Raises:
        InputError: it is none.
    """
    try:
        value = json.loads(content)
        return Entry(**{name: value[name] for name in _FIELDS}, content=content)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"not an entry of the audit: {content[:80]!r}", code="damaged-file", field="entry") from error
