"""How often trimtab's 95 % intervals hold the truth, on simulated populations whose parameters are known.

    .venv/bin/python benchmarks/coverage.py --json out/bench/coverage.jsonl

Target: 93 to 97 % of 1,000 draws, at the sizes that evaluations have. Rows of 15 clusters lie below these and only
warn.

Every draw is a new data set, and the interval that a check would compute from it holds the truth or does not. `mean`
and `anti` (mean effect; share of pairs pushed the wrong way) see effects of four shapes with mean 0 and variance 1,
moved by the truth; of unpaired sides the second has half the spread. Truths are exact, but for `anti` a quantile of 4
million pairs sets the share. Geometry has 64 dimensions, noise with variances that fall as 1/k, and a planted
difference of the class means; the truth is the mean of the statistic itself, at this n, over ten times as many data
sets. In clustered data a cluster has 1 to 8 rows, and half the variance is between clusters. Where a list is
used again, three positive texts stand beside each negative one, in three rows that are one cluster. With --json, rows
are kept in a file and not measured again; delete it after changes.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from time import process_time
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from harness import kept, known, machine, table
from numpy.random import Generator, default_rng

from trimtab import statistics
from trimtab.statistics import Interval
from trimtab.statistics.geometry import Floats, Ints

TARGET = (0.93, 0.97)
EVALUATION, BELOW, TRAINING = (30, 70, 140), 15, (60, 150)  # clusters
MEAN = 0.3
SECOND = 0.5  # spread of the second side
ALIKE = 0.5  # share of the variance that rows of a cluster, or the two sides of a pair, have in common
PAIRS = 4_000_000
TIMES = 3  # rows that a text of a shorter list stands in
TRUTH = 10  # data sets for the truth, per draw
WIDTH = 64
FIGURE = [
    "figure",
    "data",
    "population",
    "clusters",
    "truth",
    "held",
    "in 93–97 %",
    "width",
    "truth below",
    "truth above",
]
SUMMARY = ["figure", "rows", "in 93–97 %", "almost", "too narrow", "too wide", "lowest", "highest"]
STRENGTH = {"strong": 0.6, "weak": 0.2, "none": 0.0}  # length of the difference of the means; its noise has length 1
Row = dict[str, Any]
Intervals = dict[str, Interval]
Shape = Callable[[Generator, int], Floats]


def mixture(rng: Generator, n: int) -> Floats:
    """Nine in ten a little up, one in ten far down; mean 0, variance 1."""
    drawn: Floats = np.where(rng.random(n) < 0.1, -2.25, 0.25) + np.sqrt(0.4375) * rng.standard_normal(n)
    return drawn


SHAPES: dict[str, Shape] = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "skewed": lambda rng, n: rng.standard_exponential(n) - 1,
    "heavy": lambda rng, n: rng.standard_t(3, n) / np.sqrt(3),
    "mixture": mixture,
}


class Population(NamedTuple):
    """What is true of it, by figure, and a draw's intervals, by figure."""

    truth: dict[str, float]
    draw: Callable[[Generator], Intervals]


# ---- Effects -------------------------------------------------------------------------------------------------------


def clusters_of(rng: Generator, n: int, data: str) -> Ints:
    """Cluster of each row."""
    return np.repeat(np.arange(n), rng.integers(1, 9, n) if "clustered" in data else 1)


def effects(rng: Generator, shape: Shape, clusters: Ints, data: str) -> Floats:
    """`[rows]` effects of mean 0 and variance 1."""
    if "clustered" not in data:
        return shape(rng, len(clusters))
    between, within = shape(rng, clusters[-1] + 1)[clusters], shape(rng, len(clusters))
    drawn: Floats = np.sqrt(ALIKE) * between + np.sqrt(1 - ALIKE) * within
    return drawn


def two_sides(rng: Generator, settings: Row, shape: Shape, shift: float) -> tuple[Any, ...]:
    """Effects of the positive and the negative texts, and the clusters of both."""
    data = settings["data"]
    if "used again" in data:
        rows = np.repeat(np.arange(settings["n"]), TIMES)
        negative = SECOND * effects(rng, shape, np.arange(settings["n"]), data)
        return effects(rng, shape, rows, data) + shift, negative[rows], rows, rows
    sides = [clusters_of(rng, settings["n"], data) for _ in range(2)]
    return effects(rng, shape, sides[0], data) + shift, SECOND * effects(rng, shape, sides[1], data), *sides


def mean(settings: Row) -> Population:
    """Mean effect, paired or not."""
    shape = SHAPES[settings["population"]]

    def draw(rng: Generator) -> Intervals:
        if settings["data"].startswith("unpaired"):
            return {"mean": statistics.bootstrap_two_sample(*two_sides(rng, settings, shape, MEAN), seed=seed_of(rng))}
        clusters = clusters_of(rng, settings["n"], settings["data"])
        values = MEAN + effects(rng, shape, clusters, settings["data"])
        return {"mean": statistics.bootstrap_mean(values, clusters, seed=seed_of(rng))}

    return Population({"mean": MEAN}, draw)


def anti(settings: Row) -> Population:
    """Share of all pairs of unpaired texts whose difference is below 0."""
    name, below = settings["population"].split()
    shape, truth = SHAPES[name], float(below)
    rng, ones = default_rng(0), np.arange(PAIRS)  # one row of each of many clusters
    up, down = effects(rng, shape, ones, settings["data"]), SECOND * effects(rng, shape, ones, settings["data"])
    shift = float(np.quantile(down - up, 1 - truth))

    def draw(rng: Generator) -> Intervals:
        sides = two_sides(rng, settings, shape, shift)
        return {"anti": statistics.two_sample_share(*sides)}

    return Population({"anti": truth}, draw)


def share(settings: Row) -> Population:
    """Share of rows pushed the wrong way; where rows share a cluster each cluster has a rate of its own (beta)."""
    truth = float(settings["population"])

    def draw(rng: Generator) -> Intervals:
        clusters = clusters_of(rng, settings["n"], settings["data"])
        n: int = settings["n"]
        rates = rng.beta(truth / ALIKE - truth, (1 - truth) / ALIKE - 1 + truth, size=n)
        rate = rates[clusters] if "clustered" in settings["data"] else truth
        return {"share": statistics.share_interval(rng.random(len(clusters)) < rate, clusters)}

    return Population({"share": truth}, draw)


# ---- Geometry ------------------------------------------------------------------------------------------------------

SPREAD = np.sqrt(1 / np.arange(1, WIDTH + 1) / (1 / np.arange(1, WIDTH + 1)).sum())  # of each dimension; length 1
DIRECTION = (lambda v: v / np.linalg.norm(v))(default_rng(0).standard_normal(WIDTH))


def noise(rng: Generator, clusters: Ints, data: str) -> Floats:
    """`[rows, WIDTH]` of expected squared length 1."""
    own: Floats = SPREAD * rng.standard_normal((len(clusters), WIDTH))
    if "clustered" not in data:
        return own
    between: Floats = (SPREAD * rng.standard_normal((clusters[-1] + 1, WIDTH)))[clusters]
    drawn: Floats = np.sqrt(ALIKE) * between + np.sqrt(1 - ALIKE) * own
    return drawn


def activations(rng: Generator, settings: Row) -> tuple[Any, ...]:
    """Positive and negative activations and the clusters of both; of paired data the two sides have noise in common."""
    n, data, apart = settings["n"], settings["data"], STRENGTH[settings["population"]] * DIRECTION
    clusters = clusters_of(rng, n, data)
    if "used again" in data:
        rows = np.repeat(clusters, TIMES)
        return noise(rng, rows, data) + apart, noise(rng, clusters, data)[rows], rows, rows + n
    if data.startswith("unpaired"):
        others = clusters_of(rng, n, data)
        return noise(rng, clusters, data) + apart, noise(rng, others, data), clusters, others + n
    common = np.sqrt(ALIKE) * noise(rng, clusters, data)
    up, down = (common + np.sqrt(1 - ALIKE) * noise(rng, clusters, data) for _ in range(2))
    return up + apart, down, clusters


def agreement(settings: Row) -> Population:
    """Mean leave-one-out cosine."""

    def differences(rng: Generator) -> tuple[Floats, Ints]:
        up, down, clusters = activations(rng, settings)
        return up - down, clusters

    truth = expected(settings, lambda rng: [statistics.directional_agreement_loo(*differences(rng)).mean()])
    interval = statistics.agreement_interval
    return Population({"agreement": truth[0]}, lambda rng: {"agreement": interval(*differences(rng))})


def separability(settings: Row) -> Population:
    """Held-out d' and AUROC, both from the same draws."""

    def fitted(rng: Generator) -> list[float]:
        result = statistics.cross_fitted(*activations(rng, settings), seed=seed_of(rng))
        return [result.separability, result.auroc]

    def draw(rng: Generator) -> Intervals:
        result = statistics.separability_interval(*activations(rng, settings), seed=seed_of(rng))
        return {"d'": result.separability, "AUROC": result.auroc}

    return Population(dict(zip(("d'", "AUROC"), expected(settings, fitted), strict=True)), draw)


def expected(settings: Row, statistic: Callable[[Generator], Sequence[float]]) -> list[float]:
    """Mean of the statistic over data sets that no draw sees."""
    seeds = range(settings["draws"], (1 + TRUTH) * settings["draws"])
    means: list[float] = np.mean([statistic(generator(settings, seed)) for seed in seeds], axis=0).tolist()
    return means


# ---- Rows ----------------------------------------------------------------------------------------------------------

INTERVALS = {measure.__name__: measure for measure in (mean, anti, share, agreement, separability)}


def generator(settings: Row, draw: int) -> Generator:
    """A stream for this draw of this population."""
    return default_rng([crc32(json.dumps({**settings, "draws": 0}).encode()), draw])


def seed_of(rng: Generator) -> int:
    """Seed of what an interval draws itself."""
    return int(rng.integers(2**31))


def measured(settings: Row) -> Row:
    """How the intervals of all draws lie to the truth, by figure."""
    start = process_time()
    population = INTERVALS[settings["interval"]](settings)
    draws = [population.draw(generator(settings, i)) for i in range(settings["draws"])]
    figures = {
        figure: {
            "truth": truth,
            "below": sum(bool(truth < f[figure].low) for f in draws),
            "above": sum(bool(truth > f[figure].high) for f in draws),
            "width": float(np.mean([f[figure].high - f[figure].low for f in draws])),
        }
        for figure, truth in population.truth.items()
    }
    return {"figures": figures, "seconds": process_time() - start}


def populations(draws: int) -> Iterable[Row]:
    """Settings of all rows."""
    shares = (0.02, 0.1, 0.3, 0.5)
    of_shares = [f"normal {s}" for s in shares] + [f"{name} 0.1" for name in SHAPES if name != "normal"]
    paired, sizes = ("paired", "paired, clustered"), (BELOW, *EVALUATION)
    unpaired = ("unpaired", "unpaired, clustered", "unpaired, a list used again")
    grid: list[tuple[str, Iterable[str], Iterable[Any], Iterable[int]]] = [
        ("mean", (*paired, *unpaired), SHAPES, sizes),
        ("anti", unpaired, of_shares, sizes),
        ("share", paired, shares, sizes),
        ("agreement", paired, STRENGTH, TRAINING),
        ("separability", (*paired, "unpaired", "unpaired, a list used again"), STRENGTH, TRAINING),
    ]
    for interval, *axes in grid:
        for data, name, n in product(*axes):
            yield {"interval": interval, "data": data, "population": str(name), "n": n, "draws": draws}


def line(settings: Row, figure: str, counts: Row) -> list[object]:
    """The table's line for one figure of one population."""
    draws = settings["draws"]
    inside = statistics.wilson(draws - counts["below"] - counts["above"], draws)
    missed = [f"{counts[side] / draws:.1%}" for side in ("below", "above")]
    covers = f"{inside.value:.1%} [{inside.low:.1%}, {inside.high:.1%}]"
    where = [figure, settings["data"], settings["population"], settings["n"]]
    return [*where, f"{counts['truth']:.3g}", covers, verdict(inside), f"{counts['width']:.3g}", *missed]


def verdict(inside: Interval) -> str:
    """Whether coverage keeps the target, and if not whether that could be chance."""
    if TARGET[0] <= inside.value <= TARGET[1]:
        return "yes"
    if inside.low <= TARGET[1] and inside.high >= TARGET[0]:
        return "almost"
    return "too wide" if inside.value > TARGET[1] else "too narrow"


def summary(lines: Iterable[list[object]]) -> Iterable[list[object]]:
    """By figure, sizes below the evaluation's left out: how many rows keep the target, and the extremes."""
    counted = [one for one in lines if one[3] != BELOW]
    for figure in dict.fromkeys(one[0] for one in counted):
        mine = [one for one in counted if one[0] == figure]
        verdicts = [one[6] for one in mine]
        held = sorted((str(one[5]).split()[0] for one in mine), key=lambda percent: float(percent[:-1]))
        counts = [verdicts.count(v) for v in ("yes", "almost", "too narrow", "too wide")]
        yield [figure, len(mine), *counts, held[0], held[-1]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="JSON lines, one per row, kept between runs")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--only", nargs="+", choices=INTERVALS, default=list(INTERVALS))
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # read by the new processes
    done = [row["settings"] for row in known(args.json)]
    rows = []
    with get_context("spawn").Pool(args.processes) as pool:
        wanted = [s for s in populations(args.draws) if s["interval"] in args.only]
        started = [None if s in done else pool.apply_async(measured, [s]) for s in wanted]
        for settings, later in zip(wanted, started, strict=True):
            rows.append(kept(args.json, settings, later.get if later else dict))
    lines = [line(row["settings"], name, counts) for row in rows for name, counts in row["figures"].items()]
    print(machine())
    print("\n" + table(SUMMARY, summary(lines)))
    print("\n" + table(FIGURE, lines))
    print(f"\n{sum(row['seconds'] for row in rows) / 60:.0f} minutes of one core", file=sys.stderr)


if __name__ == "__main__":
    main()
