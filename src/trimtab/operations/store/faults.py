"""What a database says of a failure, as errors that say what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from trimtab.errors import InputError, TrimtabError

# Of SQLite's messages, in this order, and of PostgreSQL's SQLSTATE classes.
_READ_ONLY: Final = ("readonly", "read-only", "permission denied")
_FULL: Final = ("disk is full", "disk full", "no space left")
_BUSY: Final = ("database is locked", "lock timeout", "deadlock detected")
_DAMAGED: Final = ("not a database", "malformed")
_READ_ONLY_STATES: Final = ("25006", "42501")
_FULL_STATES: Final = ("53100",)


@contextmanager
def told(place: str) -> Iterator[None]:
    """Errors of the database inside become errors of the library.

    Args:
        place: of the store, for messages.

    Raises:
        InputError: it is read-only, or no store.
        TrimtabError: it is full, busy, cannot be reached, or failed; what was begun is undone.
    """
    try:
        yield
    except DBAPIError as error:
        raise _told(place, error) from error
    except SQLAlchemyError as error:
        raise TrimtabError(
            f"the store {place} failed: {_first_line(error)}", code="store-failed", field="store"
        ) from error


def _told(place: str, error: DBAPIError) -> TrimtabError:
    said = str(error.orig).lower()
    state = getattr(error.orig, "sqlstate", None) or ""
    if state in _READ_ONLY_STATES or any(word in said for word in _READ_ONLY):
        return InputError(
            f"the store {place} is read-only, and nothing was changed; allow writing to it and to its folder, or "
            "name another store",
            code="unwritable-file",
            field="store",
        )
    if state in _FULL_STATES or any(word in said for word in _FULL):
        return TrimtabError(
            f"the disk of the store {place} is full, and nothing was changed; free space, then try again",
            code="unwritable-file",
            field="store",
        )
    if any(word in said for word in _BUSY):
        return TrimtabError(
            f"the store {place} is being changed by another process; try again", code="busy", field="store"
        )
    if any(word in said for word in _DAMAGED):
        return InputError(f"{place} is no store, or is damaged: {said}", code="damaged-file", field="store")
    if "disk i/o error" in said:
        return TrimtabError(
            f"the file of the store {place} cannot be read or written any more; was it moved, or does the disk fail?",
            code="store-failed",
            field="store",
        )
    if "unable to open" in said:
        return InputError(f"the store {place} cannot be opened; is there such a folder, and may it be read?",
                          code="unreadable-file", field="store")  # fmt: skip
    return TrimtabError(
        f"the store {place} cannot be reached or failed: {_first_line(error.orig)}; what was begun is undone, unless "
        "the failure came at its very end: look before trying again",
        code="store-failed",
        field="store",
    )


def _first_line(error: BaseException | None) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
