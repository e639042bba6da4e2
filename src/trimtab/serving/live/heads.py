"""How far the store has got, for whoever waits for something new in it."""

from sqlalchemy import func, select

from trimtab.operations.releases.rows import newest
from trimtab.operations.store.database import Store
from trimtab.operations.store.tables import AUDIT_ENTRIES, EXPOSURES, OUTCOMES


def heads(store: Store) -> tuple[int, int]:
    """Number of the last change of any release, and how many entries the audit has.

    Raises:
        TrimtabError: the store cannot be read.
    """
    with store.reading() as connection:
        last = connection.execute(select(func.max(AUDIT_ENTRIES.c.number))).scalar()
        return newest(connection), 0 if last is None else int(last) + 1


def evidence(store: Store) -> tuple[int, int]:
    """Numbers of the last exposure and of the last outcome.

    Raises:
        TrimtabError: the store cannot be read.
    """
    with store.reading() as connection:
        exposures, outcomes = (
            int(connection.execute(select(func.max(table.c.number))).scalar() or 0) for table in (EXPOSURES, OUTCOMES)
        )
    return exposures, outcomes
