"""The store is opened only with its own schema, changes all or nothing, and says what is wrong with it."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import insert, select, text

from trimtab.errors import InputError, TrimtabError
from trimtab.operations import Store, migrate
from trimtab.operations.store.tables import AUDIT_ENTRIES, METADATA, SETTINGS


def write(store: Store, *statements: str, rows: int = 0) -> None:
    """Statements, then so many entries, in one transaction."""
    with store.changing() as connection:
        for statement in statements:
            connection.execute(text(statement))
        for number in range(rows):
            connection.execute(insert(AUDIT_ENTRIES), {"number": number, "content": "x" * 4000})


def numbers(store: Store) -> list[int]:
    with store.reading() as connection:
        return list(connection.scalars(select(AUDIT_ENTRIES.c.number).order_by(AUDIT_ENTRIES.c.number)))


def test_migrations_make_the_tables_that_the_code_uses(store: Store) -> None:
    with store.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []


def test_a_store_of_another_schema_is_refused_with_the_command(place: str) -> None:
    with Store(place, create=True) as store, store.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    with pytest.raises(InputError, match=r"has the schema 0000; .* run: trimtab store migrate --store") as raised:
        Store(place, create=True)
    assert raised.value.code == "other-schema"


def test_a_store_of_a_later_version_is_refused_and_not_migrated(place: str) -> None:
    with Store(place, create=True) as store, store.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for attempt in (lambda: Store(place), lambda: migrate(place)):
        with pytest.raises(InputError, match="install the later version"):
            attempt()


def test_a_store_that_is_not_there_is_not_made_by_reading(place: str) -> None:
    with pytest.raises(InputError, match="trimtab store migrate"):
        Store(place)
    assert not Path(place).exists()
    assert migrate(place) == (None, "0004")
    assert migrate(place) == ("0004", "0004")


def test_two_processes_may_make_a_store_at_once(place: str) -> None:
    code = (
        "import sys; from trimtab.operations import Store; print(Store(sys.argv[1], create=True).setting('unit_salt'))"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, place], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert said[0] == said[1] != ""


def test_a_transaction_that_fails_leaves_nothing(store: Store) -> None:
    with pytest.raises(TrimtabError, match="syntax"):
        write(store, FIRST_ROWS[0], "no SQL")
    assert numbers(store) == []


CHANGES = [
    "UPDATE audit_entries SET content = 'x'",
    "DELETE FROM audit_entries",
    "UPDATE audit_nodes SET hash = hash",
    "DELETE FROM audit_nodes",
    "UPDATE exposures SET arm = 'control'",
    "UPDATE exposures SET unit = 'somebody else'",
    "DELETE FROM exposures",
]
FIRST_ROWS = (
    "INSERT INTO audit_entries VALUES (0, '{}')",
    "INSERT INTO audit_nodes VALUES (0, 0, '12345678901234567890123456789012')",
    "INSERT INTO exposures (number, request, time, model, arm, dry_run, unit, content)"
    " VALUES (1, 'r', 0, 'm', 'treatment', false, 'u', '{}')",
)


@pytest.mark.parametrize("change", CHANGES)
def test_the_database_refuses_to_change_what_was_written(store: Store, change: str) -> None:
    with store.writing() as connection:
        for row in FIRST_ROWS:
            connection.execute(text(row))
    with pytest.raises(TrimtabError, match="append-only"), store.writing() as connection:
        connection.execute(text(change))
    with store.writing() as connection:  # whose it was may be forgotten
        assert connection.execute(text("UPDATE exposures SET unit = NULL")).rowcount == 1


def test_sqlite_refuses_to_replace_and_postgresql_to_truncate(store: Store) -> None:
    change = (
        "TRUNCATE audit_entries CASCADE"
        if store.is_postgresql
        else "INSERT OR REPLACE INTO audit_entries VALUES (0, 'x')"
    )
    with store.writing() as connection:
        connection.execute(text(FIRST_ROWS[0]))
    with pytest.raises(TrimtabError, match="append-only"), store.writing() as connection:
        connection.execute(text(change))
    assert numbers(store) == [0]


REPLACED = [
    "INSERT OR REPLACE INTO exposures (request, time, model, arm, dry_run, content)"
    " VALUES ('r', 1, 'm', 'control', 0, '{}')",
    "INSERT OR REPLACE INTO outcomes (request, metric, source, value, who, by_unit, consent, happened, came, key)"
    " VALUES ('r', 'stars', 'user', 5, 'w', 0, 1, 0, 0, 'k')",
]


@pytest.mark.parametrize("change", REPLACED)
def test_sqlite_replaces_no_row_by_a_unique_column_either(lite: Store, change: str) -> None:
    first = REPLACED[1].replace(" OR REPLACE", "").replace("5", "1")
    tables = "SELECT arm FROM exposures UNION ALL SELECT value FROM outcomes"
    with lite.writing() as connection:
        for row in (FIRST_ROWS[2], first):
            connection.execute(text(row))
    with lite.writing() as connection:
        connection.execute(text(change))
    with lite.reading() as connection:
        assert list(connection.scalars(text(tables))) == ["treatment", 1.0]


ONCE = {
    "releases": "(id, name, model, created, content) VALUES ({0}, 'first', 'm', 0, '{0}')",
    "release_states": "(number, release, version, state, share, time, entry) VALUES ({0}, 1, 1, '{0}', 0, 0, 0)",
    "metric_definitions": "(number, name, version, digest, content, time, entry) VALUES ({0}, 'n', 1, '{0}', '', 0, 0)",
}


@pytest.mark.parametrize("table", ONCE)
def test_sqlite_replaces_no_state_of_a_release_and_no_metric(lite: Store, table: str) -> None:
    with lite.writing() as connection:
        connection.execute(text(FIRST_ROWS[0]))
        for name in dict.fromkeys(("releases", table)):
            connection.execute(text(f"INSERT INTO {name} {ONCE[name].format(1)}"))
    with pytest.raises(TrimtabError, match="append-only"), lite.writing() as connection:
        connection.execute(text(f"INSERT OR REPLACE INTO {table} {ONCE[table].format(2)}"))


def test_the_salt_is_drawn_for_each_store(tmp_path: Path) -> None:
    salts = set()
    for name in ("a.db", "b.db"):
        with Store(tmp_path / name, create=True) as store:
            salts.add(store.setting("unit_salt"))
    assert len(salts) == 2
    assert all(len(salt) == 64 for salt in salts)


def test_sqlite_keeps_readers_apart_from_writers(lite: Store) -> None:
    with lite.changing() as connection:
        connection.execute(insert(SETTINGS), {"name": "half", "value": "written"})
        with pytest.raises(TrimtabError, match="No row"):
            lite.setting("half")
    assert lite.setting("half") == "written"


def test_a_full_disk_is_told_and_nothing_is_half_written(lite: Store) -> None:
    with lite.reading() as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
    with pytest.raises(TrimtabError, match="is full, and nothing was changed"):
        write(lite, f"PRAGMA max_page_count = {pages + 2}", rows=100)
    assert numbers(lite) == []


def test_a_read_only_store_is_told(store: Store) -> None:
    switch = "SET TRANSACTION READ ONLY" if store.is_postgresql else "PRAGMA query_only = ON"
    with pytest.raises(InputError, match="is read-only, and nothing was changed"):
        write(store, switch, rows=1)


def test_another_process_that_keeps_writing_is_told(lite: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimtab.operations.store.database._PATIENCE", 0.05)
    with Store(lite.place) as hasty, lite.changing(), pytest.raises(TrimtabError, match="another process") as raised:
        write(hasty, rows=1)
    assert raised.value.code == "busy"


@pytest.mark.postgres
def test_postgresql_gone_in_the_middle_is_told_and_found_again(postgres) -> None:
    with Store(postgres("gone"), create=True) as store:
        write(store, FIRST_ROWS[0])
        with pytest.raises(TrimtabError, match="cannot be reached or failed") as raised:
            write(
                store,
                "INSERT INTO audit_entries VALUES (1, 0)",
                "SELECT pg_terminate_backend(pg_backend_pid())",
                "SELECT 1",
            )
        assert raised.value.code == "store-failed"
        assert numbers(store) == [0]  # by a new connection


@pytest.mark.postgres
def test_a_password_is_not_shown() -> None:
    with pytest.raises(TrimtabError, match="cannot be reached") as raised:
        Store("postgresql://me:hush@127.0.0.1:1/none")
    assert "hush" not in str(raised.value)
    assert "me:***@127.0.0.1" in str(raised.value)


@pytest.mark.parametrize(
    ("given", "why"),
    [("mysql://x/y", "postgresql://"), ("sqlite://", "file or folder"), (" ", "no store"), ("a\0b", "no store")],
)
def test_other_places_are_refused(given: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        Store(given)


def test_a_file_of_something_else_is_no_store(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a database, but long enough to be looked at\n" * 100)
    with pytest.raises(InputError, match="is no store, or is damaged") as raised:
        Store(file)
    assert raised.value.code == "damaged-file"
    with pytest.raises(InputError, match="there is no folder"):
        Store(tmp_path / "none" / "x.db", create=True)


def test_the_place_is_the_folder_of_the_steerings_or_the_environments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRIMTAB_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    with Store(tmp_path, create=True) as store, Store() as same:
        assert store.place == str(tmp_path / "operations.db")
        assert same.setting("unit_salt") == store.setting("unit_salt")
    monkeypatch.setenv("TRIMTAB_STORE", str(tmp_path / "mine.db"))
    with pytest.raises(InputError, match=r"mine\.db"):
        Store()


def test_a_store_killed_while_writing_holds_what_was_committed(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom sqlalchemy import text\nfrom trimtab.operations import Store\n"
        "store = Store(sys.argv[1], create=True)\n"
        "for number in (0, 1):\n"
        "    with store.changing() as c:\n"
        "        c.execute(text(f'INSERT INTO audit_entries VALUES ({number}, 0)'))\n"
        "        if number: os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "s.db")])
    assert done.returncode == -9
    with Store(tmp_path / "s.db") as store:
        assert numbers(store) == [0]
