"""The store: a database in SQLite or PostgreSQL, opened only if its schema is this version's."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, make_url, select, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from trimtab.errors import InputError
from trimtab.operations.store.faults import told
from trimtab.operations.store.listening import Listening
from trimtab.operations.store.migrating import NEWEST, revision_of, upgrade
from trimtab.operations.store.tables import SETTINGS

FILE: Final = "operations.db"
VARIABLE: Final = "TRIMTAB_STORE"
CHANNEL: Final = "trimtab_releases"
"""On which PostgreSQL tells of changes to releases."""

_WRITES: Final = "trimtab_writes"
_PATIENCE: Final = 10.0  # seconds for another process that writes
_GREETING: Final = 5  # seconds for a server to answer
# Locks on PostgreSQL, arbitrary numbers of ours.
_LOCK: Final = 7_262_852  # of changes of state
_ORDER: Final = 7_262_853  # of rows that are read by number


class Store:
    """A database with a schema of this version.

    Args:
        place: a `postgresql://` URL, a file of SQLite, or a folder, whose `operations.db` is meant; by default
            `TRIMTAB_STORE`, else the current folder.
        create: make one where there is none yet.

    Raises:
        InputError: there is none; it has the schema of another version; it is something else.
        TrimtabError: it cannot be reached.

    Example:
        >>> from trimtab.operations import Store
        >>> with Store("here.db", create=True) as store:
        ...     store.place, store.is_postgresql
        ('here.db', False)
    """

    def __init__(self, place: str | Path | None = None, *, create: bool = False) -> None:
        self.url = url_of(place)
        self.place = _shown(self.url)
        self._engine = engine_of(self.url)
        try:
            self._check(create)
        except BaseException:
            self.close()
            raise

    @property
    def is_postgresql(self) -> bool:
        """Whether PostgreSQL keeps it, which tells of changes by itself."""
        return self.url.get_backend_name() == "postgresql"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One moment of the store: what is read inside fits together.

        Raises:
            TrimtabError: it cannot be reached or read.
        """
        with told(self.place), self._engine.connect() as connection:
            if self.is_postgresql:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction: all of what is done inside, or nothing.

        Raises:
            InputError: the store is read-only.
            TrimtabError: it is full, busy for long, or cannot be reached.
        """
        with (
            told(self.place),
            self._engine.connect().execution_options(**{_WRITES: True}) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def changing(self) -> Iterator[Connection]:
        """A transaction while which nobody else changes the state; what is read inside stays true until its end.

        Raises:
            TrimtabError: as for `writing`.
        """
        with self._locked(_LOCK) as connection:
            yield connection

    @contextmanager
    def appending(self) -> Iterator[Connection]:
        """A transaction that numbers rows: whoever sees one of them sees all with lower numbers.

        Without it PostgreSQL could show number 8 before 7, and who reads on from 8 would never see 7.

        Raises:
            TrimtabError: as for `writing`.
        """
        with self._locked(_ORDER) as connection:
            yield connection

    @contextmanager
    def _locked(self, lock: int) -> Iterator[Connection]:
        with self.writing() as connection:  # of which SQLite has one at a time anyway
            if self.is_postgresql:
                connection.execute(text(f"SET LOCAL lock_timeout = '{_PATIENCE:g}s'"))
                connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": lock})
            yield connection

    def listening(self, channel: str) -> Listening:
        """A connection that waits for what PostgreSQL tells on a channel.

        Raises:
            TrimtabError: it cannot be reached.
        """
        with told(self.place):
            return Listening(self._engine, channel, self.place)

    def setting(self, name: str) -> str:
        """A fact of the store, drawn when it was made.

        Raises:
            TrimtabError: it cannot be read.
        """
        with self.reading() as connection:
            return str(connection.execute(select(SETTINGS.c.value).where(SETTINGS.c.name == name)).scalar_one())

    def close(self) -> None:
        """Close its connections."""
        self._engine.dispose()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check(self, create: bool) -> None:
        if not self.is_postgresql:
            _check_file(Path(str(self.url.database)), create)
        with self.reading() as connection:
            found = revision_of(connection)
        if found is None and create:
            upgrade(self._engine, self.place)
        elif found != NEWEST:
            raise _misfit(self.place, found)


def migrate(place: str | Path | None = None) -> tuple[str | None, str]:
    """Bring a store to the schema of this version, or make one.

    Returns:
        The schema's version before (None for a new store) and after.

    Raises:
        InputError: the store is of a later version of trimtab.
        TrimtabError: it cannot be reached or written.

    Example:
        >>> from trimtab.operations import migrate
        >>> migrate("new.db")
        (None, '0004')
    """
    url = url_of(place)
    if url.get_backend_name() == "sqlite":
        _check_file(Path(str(url.database)), create=True)
    engine = engine_of(url)
    try:
        with told(_shown(url)):
            with engine.connect() as connection:
                before = revision_of(connection)
            if before is not None and before > NEWEST:
                raise _misfit(_shown(url), before)
            upgrade(engine, _shown(url))
    finally:
        engine.dispose()
    return before, NEWEST


def url_of(place: str | Path | None) -> URL:
    """The URL of a place, for SQLAlchemy.

    Raises:
        InputError: it is neither a path nor a URL of PostgreSQL.
    """
    given = str(place) if place is not None else os.environ.get(VARIABLE) or "."
    if "\0" in given or not given.strip():
        raise InputError(f"{given!r} is no store; give a folder, a file or a postgresql:// URL", field="store")
    if "://" not in given:
        path = Path(given)
        return URL.create("sqlite", database=str(path / FILE if path.is_dir() else path))
    try:
        url = make_url(given)
    except (ArgumentError, ValueError):
        url = None
    kind = None if url is None else url.get_backend_name()
    if url is None or kind not in ("postgresql", "postgres", "sqlite") or (kind == "sqlite" and not url.database):
        raise InputError(
            "the store's URL must begin with postgresql:// ; or give a file or folder, for SQLite",
            code="unsupported",
            field="store",
        )
    return url.set(drivername="sqlite" if kind == "sqlite" else "postgresql+psycopg")


def engine_of(url: URL) -> Engine:
    """Connections to a database; none is made yet.

    Raises:
        InputError: the driver for PostgreSQL is not installed.
    """
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, connect_args={"timeout": _PATIENCE, "check_same_thread": False})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    given: dict[str, Any] = {"connect_timeout": _GREETING, "tcp_user_timeout": int(_PATIENCE * 1000)}
    try:
        return create_engine(url, connect_args=given, pool_pre_ping=True)
    except ModuleNotFoundError as error:
        raise InputError(
            "a store in PostgreSQL needs psycopg; install it with: pip install 'trimtab[postgres]'",
            code="not-installed",
            field="store",
        ) from error


def _prepare_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # transactions begin where `_begin_sqlite` begins them
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _check_file(file: Path, create: bool) -> None:
    if not file.exists() and not create:
        raise InputError(
            f"there is no store at {file}; name another, or make one with: trimtab store migrate --store {file}",
            code="no-such-file",
            field="store",
        )
    if create and not file.parent.is_dir():
        raise InputError(f"there is no folder {file.parent}; make it first", code="no-such-file", field="store")


def _misfit(place: str, found: str | None) -> InputError:
    if found is not None and found > NEWEST:
        return InputError(
            f"the store {place} has the schema {found} of a later version of trimtab; this one knows {NEWEST}: "
            "install the later version",
            code="other-schema",
            field="store",
        )
    has = "holds no store yet" if found is None else f"has the schema {found}; this version needs {NEWEST}"
    return InputError(
        f"the store {place} {has}; run: trimtab store migrate --store {place}", code="other-schema", field="store"
    )


def _shown(url: URL) -> str:
    """For messages, without the password."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return url.set(drivername="postgresql").render_as_string(hide_password=True)
