"""A store of the first schema, with data in it, comes to the newest with every row as it was."""

from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from trimtab.errors import InputError, TrimtabError
from trimtab.operations import Exposure, ExposureLog, Outcome, OutcomeLog, Store, migrate, verify
from trimtab.operations.store import database, migrating
from trimtab.operations.store.tables import METADATA

TABLES = ("settings", "audit_entries", "audit_nodes", "releases", "release_states", "exposures", "exposure_texts")
ROWS = (
    "INSERT INTO exposures (request, time, model, release, version, arm, dry_run, unit, content)"
    " VALUES ('r1', 5, 'tiny', 'first', 2, 'treatment', false, 'abc', '{\"finish\": \"stop\"}')",
    "INSERT INTO exposure_texts VALUES ('r1', 'abc', 5, false, 'x')",
    "INSERT INTO releases (name, model, created, content) VALUES ('first', 'tiny', 5, '{}')",
)


@pytest.fixture
def first(place: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The place of a store that the first version made, with rows in it."""
    from trimtab.operations import Change, record

    with monkeypatch.context() as then:
        for module in (database, migrating):
            then.setattr(module, "NEWEST", "0001")
        with Store(place, create=True) as store, store.changing() as connection:
            record(connection, Change("ada", "release.create", "first", "", None, {"share": 0}))
            for row in ROWS:
                connection.execute(text(row))
    return place


def contents(place: str) -> dict[str, list[Any]]:
    with Store(place) as store, store.reading() as connection:
        return {name: sorted(map(tuple, connection.execute(text(f"SELECT * FROM {name}")))) for name in TABLES}


def test_every_row_is_as_it_was_and_the_schema_is_the_newest(first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as then:
        then.setattr(database, "NEWEST", "0001")
        before = contents(first)
    assert all(before[name] for name in TABLES if name != "release_states")
    with pytest.raises(InputError, match=r"has the schema 0001; this version needs 0004; run: trimtab store migrate"):
        Store(first)
    assert migrate(first) == ("0001", "0004")
    assert migrate(first) == ("0004", "0004")
    assert contents(first) == before
    with Store(first) as store:
        with store.reading() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, METADATA) == []
        assert verify(store).size == 1
        ExposureLog(store).write([Exposure("r2", 6.0, "tiny", "control", "bob", "first", 2)])
        kept = OutcomeLog(store).write([Outcome("rating", request, value=1) for request in ("r1", "r2")])
        assert [one.matched for one in kept] == [True, True]
        with pytest.raises(TrimtabError, match="append-only"), store.writing() as connection:
            connection.execute(text("DELETE FROM outcomes"))
