"""What is read bit by bit adds up to what is there, by a count of one's own over every row."""

from collections import defaultdict
from random import Random
from threading import Thread
from time import sleep, time
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text
from tests.operations.outcomes.conftest import exposed

from trimtab.errors import InputError
from trimtab.operations import (
    Exposure,
    ExposureLog,
    Metric,
    Outcome,
    OutcomeLog,
    OutcomeReader,
    Position,
    Store,
    UnitSums,
)

DAY = 86_400.0


def table(sums: UnitSums) -> dict[tuple[str, bool], tuple[float, ...]]:
    """Rows by unit and arm: n, total, squares, denominator."""
    columns = zip(sums.n, sums.total, sums.squares, sums.denominator, strict=True)
    rows = zip(sums.unit, sums.treated, columns, strict=True)
    return {(str(unit), bool(treated)): tuple(round(float(x), 9) for x in values) for unit, treated, values in rows}


def by_hand(values: dict[str, float], exposures: list[Exposure], log: ExposureLog) -> dict[Any, tuple[float, ...]]:
    """The same from a value of each request."""
    found: dict[Any, list[float]] = defaultdict(list)
    for one in exposures:
        if one.request in values and one.unit is not None:
            found[log.hashed(one.unit), one.arm == "treatment"].append(values[one.request])
    return {
        key: tuple(round(x, 9) for x in (len(v), sum(v), sum(x * x for x in v), len(v))) for key, v in found.items()
    }


def test_reading_on_adds_up_to_a_count_over_all_rows(store: Store, release) -> None:
    """Exposures that come after their feedback, feedback that is repeated, and reads at any moment between."""
    release()
    random, log, outcomes, reader = Random(5), ExposureLog(store), OutcomeLog(store), OutcomeReader(store, "first")
    answers = [
        exposed(i, unit=f"u{random.randrange(6)}", arm=random.choice(["control", "treatment"]), seconds=random.random())
        for i in range(60)
    ]
    late, given = list(answers), []
    read = {name: reader.sums(name) for name in ("rating", "latency", "complaints_per_request", "liked")}
    for _ in range(40):
        for _ in range(random.randrange(4)):
            if late:
                log.write([late.pop(random.randrange(len(late)))])
        for _ in range(random.randrange(6)):
            r, metric = f"r{random.randrange(60)}", random.choice(["rating", "complaint"])
            one = Outcome(metric, r, value=float(random.randrange(1, 6)))
            outcomes.write([one], may_come=True)
            given.append(one)
        for name in read:
            if random.random() < 0.5:
                read[name] = read[name] + reader.sums(name, read[name].position)
    log.write(late)
    last = {m: {o.request: o.value for o in given if o.metric == m} for m in ("rating", "complaint")}
    for name, total in read.items():
        read[name] = total + reader.sums(name, total.position)
        assert table(read[name]) == table(reader.sums(name)), name
    assert table(read["rating"]) == by_hand(last["rating"], answers, log)
    assert table(read["latency"]) == by_hand({one.request: one.seconds for one in answers}, answers, log)
    ratio = table(read["complaints_per_request"])
    for (unit, treated), (n, said_total, _, requests) in ratio.items():
        ours = [a for a in answers if log.hashed(str(a.unit)) == unit and (a.arm == "treatment") == treated]
        said = [last["complaint"][a.request] for a in ours if a.request in last["complaint"]]
        assert (n, said_total, requests) == (len(said), sum(said), len(ours))
    assert table(read["liked"]) == {}


def test_a_later_value_takes_the_place_of_the_one_before(store: Store, release) -> None:
    release()
    ExposureLog(store).write([exposed(1), exposed(2)])
    outcomes, reader = OutcomeLog(store), OutcomeReader(store, "first")
    outcomes.write([Outcome("rating", "r1", value=5), Outcome("rating", "r2", value=3)])
    first = reader.values("rating")
    assert first.value.tolist() == [5, 3]
    assert first.sign.tolist() == [1, 1]
    outcomes.write([Outcome("rating", "r1", value=2, source="judge")])  # somebody else's
    assert reader.values("rating", first.position).sign.tolist() == []
    outcomes.write([Outcome("rating", "r1", value=1)])
    later = reader.values("rating", first.position)
    assert (later.value.tolist(), later.sign.tolist()) == ([5, 1], [-1, 1])
    assert reader.sums("rating").total.tolist() == [4]
    assert reader.sums("judged").total.tolist() == [2]


def test_late_feedback_belongs_to_the_arm_that_answered_and_counts_within_its_window(store: Store, release) -> None:
    releases = release()
    log, outcomes = ExposureLog(store), OutcomeLog(store)
    now = time()
    log.write([exposed(1), exposed(2, time=now - 2 * DAY), exposed(3, time=now + 2 * DAY)])
    releases.act("first", "rollback", by="ada")  # since then everybody gets control
    outcomes.write([Outcome("thumbs", f"r{i}", label="up") for i in (1, 2, 3)])
    values = OutcomeReader(store, "first").values("liked")
    assert values.treated.tolist() == [True, True]  # r2 came too late; r3's clock is ahead, which harms nothing
    assert values.left_out == {"too late": 1}


def test_a_value_in_time_counts_where_a_later_one_came_too_late(store: Store, release) -> None:
    release()
    log, now = ExposureLog(store), time()
    log.write([exposed(1, time=now - DAY - 3600)])
    with store.writing() as connection:
        for number, came in enumerate((now - 7200.0, now)):
            connection.execute(
                text(
                    "INSERT INTO outcomes (request, metric, source, label, who, by_unit, consent, happened, came)"
                    f" VALUES ('r1', 'thumbs', 'user', '{('up', 'down')[number]}', 'w', false, false, 0, {came})"
                )
            )
    values = OutcomeReader(store, "first").values("liked")
    assert values.value.tolist() == [1.0]


def test_what_the_definition_does_not_know_is_left_out_and_counted(store: Store, release) -> None:
    release()
    log, outcomes = ExposureLog(store), OutcomeLog(store)
    log.write([exposed(i) for i in range(3)])
    outcomes.write([Outcome("thumbs", "r0", label="sideways"), Outcome("rating", "r1", value=99)])
    reader = OutcomeReader(store, "first")
    liked, rating = reader.values("liked"), reader.values("rating")
    assert (liked.value.tolist(), liked.left_out) == ([], {"of another value than the definition knows": 1})
    assert (rating.value.tolist(), rating.left_out) == ([5.0], {"beyond the bounds": 1})


def test_only_versions_count_at_which_both_arms_were_drawn(store: Store, release) -> None:
    releases = release()
    log = ExposureLog(store)
    releases.act("first", "pause", by="ada")
    releases.act("first", "resume", by="ada")
    releases.act("first", "promote", by="ada")  # 100 %
    for version in range(1, 6):
        log.write([exposed(version, version=version, answer_tokens=version)])
    log.write([exposed(6, release="other"), exposed(7, dry_run=True), exposed(8, release=None, arm="none")])
    assert sorted(OutcomeReader(store, "first").values("length").value) == [2, 4]
    assert sorted(OutcomeReader(store, "first", (3, 5)).values("length").value) == [3, 4, 5]


def test_a_dry_run_is_read_by_itself(store: Store, release) -> None:
    release()
    log = ExposureLog(store)
    log.write([exposed(1, dry_run=True, answer_tokens=7), exposed(2, answer_tokens=9)])
    assert OutcomeReader(store, "first", (2, 2), dry_run=True).values("length").value.tolist() == [7]


def test_requests_without_a_unit_count_only_where_the_release_draws_for_them(store: Store, release) -> None:
    release()
    release("drawn", without_unit="request")
    log = ExposureLog(store)
    log.write([exposed(1, unit=None), exposed(2, unit=None, release="drawn"), exposed(3, unit=None, release="drawn")])
    values = OutcomeReader(store, "first").values("latency")
    assert (values.value.tolist(), values.left_out) == ([], {"without a unit": 1})
    assert OutcomeReader(store, "drawn").sums("latency").unit.tolist() == ["r2", "r3"]


def test_a_forgotten_unit_counts_no_more_when_all_is_read_anew(store: Store, release) -> None:
    release()
    log = ExposureLog(store)
    log.write([exposed(1), exposed(2, unit="bob")])
    log.forget("ada", by="eve")
    assert OutcomeReader(store, "first").sums("latency").unit.tolist() == [log.hashed("bob")]


def test_broken_off_answers_have_an_error_and_no_length(store: Store, release) -> None:
    release()
    ExposureLog(store).write(
        [exposed(i, finish=finish, answer_tokens=9) for i, finish in enumerate(("stop", "error", "cancelled"))]
    )
    reader = OutcomeReader(store, "first")
    assert reader.values("errors").value.tolist() == [0, 1, 0]
    assert reader.values("length").value.tolist() == [9]
    assert reader.values("length").left_out == {"without this outcome": 2}


def test_texts_that_users_corrected_are_read_as_edit_distances(store: Store, release) -> None:
    release()
    ExposureLog(store).write([exposed(1, answer="kitten")])
    OutcomeLog(store, texts=True).write([Outcome(request="r1", corrected_text="sitting")])
    assert OutcomeReader(store, "first").values("edit_distance").value.tolist() == [pytest.approx(3 / 7)]


def test_metrics_are_those_that_the_release_froze(store: Store, release) -> None:
    release("narrow", ("liked",))
    reader = OutcomeReader(store, "narrow")
    with pytest.raises(InputError, match="has no metric 'rating'; it was made with liked"):
        reader.values("rating")
    assert len(reader.values(Metric.made(name="mine", outcome="length")).value) == 0
    with pytest.raises(InputError, match="there is no release 'none'"):
        OutcomeReader(store, "none")
    release("all")
    with pytest.raises(InputError, match="is a ratio"):
        OutcomeReader(store, "all").values("complaints_per_request")


def test_rows_whose_transaction_is_committed_later_have_higher_numbers(store: Store) -> None:
    """Else a reader who has seen number 2 would never see 1."""
    log, order = ExposureLog(store), []

    def write() -> None:
        log.write([exposed(2)])
        order.append("other")

    with store.appending() as connection:
        other = Thread(target=write)
        other.start()
        sleep(0.3)
        assert order == []
        connection.execute(text(INSERT.format(1)))
    other.join()
    with store.reading() as connection:
        requests = connection.scalars(text("SELECT request FROM exposures ORDER BY number")).all()
    assert list(requests) == ["r1", "r2"]
    assert log.write([exposed(2)]) == 0


INSERT = (
    "INSERT INTO exposures (request, time, model, arm, dry_run, content) VALUES ('r{}', 0, 'm', 'none', false, '{{}}')"
)


def test_sums_of_nothing_are_empty(store: Store, release) -> None:
    release()
    sums = OutcomeReader(store, "first").sums("complaints_per_request")
    assert [len(x) for x in (sums.unit, sums.treated, sums.n, sums.total)] == [0] * 4
    assert sums.position == Position()
    assert (sums + sums).unit.dtype.kind == "U"
    assert np.array_equal((sums + sums).n, np.zeros(0, dtype=np.int64))
