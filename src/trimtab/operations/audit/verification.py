"""Whether the audit is what was written: by its own hashes, and by a published checkpoint."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from trimtab.errors import InputError
from trimtab.operations.audit.checkpoint import Checkpoint, published, put
from trimtab.operations.audit.entries import parsed
from trimtab.operations.audit.log import contents, kept_leaves, nodes
from trimtab.operations.audit.merkle import EMPTY, Tree, edge_of, leaf_hash
from trimtab.operations.audit.signing import Signer
from trimtab.operations.store.database import Store
from trimtab.operations.store.tables import AUDIT_ENTRIES, AUDIT_NODES


@dataclass(frozen=True)
class Verification:
    """What was found.

    Args:
        size: entries there are.
        root: of the tree over what they say now.
        checkpoint: what they were held against; None for none.
        first: number of the first entry that does not fit; None if all fit, or if it cannot be told which.
        fault: what is wrong with it; None if nothing is.

    Example:
        >>> from trimtab.operations import Store, verify
        >>> with Store("checked.db", create=True) as store:
        ...     verify(store).holds
        True
    """

    size: int
    root: bytes
    checkpoint: Checkpoint | None = None
    first: int | None = None
    fault: str | None = None

    @property
    def holds(self) -> bool:
        """Whether everything fits."""
        return self.fault is None

    @property
    def record(self) -> dict[str, Any]:
        """For JSON."""
        against = None if self.checkpoint is None else {"size": self.checkpoint.size, "time": self.checkpoint.time}
        return {
            "holds": self.holds,
            "entries": self.size,
            "root": self.root.hex(),
            "checkpoint": against,
            "first": self.first,
            "fault": self.fault,
        }


def verify(store: Store, checkpoint: Checkpoint | None = None, leaves: Sequence[bytes] | None = None) -> Verification:
    """Compute the tree anew from the entries, and hold it against what was kept and what was published.

    Without a checkpoint only changes are found whose hashes were not rewritten as well. With one, all; and with the
    hashes published beside it, the first entry that was changed is named.

    Args:
        store: holds the audit.
        checkpoint: that was published.
        leaves: hashes of its entries, which lead to its root.

    Raises:
        TrimtabError: the store cannot be read.

    Example:
        >>> from trimtab.operations import Store, verify
        >>> with Store("verified.db", create=True) as store:
        ...     verify(store).record["entries"]
        0
    """
    end = _end(store)
    tree, now = Tree(), list[bytes]()
    wrong: tuple[int, str] | None = None
    at_checkpoint = EMPTY
    for place, (number, content) in enumerate(contents(store, until=end)):
        now.append(leaf_hash(content.encode()))
        tree.add(now[-1])
        if checkpoint is not None and tree.size == checkpoint.size:
            at_checkpoint = tree.root
        wrong = wrong or _misnumbered(place, number, content)
    own = _difference(kept_leaves(store, end), now, "what was kept when it was written")
    first, fault = own
    if checkpoint is not None and at_checkpoint != checkpoint.root:
        first, fault = _since(checkpoint, now, leaves)
        if first is None and own[0] is not None:
            first, fault = own
    if first is None and wrong is not None:
        first, fault = wrong[0], fault or wrong[1]
    if fault is None and not _edge_fits(store, tree):
        fault = "the kept hashes of the tree do not belong to its entries"
    return Verification(tree.size, tree.root, checkpoint, first, fault)


def publish(store: Store, signer: Signer, place: str) -> Checkpoint:
    """Verify the audit, sign its size and root, and put that into a file or to a URL (by PUT).

    The hashes of the entries go beside it, to `PLACE.leaves`: by them a later `verify` names the very entry that was
    changed.

    Args:
        store: holds the audit.
        signer: the private key.
        place: a file or URL that nobody who can write to the store can change. A checkpoint in the file is replaced if
            the audit still holds against it.

    Raises:
        InputError: the audit does not hold, by itself or against the checkpoint that is there; it cannot be written.
        TrimtabError: the store cannot be read, or the URL does not answer.

    Example:
        >>> from trimtab.operations import Signer, Store, publish
        >>> with Store("public.db", create=True) as store:
        ...     publish(store, Signer.create("public.key", "ours"), "checkpoint.txt").size
        0
    """
    former: tuple[Checkpoint | None, Sequence[bytes] | None] = (None, None)
    if Path(place).is_file():
        former = published(place, signer.verifier)
    found = verify(store, *former)
    if found.fault is not None:
        raise InputError(
            f"{found.fault}; an audit that does not hold is not signed", code="damaged-file", field="store"
        )
    made = Checkpoint(signer.verifier.name, found.size, found.root, datetime.now(UTC).isoformat(timespec="seconds"))
    made = replace(made, note=signer.signed(made.text))
    put(place, made.note, b"".join(kept_leaves(store, made.size)))
    return made


def _end(store: Store) -> int:
    """Behind the last entry or hash; what is appended while a verification runs is left to the next."""
    with store.reading() as connection:
        last = connection.execute(select(func.max(AUDIT_ENTRIES.c.number))).scalar()
        kept = connection.execute(select(func.max(AUDIT_NODES.c.position)).where(AUDIT_NODES.c.level == 0)).scalar()
    return max(-1 if last is None else int(last), -1 if kept is None else int(kept)) + 1


def _misnumbered(place: int, number: int, content: str) -> tuple[int, str] | None:
    """Numbers go from 0 without a gap, in the rows and in what was hashed."""
    if number != place:
        return place, f"entry {place} is missing: entry {number} follows entry {place - 1}"
    try:
        said = parsed(content).number
    except InputError:
        return place, f"entry {place} was edited: it is no entry any more"
    return None if said == place else (place, f"entry {place} stands in the wrong place: it says that it is {said}")


def _since(
    checkpoint: Checkpoint, now: Sequence[bytes], leaves: Sequence[bytes] | None
) -> tuple[int | None, str | None]:
    """What was done to the entries of a checkpoint that they do not lead to."""
    of = f"the checkpoint of {checkpoint.time}"
    if leaves is not None:
        first, fault = _difference(leaves, now, of, longer=True)
        assert fault is not None, "roots differ, so that a hash does"
        return first, fault
    if len(now) < checkpoint.size:
        return len(now), f"entry {len(now)} of {of} is missing, or one before it"
    return None, (
        f"the first {checkpoint.size} entries are not those of {of}; the file of hashes published beside it would "
        "tell which"
    )


def _difference(
    reference: Sequence[bytes], now: Sequence[bytes], of: str, *, longer: bool = False
) -> tuple[int | None, str | None]:
    """The first entry that is not as in the reference, and what was done to it.

    Args:
        reference: hashes of entries as they should be.
        now: as they are.
        of: where the reference is from.
        longer: whether more entries than there may follow.
    """
    at = next((i for i, (a, b) in enumerate(zip(reference, now, strict=False)) if a != b), None)
    if at is None:
        at = min(len(reference), len(now))
        if len(now) < len(reference):
            return at, f"entry {at} is missing: the audit ends before it, unlike {of}"
        return (None, None) if longer or len(now) == len(reference) else (at, f"entry {at} was inserted, by {of}")
    was, is_ = reference[at] in now, now[at] in reference
    done = {
        (True, True): "stands in another's place",
        (False, True): "was removed",
        (True, False): "was inserted",
        (False, False): "was edited",
    }[was, is_]
    return at, f"entry {at} {done}, by {of}"


def _edge_fits(store: Store, tree: Tree) -> bool:
    """Whether the kept subtrees of the right edge, to which the next entry is added, are those of the entries."""
    with store.reading() as connection:
        node = nodes(connection)
        try:
            return [node(level, place) for level, place in edge_of(tree.size)] == tree.edge
        except InputError:
            return False
