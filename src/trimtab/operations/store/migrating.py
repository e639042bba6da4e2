"""Migrations of the schema, by alembic."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, text

from trimtab.operations.store.faults import told

NEWEST: Final = "0004"
"""The schema that this version reads and writes; schemas are numbered in order."""

_LOCK: Final = 7_262_851  # of migrations on PostgreSQL, an arbitrary number of ours


def revision_of(connection: Connection) -> str | None:
    """The schema's version; None where there is no store yet."""
    return MigrationContext.configure(connection).get_current_revision()


def upgrade(engine: Engine, place: str) -> None:
    """Bring the schema to `NEWEST`, in one transaction; of two processes at once the second finds it done.

    Raises:
        TrimtabError: it cannot be written.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    with told(place), engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            raw = connection.connection.driver_connection
            assert raw is not None
            raw.execute("PRAGMA journal_mode = WAL")  # readers do not wait for writers; kept in the file
        with connection.execution_options(trimtab_writes=True).begin():
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
            config.attributes["connection"] = connection
            command.upgrade(config, NEWEST)
