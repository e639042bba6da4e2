"""Whatever is done to the entries is found, and the first that was touched is named."""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path
from time import perf_counter

import pytest
from sqlalchemy import text
from tests.operations.audit.conftest import falsify, filled, rows

from trimtab.errors import InputError
from trimtab.operations import Change, Checkpoint, Signer, Store, Verifier, entries, publish, published, record, verify
from trimtab.operations.audit.log import proof_of_consistency, proof_of_inclusion
from trimtab.operations.audit.merkle import is_consistent, leaf_hash, root_by_inclusion


def test_entries_are_kept_in_order_with_all_they_say(store: Store) -> None:
    filled(store, 7)
    kept = list(entries(store))
    assert [entry.number for entry in kept] == list(range(7))
    assert kept[3].record | {"time": ""} == {
        "number": 3, "time": "", "who": "ada", "what": "release.promote", "subject": "r0", "why": "für 3",
        "before": None, "after": {"n": 3},
    }  # fmt: skip
    assert kept[3].content == json.dumps(kept[3].record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert [entry.number for entry in entries(store, subject="r1")] == [1, 4]
    assert verify(store).holds


def test_a_change_that_is_undone_leaves_no_entry(store: Store) -> None:
    filled(store, 2)

    def undone() -> None:
        with store.changing() as connection:
            record(connection, Change("ada", "x", "y", "", None, None))
            record(connection, Change(" ", "x", "y", "", None, None))

    with pytest.raises(InputError, match="say who"):
        undone()
    filled(store, 1)
    assert [entry.number for entry in entries(store)] == [0, 1, 2]
    assert verify(store).holds


def test_processes_that_append_at_once_lose_nothing(place: str) -> None:
    code = (
        "import sys; from trimtab.operations import Store, Change, record\n"
        "with Store(sys.argv[1]) as store:\n"
        "    for i in range(25):\n"
        "        with store.changing() as c: record(c, Change(sys.argv[2], 'x', str(i), '', None, None))\n"
    )
    with Store(place, create=True) as store:
        both = [subprocess.Popen([sys.executable, "-c", code, place, who]) for who in ("ada", "bob")]
        while any(process.poll() is None for process in both):
            assert verify(store).holds  # while others append
        assert [process.wait() for process in both] == [0, 0]
        assert verify(store).size == 50
        assert {who: [int(e.subject) for e in entries(store) if e.who == who] for who in ("ada", "bob")} == {
            who: list(range(25)) for who in ("ada", "bob")
        }


def test_proofs_convince_somebody_who_has_the_root_alone(store: Store) -> None:
    filled(store, 11)
    root = verify(store).root
    for number in range(11):
        size, said, path, content = proof_of_inclusion(store, number)
        assert (size, said) == (11, root)
        assert root_by_inclusion(leaf_hash(content.encode()), number, size, path) == root
    filled(store, 5)
    size, then, now, path = proof_of_consistency(store, 11)
    assert (size, then, now) == (16, root, verify(store).root)
    assert is_consistent(11, size, then, now, path)
    with pytest.raises(InputError, match="no entry 16 among 16"):
        proof_of_inclusion(store, 16)
    with pytest.raises(InputError, match="has 16 entries, not 17"):
        proof_of_consistency(store, 17)


N = 24


@pytest.fixture(scope="module")
def published_audit(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Verifier]:
    """A folder with a store of N entries and their checkpoint."""
    folder = tmp_path_factory.mktemp("audit")
    signer = Signer.create(folder / "key", "ours")
    with Store(folder / "s.db", create=True) as store:
        filled(store, N)
        publish(store, signer, str(folder / "checkpoint"))
        filled(store, 3)  # after the checkpoint
    return folder, signer.verifier


def edited(draw: random.Random, said: list[str]) -> tuple[list[str], int]:
    """Entries that were tampered with among the first N, and the first that is not in its place."""
    new, at = list(said), draw.randrange(N)
    kind = draw.choice(["edit", "remove", "insert", "reorder", "truncate"])
    if kind == "edit":
        name = draw.choice(["number", "time", "who", "what", "subject", "why", "before", "after"])
        changed = json.loads(new[at]) | {name: {"changed": draw.random()}}
        new[at] = json.dumps(changed, sort_keys=True, separators=(",", ":"))
    elif kind == "remove":
        del new[at]
    elif kind == "insert":
        new.insert(at, json.dumps(json.loads(new[at]) | {"why": draw.random()}))
    elif kind == "reorder":
        other = draw.choice([i for i in range(N) if i != at])
        new[at], new[other] = new[other], new[at]
    else:
        del new[at:]
    first = next(i for i in range(N) if i >= len(new) or new[i] != said[i])
    return new, first


def tampered(source: tuple[Path, Verifier], tmp_path: Path, seed: int) -> None:
    """Tamper once, and see it found against the checkpoint, with the right entry named."""
    folder, verifier = source
    draw = random.Random(seed)
    file = tmp_path / "s.db"
    shutil.copy(folder / "s.db", file)
    with Store(file) as store:
        new, first = edited(draw, rows(store))
        chain = draw.random() < 0.5
        numbers = list(range(len(new)))
        if len(new) < N + 3 and first < len(new) and draw.random() < 0.5 and not chain:
            numbers = [n if n < first else n + 1 for n in numbers]  # the gap is left open
        falsify(file, new, numbers, chain=chain)
        found = verify(store, *published(str(folder / "checkpoint"), verifier))
        assert (found.holds, found.first) == (False, first), (seed, found.fault)
        assert f"entry {first} " in str(found.fault)
        assert not verify(store, published(str(folder / "checkpoint"), verifier)[0]).holds  # without the hashes
        if not chain:
            assert verify(store).first == first


@pytest.fixture(scope="module", autouse=True)
def _closed(published_audit: tuple[Path, Verifier]) -> None:
    """All of the store is in its file, none beside it."""
    assert not list(published_audit[0].glob("s.db-wal"))


def test_any_tampering_is_found_and_the_first_entry_named(
    published_audit: tuple[Path, Verifier], tmp_path: Path
) -> None:
    for seed in range(60):
        tampered(published_audit, tmp_path, seed)


@pytest.mark.slow
def test_ten_thousand_random_edits_are_all_found(published_audit: tuple[Path, Verifier], tmp_path: Path) -> None:
    for seed in range(10_000):
        tampered(published_audit, tmp_path, seed)


def test_entries_cut_off_after_the_checkpoint_are_found_by_the_kept_hashes(lite: Store) -> None:
    filled(lite, 9)
    falsify(lite.place, rows(lite)[:6], range(6), chain=False)
    found = verify(lite)
    assert (found.first, found.size) == (6, 6)
    assert "is missing: the audit ends before it" in str(found.fault)


def test_a_rewritten_chain_is_only_found_against_what_was_published(
    lite: Store, signer: Signer, tmp_path: Path
) -> None:
    filled(lite, 5)
    place = str(tmp_path / "checkpoint")
    publish(lite, signer, place)
    said = rows(lite)
    falsify(lite.place, [*said[:4], said[4].replace("ada", "eve")], range(5), chain=True)
    assert verify(lite).holds
    found = verify(lite, *published(place, signer.verifier))
    assert found.first == 4
    assert "entry 4 was edited" in str(found.fault)
    with pytest.raises(InputError, match=r"entry 4 was edited.*not signed"):
        publish(lite, signer, place)  # nor is the published checkpoint replaced
    assert published(place, signer.verifier)[0].root == found.checkpoint.root


def test_kept_hashes_that_were_changed_are_found(lite: Store) -> None:
    filled(lite, 6)
    said = rows(lite)
    falsify(lite.place, said, range(6), chain=True)
    with lite.writing() as connection:
        connection.execute(text("UPDATE audit_nodes SET hash = zeroblob(32) WHERE level = 1 AND position = 2"))
    assert "do not belong to its entries" in str(verify(lite).fault)


def test_a_checkpoint_is_a_signed_note_that_another_key_has_not_signed(
    lite: Store, signer: Signer, tmp_path: Path
) -> None:
    filled(lite, 3)
    place = tmp_path / "checkpoint"
    made = publish(lite, signer, str(place))
    assert made.note == place.read_text()
    lines = made.note.splitlines()
    assert lines[:2] == ["ours", "3"]
    assert lines[4] == ""
    assert lines[5].startswith("— ours ")
    assert published(str(place), Verifier.parse(str(signer.verifier)))[0] == made
    other = Signer.create(tmp_path / "other.key", "ours").verifier
    with pytest.raises(InputError, match="no valid signature"):
        published(str(place), other)
    for forged in (made.note.replace("\n3\n", "\n2\n"), "", made.note.rpartition("\n\n")[0], "x\n\n— ours !!\n"):
        place.write_text(forged)
        with pytest.raises(InputError, match="no valid signature"):
            published(str(place), signer.verifier)
    place.write_text(signer.signed("not a checkpoint\n"))
    with pytest.raises(InputError, match="no checkpoint of an audit"):
        Checkpoint.parse(place.read_text(), signer.verifier)


def test_hashes_that_are_not_the_checkpoints_are_refused(lite: Store, signer: Signer, tmp_path: Path) -> None:
    filled(lite, 3)
    place = tmp_path / "checkpoint"
    publish(lite, signer, str(place))
    Path(f"{place}.leaves").write_bytes(bytes(96))
    with pytest.raises(InputError, match="does not belong to the checkpoint"):
        published(str(place), signer.verifier)


def test_a_key_is_the_owners_alone_and_never_replaced(tmp_path: Path) -> None:
    file = tmp_path / "new" / "audit.key"
    made = Signer.create(file, "ours")
    assert file.stat().st_mode & 0o777 == 0o600
    assert Signer.load(file).verifier == made.verifier
    with pytest.raises(InputError, match="never replaced"):
        Signer.create(file, "ours")
    with pytest.raises(InputError, match="one word"):
        Signer.create(tmp_path / "x", "two words")
    for content in ("", "name: x\nnothing\n", "-----BEGIN PRIVATE KEY-----"):
        (tmp_path / "bad").write_text(content)
        with pytest.raises(InputError, match="holds no key"):
            Signer.load(tmp_path / "bad")
    with pytest.raises(InputError, match="trimtab audit key"):
        Signer.load(tmp_path / "none")
    with pytest.raises(InputError, match=r"NAME\+HASH\+KEY"):
        Verifier.parse(str(made.verifier)[:-4])


@pytest.mark.slow
def test_twenty_thousand_entries_are_verified_in_a_second(lite: Store) -> None:
    n = 40_000
    content = json.dumps(dict.fromkeys(("before", "after", "who", "what", "why", "subject", "time"), "x" * 30))
    falsify(lite.place, [f'{content[:-1]}, "number": {i}}}' for i in range(n)], range(n), chain=True)
    began = perf_counter()
    assert verify(lite).holds
    assert n / (perf_counter() - began) >= 20_000
