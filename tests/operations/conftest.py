"""A fresh store for every test, in both databases."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from trimtab.operations import Store

BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(scope="session")
def emptied(postgres: Callable[[str], str]) -> str:
    """URL of the database that every test finds empty."""
    return postgres("store")


@pytest.fixture(params=BOTH)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store can be made."""
    if request.param == "sqlite":
        return str(tmp_path / "operations.db")
    url = str(request.getfixturevalue("emptied"))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return url


@pytest.fixture
def store(place: str) -> Iterator[Store]:
    with Store(place, create=True) as made:
        yield made


@pytest.fixture
def lite(tmp_path: Path) -> Iterator[Store]:
    """A store in SQLite, for what does not depend on the database."""
    with Store(tmp_path / "operations.db", create=True) as made:
        yield made
