"""The tree is that of RFC 6962: by its test vectors, and by pymerkle."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from trimtab.operations.audit.merkle import (
    Tree,
    consistency_proof,
    inclusion_proof,
    is_consistent,
    leaf_hash,
    root_by_inclusion,
    root_of,
)

# Of the reference implementation of Certificate Transparency: entries, and the root after each.
ENTRIES = [
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


class Both:
    """Our tree with all its subtrees, and pymerkle's."""

    def __init__(self, n: int) -> None:
        self.leaves = [leaf_hash(str(i).encode()) for i in range(n)]
        tree, self.theirs = Tree(), InmemoryTree(algorithm="sha256")
        self._nodes: dict[tuple[int, int], bytes] = {}
        for i, leaf in enumerate(self.leaves):
            self._nodes |= {(level, at): value for level, at, value in tree.add(leaf)}
            self.theirs.append_entry(str(i).encode())
        self.root = tree.root

    def node(self, level: int, position: int) -> bytes:
        return self._nodes[level, position]


def mth(d: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, word for word, on hashes of entries."""
    if len(d) == 1:
        return d[0]
    k = max(2**i for i in range(len(d)) if 2**i < len(d))
    return sha256(b"\x01" + mth(d[:k]) + mth(d[k:])).digest()


def subproof(m: int, d: list[bytes], b: bool) -> list[bytes]:
    """SUBPROOF of RFC 6962, section 2.1.2, word for word."""
    n = len(d)
    if m == n:
        return [] if b else [mth(d)]
    k = max(2**i for i in range(n) if 2**i < n)
    if m <= k:
        return [*subproof(m, d[:k], b), mth(d[k:])]
    return [*subproof(m - k, d[k:], False), mth(d[:k])]


def test_roots_are_those_of_the_test_vectors() -> None:
    tree, roots = Tree(), []
    for entry in ENTRIES:
        tree.add(leaf_hash(bytes.fromhex(entry)))
        roots.append(tree.root.hex())
    assert roots == ROOTS
    assert Tree().root.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 9, 31, 64, 100])
def test_roots_and_proofs_are_those_of_pymerkle(n: int) -> None:
    both = Both(n)
    for size in range(1, n + 1):
        root = both.theirs.get_root(size)
        assert root_of(both.leaves[:size]) == root
        ours = consistency_proof(size, n, both.node)
        assert ours == subproof(size, both.leaves, True)  # pymerkle's have another form
        assert is_consistent(size, n, root, both.root, ours)
    for index in range(n):
        path = inclusion_proof(index, n, both.node)
        assert [both.leaves[index], *path] == both.theirs.prove_inclusion(index + 1, n).path
        assert root_by_inclusion(both.leaves[index], index, n, path) == both.theirs.get_root(n)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_proof_of_another_entry_or_tree_is_refused(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 70))
    index, former = data.draw(st.integers(0, n - 1)), data.draw(st.integers(1, n - 1))
    both = Both(n)
    path = inclusion_proof(index, n, both.node)
    assert root_by_inclusion(leaf_hash(b"other"), index, n, path) != both.root
    assert root_by_inclusion(both.leaves[index], (index + 1) % n, n, path) != both.root
    assert root_by_inclusion(both.leaves[index], index, n, path[:-1]) != both.root
    assert root_by_inclusion(both.leaves[index], index, n, [*path, bytes(32)]) != both.root
    then, proof = root_of(both.leaves[:former]), consistency_proof(former, n, both.node)
    assert is_consistent(former, n, then, both.root, proof)
    assert not is_consistent(former, n, leaf_hash(b"other"), both.root, proof)
    assert not is_consistent(former, n, then, leaf_hash(b"other"), proof)
    assert not is_consistent(former, n, then, both.root, proof[:-1])
    assert not is_consistent(former, n, then, both.root, [*proof, bytes(32)])


def test_the_empty_and_the_same_tree_need_no_proof() -> None:
    both = Both(5)
    assert consistency_proof(5, 5, both.node) == consistency_proof(0, 5, both.node) == []
    assert is_consistent(5, 5, both.root, both.root, [])
    assert is_consistent(0, 5, Tree().root, both.root, [])
    assert not is_consistent(6, 5, both.root, both.root, [])
    assert root_by_inclusion(both.leaves[0], 5, 5, []) is None
