"""A fresh store for every test, in both databases."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from trimtab.operations import Store

_NUMBER = count()

BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(params=BOTH)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store can be made."""
    if request.param == "sqlite":
        return str(tmp_path / "operations.db")
    database: Callable[[str], str] = request.getfixturevalue("postgres")
    return database(f"store{next(_NUMBER)}")


@pytest.fixture
def store(place: str) -> Iterator[Store]:
    with Store(place, create=True) as made:
        yield made


@pytest.fixture
def lite(tmp_path: Path) -> Iterator[Store]:
    """A store in SQLite, for what does not depend on the database."""
    with Store(tmp_path / "operations.db", create=True) as made:
        yield made
