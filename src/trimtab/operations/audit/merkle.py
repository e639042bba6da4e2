"""The Merkle tree of RFC 6962, section 2: hashes of entries, roots, and proofs of inclusion and of consistency.

Letters as there: D[n] is the list of n entries, MTH its root, k the largest power of two below n. A complete subtree of
2^level entries is at (level, position); a tree of any size is a row of complete subtrees that get smaller.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Final

EMPTY: Final = sha256(b"").digest()
"""Root of the tree without entries."""

Node = Callable[[int, int], bytes]
"""Hash of the complete subtree at (level, position)."""


def leaf_hash(entry: bytes) -> bytes:
    """Hash of an entry: SHA-256 of a zero byte and the entry."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash over two subtrees: SHA-256 of a byte 1 and theirs."""
    return sha256(b"\x01" + left + right).digest()


class Tree:
    """A tree that grows by leaves, and keeps the hashes of its right edge alone.

    Args:
        size: entries so far.
        edge: hashes of the complete subtrees that they make up, the largest first.
    """

    def __init__(self, size: int = 0, edge: Iterable[bytes] = ()) -> None:
        self.size = size
        self.edge = list(edge)

    def add(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Append the hash of an entry.

        Returns:
            The complete subtrees that it finishes, each with level, position and hash; its own first.
        """
        made = [(0, self.size, leaf)]
        level, position, current = 0, self.size, leaf
        while position & 1:  # its left neighbor is complete
            current = node_hash(self.edge.pop(), current)
            level, position = level + 1, position >> 1
            made.append((level, position, current))
        self.edge.append(current)
        self.size += 1
        return made

    @property
    def root(self) -> bytes:
        """MTH(D[size])."""
        return folded(self.edge)


def folded(edge: Sequence[bytes]) -> bytes:
    """The root over complete subtrees, the largest first."""
    if not edge:
        return EMPTY
    root = edge[-1]
    for left in reversed(edge[:-1]):
        root = node_hash(left, root)
    return root


def edge_of(size: int, start: int = 0) -> Iterator[tuple[int, int]]:
    """Level and position of the complete subtrees that make up the entries start…start+size-1, the largest first.

    `start` is a multiple of the largest one.
    """
    at = start
    for level in range(size.bit_length() - 1, -1, -1):
        if size >> level & 1:
            yield level, at >> level
            at += 1 << level


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Root of the tree with these hashes of entries."""
    tree = Tree()
    for leaf in leaves:
        tree.add(leaf)
    return tree.root


def inclusion_proof(index: int, size: int, node: Node) -> list[bytes]:
    """PATH(index, D[size]) of section 2.1.1: what a root is computed from, beside the entry.

    Args:
        index: of the entry, 0…size-1.
        size: of the tree.
        node: hashes of complete subtrees.
    """
    start, path = 0, []
    while size > 1:
        k = _split(size)
        if index - start < k:
            path.append(_subtree(start + k, size - k, node))
            size = k
        else:
            path.append(_subtree(start, k, node))
            start, size = start + k, size - k
    return path[::-1]


def consistency_proof(former: int, size: int, node: Node) -> list[bytes]:
    """PROOF(former, D[size]) of section 2.1.2: that the first entries are those of a former tree.

    Args:
        former: size of the earlier tree, 0…size.
        size: of the later one.
        node: hashes of complete subtrees.
    """
    if former in (0, size):
        return []
    start, path, whole = 0, [], True
    while former != size:
        k = _split(size)
        if former <= k:
            path.append(_subtree(start + k, size - k, node))
            size = k
        else:
            path.append(_subtree(start, k, node))
            start, former, size, whole = start + k, former - k, size - k, False
    if not whole:
        path.append(_subtree(start, former, node))
    return path[::-1]


def root_by_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that a proof of inclusion leads to; None if it has the wrong length. RFC 9162, section 2.1.3.2."""
    if not 0 <= index < size:
        return None
    fn, sn, r = index, size - 1, leaf
    for p in path:
        if sn == 0:
            return None
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    return r if sn == 0 else None


def is_consistent(former: int, size: int, former_root: bytes, root: bytes, path: Sequence[bytes]) -> bool:
    """Whether a proof shows that a tree begins with all entries of a former one. RFC 9162, section 2.1.4.2."""
    if former == size:
        return not path and former_root == root
    if former == 0:
        return not path and former_root == EMPTY
    if not 0 < former < size or not path:
        return False
    whole = former & (former - 1) == 0
    first, *rest = [former_root, *path] if whole else path
    fn, sn = former - 1, size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = first
    for c in rest:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    return fr == former_root and sr == root and sn == 0


def _split(n: int) -> int:
    """k: the largest power of two below n."""
    return 1 << (n - 1).bit_length() - 1


def _subtree(start: int, size: int, node: Node) -> bytes:
    """MTH(D[start:start+size])."""
    return folded([node(level, position) for level, position in edge_of(size, start)])
