"""A look says what a count of one's own over every row says, whenever and in how many steps it was read."""

import json
import math
from dataclasses import replace
from random import Random
from time import time
from typing import Any

import pytest
from scipy.special import logsumexp
from sqlalchemy import text
from tests.operations.experiments.conftest import METRICS, Launch, Live, errors

from trimtab.errors import InputError
from trimtab.operations import ExposureLog, Outcome, OutcomeLog, Store, entries
from trimtab.operations.experiments import Experiment, Look

FEEDBACK = text("SELECT metric, value, label FROM outcomes WHERE request = :r ORDER BY number")
RAILS = ("errors", "complaints_per_request:0.1", "mean_latency:0.2", "slow:0.3", "slow_users:0.3", "length:2")


def chaos(live: Live, random: Random, rounds: int, looking: Any = lambda: None) -> None:
    """Requests and feedback, late, repeated and corrected, in many transactions, and a stage in the middle."""
    log, outcomes, late = ExposureLog(live.store), OutcomeLog(live.store), []
    for k in range(rounds):
        if k == rounds // 2:
            live.act("promote")
        batch = [
            live.exposure(
                random.choice([*(f"u{random.randrange(150)}" for _ in range(3)), None]),
                answer_tokens=random.randrange(9),
                seconds=random.expovariate(1), finish=random.choice(["stop", "stop", "stop", "error"]),
            )
            for _ in range(random.randrange(1, 30))
        ]  # fmt: skip
        late += batch
        random.shuffle(late)
        written, late = late[: len(late) // 2 + 1], late[len(late) // 2 + 1 :]
        log.write(written)
        for one in random.sample(batch + written, 5 if len(batch) > 2 else 1):
            for _ in range(random.randrange(1, 3)):
                given = {"label": random.choice(["up", "down", "?"])} if random.random() < 0.7 else {"value": 1.0}
                metric = "thumbs" if "label" in given else "complaint"
                outcomes.write([Outcome(metric, one.request, **given)], may_come=True)
        looking()
    log.write(late)


def units_of(live: Live, value: Any) -> dict[str, dict[str, list[float]]]:
    """Values by arm and unit, one row at a time; `value` takes the row and the row of its last known feedback."""
    found: dict[str, dict[str, list[float]]] = {"control": {}, "treatment": {}}
    with live.store.reading() as connection:
        rows = connection.execute(text("SELECT * FROM exposures WHERE release = 'first' ORDER BY number")).mappings()
        for row in rows.all():
            feedback = connection.execute(FEEDBACK, {"r": row["request"]}).mappings()
            last = {one["metric"]: one for one in feedback if one["label"] != "?"}
            one = value(row, last)
            if one is not None and row["unit"] is not None:
                found[row["arm"]].setdefault(row["unit"], []).append(one)
    return found


def detail(row: Any, name: str) -> Any:
    return json.loads(row["content"])[name]


def whole(row: Any, name: str) -> float | None:
    return None if detail(row, "finish") == "error" else float(detail(row, name))


def mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def square_error(values: list[float]) -> float:
    """Of their mean."""
    m = mean(values)
    return math.fsum((v - m) ** 2 for v in values) / (len(values) - 1) / len(values)


def of_means(arms: dict[str, dict[str, list[float]]]) -> dict[str, tuple[float, float]]:
    return {arm: (mean(m), square_error(m)) for arm, units in arms.items() if (m := [mean(v) for v in units.values()])}


def of_ratios(arms: dict[str, dict[str, list[tuple[float, float]]]]) -> dict[str, tuple[float, float]]:
    """Delta method, unit by unit."""
    found = {}
    for arm, units in arms.items():
        pairs = [(math.fsum(y for y, _ in v), math.fsum(x for _, x in v)) for v in units.values()]
        ratio = math.fsum(y for y, _ in pairs) / math.fsum(x for _, x in pairs)
        below = mean([x for _, x in pairs])
        n = len(pairs)
        left = [(y - ratio * x) for y, x in pairs]
        found[arm] = ratio, math.fsum(v * v for v in left) / (n - 1) / n / below**2
    return found


def half_width(arms: dict[str, tuple[float, float]], units: dict[str, int], alpha: float, decide_by: float) -> float:
    """The one-sided boundary, written out: √(2 (1 + 1/x) log(1 + √(1 + x)/2α)) errors, x = ρ² · time."""
    (_, c), (_, t) = arms["control"], arms["treatment"]
    time_ = 2 * (units["treatment"] * t + units["control"] * c) / (t + c)
    # ρ² · m solves x − log(1 + x) = −2 log(2α), the minimum of the two-sided boundary at 2α
    goal, x = -2 * math.log(2 * alpha), 5.0
    for _ in range(100):
        x = goal + math.log1p(x)
    now = x / decide_by * time_
    return math.sqrt(2 * (1 + 1 / now) * math.log1p(math.sqrt(1 + now) / (2 * alpha))) * math.sqrt(t + c)


@pytest.fixture
def busy(launch: Launch) -> Live:
    return launch("first", "liked:0.05", RAILS, stages=(20, 50, 100))


def same(a: Look, b: Look) -> None:
    """But for how far past other tables' rows they read."""
    assert replace(a, exposures=0, outcomes=0) == replace(b, exposures=0, outcomes=0)


@pytest.mark.parametrize("seed", [1, 2])
def test_figures_are_those_of_a_loop_over_all_rows_however_they_were_read(busy: Live, seed: int) -> None:
    random, often, seldom = Random(seed), busy.experiment, busy.experiment
    chaos(busy, random, 40, lambda: (often.look(), random.random() < 0.1 and seldom.look()))
    look = often.look()
    same(look, seldom.look())
    assert look == often.look() == busy.experiment.look()
    found = {one.metric: one for one in look.findings}

    def check(name: str, arms: dict[str, tuple[float, float]], units: dict[str, dict[str, Any]], alpha: float) -> None:
        one, n = found[name], {arm: len(u) for arm, u in units.items()}
        assert one.units == (n["control"], n["treatment"])
        assert one.requests == tuple(sum(map(len, units[arm].values())) for arm in ("control", "treatment"))
        assert (one.control, one.treatment) == pytest.approx((arms["control"][0], arms["treatment"][0]), rel=1e-8)
        half = half_width(arms, n, alpha, 2000)
        apart = arms["treatment"][0] - arms["control"][0]
        assert (one.difference, one.low, one.high) == pytest.approx((apart, apart - half, apart + half), rel=1e-7)

    failed = units_of(busy, lambda row, _: float(detail(row, "finish") == "error"))
    check("errors", of_means(failed), failed, 0.025)  # bets have the other half
    length = units_of(busy, lambda row, _: whole(row, "answer_tokens"))
    check("length", of_means(length), length, 0.05)
    latency: Any = units_of(busy, lambda row, _: whole(row, "seconds"))
    pairs = {arm: {u: [(v, 1.0) for v in vs] for u, vs in units.items()} for arm, units in latency.items()}
    check("mean_latency", of_ratios(pairs), latency, 0.05)
    asked: Any = units_of(busy, lambda row, last: (last["complaint"]["value"] if "complaint" in last else 0.0, 1.0))
    ratio = of_ratios(asked)
    one = found["complaints_per_request"]
    assert (one.control, one.treatment) == pytest.approx((ratio["control"][0], ratio["treatment"][0]), rel=1e-8)
    thumbs = units_of(busy, lambda row, last: float(last["thumbs"]["label"] == "up") if "thumbs" in last else None)
    liked = of_means(thumbs)
    assert (found["liked"].control, found["liked"].treatment) == pytest.approx(
        (liked["control"][0], liked["treatment"][0]), rel=1e-8
    )
    firsts = {arm: sorted(vs[0] for vs in units.values()) for arm, units in latency.items()}
    means = {arm: sorted(mean(vs) for vs in units.values()) for arm, units in latency.items()}
    for name, values, q in (("slow", firsts, 0.9), ("slow_users", means, 0.5)):
        at = {arm: v[math.ceil(q * len(v)) - 1] for arm, v in values.items()}
        assert found[name].difference == pytest.approx(at["treatment"] - at["control"], rel=1e-8)


def test_units_are_counted_where_they_were_first_seen(busy: Live) -> None:
    """By a loop over the rows, stage by stage."""
    chaos(busy, Random(3), 30)
    look = busy.experiment.look()
    seen: set[str] = set()
    counts = {20.0: [0, 0], 50.0: [0, 0]}
    now: dict[str, set[str]] = {"control": set(), "treatment": set()}
    with busy.store.reading() as connection:
        rows = connection.execute(text("SELECT unit, arm, version FROM exposures ORDER BY number")).all()
    for unit, arm, version in rows:
        if unit is not None:
            if unit not in seen:
                counts[{2: 20.0, 3: 50.0}[version]][arm == "treatment"] += 1
            seen.add(unit)
            if version == 3:
                now[arm].add(unit)
    assert look.sample_ratio.stages == tuple((share, *n) for share, n in counts.items() if any(n))
    assert look.stage_units == (len(now["control"]), len(now["treatment"]))
    assert not look.sample_ratio.mismatch


def test_a_look_changes_nothing(busy: Live) -> None:
    busy.answer(100, errors(Random(1), {"control": 0, "treatment": 1}))
    experiment = busy.experiment
    before = list(entries(busy.store))
    first = experiment.look()
    assert first.decision is not None
    assert experiment.look() == first
    assert list(entries(busy.store)) == before


def test_a_correction_takes_back_what_it_corrects(launch: Launch) -> None:
    live = launch(metric="liked:0.1")
    made = live.answer(200)
    log, experiment = OutcomeLog(live.store), live.experiment
    log.write([Outcome("thumbs", one.request, label="down" if one.arm == "treatment" else "up") for one in made])
    [before] = experiment.look().findings
    assert (before.treatment, before.control, before.state) == (0, 1, "inconclusive")  # without any spread
    log.write([Outcome("thumbs", one.request, label="up" if i % 2 else "down") for i, one in enumerate(made)])
    [after] = experiment.look().findings
    assert after == live.experiment.look().findings[0]
    assert (after.units, after.requests) == (before.units, before.requests)
    assert after.treatment == pytest.approx(0.5, abs=0.2)


def test_a_unit_that_goes_over_to_treatment_begins_anew(launch: Launch) -> None:
    live = launch(guardrails=("length",), stages=(10, 90))
    live.answer(300, lambda arm: {"answer_tokens": 10})
    live.act("promote")
    live.answer(300, lambda arm: {"answer_tokens": 30})
    [one] = live.experiment.look().findings
    over = sum(live.release.arm(f"u{i}") == "treatment" for i in range(300))
    stayed = live.experiment.look().sample_ratio.stages[0][2]
    assert one.units == (300 - stayed, over)  # in control all that ever had it
    assert one.treatment == pytest.approx((stayed * 20 + (over - stayed) * 30) / over)


def test_an_empty_arm_says_nothing(launch: Launch) -> None:
    live = launch(metric="liked", guardrails=("errors", "slow:0.1", "length", "complaints_per_request"))
    for _ in range(2):
        for one in live.experiment.look().findings:
            assert (one.state, one.harm) == ("inconclusive", False)
            assert (one.treatment, one.difference, one.low) == (None, None, None)
        only = [live.exposure(f"c{i}", arm="control", finish="error") for i in range(50)]
        ExposureLog(live.store).write(only)


def test_a_dry_run_is_compared_and_leads_to_nothing(launch: Launch) -> None:
    live = launch(guardrails=("errors",), action="dry-run")
    live.answer(200, errors(Random(1), {"control": 0, "treatment": 1}))
    look = live.experiment.look()
    assert look.dry_run
    assert look.findings[0].state == "worse"
    assert look.decision is None
    assert "both arms were answered alike" in look.note
    live.act("start")
    after = live.experiment.look()
    assert not after.dry_run
    assert (after.findings[0].units, after.stage_units) == ((0, 0), (0, 0))


def test_a_release_without_metrics_has_its_shares_alone(launch: Launch) -> None:
    live = launch()
    live.answer(50)
    look = live.experiment.look()
    assert (look.findings, look.decision) == ((), None)
    assert sum(look.sample_ratio.stages[0][1:]) == 50
    assert "names no metric" in look.note


def test_requests_without_a_unit_are_units_only_where_an_arm_is_drawn_for_each(launch: Launch) -> None:
    drawn = launch("drawn", guardrails=("errors",), without_unit="request")
    fixed = launch("fixed", guardrails=("errors",))
    for live in (drawn, fixed):
        ExposureLog(live.store).write(
            [live.exposure(None, arm="treatment" if i % 2 else "control") for i in range(40)]
        )  # fmt: skip
    assert drawn.experiment.look().findings[0].units == (20, 20)
    assert drawn.experiment.look().stage_units == (20, 20)
    assert fixed.experiment.look().findings[0].units == (0, 0)
    assert fixed.experiment.look().sample_ratio.stages == ()


def test_a_flawless_arm_is_bet_on(launch: Launch) -> None:
    """No failure in hundreds of units: with the spread of the sample alone any margin would be ruled out at once."""
    live = launch(guardrails=("errors:0.02",))
    live.answer(200)
    early = live.experiment.look().findings[0]
    assert (early.method, early.state) == ("betting", "inconclusive")
    live.answer(2000, first=200)
    late = live.experiment.look().findings[0]
    assert (late.method, late.state) == ("betting", "no harm shown")
    assert late.high == pytest.approx(0.01, abs=0.0099)


def test_bets_do_not_depend_on_when_one_looked(launch: Launch) -> None:
    live, random = launch(guardrails=("errors:0.05",)), Random(4)
    often = live.experiment
    for k in range(12):
        live.answer(20, errors(random, {"control": 0.0, "treatment": 0.3}), first=20 * k)
        often.look()
    same(often.look(), live.experiment.look())
    assert often.look().findings[0].method == "betting"
    assert often.look().findings[0].state == "worse"


def test_several_metrics_are_claimed_together(launch: Launch) -> None:
    """Evidence for one of k is worth a k-th of it, by hand: the mean with the others, which have none."""
    live = launch(guardrails=("errors:0.02", "length:5", "slow:3", "latency:3"))
    random = Random(6)
    live.answer(300, lambda arm: {"finish": "error" if arm == "treatment" and random.random() < 0.4 else "stop",
                                  "answer_tokens": random.randrange(20), "seconds": random.random()})  # fmt: skip
    found = live.experiment.look().findings
    own = [one.log_e_harm for one in found]
    assert found[0].harm
    # of all sets with it the least mean is that with all others of less evidence
    least = min(
        logsumexp([own[0], *sorted(own[1:])[:k]]) - math.log(k + 1) for k in range(4)
    )  # fmt: skip
    assert found[0].log_e_harm_adjusted == pytest.approx(least, rel=1e-8)
    assert found[0].log_e_harm_adjusted < own[0]


def test_an_unknown_release_is_refused(store: Store) -> None:
    with pytest.raises(InputError, match="there is no release"):
        Experiment(store, "none")


def test_feedback_after_its_window_does_not_count_and_is_told(launch: Launch) -> None:
    live = launch(metric="liked")
    made = [live.exposure(f"u{i}", time=time() - 30 * 86_400) for i in range(20)]
    ExposureLog(live.store).write(made)
    OutcomeLog(live.store).write([Outcome("thumbs", one.request, label="up") for one in made])
    [one] = live.experiment.look().findings
    assert one.units == (0, 0)
    assert one.left_out == {"too late": 20}
    assert METRICS[0].window_days == 7


def test_requests_of_a_forgotten_unit_are_no_units_of_their_own(launch: Launch) -> None:
    live = launch(guardrails=("errors",), without_unit="request")
    live.answer(60)
    ExposureLog(live.store).write([live.exposure(unit) for unit in ["ada"] * 100 + [None] * 5])
    before = live.experiment.look()
    ExposureLog(live.store).forget("ada", by="ada")
    after = live.experiment.look()
    assert (sum(before.stage_units), sum(after.stage_units)) == (66, 65)
    assert (sum(before.findings[0].units), sum(after.findings[0].units)) == (66, 65)
    assert not after.sample_ratio.mismatch
