"""Which task goes where: every task is finished once, whoever vanishes."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.experiment.executor.schedule import TRIES, Schedule


def test_tasks_are_given_in_their_order_and_finished_once():
    schedule: Schedule[str] = Schedule(3)
    assert [schedule.next(w, 0.0) for w in "abcd"] == [0, 1, 2, None]
    assert [schedule.done(w, 1.0) for w in "cab"] == [2, 0, 1]
    assert schedule.over


def test_the_task_of_a_worker_that_vanished_comes_first():
    schedule: Schedule[str] = Schedule(4)
    assert [schedule.next(w, 0.0) for w in "ab"] == [0, 1]
    assert schedule.lost("a") is None
    assert [schedule.next("c", 0.0), schedule.done("b", 0.0), schedule.next("b", 0.0)] == [0, 1, 2]


def test_a_worker_that_vanished_with_nothing_to_do_costs_nothing():
    schedule: Schedule[str] = Schedule(1)
    assert schedule.lost("a") is None
    assert schedule.next("b", 0.0) == 0


def test_a_task_that_ends_every_worker_is_named_and_not_tried_for_ever():
    schedule: Schedule[int] = Schedule(1)
    for k in range(TRIES):
        assert schedule.next(k, 0.0) == 0
        assert schedule.lost(k) == (0 if k == TRIES - 1 else None)


def slow(now: float) -> tuple[Schedule[str], int | None]:
    """Four tasks of 20 seconds and one that has been at it for `now`; what an idle worker is given."""
    schedule: Schedule[str] = Schedule(5)
    assert schedule.next("slow", 0.0) == 0
    for k in range(1, 5):
        schedule.next("quick", 0.0)
        assert schedule.done("quick", 20.0) == k
    return schedule, schedule.next("quick", now)


@pytest.mark.parametrize(("now", "given"), [(39.0, None), (41.0, 0)])
def test_an_idle_worker_competes_with_one_that_takes_twice_as_long_as_most(now, given):
    assert slow(now)[1] == given


def test_of_two_at_a_task_the_first_counts_and_no_third_begins():
    schedule, copy = slow(41.0)
    assert copy == 0
    assert schedule.next("third", 100.0) is None
    assert (schedule.done("quick", 50.0), schedule.over, schedule.done("slow", 60.0)) == (0, True, None)


def test_what_one_of_two_could_not_do_is_left_to_the_other():
    schedule, _ = slow(41.0)
    assert not schedule.failed("quick")
    assert schedule.failed("slow")


def test_a_vanished_competitor_leaves_the_task_to_the_other():
    schedule, _ = slow(41.0)
    assert schedule.lost("slow") is None
    assert schedule.next("third", 42.0) is None
    assert schedule.done("quick", 50.0) == 0


@given(st.integers(1, 12), st.integers(1, 4), st.lists(st.integers(0, 9), max_size=200))
def test_every_task_is_finished_once_whoever_vanishes_when(n, workers, events):
    schedule: Schedule[int] = Schedule(n)
    at: set[int] = set()
    finished: Counter[int] = Counter()
    gone, now = 0, 0.0
    events = [*events, *[0] * (n * workers + n)]
    for event in events:
        now += 7.0
        at |= {w for w in range(workers) if w not in at and schedule.next(w, now) is not None}
        if not at:
            break
        worker = sorted(at)[event % len(at)]
        at.remove(worker)
        if event > 7 and gone < TRIES - 1:  # so that no task can be tried too often
            gone += 1
            assert schedule.lost(worker) is None
        elif (task := schedule.done(worker, now)) is not None:
            finished[task] += 1
    assert schedule.over
    assert finished == Counter(range(n))
