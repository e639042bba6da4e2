"""The course of a metric is what a look would have found at each of its moments, in both databases."""

from random import Random
from time import time

import pytest
from tests.operations.experiments.conftest import Launch, Live

from trimtab.errors import InputError
from trimtab.operations import ExposureLog, Outcome, OutcomeLog
from trimtab.operations.experiments import OverTime


def answers(live: Live, first: int, n: int, when: float, random: Random) -> None:
    made = [
        live.exposure(
            f"u{i}", time=when + i, seconds=random.gauss(2 if live.release.arm(f"u{i}") == "control" else 3, 0.5)
        )
        for i in range(first, first + n)
    ]
    ExposureLog(live.store).write(made)


def test_each_point_is_what_a_look_found_at_that_moment(launch: Launch) -> None:
    live, random = launch(metric="mean_latency:0.1", guardrails=("errors",)), Random(0)
    course, found = OverTime(live.store, "first"), []
    for batch in range(5):
        answers(live, 40 * batch, 40, 1000.0, random)
        finding = live.experiment.look().findings[0]
        found.append((finding.units, finding.difference, finding.low, finding.high))
        points = course.read()
        assert (points[-1].units, points[-1].difference, points[-1].low, points[-1].high) == found[-1]
        assert points[-1].time == 1000.0 + 40 * batch + 39
    anew = OverTime(live.store, "first", points=5).read()  # by somebody who comes late
    assert [(point.units, point.difference, point.low, point.high) for point in anew] == found
    assert [point.time for point in anew] == [1039.0, 1079.0, 1119.0, 1159.0, 1199.0]
    assert course.read() == course.read()
    assert len({point.time for point in course.read()}) == len(course.read())


def test_feedback_counts_from_when_it_came(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    live = launch(metric="liked")
    began = time()
    made = [live.exposure(f"u{i}", time=began + i) for i in range(100)]
    ExposureLog(live.store).write(made)
    monkeypatch.setattr("trimtab.operations.outcomes.log.time", lambda: began + 74.5)
    OutcomeLog(live.store).write([Outcome("thumbs", request=one.request, label="up") for one in made[:75]])
    monkeypatch.setattr("trimtab.operations.outcomes.log.time", lambda: began + 200)
    OutcomeLog(live.store).write([Outcome("thumbs", request=one.request, label="up") for one in made[75:]])
    points = OverTime(live.store, "first", points=4).read()
    assert [(point.time, sum(point.units)) for point in points] == [(began + 99, 100)]
    monkeypatch.setattr("trimtab.operations.outcomes.log.time", lambda: began + 300)
    more = [live.exposure(f"v{i}", time=began + 250 + i) for i in range(100)]
    ExposureLog(live.store).write(more)
    units = [sum(point.units) for point in OverTime(live.store, "first", points=4).read()]
    assert units == [75, 100, 100]  # at the 50th answer none had come, at the 100th 75, at the 150th all


def test_many_readings_keep_few_points_and_the_last(launch: Launch) -> None:
    live, random = launch(metric="mean_latency"), Random(0)
    course = OverTime(live.store, "first", points=6)
    for batch in range(30):
        answers(live, 10 * batch, 10, 1000.0, random)
        points = course.read()
    assert 6 <= len(points) <= 12
    assert sum(points[-1].units) == 300
    assert [point.time for point in points] == sorted(point.time for point in points)


def test_evidence_that_begins_anew_begins_a_new_course(launch: Launch) -> None:
    live, random = launch(metric="mean_latency"), Random(0)
    answers(live, 0, 100, 1000.0, random)
    course = OverTime(live.store, "first")
    assert len(course.read()) > 10
    live.act("pause", figures={"a": 1})
    live.act("resume")
    assert course.read() == ()
    answers(live, 0, 50, 2000.0, random)
    assert [sum(point.units) for point in course.read()][-1] == 50


def test_what_a_release_is_not_judged_by_is_refused(launch: Launch) -> None:
    live = launch(metric="liked")
    with pytest.raises(InputError, match="not judged by errors; it is judged by liked"):
        OverTime(live.store, "first", "errors")
    with pytest.raises(InputError, match="no release"):
        OverTime(live.store, "second")
