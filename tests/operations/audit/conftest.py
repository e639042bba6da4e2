"""An audit of some entries, and its falsification behind the database's back."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from trimtab.operations import Change, Signer, Store, record
from trimtab.operations.audit.merkle import Tree, leaf_hash


def filled(store: Store, n: int) -> None:
    """Append n entries."""
    for number in range(n):
        with store.changing() as connection:
            record(connection, Change("ada", "release.promote", f"r{number % 3}", f"für {number}", None, {"n": number}))


def rows(store: Store) -> list[str]:
    """What the entries say."""
    with closing(sqlite3.connect(store.place)) as connection:
        return [content for (content,) in connection.execute("SELECT content FROM audit_entries ORDER BY number")]


def falsify(file: str | Path, contents: Sequence[str], numbers: Sequence[int], *, chain: bool) -> None:
    """Other entries in place of all, as somebody writes them who owns the database.

    Args:
        file: of the store.
        contents: of the entries.
        numbers: of their rows.
        chain: whether the hashes are rewritten too.
    """
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("DELETE FROM audit_entries")
        connection.executemany("INSERT INTO audit_entries VALUES (?, ?)", zip(numbers, contents, strict=True))
        if chain:
            connection.execute("DELETE FROM audit_nodes")
            tree = Tree()
            for content in contents:
                connection.executemany(
                    "INSERT INTO audit_nodes VALUES (?, ?, ?)", tree.add(leaf_hash(content.encode()))
                )


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer.create(tmp_path / "audit.key", "ours")
