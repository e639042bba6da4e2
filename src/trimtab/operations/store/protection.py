"""Triggers by which the database itself refuses to change or remove what was written.

Who owns the database can drop them; a published checkpoint of the audit finds that out.
"""

from collections.abc import Iterator
from typing import Final

FULLY: Final = ("audit_entries", "audit_nodes", "releases", "release_states")
"""The first tables whose rows never change."""

UNLINKED: Final = ("exposures", "unit")
"""The table of which a column may be emptied, and the column."""

_FUNCTION: Final = """
CREATE FUNCTION trimtab_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$
"""


def protecting(dialect: str, columns: dict[str, tuple[str, ...]]) -> Iterator[str]:
    """The statements that protect a fresh store.

    Args:
        dialect: `sqlite` or `postgresql`.
        columns: of each protected table, its primary key first.
    """
    if dialect == "postgresql":
        yield _FUNCTION
    for table in (*FULLY, UNLINKED[0]):
        yield from append_only(dialect, table, columns[table])


def append_only(dialect: str, table: str, columns: tuple[str, ...]) -> Iterator[str]:
    """The statements that protect one more table, in a store that has the first.

    Args:
        dialect: `sqlite` or `postgresql`.
        table: its name.
        columns: of the table, its primary key first.
    """
    yield from _sqlite(table, columns) if dialect == "sqlite" else _postgresql(table, columns)


def fixed(dialect: str, table: str, columns: tuple[str, ...]) -> Iterator[str]:
    """The statements by which a table that is protected already protects a column more.

    Args:
        dialect: `sqlite` or `postgresql`.
        table: its name.
        columns: all of them.
    """
    sqlite = dialect == "sqlite"
    yield f"DROP TRIGGER {table}_no_update" + ("" if sqlite else f" ON {table}")
    refuse = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    call = "EXECUTE FUNCTION trimtab_append_only()"
    yield from _updates(table, columns, refuse if sqlite else call, "" if sqlite else "FOR EACH ROW ")


def keeping_first(table: str, column: str) -> str:
    """The statement by which SQLite passes over a row whose value of a unique column is there already.

    INSERT OR REPLACE would remove the former row by that column too, without asking the triggers of the primary key.
    """
    there = f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {column} = NEW.{column})"  # noqa: S608 - names of our own
    return f"CREATE TRIGGER {table}_first_{column} BEFORE INSERT ON {table} {there} BEGIN SELECT RAISE(IGNORE); END"


def refusing_second(table: str, *columns: str) -> str:
    """The statement by which SQLite refuses a row whose values of unique columns are there already, as above."""
    same = " AND ".join(f"{column} = NEW.{column}" for column in columns)
    there = f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {same})"  # noqa: S608 - names of our own tables
    refuse = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    return f"CREATE TRIGGER {table}_once_{'_'.join(columns)} BEFORE INSERT ON {table} {there} {refuse}"


def _sqlite(table: str, columns: tuple[str, ...]) -> Iterator[str]:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    yield f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {refuse}"
    yield from _updates(table, columns, refuse, "")
    # INSERT OR REPLACE removes the former row without asking the trigger above
    keys = (
        "level = NEW.level AND position = NEW.position"
        if table == "audit_nodes"
        else f"{columns[0]} = NEW.{columns[0]}"
    )
    there = f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {keys})"  # noqa: S608 - names of our own tables
    yield f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} {there} {refuse}"


def _postgresql(table: str, columns: tuple[str, ...]) -> Iterator[str]:
    call = "EXECUTE FUNCTION trimtab_append_only()"
    yield f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} FOR EACH ROW {call}"
    yield f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT {call}"
    yield from _updates(table, columns, call, "FOR EACH ROW ")


def _updates(table: str, columns: tuple[str, ...], refuse: str, each: str) -> Iterator[str]:
    exempt = UNLINKED[1] if table == UNLINKED[0] else None
    fixed = ", ".join(column for column in columns if column != exempt)
    yield f"CREATE TRIGGER {table}_no_update BEFORE UPDATE OF {fixed} ON {table} {each}{refuse}"
    if exempt:
        given = f"WHEN (NEW.{exempt} IS NOT NULL)"
        yield f"CREATE TRIGGER {table}_only_unlink BEFORE UPDATE OF {exempt} ON {table} {each}{given} {refuse}"
