"""Launches that are looked at after every unit: false alarms, units until a harm is caught, drift, and judge or system.

    .venv/bin/python benchmarks/launches.py --json out/bench/launches.jsonl --out docs/results/live.md

Targets: of 1,000 releases or more that change nothing at most 5 % raise an alarm and at most 1 % a false mismatch of
shares, with the upper ends of 95 % intervals; at most 5 % of drift-free streams of 100,000 alarm; a shift of the judge
and one of the system are told apart in at least 90 %. A harm of twice the margin is caught; how many units that takes
stands beside the fewest that one look at a fixed size needs, and beside GrowthBook's sequential intervals, from the
formula and the default (a tuning of 5,000 units) that its documentation publishes.

All data are simulated. A launch has 20,000 units, in two arms at random; outcomes are a rate, a skewed value (such as a
time), or the ratio of liked answers over answers. With --json, rows are kept in a file and not measured again; delete
it after changes.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from harness import kept, machine, publish, table
from numpy.random import Generator, default_rng
from scipy import stats

from trimtab.statistics import wilson
from trimtab.statistics.inputs import Floats
from trimtab.statistics.sequential import (
    AsymptoticSequence,
    DriftTest,
    Estimate,
    JudgeDrift,
    Moments,
    PairMoments,
    difference,
    fixed_size,
    log_share_ratio,
    mean_estimate,
    ratio_estimate,
)

ALPHA, SRM_ALPHA, POWER = 0.05, 0.01, 0.8
UNITS, BATCH = 20_000, 50
GROWTHBOOK_TUNING = 5_000
MARGIN = {"rate": 0.03, "skewed": 0.1, "ratio": 0.03}  # of harm that is tolerated
LEVEL = {"rate": 0.7, "skewed": 0.0, "ratio": 0.5}
SKEWED = float(stats.lognorm(1).std())  # so that the spread is 1
STATES_OF = "trimtab, two ends"
Row = dict[str, Any]


# ---- Releases ------------------------------------------------------------------------------------------------------


def launches(rng: Generator, outcome: str, harm: float, n: int, units: int) -> tuple[Estimate, Floats]:
    """The estimate of treatment minus control after every unit of n launches, and which units were treated."""
    treated = (rng.random((n, units)) < 0.5).astype(np.float64)
    level = LEVEL[outcome] - harm * treated
    if outcome == "ratio":
        answers = 1 + rng.poisson(3, (n, units)).astype(np.float64)
        tendency = rng.beta(4 * level, 4 * (1 - level))  # of each unit
        liked = rng.binomial(answers.astype(np.int64), tendency).astype(np.float64)
        arms = [PairMoments.path(liked, answers, w) for w in (treated, 1 - treated)]
        return difference(*map(ratio_estimate, arms)), treated
    drawn = (rng.random((n, units)) < level) if outcome == "rate" else rng.lognormal(size=(n, units)) / SKEWED + level
    values = drawn.astype(np.float64)
    return difference(*(mean_estimate(Moments.path(values, w)) for w in (treated, 1 - treated))), treated


def spread(outcome: str) -> float:
    """Standard deviation of what a unit adds to the estimate."""
    if outcome == "ratio":  # of liked − 0.5 · answers, over the mean of 4 answers
        variance = 0.25 * (4 + (19 - 4) / 5)  # beta-binomial: k + k(k − 1)/5, with E[k] = 4, E[k²] = 19
        return float(np.sqrt(variance)) / 4
    return float(np.sqrt(LEVEL[outcome] * (1 - LEVEL[outcome]))) if outcome == "rate" else 1.0


def growthbook_errors(n: Floats, alpha: float) -> Floats:
    """Standard errors to either end, by GrowthBook's documentation (statistics/sequential), for n units."""
    rho2 = (-2 * np.log(alpha) + np.log(-2 * np.log(alpha) + 1)) / GROWTHBOOK_TUNING
    return np.asarray(np.sqrt(n) * np.sqrt(2 * (n * rho2 + 1) / (n**2 * rho2) * np.log(np.sqrt(n * rho2 + 1) / alpha)))


def methods(outcome: str) -> dict[str, Callable[[Estimate], tuple[Floats, Floats]]]:
    """Ways to draw the two ends after every unit."""
    target = target_of(outcome)

    def growthbook(found: Estimate) -> tuple[Floats, Floats]:
        half = growthbook_errors(np.arange(1, UNITS + 1.0), ALPHA) * found.error
        half = np.where(np.asarray(found.smallest) >= 30, half, np.inf)
        return np.asarray(found.value - half), np.asarray(found.value + half)

    def naive(found: Estimate) -> tuple[Floats, Floats]:
        half = np.where(np.asarray(found.smallest) >= 30, stats.norm.isf(ALPHA / 2) * found.error, np.inf)
        return np.asarray(found.value - half), np.asarray(found.value + half)

    two, one = AsymptoticSequence(target, ALPHA), AsymptoticSequence(target, ALPHA, "upper")
    ours = {"trimtab, two ends": two.ends, "trimtab, one end": one.ends}
    return {**ours, "GrowthBook, two ends": growthbook, "looked at as if the size were fixed": naive}


def target_of(outcome: str) -> float:
    """Units by which a decision is wanted: what one look needs to tell twice the margin from the margin."""
    return fixed_size(MARGIN[outcome], spread(outcome), ALPHA, POWER, sides=1)


def batches(settings: Row) -> Iterator[tuple[Estimate, Floats]]:
    """All launches of a row, some at a time."""
    rng = default_rng([settings["seed"], *map(ord, settings["outcome"])])
    for start in range(0, settings["launches"], BATCH):
        n = min(BATCH, settings["launches"] - start)
        yield launches(rng, settings["outcome"], settings["harm"], n, UNITS)


def nothing(settings: Row) -> Row:
    """Null releases: those whose interval ever leaves 0 out, by method, and those with a false mismatch of shares."""
    alarms: dict[str, int] = {}
    margin = MARGIN[settings["outcome"]]
    mismatches, units = 0, np.arange(1, UNITS + 1)
    for found, treated in batches(settings):
        for name, ends in methods(settings["outcome"]).items():
            low, high = ends(found)
            said = {name: (low > 0) | (high < 0)}
            if name == STATES_OF:  # by the definitions of `state_of`
                said[f"{name}: says better or worse"] = ((low > 0) & (high >= margin)) | (high < -margin)
            for which, when in said.items():
                alarms[which] = alarms.get(which, 0) + int(when.any(axis=1).sum())
        count = np.cumsum(treated, axis=1)
        evidence = log_share_ratio(np.stack([units - count, count], axis=-1), (0.5, 0.5))
        mismatches += int((evidence >= -np.log(SRM_ALPHA)).any(axis=1).sum())
    return {"alarms": alarms, "mismatches": mismatches}


def harmed(settings: Row) -> Row:
    """Units until a harm of twice the margin is shown to lie beyond the margin, and to be a harm at all."""
    caught: dict[str, list[list[int]]] = {}
    for found, _ in batches(settings):
        for name, ends in methods(settings["outcome"]).items():
            high = ends(found)[1]
            for place, bound in enumerate((-MARGIN[settings["outcome"]], 0.0)):
                over = high < bound
                first = np.where(over.any(axis=1), over.argmax(axis=1) + 1, -1)
                caught.setdefault(name, [[], []])[place] += first.tolist()
    return {"beyond the margin": {k: v[0] for k, v in caught.items()}, "beyond 0": {k: v[1] for k, v in caught.items()}}


# ---- Streams -------------------------------------------------------------------------------------------------------

STREAMS: dict[str, Callable[[Generator, int], Floats]] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "gate": lambda rng, n: np.where(rng.random(n) < 0.4, 0.0, rng.beta(2, 1, n)).round(3),  # shut for two in five
}


def rolling_z(reference: Floats, live: Floats, window: int = 1000) -> bool:
    """Whether the mean of the last 1,000 values, looked at every 100, is ever 3 errors from the reference's."""
    total = np.concatenate([[0.0], np.cumsum(live)])
    means = (total[window:] - total[:-window])[::100] / window
    error = reference.std(ddof=1) * np.sqrt(1 / window + 1 / len(reference))
    return bool((np.abs(means - reference.mean()) > 3 * error).any())


def steady(settings: Row) -> Row:
    """Streams without drift: how many alarm."""
    draw, alarms, rolling = STREAMS[settings["stream"]], 0, 0
    for k in range(settings["streams"]):
        rng = default_rng([settings["seed"], k])
        reference, live = draw(rng, settings["reference"]), draw(rng, settings["length"])
        test = DriftTest(reference, ALPHA, seed=k)
        test.add_many(live)
        alarms += test.alarm
        rolling += rolling_z(reference, live)
    return {"alarms": alarms, "rolling": rolling}


def drifting(settings: Row) -> Row:
    """Streams that move after a while: how long until an alarm."""
    delays = []
    for k in range(settings["streams"]):
        rng = default_rng([settings["seed"], k])
        test = DriftTest(rng.normal(size=settings["reference"]), ALPHA, seed=k)
        test.add_many(rng.normal(size=settings["before"]))
        if test.alarm:
            continue  # a false one
        test.add_many(rng.normal(settings["shift"], settings["scale"], settings["after"]))
        delays.append(test.alarm_at - settings["before"] if test.alarm_at else -1)
    return {"delays": delays}


def judged(settings: Row) -> Row:
    """Verdicts on streams where the system, the judge or nothing changes after a while; one anchor for some answers."""
    verdicts = []
    for k in range(settings["streams"]):
        rng = default_rng([settings["seed"], k])
        watch = JudgeDrift(
            score(rng, 0.7, 1000), score(rng, 0.6, 500, 0.15) - 0.6, ALPHA, guard=settings["guard"], seed=k
        )
        for step in range(settings["length"]):
            now = step >= settings["before"]
            judge, system = now * settings["judge"], now * settings["system"]
            watch.add_score(float(score(rng, 0.7 + judge + system)[0]))
            if step % settings["answers_an_anchor"] == 0:
                watch.add_anchor(float(score(rng, 0.6 + judge, 1, 0.15)[0]), 0.6)
            if watch.verdict != "none":
                break
        verdicts.append(watch.verdict)
    return {"verdicts": {v: verdicts.count(v) for v in ("none", "system", "judge")}}


def score(rng: Generator, mean: float, n: int = 1, sd: float = 0.2) -> Floats:
    """Scores from 0 to 1 in steps of a tenth, as judges give."""
    return np.clip(rng.normal(mean, sd, n), 0, 1).round(1)


# ---- The page ------------------------------------------------------------------------------------------------------

MEASURES = {f.__name__: f for f in (nothing, harmed, steady, drifting, judged)}


def rows(args: argparse.Namespace) -> Iterator[Row]:
    """Settings of all rows."""
    n, streams = args.launches, args.streams
    for outcome in MARGIN:
        yield {"measure": "nothing", "outcome": outcome, "harm": 0.0, "launches": 5 * n}
    for outcome, margin in MARGIN.items():
        yield {"measure": "harmed", "outcome": outcome, "harm": 2 * margin, "launches": n}
    for stream, reference in (("normal", 1000), ("normal", 50), ("gate", 1000)):
        length = args.length
        yield {"measure": "steady", "stream": stream, "reference": reference, "length": length, "streams": streams}
    for shift, scale in ((0.25, 1.0), (0.5, 1.0), (0.0, 1.5)):
        size = {"reference": 1000, "before": 5000, "after": 10_000, "streams": min(streams, 200)}
        yield {"measure": "drifting", "shift": shift, "scale": scale, **size}
    anchors = {"length": 5000, "before": 2000, "answers_an_anchor": 5, "guard": 200, "streams": min(streams, 200)}
    for system, judge in ((0.0, 0.0), (-0.1, 0.0), (0.0, -0.1), (0.0, 0.1)):
        yield {"measure": "judged", "system": system, "judge": judge, **anchors}


def measured(settings: Row) -> Row:
    """What the row's measure finds, and how long it took."""
    start = process_time()
    return {**MEASURES[settings["measure"]](settings), "seconds": process_time() - start}


def rate(count: int, n: int, most: float) -> str:
    """A share with its interval, and whether it keeps the target with the interval's upper end."""
    found = wilson(count, n)
    kept_to = "yes" if found.high <= most else "almost" if found.low <= most else "no"
    return f"{found.value:.1%} [{found.low:.1%}, {found.high:.1%}] | {kept_to}"


def counted(found: list[int]) -> str:
    """Median, 80 % and 90 % quantile of numbers of which −1 means never."""
    never = np.where(np.array(found) < 0, np.inf, found)
    quantiles = np.quantile(never, [0.5, 0.8, 0.9], method="higher")
    caught = float(np.isfinite(never).mean())
    return " | ".join([*(f"{q:,.0f}" if np.isfinite(q) else "–" for q in quantiles), f"{caught:.1%}"])


def of(found: list[Row], measure: str) -> list[Row]:
    return [row for row in found if row["settings"]["measure"] == measure]


def releases_part(found: list[Row]) -> Iterator[str]:
    alarms, mismatches, units = [], [], []
    for row in of(found, "nothing"):
        outcome, n = row["settings"]["outcome"], row["settings"]["launches"]
        alarms += [(outcome, n, name, rate(k, n, ALPHA)) for name, k in row["alarms"].items()]
        mismatches.append((outcome, n, rate(row["mismatches"], n, SRM_ALPHA)))
    for row in of(found, "harmed"):
        outcome = row["settings"]["outcome"]
        sizes = [fixed_size(MARGIN[outcome], spread(outcome), ALPHA, p, sides=1) for p in (0.5, 0.8, 0.9)]
        fixed = " | ".join(f"{n:,.0f}" for n in sizes)
        for bound, distance in (("beyond the margin", 1), ("beyond 0", 2)):
            shown = fixed if distance == 1 else " | ".join(f"{n / 4:,.0f}" for n in sizes)
            units.append((outcome, bound, "one look of a fixed size", shown + " | "))
            units += [(outcome, bound, name, counted(k)) for name, k in row[bound].items() if "fixed" not in name]
    yield "## Releases that change nothing\n\nLooked at after each of 20,000 units: how many ever leave 0 out."
    yield table(("outcome", "releases", "interval", "false alarms", "at most 5 %"), alarms)
    yield "How many ever show a mismatch of shares that is none (at 1 %)."
    yield table(("outcome", "releases", "false mismatches", "at most 1 %"), mismatches)
    yield (
        "## A harm of twice the margin\n\nUnits of both arms until the interval lies *beyond the margin* (the state "
        "*worse*), and until it lies *beyond 0*: as many as half, 80 % and 90 % of launches need. One look of a fixed "
        "size (one-sided, 5 %, planned knowing spread and harm) has that power at that size, and says nothing before."
    )
    yield table(("outcome", "shown", "by", "half", "80 %", "90 %", "caught"), units)


def streams_part(found: list[Row]) -> Iterator[str]:
    still, moved, told = [], [], []
    for row in of(found, "steady"):
        own = row["settings"]
        counts = [rate(row[name], own["streams"], ALPHA) for name in ("alarms", "rolling")]
        still.append((own["stream"], own["reference"], own["streams"], counts[0], counts[1].split(" |")[0]))
    for row in of(found, "drifting"):
        own = row["settings"]
        what = f"mean by {own['shift']:g} SD" if own["shift"] else f"SD times {own['scale']:g}"
        moved.append((what, len(row["delays"]), counted(row["delays"])))
    for row in of(found, "judged"):
        own, verdicts = row["settings"], row["verdicts"]
        right = "system" if own["system"] else "judge" if own["judge"] else "none"
        share = wilson(verdicts[right], own["streams"])
        shown = f"{share.value:.1%} [{share.low:.1%}, {share.high:.1%}]"
        told.append((f"{own['system']:+g}", f"{own['judge']:+g}", *verdicts.values(), shown))
    yield "## Streams without drift\n\n100,000 values against a reference sample: how many ever alarm (at 5 %)."
    yield table(("stream", "reference", "streams", "alarms", "at most 5 %", "rolling z-test"), still)
    yield "## Streams that drift after 5,000 values\n\nValues until the alarm: of half, 80 % and 90 % of the streams."
    yield table(("what moves", "streams", "half", "80 %", "90 %", "found"), moved)
    yield (
        "## System or judge\n\nScores from 0 to 1 of spread 0.2; after 2,000 answers the score of the system or the "
        "judge's strictness moves; one anchor for five answers, 200 anchors to wait for; verdicts by 5,000 answers."
    )
    yield table(("system moves", "judge moves", "none", "system", "judge", "right"), told)


def page(found: list[Row], command: str) -> str:
    """The rows in Markdown."""
    seconds = sum(row["seconds"] for row in found)
    head = f"# Launches in simulation\n\n```\n{command}\n```\n\n{machine()}; {seconds / 60:.0f} minutes of one core."
    return "\n\n".join([head, *releases_part(found), *streams_part(found)]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--launches", type=int, default=1000, help="with a harm; five times as many without")
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--length", type=int, default=100_000, help="of a stream without drift")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="JSON lines, one per row, kept between runs")
    parser.add_argument("--out", type=Path, metavar="FILE", help="Markdown; else standard output")
    args = parser.parse_args()
    wanted = [{**row, "seed": args.seed} for row in rows(args)]
    found = [kept(args.json, settings, partial(measured, settings)) for settings in wanted]
    publish(page(found, f".venv/bin/python {' '.join(sys.argv)}"), args.out)


if __name__ == "__main__":
    main()
