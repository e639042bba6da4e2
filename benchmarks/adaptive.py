"""Adaptive releases in simulation: what they gain and cost, whether harm is excluded, and estimates of other policies.

    .venv/bin/python benchmarks/adaptive.py --json out/bench/adaptive.jsonl --out docs/results/adaptive.md

Targets: less regret than an even split and than a test that commits, under a drift too; at most 5 % of releases exclude
an arm that does no harm beyond the margin; intervals of what other policies would have given hold at all looks together
in at least 95 %, although a bandit drew the arms.

Simulated users say whether they liked an answer. 10,000 visits in 40 epochs, one a day; control and three presets.
Shares, guardrails and estimates are those of the library. With --json, rows are kept in a file and not measured again;
delete it after changes.
"""

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import process_time
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from harness import kept, machine, publish, table
from numpy.random import Generator, default_rng
from scipy import stats

from trimtab.operations.experiments.arm_measures import ArmMeasure
from trimtab.operations.experiments.learning import next_shares
from trimtab.operations.experiments.visits import Visited, Visits
from trimtab.operations.experiments.wanted import Wanted
from trimtab.operations.metrics.built_in import BUILT_IN
from trimtab.statistics import Interval, wilson
from trimtab.statistics.inputs import Floats
from trimtab.statistics.sequential import (
    POLICY_METHODS,
    AsymptoticSequence,
    Draws,
    best_arm,
    beta_belief,
    holm,
    policy_estimate,
    state_of,
)

ARMS = ("control", "mild", "bold", "loud")
EPOCHS, VISITS = 40, 250
FLOOR, HALF_LIFE, ALPHA = 0.05, 14.0, 0.05
HIGHER = 0.15  # a floor beside it, where a harm is to be found sooner
LIKED = {
    "steady": ([0.50, 0.55, 0.60, 0.45], [0.50, 0.55, 0.60, 0.45]),
    "drift": ([0.50, 0.55, 0.60, 0.45], [0.50, 0.60, 0.50, 0.45]),
}
"""Chance that an arm's answer is liked, before and from the middle on."""
MARGIN, ERRORS = 0.01, 0.02
HARM = {"none": [0.0, 0.0, 0.0], "at the margin": [MARGIN] * 3, "bold, 4 margins": [0.0, 4 * MARGIN, 0.0]}
POLICIES = {"mild": (0.0, 1.0, 0.0, 0.0), "loud": (0.0, 0.0, 0.0, 1.0), "even split": (0.25, 0.25, 0.25, 0.25)}
PLAIN = "plain mean, ordinary interval"
FALSE = {"none": 5, "at the margin": 2}  # times as many releases, where an exclusion is false
METHODS = ("even split", "test, then commit", "Thompson", "adaptive, all visits alike", "adaptive")
TEST_EPOCHS = 16
Row = dict[str, Any]


def means_of(scenario: str) -> Floats:
    """Chance to be liked by epoch and arm, `[epochs, k]`."""
    before, after = LIKED[scenario]
    return np.array([before] * (EPOCHS // 2) + [after] * (EPOCHS // 2))


# ---- Who draws -----------------------------------------------------------------------------------------------------


def shares_by(method: str, draws: Draws, epoch: Floats, now: int, out: set[str], least: float = FLOOR) -> Floats:
    """Probabilities of the next epoch; `least` is the floor of an adaptive release."""
    k = len(ARMS)
    if method == "even split" or (method == "test, then commit" and now < TEST_EPOCHS):
        return np.full(k, 1 / k)
    if method == "test, then commit":
        tested = epoch < TEST_EPOCHS
        n = np.bincount(draws.arm[tested], minlength=k)
        return np.asarray(np.eye(k)[np.argmax(np.bincount(draws.arm[tested], draws.value[tested], k) / n)])
    weights = 0.5 ** ((now - 1 - epoch) / HALF_LIFE) if method == "adaptive" else np.ones(len(epoch))
    active = [i for i, name in enumerate(ARMS) if name not in out]
    best = np.zeros(k)
    best[active] = best_arm([beta_belief(draws.value[draws.arm == i], weights[draws.arm == i]) for i in active])
    floor = 0.0 if method == "Thompson" else least
    return np.array(list(next_shares(dict(zip(ARMS, best, strict=True)), out, floor).values()))


def released(rng: Generator, scenario: str, method: str) -> tuple[Draws, Floats]:
    """All visits of a release, and the epoch of each."""
    means, k = means_of(scenario), len(ARMS)
    draws, epoch = Draws(np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros((0, k))), np.zeros(0)
    for now in range(EPOCHS):
        p = shares_by(method, draws, epoch, now, set())
        arm = rng.choice(k, VISITS, p=p)
        value = (rng.random(VISITS) < means[now, arm]).astype(np.float64)
        draws = joined(draws, value, arm, p)
        epoch = np.concatenate([epoch, np.full(VISITS, float(now))])
    return draws, epoch


def joined(draws: Draws, value: Floats, arm: Any, p: Floats) -> Draws:
    probability = np.concatenate([draws.probability, np.tile(p, (len(value), 1))])
    return Draws(np.concatenate([draws.value, value]), np.concatenate([draws.arm, arm]), probability)


# ---- Measures ------------------------------------------------------------------------------------------------------


def regret(settings: Row) -> Row:
    """How much less was liked than by whoever knows the best arm of each day; in points, of each release."""
    means, found = means_of(settings["scenario"]), []
    last = []
    for k in range(settings["releases"]):
        draws, epoch = released(default_rng([settings["seed"], k]), settings["scenario"], settings["method"])
        lost = means.max(axis=1)[epoch.astype(int)] - means[epoch.astype(int), draws.arm]
        found.append(100 * float(lost.mean()))
        last.append(100 * float(lost[epoch >= EPOCHS - 10].mean()))
    return {"regret": found, "last": last}


def guarded(settings: Row) -> Row:
    """Arms that are excluded, when, and the requests that they had until then; an epoch has 1,000 visits."""
    harm = np.array([0.0, *HARM[settings["harm"]]])
    excluded, when, had = 0, [], []
    for k in range(settings["releases"]):
        rng = default_rng([settings["seed"], 1, k])
        out, at, n = _guarded(rng, harm, settings["floor"])
        excluded += bool(out)
        if harm.max() > MARGIN:
            bad = ARMS[int(harm.argmax())]
            when.append(at.get(bad, -1))
            had.append(n[bad])
    return {"excluded": excluded, "when": when, "had": had}


def _guarded(rng: Generator, harm: Floats, floor: float) -> tuple[set[str], dict[str, int], Counter[str]]:
    """One release of which answers fail at a rate of each arm, with the library's guardrail on errors."""
    k, visits, out = len(ARMS), 1000, set[str]()
    firsts: dict[int, list[float]] = {i: [] for i in range(k)}
    wanted = Wanted(BUILT_IN["errors"], MARGIN, ALPHA, k - 1, 4000, two_sided=False)
    holder = cast("Visits", SimpleNamespace(firsts=firsts, left_out={}))
    measures = [ArmMeasure(holder, wanted, i, ARMS[i]) for i in range(1, k)]
    liked = Draws(np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros((0, k)))
    failed, at, had = liked, {}, Counter[str]()
    for now in range(10):
        epoch = np.repeat(np.arange(now, dtype=np.float64), visits)
        p = shares_by("adaptive", liked, epoch, now, out, floor)
        arm = rng.choice(k, visits, p=p)
        bad = (rng.random(visits) < ERRORS + harm[arm]).astype(np.float64)
        liked = joined(liked, (rng.random(visits) < means_of("steady")[0, arm]).astype(np.float64), arm, p)
        failed = joined(failed, bad, arm, p)
        for i in range(k):
            firsts[i] += bad[arm == i].tolist()
        had.update({ARMS[i]: int(n) for i, n in enumerate(np.bincount(arm, minlength=k))})
        found = [one.measured(Visited(failed, epoch, [0] * k)) for one in measures]
        together = holm([one.log_e_harm for one in found])
        for one, measure, evidence in zip(found, measures, together, strict=True):
            worse = state_of(one.interval, margin=MARGIN, more_is_better=False) == "worse"
            if worse and evidence >= np.log(1 / ALPHA) and measure.name not in out:
                out.add(measure.name)
                at[measure.name] = (now + 1) * visits
    return out, at, had


def estimated(settings: Row) -> Row:
    """How often intervals of what policies would have given hold at the last look, and at all of them together."""
    means = means_of(settings["scenario"])
    sequence, z = AsymptoticSequence(5000, ALPHA), float(stats.norm.isf(ALPHA / 2))
    last, ever, width = Counter[str](), Counter[str](), defaultdict[str, float](float)
    for k in range(settings["releases"]):
        draws, epoch = released(default_rng([settings["seed"], 2, k]), settings["scenario"], "adaptive")
        missed: set[str] = set()
        for now in range(3, EPOCHS, 2):
            some = epoch <= now
            seen = Draws(draws.value[some], draws.arm[some], draws.probability[some])
            for name, weights in POLICIES.items():
                policy = np.array(weights)
                truth = float((means[: now + 1] @ policy).mean())
                found: dict[str, Interval] = {PLAIN: _plain(seen, policy, z)}
                found |= {m: sequence.interval(policy_estimate(seen, policy, m)) for m in POLICY_METHODS}
                for method, interval in found.items():
                    key = f"{name}: {method}"
                    last[key] += now == EPOCHS - 1 and interval.low <= truth <= interval.high
                    width[key] += interval.high - interval.low if now == EPOCHS - 1 else 0.0
                    missed |= set() if interval.low <= truth <= interval.high else {key}
        ever.update(key for key in last if key not in missed)
    return {"last": last, "ever": ever, "width": {key: total / settings["releases"] for key, total in width.items()}}


def _plain(seen: Draws, policy: Floats, z: float) -> Interval:
    """Means of the arms as if they had been drawn evenly, with an interval for one look."""
    n = np.maximum(seen.counts, 1)
    mean = np.bincount(seen.arm, seen.value, len(n)) / n
    half = z * float(np.sqrt((policy**2 * mean * (1 - mean) / n).sum()))
    value = float(policy @ mean)
    return Interval(value, value - half, value + half)


# ---- The page ------------------------------------------------------------------------------------------------------

MEASURES = {f.__name__: f for f in (regret, guarded, estimated)}


def rows(n: int) -> Iterator[Row]:
    """Settings of all rows."""
    for scenario in LIKED:
        for method in METHODS:
            yield {"measure": "regret", "scenario": scenario, "method": method, "releases": n}
    for harm in HARM:
        for floor in (FLOOR,) if harm in FALSE else (FLOOR, HIGHER):
            yield {"measure": "guarded", "harm": harm, "floor": floor, "releases": n * FALSE.get(harm, 1)}
    for scenario in LIKED:
        yield {"measure": "estimated", "scenario": scenario, "releases": n}


def measured(settings: Row) -> Row:
    """What the row's measure finds, and how long it took."""
    start = process_time()
    return {**MEASURES[settings["measure"]](settings), "seconds": process_time() - start}


def mean_of(values: list[float]) -> str:
    """A mean with its 95 % interval."""
    half = 1.96 * float(np.std(values, ddof=1)) / np.sqrt(len(values))
    return f"{np.mean(values):.2f} ± {half:.2f}"


def rate(count: int, n: int) -> str:
    found = wilson(count, n)
    return f"{found.value:.1%} [{found.low:.1%}, {found.high:.1%}]"


def of(found: list[Row], measure: str) -> list[tuple[Row, Row]]:
    return [(row["settings"], row) for row in found if row["settings"]["measure"] == measure]


def parts(found: list[Row]) -> Iterator[str]:
    """The tables."""
    n = found[0]["settings"]["releases"]
    yield (
        f"## Regret\n\nPoints of *liked* given away against whoever knows each day's best arm; {n} releases each, ± a "
        "95 % interval. *steady*: control 50 %, mild 55 %, bold 60 %, loud 45 %. *drift*: from day 20 on bold falls "
        f"to 50 % and mild rises to 60 %. The test splits evenly for {TEST_EPOCHS} days and then commits; *adaptive* "
        f"has a floor of {FLOOR:g} for each arm and a half-life of {HALF_LIFE:g} days; *Thompson* has neither."
    )
    yield table(
        ("preferences", "method", "regret", "in the last ten days"),
        [(s["scenario"], s["method"], mean_of(r["regret"]), mean_of(r["last"])) for s, r in of(found, "regret")],
    )
    yield (
        f"## Harm\n\nA guardrail on errors with a margin of {MARGIN:g}; {ERRORS:.0%} of control's answers fail. Looked "
        "at after every 1,000 visits of 10,000. An exclusion is false but for the last rows."
    )
    guarded_rows = []
    for s, r in of(found, "guarded"):
        caught = [at for at in r["when"] if at > 0]
        half = f"{np.median(caught):,.0f}" if caught else ""
        had = f"{np.mean(r['had']) / 10_000:.1%}" if r["had"] else ""
        guarded_rows.append(
            (s["harm"], f"{s['floor']:g}", s["releases"], rate(r["excluded"], s["releases"]), half, had)
        )
    yield table(
        ("harm", "floor", "releases", "some arm excluded", "visits until then (half)", "its share of all"), guarded_rows
    )
    yield (
        "## What another policy would have given\n\nFrom visits that *adaptive* drew; coverage of 95 % intervals at "
        "the last look and at all looks together, and the width at the last. The truth is the policy's mean over the "
        "visits so far."
    )
    covered = []
    for s, r in of(found, "estimated"):
        for key in r["last"]:
            n = s["releases"]
            covered.append((s["scenario"], *key.split(": "), rate(r["last"][key], n), rate(r["ever"].get(key, 0), n),
                            f"{100 * r['width'][key]:.1f} points"))  # fmt: skip
    yield table(("preferences", "policy", "by", "last look", "all looks", "width"), covered)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--releases", type=int, default=40, help="of each row; more where an exclusion is false")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="JSON lines, one per row, kept between runs")
    parser.add_argument("--out", type=Path, metavar="FILE", help="Markdown; else standard output")
    args = parser.parse_args()
    wanted = [{**row, "seed": args.seed} for row in rows(args.releases)]
    found = [kept(args.json, settings, partial(measured, settings)) for settings in wanted]
    seconds = sum(row["seconds"] for row in found)
    command = f".venv/bin/python {' '.join(sys.argv)}"
    cost = f"{machine()}; {seconds / 60:.1f} minutes of one core."
    head = f"# Adaptive releases in simulation\n\n```\n{command}\n```\n\n{cost}"
    publish("\n\n".join([head, *parts(found)]) + "\n", args.out)


if __name__ == "__main__":
    main()
