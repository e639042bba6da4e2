"""Differences without what the same units did before a release began, against a regression on what the store holds."""

import json
from random import Random
from typing import Any

import numpy as np
import pytest
from tests.operations.experiments.conftest import Launch, Live

from trimtab.errors import InputError
from trimtab.operations import Arm, Definition, Exposure, ExposureLog, Metric, Outcome, OutcomeLog, import_metrics
from trimtab.operations.experiments import OverTime
from trimtab.operations.metrics.metric import digest_of
from trimtab.operations.outcomes.past import Past

DAY = 86_400.0
CALM = Metric.made(name="calm", outcome="latency", bounds=(0, 60), direction="lower", past_days=7)
PLAIN = Metric.made(name="plain", outcome="latency", bounds=(0, 60), direction="lower")
LIKED = Metric.made(name="liked_before", feedback="thumbs", labels={"up": 1, "down": 0}, bounds=(0, 1), past_days=7)


@pytest.fixture
def live(launch: Launch) -> Live:
    return launch("first", "calm", ("plain", "liked_before"))


@pytest.fixture(autouse=True)
def defined(store: Any) -> None:
    import_metrics(store, [CALM, PLAIN, LIKED], by="ada")


def before(live: Live, number: int, unit: str, ago: float = DAY, model: str = "first", **fields: Any) -> Exposure:
    """An answer from before the release began."""
    began = live.releases.history("first")[1].release.time
    given = {"finish": "stop", "arm": "none"} | fields
    return Exposure(f"before-{number}", began - ago, model, unit=unit, **given)


def hashed(live: Live, unit: str) -> str:
    return ExposureLog(live.store).hashed(unit)


def past(live: Live, metric: Metric) -> dict[str, float]:
    units = {hashed(live, unit): unit for unit in ("ada", "bob", "cleo")}
    found = Past(live.store, live.release.definition, metric, dry_run=False).of(list(units))
    return {units[unit]: value for unit, value in found.items()}


def test_only_what_was_known_before_the_release_began_is_past(live: Live) -> None:
    log = ExposureLog(live.store)
    log.write(
        [
            before(live, 0, "ada", seconds=1.0),
            before(live, 1, "ada", model="first@warm", arm="named", seconds=3.0),
            before(live, 2, "ada", seconds=100.0),  # counts as the bound, 60
            before(live, 3, "ada", model="second", seconds=9.0),
            before(live, 4, "ada", model="firstly", seconds=9.0),
            before(live, 5, "ada", ago=8 * DAY, seconds=9.0),
            before(live, 6, "ada", ago=-1.0, seconds=9.0),
            before(live, 7, "ada", finish="error", seconds=9.0),
            before(live, 8, "bob", seconds=2.0),
            live.exposure("cleo", seconds=9.0),
        ]
    )
    assert past(live, CALM) == {"ada": pytest.approx(64 / 3), "bob": 2.0}


def test_feedback_that_came_after_the_beginning_is_none_of_the_past(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    ExposureLog(live.store).write([before(live, i, unit) for i, unit in enumerate(("ada", "ada", "bob", "cleo"))])
    began = live.releases.history("first")[1].release.time
    outcomes = OutcomeLog(live.store)

    def say(number: int, label: str, after: float) -> None:
        monkeypatch.setattr("trimtab.operations.outcomes.log.time", lambda: began + after)
        outcomes.write([Outcome("thumbs", f"before-{number}", label=label)])

    for number, label, after in (
        (0, "down", -900), (0, "up", -800), (1, "down", -700), (2, "up", -60), (2, "meh", -50), (2, "down", 60),
        (3, "up", 60),
    ):  # fmt: skip
        say(number, label, after)
    assert past(live, LIKED) == {"ada": 0.5, "bob": 1.0}


def answered(live: Live, random: Random, units: int) -> None:
    """Some units that were there before, slow ones then slow now; and new ones."""
    made, number = [], 0
    for i in range(units):
        own = random.uniform(1, 9)
        for _ in range(random.randrange(3)):
            made.append(before(live, number, f"u{i}", seconds=own + random.gauss(0, 0.5)))
            number += 1
        for _ in range(random.randrange(1, 3)):
            slower = 0.4 * (live.release.arm(f"u{i}") == "treatment")
            made.append(live.exposure(f"u{i}", seconds=own + slower + random.gauss(0, 0.5)))
    random.shuffle(made)
    ExposureLog(live.store).write(made)


def regressed(live: Live) -> tuple[float, float]:
    """Difference and its square error: a regression on what is read of the store by hand."""
    began = live.releases.history("first")[1].release.time
    now: dict[tuple[str, str], list[float]] = {}
    then: dict[str, list[float]] = {}
    with live.store.reading() as connection:
        for row in connection.exec_driver_sql("SELECT * FROM exposures").mappings():
            seconds = json.loads(row["content"])["seconds"]
            if row["time"] < began:
                then.setdefault(row["unit"], []).append(seconds)
            else:
                now.setdefault((row["unit"], row["arm"]), []).append(seconds)
    y = np.array([np.mean(values) for values in now.values()])
    usual = np.mean([np.mean(then[unit]) for unit, _ in now if unit in then])
    x = np.array([np.mean(then[unit]) if unit in then else usual for unit, _ in now])
    treated = np.array([arm == "treatment" for _, arm in now])
    within = [(y[side] - y[side].mean(), x[side] - x[side].mean()) for side in (treated, ~treated)]
    slope = sum(a @ b for a, b in within) / sum(b @ b for _, b in within)
    left = y - slope * x
    errors = [left[side].var(ddof=1) / side.sum() for side in (treated, ~treated)]
    return float(left[treated].mean() - left[~treated].mean()), float(sum(errors))


def test_a_look_has_the_regression_of_the_whole_history_however_it_was_read(live: Live) -> None:
    often, random = live.experiment, Random(3)
    for batch in range(3):
        for i in range(80):
            if batch and i % 3 == 0:
                ExposureLog(live.store).write([live.exposure(f"u{i}", seconds=random.uniform(1, 9))])
        if not batch:
            answered(live, random, 240)
        often.look()
    look = often.look()
    assert look == live.experiment.look()
    calm, plain, _ = look.findings
    value, square = regressed(live)
    assert calm.difference == pytest.approx(value)
    assert (calm.control, calm.treatment) == (plain.control, plain.treatment)
    spread = [(one.high or 0) - (one.low or 0) for one in (calm, OverTime(live.store, "first", "calm").read()[-1])]
    assert spread[0] == pytest.approx(spread[1])
    assert plain.variance_removed is None
    assert calm.variance_removed is not None
    assert 0.2 < calm.variance_removed < 1.0
    unadjusted = square / (1 - calm.variance_removed)
    means = {}
    for arm in ("control", "treatment"):
        means[arm] = unit_means(live, arm)
    assert unadjusted == pytest.approx(sum(np.var(m, ddof=1) / len(m) for m in means.values()))
    assert look.record["findings"][0]["variance_removed"] == calm.variance_removed


def unit_means(live: Live, arm: str) -> list[float]:
    began = live.releases.history("first")[1].release.time
    found: dict[str, list[float]] = {}
    with live.store.reading() as connection:
        for row in connection.exec_driver_sql("SELECT * FROM exposures").mappings():
            if row["time"] >= began and row["arm"] == arm:
                found.setdefault(row["unit"], []).append(json.loads(row["content"])["seconds"])
    return [float(np.mean(values)) for values in found.values()]


def test_without_any_past_the_difference_is_the_plain_one(live: Live) -> None:
    random = Random(1)
    ExposureLog(live.store).write([live.exposure(f"u{i}", seconds=random.uniform(1, 9)) for i in range(200)])
    calm, plain, _ = live.experiment.look().findings
    assert (calm.difference, calm.variance_removed) == (plain.difference, 0.0)


@pytest.mark.parametrize(
    "fields",
    [
        {"outcome": "latency", "kind": "quantile", "q": 0.5},
        {"kind": "ratio", "numerator": "calm", "denominator": "requests"},
        {"outcome": "latency", "per": "request"},
        {"outcome": "latency", "past_days": 0},
    ],
)
def test_only_means_over_units_are_adjusted(fields: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="past_days"):
        Metric.made(name="x", **({"past_days": 7} | fields))


def test_definitions_without_it_keep_their_digest_and_releases_of_several_arms_refuse_it() -> None:
    assert PLAIN.digest == "5178eb94e3837e5930d5be24b0fedb4f4a12f316d0627251e242ba7e73fbcd8a"
    assert digest_of([CALM]) != digest_of([CALM.model_copy(update={"past_days": None})])
    warm = Arm(name="warm", artifact="5f2c", strength={"warm": 1.0})
    with pytest.raises(InputError, match="calm: past_days is for releases of two arms") as error:
        Definition.made(
            name="a", model="m", treatment=warm, stages=(100,), salt="s", metric="calm", metrics=(CALM,),
            arms={"bold": warm},
        )  # fmt: skip
    assert error.value.field == "metrics"
