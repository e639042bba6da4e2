"""The audit in the store: entries appended inside the transaction of the change, and read back."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import Connection, func, insert, select

from trimtab.errors import InputError
from trimtab.operations.audit.entries import Change, Entry, parsed, written
from trimtab.operations.audit.merkle import Node, Tree, consistency_proof, edge_of, inclusion_proof, leaf_hash
from trimtab.operations.store.database import Store
from trimtab.operations.store.tables import AUDIT_ENTRIES, AUDIT_NODES

CHUNK: Final = 5000
"""Entries that are read at once."""


def record(connection: Connection, change: Change) -> int:
    """Append an entry, in the transaction that makes the change: both are kept, or neither.

    Args:
        connection: of `Store.changing`, which lets nobody else append meanwhile.
        change: what is done.

    Returns:
        The number of the entry.

    Example:
        >>> from trimtab.operations import Change, Store, record
        >>> with Store("kept.db", create=True) as store, store.changing() as connection:
        ...     record(connection, Change("ada", "release.start", "warm", "", None, {"share": 1}))
        0
    """
    tree = tree_of(connection)
    number = tree.size
    content = written(number, change)
    connection.execute(insert(AUDIT_ENTRIES), {"number": number, "content": content})
    made = tree.add(leaf_hash(content.encode()))
    connection.execute(
        insert(AUDIT_NODES), [{"level": level, "position": at, "hash": value} for level, at, value in made]
    )
    return number


def entries(store: Store, first: int = 0, subject: str | None = None) -> Iterator[Entry]:
    """The entries in order, from number `first` on; of one subject, if it is named.

    Raises:
        InputError: a row is no entry.
        TrimtabError: the store cannot be read.

    Example:
        >>> from trimtab.operations import Store, entries
        >>> with Store("none.db", create=True) as store:
        ...     list(entries(store))
        []
    """
    for _, content in contents(store, first):
        entry = parsed(content)
        if subject is None or entry.subject == subject:
            yield entry


def last_entries(store: Store, n: int, before: int | None = None) -> list[Entry]:
    """The last entries, the newest first.

    Args:
        store: see `Store`.
        n: how many at most.
        before: only those with lower numbers; by default all.

    Raises:
        InputError: a row is no entry.
        TrimtabError: the store cannot be read.

    Example:
        >>> from trimtab.operations import Change, Store, record
        >>> from trimtab.operations.audit import last_entries
        >>> with Store("tail.db", create=True) as store:
        ...     with store.changing() as connection:
        ...         numbers = [record(connection, Change("ada", "a.b", "warm", "", None, None)) for _ in range(3)]
        ...     [entry.number for entry in last_entries(store, 2)]
        [2, 1]
    """
    wanted = select(AUDIT_ENTRIES.c.content).order_by(AUDIT_ENTRIES.c.number.desc()).limit(n)
    if before is not None:
        wanted = wanted.where(AUDIT_ENTRIES.c.number < before)
    with store.reading() as connection:
        return [parsed(content) for content in connection.scalars(wanted)]


def contents(store: Store, first: int = 0, until: int | None = None) -> Iterator[tuple[int, str]]:
    """Number and content of the rows in order, a few thousand at a time; those below `until`, if it is given."""
    while True:
        wanted = select(AUDIT_ENTRIES).where(AUDIT_ENTRIES.c.number >= first).limit(CHUNK)
        if until is not None:
            wanted = wanted.where(AUDIT_ENTRIES.c.number < until)
        with store.reading() as connection:
            rows = connection.execute(wanted.order_by(AUDIT_ENTRIES.c.number)).all()
        yield from ((row.number, row.content) for row in rows)
        if len(rows) < CHUNK:
            return
        first = rows[-1].number + 1


def kept_leaves(store: Store, until: int) -> list[bytes]:
    """The hashes of the first entries as they were kept when these were written."""
    wanted = select(AUDIT_NODES.c.hash).where(AUDIT_NODES.c.level == 0, AUDIT_NODES.c.position < until)
    with store.reading() as connection:
        return [bytes(value) for value in connection.scalars(wanted.order_by(AUDIT_NODES.c.position))]


def tree_of(connection: Connection) -> Tree:
    """The tree as it stands, by its right edge."""
    size = connection.execute(select(func.max(AUDIT_ENTRIES.c.number))).scalar()
    n = 0 if size is None else int(size) + 1
    return Tree(n, (nodes(connection)(level, position) for level, position in edge_of(n)))


def nodes(connection: Connection) -> Node:
    """The kept hashes of complete subtrees."""

    def node(level: int, position: int) -> bytes:
        at = (AUDIT_NODES.c.level == level) & (AUDIT_NODES.c.position == position)
        found = connection.execute(select(AUDIT_NODES.c.hash).where(at)).scalar()
        if found is None:
            raise InputError(
                f"the audit is damaged: it lacks the hash of entries {position << level}…"
                f"{(position + 1 << level) - 1}; trimtab audit verify says more",
                code="damaged-file",
                field="store",
            )
        return bytes(found)

    return node


def proof_of_inclusion(store: Store, number: int, size: int | None = None) -> tuple[int, bytes, list[bytes], str]:
    """That an entry is in the audit.

    Args:
        number: of the entry.
        size: of the tree; by default all entries.

    Returns:
        Size and root of the tree, the path, and the entry's content.

    Raises:
        InputError: there is no such entry in a tree of this size.
    """
    with store.reading() as connection:
        n = _size(connection, size)
        if not 0 <= number < n:
            raise InputError(
                f"there is no entry {number} among {n}; they are numbered from 0", code="out-of-range", field="entry"
            )
        node = nodes(connection)
        wanted = select(AUDIT_ENTRIES.c.content).where(AUDIT_ENTRIES.c.number == number)
        content = connection.execute(wanted).scalar_one()
        root = Tree(n, (node(level, at) for level, at in edge_of(n))).root
        return n, root, inclusion_proof(number, n, node), str(content)


def proof_of_consistency(store: Store, former: int) -> tuple[int, bytes, bytes, list[bytes]]:
    """That the audit begins with all entries that it had at a former size.

    Returns:
        The size now, the root then, the root now, and the path.

    Raises:
        InputError: it never had so many.
    """
    with store.reading() as connection:
        n = _size(connection, None)
        if not 0 <= former <= n:
            raise InputError(f"the audit has {n} entries, not {former}", code="out-of-range", field="size")
        node = nodes(connection)
        then, now = (Tree(m, (node(level, at) for level, at in edge_of(m))).root for m in (former, n))
        return n, then, now, consistency_proof(former, n, node)


def _size(connection: Connection, wanted: int | None) -> int:
    size = tree_of(connection).size
    if wanted is not None and not 0 <= wanted <= size:
        raise InputError(f"the audit has {size} entries, not {wanted}", code="out-of-range", field="size")
    return size if wanted is None else wanted
