"""Every exposure is counted once, however it is written, killed or repeated; texts can be kept closed and forgotten."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from threading import Event
from time import monotonic, perf_counter, sleep
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import select, text

from trimtab.errors import InputError, TrimtabError
from trimtab.interventions import AnswerScore
from trimtab.operations import (
    Exposure,
    ExposureLog,
    ExposureWriter,
    SteeredAnswers,
    Store,
    TextCipher,
    entries,
    verify,
)
from trimtab.operations.exposures.writer import SECONDS
from trimtab.operations.store.tables import ANSWER_SCORES

WAIT = 30.0  # seconds: long enough for a machine that is busy


def exposed(number: int, unit: str | None = "ada", **fields: Any) -> Exposure:
    given: dict[str, Any] = {"release": "first", "version": 2, "arm": "treatment", "artifact": "a" * 64}
    return Exposure(f"request-{number}", 1000.0 + number, "tiny", unit=unit, **(given | fields))


def test_a_kept_score_is_one_that_servers_of_earlier_versions_read(store: Store) -> None:
    """The store outlives an upgrade that is taken back."""
    SteeredAnswers(store).scored("request-1", AnswerScore(2, -4.0, -3.0, kl=0.1, acts=False))
    with store.reading() as connection:
        ((content,),) = connection.execute(select(ANSWER_SCORES.c.content))
    of_0_2_0 = {"n_tokens", "base", "steered", "kl", "random", "random_kl", "projections"}
    assert json.loads(content).keys() == of_0_2_0


def test_a_record_says_what_was_given_and_what_it_did(store: Store) -> None:
    log = ExposureLog(store)
    one = exposed(
        1, strength={"warm": 1.5}, scope="generated", gates={"warm": 0.25}, selected=12, touched=3, prompt_tokens=7,
        answer_tokens=5, first_token_seconds=0.1, seconds=0.5, finish="stop",
    )  # fmt: skip
    log.write([one])
    (kept,) = log.of_unit("ada")
    assert kept == {
        "request": "request-1", "time": 1001.0, "model": "tiny", "release": "first", "version": 2, "arm": "treatment",
        "dry_run": False, "artifact": "a" * 64, "strength": {"warm": 1.5}, "scope": "generated",
        "gates": {"warm": 0.25}, "selected": 12, "touched": 3, "prompt_tokens": 7, "answer_tokens": 5,
        "first_token_seconds": 0.1, "seconds": 0.5, "finish": "stop",
    }  # fmt: skip
    assert list(log.of_unit("bob")) == []


def test_no_request_is_counted_twice(store: Store) -> None:
    log = ExposureLog(store)
    assert log.write([exposed(1), exposed(2), exposed(2, arm="control")]) == 2
    assert log.write([exposed(2), exposed(3, unit="bob"), exposed(4, unit=None, arm="control")]) == 2
    assert log.write([]) == 0
    counts = {(c.arm, c.requests, c.units) for c in log.counts("first")}
    assert counts == {("treatment", 3, 2), ("control", 1, 0)}
    log.write([exposed(5, release=None, arm="named")])
    assert {c.release for c in log.counts()} == {"first"}


def test_a_unit_is_kept_as_a_hash_of_this_store_alone(lite: Store, tmp_path: Path) -> None:
    log = ExposureLog(lite)
    log.write([exposed(1, unit="ada@example.org")])
    assert b"ada@example.org" not in Path(lite.place).read_bytes() + Path(f"{lite.place}-wal").read_bytes()
    with Store(tmp_path / "other.db", create=True) as other:
        assert ExposureLog(other).hashed("ada") != log.hashed("ada")
    assert log.hashed("ada") == ExposureLog(lite).hashed("ada")


def test_texts_are_kept_only_where_there_are_any_and_encrypted_by_a_key(lite: Store) -> None:
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    ExposureLog(lite, TextCipher([old])).write([exposed(1, prompt="Who?", answer="A secret.")])
    log = ExposureLog(lite, TextCipher([new, old]))
    log.write([exposed(2), exposed(3, prompt="Why?", answer="Because.")])
    said = [(kept.get("prompt"), kept.get("answer")) for kept in log.of_unit("ada")]
    assert said == [("Who?", "A secret."), (None, None), ("Why?", "Because.")]
    with closing(sqlite3.connect(lite.place)) as connection:
        rows = connection.execute("SELECT encrypted, content FROM exposure_texts").fetchall()
    assert [encrypted for encrypted, _ in rows] == [1, 1]
    assert b"secret" not in b"".join(content for _, content in rows)
    for other in (TextCipher(), TextCipher([new])):
        with pytest.raises(InputError, match="none of the keys opens them"):
            list(ExposureLog(lite, other).of_unit("ada"))


def test_a_unit_is_forgotten_and_the_audit_keeps_that_it_was(store: Store) -> None:
    log = ExposureLog(store)
    log.write([exposed(1, prompt="p", answer="a"), exposed(2), exposed(3, unit="bob", prompt="q", answer="b")])
    assert log.forget("ada", by="eve", why="she asked") == (1, 2)
    assert list(log.of_unit("ada")) == []
    assert len(list(log.of_unit("bob"))) == 1
    (count,) = log.counts("first")
    assert (count.requests, count.units) == (3, 1)
    (entry,) = entries(store)
    assert (entry.what, entry.who, entry.why) == ("store.forget", "eve", "she asked")
    assert entry.after == {"texts_removed": 1, "exposures_unlinked": 2}
    assert log.hashed("ada") not in entry.content
    assert "ada" not in entry.content
    assert log.forget("nobody", by="eve") == (0, 0)
    assert verify(store).size == 2


def test_texts_expire_and_exposures_stay(store: Store) -> None:
    log = ExposureLog(store)
    day = 86_400.0
    log.write([exposed(1, prompt="p", answer="a"), Exposure("new", 40 * day, "tiny", "named", "ada", prompt="q")])
    assert log.expire(30, by="keeper", now=45 * day) == 1
    assert [kept.get("prompt") for kept in log.of_unit("ada")] == [None, "q"]
    assert log.expire(30, by="keeper", now=45 * day) == 0
    assert [entry.after for entry in entries(store)] == [{"older_than_days": 30, "texts_removed": 1}]


def test_keys_of_texts_are_read_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRIMTAB_TEXT_KEY", raising=False)
    assert not TextCipher.load().encrypts
    file = tmp_path / "keys"
    file.write_text(f"{Fernet.generate_key().decode()}\n")
    monkeypatch.setenv("TRIMTAB_TEXT_KEY", str(file))
    assert TextCipher.load().encrypts
    for content, why in (("", "holds no key"), ("short", "none of Fernet"), ("é", "cannot be read")):
        file.write_text(content, encoding="utf-8")
        with pytest.raises(InputError, match=why):
            TextCipher.load(file)


def test_a_clean_stop_loses_nothing_and_putting_never_waits(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    log, n, put = ExposureLog(store), 3000, Event()
    write = log.write

    def held(exposures: list[Exposure]) -> int:
        assert put.wait(WAIT)  # the store answers after the last was put: had one waited for it, none would be kept
        return write(exposures)

    monkeypatch.setattr(log, "write", held)
    with ExposureWriter(log) as writer:
        for number in range(n):
            writer.put(exposed(number, unit=f"user-{number % 7}"))
        assert writer.record["written"] == 0
        put.set()
    assert writer.record == {"written": n, "waiting": 0, "left_out": 0, "fault": None}
    assert [(c.requests, c.units) for c in log.counts()] == [(n, 7)]


def test_an_exposure_is_written_by_itself_soon(lite: Store) -> None:
    assert SECONDS <= 0.5
    log = ExposureLog(lite)
    with ExposureWriter(log) as writer:
        writer.put(exposed(1))
        until = monotonic() + WAIT
        while not log.counts():
            assert monotonic() < until
            sleep(0.01)


def test_exposures_wait_while_the_store_is_lost_and_those_beyond_are_counted(
    lite: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = ExposureLog(lite)
    write, lost = log.write, [True]

    def failing(exposures: list[Exposure]) -> int:
        if lost[0]:
            raise TrimtabError("the store is gone")
        return write(exposures)

    monkeypatch.setattr(log, "write", failing)
    monkeypatch.setattr("trimtab.operations.exposures.writer._RETRY", 0.01)
    writer = ExposureWriter(log, seconds=0.01, waiting=10)
    for number in range(12):
        writer.put(exposed(number))
    while writer.record["fault"] is None:
        sleep(0.01)
    assert writer.record == {"written": 0, "waiting": 10, "left_out": 2, "fault": "the store is gone"}
    lost[0] = False
    assert writer.close() == 2
    assert log.counts()[0].requests == 10


def test_a_store_that_stays_lost_does_not_hold_up_the_stop(lite: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    log = ExposureLog(lite)

    def failing(_: object) -> int:
        raise TrimtabError("the store is gone")

    monkeypatch.setattr(log, "write", failing)
    writer = ExposureWriter(log, seconds=0.01)
    writer.put(exposed(1))
    assert writer.close(0.3) == 1
    writer._thread.join(WAIT)
    assert not writer._thread.is_alive()


def test_what_no_database_can_hold_is_refused_at_the_door_or_escaped(store: Store) -> None:
    for fields in ({"request": "a\0b"}, {"model": "\ud800"}):
        with pytest.raises(InputError, match=r"NUL byte|surrogate"):
            Exposure(**({"request": "r", "time": 0.0, "model": "tiny", "arm": "none"} | fields))
    log = ExposureLog(store)
    odd = "\ud800\0"
    log.write([exposed(1, unit=odd, strength={odd: 1.0}, prompt=odd, answer=odd)])
    (kept,) = log.of_unit(odd)
    assert (kept["prompt"], kept["answer"], kept["strength"]) == (odd, odd, {odd: 1.0})


def test_a_fault_of_ours_loses_one_batch_and_is_told(lite: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    log = ExposureLog(lite)
    write, broken = log.write, [True]

    def failing(exposures: list[Exposure]) -> int:
        if broken[0]:
            raise ZeroDivisionError("ours")
        return write(exposures)

    monkeypatch.setattr(log, "write", failing)
    writer = ExposureWriter(log, seconds=0.01)
    writer.put(exposed(1))
    while not writer.record["left_out"]:
        sleep(0.01)
    assert writer.record["fault"] == "ZeroDivisionError: ours"
    broken[0] = False
    writer.put(exposed(2))
    assert writer.close() == 1
    assert log.counts()[0].requests == 1


KILLED = """
import sys
from time import time, sleep
from trimtab.operations import Exposure, ExposureLog, ExposureWriter, Store
with Store(sys.argv[1]) as store:
    writer = ExposureWriter(ExposureLog(store))
    number = 0
    while True:
        writer.put(Exposure(f"{sys.argv[2]}-{number}", time(), "tiny", "treatment", "ada", "first", 2))
        print(number, time(), flush=True)
        number += 1
        sleep(0.002)
"""


def killed(place: str, run: int, after: float) -> list[tuple[int, float]]:
    """What a process had put until it was killed: number and time."""
    process = subprocess.Popen([sys.executable, "-c", KILLED, place, str(run)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    first = process.stdout.readline()
    sleep(after)
    os.kill(process.pid, signal.SIGKILL)
    rest, _ = process.communicate()
    lines = [first, *rest.splitlines()]
    return [(int(n), float(t)) for n, t in (line.split() for line in lines if line.count(" ") == 1)]


def test_a_kill_loses_the_last_moment_alone(store: Store) -> None:
    place = store.url.render_as_string(hide_password=False)
    log = ExposureLog(store)
    for run in range(2):
        put = killed(place, run, 3.2 + 0.3 * run)
        with store.reading() as connection:
            found = connection.scalars(text(f"SELECT request FROM exposures WHERE request LIKE '{run}-%'")).all()
        kept = {int(request.partition("-")[2]) for request in found}
        assert kept == set(range(len(kept)))  # none in between is missing
        assert all(number in kept for number, time in put if time < put[-1][1] - 3.0)
        assert log.write([Exposure(f"{run}-0", 0, "tiny", "treatment", release="first", version=2)]) == 0


@pytest.mark.slow
def test_a_million_exposures_are_counted_in_a_second(lite: Store) -> None:
    n = 1_000_000
    content = json.dumps(exposed(0).details)
    arms, units = ("control", "treatment"), 200_000
    rows = (
        (f"r{i}", float(i), "tiny", "first", 2, arms[i % 2], 0, f"{i % units:032x}", None, content) for i in range(n)
    )
    with closing(sqlite3.connect(lite.place)) as connection, connection:
        columns = "request, time, model, release, version, arm, dry_run, unit, artifact, content"
        connection.executemany(f"INSERT INTO exposures ({columns}) VALUES (?,?,?,?,?,?,?,?,?,?)", rows)
    log = ExposureLog(lite)
    began = perf_counter()
    counts = log.counts("first")
    assert perf_counter() - began < 1.0
    assert [(c.requests, c.units) for c in counts] == [(n // 2, 100_000)] * 2
