"""Stopping a check when it is decided: what looks before the end do to intervals, errors, decisions and rows used.

    .venv/bin/python benchmarks/stopping.py --json out/bench/stopping.jsonl

Targets: reported 95 % intervals that hold the truth in 93 to 97 % of checks wherever those of all rows do, and false
decisions at most 0.3 points above those of the one look at all rows.

Simulated evaluation examples, no model. A base is a kind of data, a shape of effects and a number of rows; its
repetitions are looked at once, and then held against many bounds: moving a population against a bound moves all of its
intervals alike. So each base serves 120 populations: the bound on the mean lies 6 or 2 standard errors (of all rows)
above the truth, at it, 2, 6 or 15 below; 5 to 45 % are pushed the wrong way; desired answers move by −2, 0, 2 or 15
standard errors. Every interval is the library's; only the numbers of draws, the same for equal seeds and sizes, are
kept. The first repetitions of each base are also decided by `verdict.decision` itself, and must agree. On a bound both
decisions count as false. 70 rows are one look, as ever. With --json, rows are kept in a file and not measured again;
delete it after changes. `stopping_table.py` makes the tables.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from time import process_time
from typing import Any, Literal
from unittest.mock import patch
from zlib import crc32

import numpy as np
from harness import kept
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from trimtab.phrases import Phrase
from trimtab.statistics import Interval, bootstrap_mean, intervals
from trimtab.statistics.contrast import Contrast
from trimtab.statistics.inputs import Floats, Ints
from trimtab.statistics.sequential import (
    INTERIM_LEVEL,
    INTERIM_MEAN_LEVEL,
    look_ends,
    reported_level,
    scale_limit,
    skewed_mean_limit,
)
from trimtab.verdict.decision import Requirement, conclude, failing

LEVEL = 0.95
SIZES = (146, 500, 280)
MEANS = (-6.0, -2.0, 0.0, 2.0, 6.0, 15.0)  # truth − bound, in standard errors of all rows
SHARES, MAX_SHARE = (0.05, 0.15, 0.25, 0.35, 0.45), 0.25
DESIRED = (-2.0, 0.0, 2.0, 15.0)  # Δ+, in standard errors of all rows
GRID = len(MEANS), len(SHARES), len(DESIRED)
FIGURES = ("mean", "share", "Δ+")
ALIKE, SIDES_ALIKE, SECOND = 0.5, 0.7, 0.5  # variance that rows of a cluster share; r of Δ+ and Δ; spread of side two
TRUTH_ROWS = 2_000_000  # behind a population's quantiles
CHECKED = 2  # repetitions a base that the verdict decides as well
SMALLER = "clustered, larger clusters weaker"
DATA = ("pairs", "pairs, clustered", "two samples", "two samples, clustered")
RULES = ("three standard errors", "five for means")
PLAIN, WIDER, HOLDS, FAILS, STRICT_HOLDS, STRICT_FAILS = range(6)  # levels at a look, see `levels_of`
Row = dict[str, Any]
Ends = dict[str, Floats]
Bounds = dict[str, Floats]
Flags = NDArray[np.bool_]
Shape = Callable[[Generator, tuple[int, int]], Floats]


# ---- Populations ---------------------------------------------------------------------------------------------------


def far_down(share: float, spread: float = 0.25) -> Shape:
    """Two narrow hills, the lower one with this share of the rows; mean 0, variance 1."""
    apart = np.sqrt((1 - spread**2) / (share * (1 - share)))

    def shape(rng: Generator, size: tuple[int, int]) -> Floats:
        drawn: Floats = apart * (share - (rng.random(size) < share)) + spread * rng.standard_normal(size)
        return drawn

    return shape


SHAPES: dict[str, Shape] = {
    "normal": lambda rng, size: rng.standard_normal(size),
    "exponential": lambda rng, size: rng.standard_exponential(size) - 1,
    "lognormal": lambda rng, size: (rng.lognormal(size=size) - np.exp(0.5)) / np.sqrt((np.e - 1) * np.e),
    "heavy (t, 3 df)": lambda rng, size: rng.standard_t(3, size) / np.sqrt(3),
    "15 % far down": far_down(0.15),
    "5 % far down": far_down(0.05),
}


def clusters_of(n: int, data: str) -> Ints:
    """Cluster of each row, in a part's order: one row of each cluster first, then second ones, and so on."""
    if "clustered" not in data:
        return np.arange(n)
    sizes = default_rng(n).integers(1, 9, n)
    code = np.repeat(np.arange(n), sizes)[:n]
    rank = np.arange(n) - np.flatnonzero(np.r_[True, np.diff(code) > 0])[code]
    return np.asarray(code[np.argsort(rank, kind="stable")])


def standardised(rng: Generator, settings: Row, code: Ints, n: int) -> Floats:
    """`[n, rows]` values of mean 0 (over rows) and variance about 1."""
    shape = SHAPES[settings["shape"]]
    if "clustered" not in settings["data"]:
        return shape(rng, (n, len(code)))
    between = shape(rng, (n, int(code.max()) + 1))[:, code]
    drawn: Floats = np.sqrt(ALIKE) * between + np.sqrt(1 - ALIKE) * shape(rng, (n, len(code)))
    if settings["data"].endswith(SMALLER):
        size = np.bincount(code)[code].astype(np.float64)
        drawn = drawn - 0.5 * (size - size.mean()) / size.std()
    return drawn


def two_sides(rng: Generator, settings: Row, code: Ints, n: int) -> tuple[Floats, Floats]:
    """`[n, rows]` of the positive and the negative answers, both of mean 0."""
    first, second = (standardised(rng, settings, code, n) for _ in range(2))
    if settings["data"].startswith("two samples"):
        return first, SECOND * second
    positive = SIDES_ALIKE * first + np.sqrt(1 - SIDES_ALIKE**2) * second
    return positive, positive - first


def kept_draws(draw: Callable[..., Floats]) -> Callable[..., Floats]:
    """The library's resampling counts, kept by size and state of the generator, which goes on as if it had drawn."""
    known: dict[tuple[int, int, str], tuple[Floats, Any]] = {}

    def counts(n_clusters: int, n_resamples: int, rng: Generator) -> Floats:
        key = (n_clusters, n_resamples, str(rng.bit_generator.state["state"]))
        if key not in known:
            drawn = draw(n_clusters, n_resamples, rng)
            known[key] = drawn, rng.bit_generator.state
        found, rng.bit_generator.state = known[key]
        return found

    return counts


# ---- Effects -------------------------------------------------------------------------------------------------------


def levels_of(look: int, n_looks: int, figure: str) -> tuple[float, ...]:
    """Of a plain report, of the report that is advised, of what holds and of a first failure among three (Holm).

    Then the last two again, as the stricter rule takes them.
    """
    last = look == n_looks
    level = LEVEL if last else INTERIM_LEVEL
    usual = level, 1 - (1 - level) / len(FIGURES)
    strict = usual if last or figure == "share" else (INTERIM_MEAN_LEVEL, INTERIM_MEAN_LEVEL)
    return LEVEL, reported_level(look, n_looks), *usual, *strict


def ends_at(interval: Callable[[float], Interval], levels: Sequence[float]) -> list[tuple[float, float]]:
    """Ends at each level; levels that are named twice are computed once."""
    found = {level: interval(level) for level in dict.fromkeys(levels)}
    return [(found[level].low, found[level].high) for level in levels]


def share_ends(contrast: Contrast, levels: Sequence[float]) -> list[tuple[float, float]]:
    """The same of shares; where 95 % lies across the bound, wider intervals do too and are not computed."""
    first = contrast.below_zero(levels[PLAIN])
    if not first.low <= MAX_SHARE <= first.high:
        return ends_at(contrast.below_zero, levels)
    return [*ends_at(contrast.below_zero, levels[: WIDER + 1]), *[(first.low, first.high)] * len(levels[WIDER + 1 :])]


def contrasts(settings: Row, code: Ints) -> Callable[[Floats, Floats], Contrast]:
    """Makes contrasts of the first rows."""
    labels, pairing = tuple(f"{c:03d}" for c in code), pairing_of(settings["data"])
    return lambda positive, negative: Contrast(positive, negative, labels[: len(positive)], pairing)


def pairing_of(data: str) -> Literal["natural", "random"]:
    return "random" if data.startswith("two samples") else "natural"


def looked_at(settings: Row, sides: tuple[Floats, Floats], code: Ints, shifts: Floats) -> list[Ends]:
    """At each look the ends of every figure at all levels, `[n, levels, 2]`, of shares `[n, shares, levels, 2]`."""
    ends, contrast, looks = look_ends(settings["n"]), contrasts(settings, code), []
    for look, end in enumerate(ends, 1):
        levels = {figure: levels_of(look, len(ends), figure) for figure in FIGURES}
        found: dict[str, list[Any]] = {figure: [] for figure in FIGURES}
        for up, down in zip(sides[0][:, :end], sides[1][:, :end], strict=True):
            plain, moved = contrast(up, down), [contrast(up + shift, down) for shift in shifts]
            found["mean"].append(ends_at(plain.mean, levels["mean"]))
            found["Δ+"].append(ends_at(partial(plain.side, "positive"), levels["Δ+"]))
            found["share"].append([share_ends(one, levels["share"]) for one in moved])
        looks.append({figure: np.array(values) for figure, values in found.items()})
    return looks


def beyond(look: Ends, bounds: Bounds, at: int, side: Literal["right", "wrong"]) -> list[Flags]:
    """Whether each figure's interval of a level lies on that side of its bound, to be stretched to `[n, *GRID]`."""
    signed = {"mean": 1, "share": -1, "Δ+": 1}
    out: list[Flags] = []
    for axis, figure in enumerate(FIGURES):
        ends = look[figure][..., at, :].reshape(len(look[figure]), -1, 2)  # [n, 1 or shares, 2]
        distance = signed[figure] * (ends - np.reshape(bounds[figure], (1, -1, 1)))  # [n, bounds, 2]
        found = distance.min(axis=-1) > 0 if side == "right" else distance.max(axis=-1) < 0
        out.append(np.moveaxis(found[:, :, None, None], 1, axis + 1))
    return out


def decided(look: Ends, bounds: Bounds, last: bool, strict: bool) -> Ints:
    """1 success, −1 failure, 0 neither, `[n, *GRID]`."""
    mean, share, desired = beyond(look, bounds, STRICT_HOLDS if strict else HOLDS, "right")
    if last:
        desired = ~beyond(look, bounds, HOLDS, "wrong")[-1]  # it may stay open
    first, *others = beyond(look, bounds, STRICT_FAILS if strict else FAILS, "wrong")
    wrong: Flags = first | others[0] | others[1]
    return np.where(wrong, -1, np.where(mean & share & desired, 1, 0))


def first_settled(at_look: Ints) -> Ints:
    """`[…]` the first look of `[looks, …]` with a decision, else the last."""
    settled = at_look != 0
    settled[-1] = True
    return np.asarray(settled.argmax(axis=0))


def at_least(least: float, interval: Callable[[float], Interval]) -> Callable[[float], Interval]:
    """The interval at a level, or at the least one."""
    return lambda level: interval(max(level, least))


def by_the_verdict(
    settings: Row, sides: Sequence[Floats], code: Ints, at: tuple[float, float, float], strict: bool
) -> list[int]:
    """Decision and look of one repetition by the verdict's own requirements, for a bound on the mean and two shifts."""
    bound, shift, lift = at
    ends, contrast = look_ends(settings["n"]), contrasts(settings, code)
    for k, end in enumerate(ends):
        plain, moved, lifted = (contrast(sides[0][:end] + by, sides[1][:end]) for by in (0.0, shift, lift))
        last = end == ends[-1]
        level, least = (LEVEL, 0.0) if last else (INTERIM_LEVEL, INTERIM_MEAN_LEVEL if strict else 0.0)
        mean, desired = (at_least(least, of) for of in (plain.mean, partial(lifted.side, "positive")))
        needs = [
            Requirement(Phrase("mean"), mean(level), bound, "above", end, Phrase(""), mean),
            Requirement(
                Phrase("share"), moved.below_zero(level), MAX_SHARE, "below", end, Phrase("share"), moved.below_zero
            ),
            Requirement(Phrase("Δ+"), desired(level), 0.0, "above", end, Phrase(""), desired, may_stay_open=True),
        ]
        if not last and any(failing(needs, INTERIM_LEVEL)):
            return [-1, k]
        if not last and all(r.holds for r in needs):
            return [1, k]
    return [{"go": 1, "no-go": -1}.get(conclude(needs, ()).decision, 0), k]


def effects(settings: Row) -> Row:
    """Counts of a base's populations over repetitions, by rule."""
    n, code = settings["repetitions"], clusters_of(settings["n"], settings["data"])
    rng = default_rng(crc32(f"{settings['data']} {settings['shape']} {settings['n']}".encode()))
    up, down = two_sides(rng, settings, code, TRUTH_ROWS // len(code))
    shifts = -np.quantile(up - down, SHARES)
    bounds = {
        "mean": -np.array(MEANS) * (up - down).mean(axis=1).std(),
        "share": np.array(MAX_SHARE),
        "Δ+": -np.array(DESIRED) * up.mean(axis=1).std(),
    }
    sides = two_sides(rng, settings, code, n)
    looks = looked_at(settings, sides, code, shifts)
    seen, out = np.array(look_ends(settings["n"])) / settings["n"], {}
    for strict, rule in enumerate(RULES):
        at_look = np.stack([decided(look, bounds, look is looks[-1], bool(strict)) for look in looks])
        stop = first_settled(at_look)  # [n, *GRID]
        for r, (i, j, k) in product(range(CHECKED), rng.integers(GRID, size=(4, 3))):
            at = (bounds["mean"][i], shifts[j], -bounds["Δ+"][k])
            expected = by_the_verdict(settings, [side[r] for side in sides], code, at, bool(strict))
            assert expected == [at_look[stop[r, i, j, k], r, i, j, k], stop[r, i, j, k]], (settings, r, at, expected)
        out[rule] = counted(looks, bounds, at_look, stop, seen)
    return out


def counted(looks: Sequence[Ends], bounds: Bounds, at_look: Ints, stop: Ints, seen: Floats) -> Row:
    """What a rule did, `[*GRID]` counts over repetitions.

    Args:
        looks: intervals at each look.
        bounds: of every figure.
        at_look: decision at each look, `[looks, n, *GRID]`.
        stop: look of the decision, `[n, *GRID]`.
        seen: share of the rows at each look.
    """

    def stopped(values: Ints | Flags) -> Any:
        every = np.broadcast_to(values, at_look.shape)
        return np.take_along_axis(every, stop[None], 0)[0], every[-1]

    truth: Bounds = {"mean": np.zeros(1), "share": np.array(SHARES), "Δ+": np.zeros(1)}
    rule, fixed = stopped(at_look)
    out: Row = {
        "stops": [(stop == k).sum(axis=0).tolist() for k in range(len(looks))],
        "used": seen[stop].mean(axis=0).tolist(),
        "decisions": [[((rule == a) & (fixed == b)).sum(axis=0).tolist() for b in (-1, 0, 1)] for a in (-1, 0, 1)],
    }
    for name, level in (("covered", PLAIN), ("covered, wider", WIDER)):
        off = [[beyond(look, truth, level, side) for look in looks] for side in ("right", "wrong")]
        both = [stopped(~np.stack([a[f] | b[f] for a, b in zip(*off, strict=True)])) for f in range(len(FIGURES))]
        out[name] = [now.sum(axis=0).tolist() for now, _ in both]
        out["covered, all rows"] = [last.sum(axis=0).tolist() for _, last in both]
    lies = [[beyond(look, bounds, PLAIN, side) for look in looks] for side in ("right", "wrong")]
    states = [np.stack([a[f].astype(int) - b[f] for a, b in zip(*lies, strict=True)]) for f in range(len(FIGURES))]
    out["same"] = [(now == last).sum(axis=0).tolist() for now, last in map(stopped, states)]
    out["opposite"] = [(now * last < 0).sum(axis=0).tolist() for now, last in map(stopped, states)]
    return out


# ---- Random directions and documents -------------------------------------------------------------------------------

DIRECTIONS, QUANTILE, THREE = tuple(range(4, 21, 4)), 1.96, 3.0
EFFECTS, ERRORS = (0.0, 1.0, 1.5, 1.96, 2.5, 3.0, 4.0, 6.0, 10.0, 20.0), (0.1, 0.5)  # in σ of random directions
LAWS: dict[str, Callable[[Generator, int], Floats]] = {
    "normal": lambda rng, n: rng.standard_normal((n, DIRECTIONS[-1])),
    "heavy (t, 5 df)": lambda rng, n: rng.standard_t(5, (n, DIRECTIONS[-1])) / np.sqrt(5 / 3),
    "normal around σ/2": lambda rng, n: rng.standard_normal((n, DIRECTIONS[-1])) + 0.5,
}
DOCUMENT_RULES = (([15, 30, 45, 60], False), ([15, 30, 45, 60], True), ([30, 60], False), ([30, 60], True))
TIMES = (0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.33, 2.0, 4.0)  # mean KL over its bound
LOG_SPREADS = (0.25, 0.5, 1.0, 1.5)


def directions(settings: Row) -> Row:
    """When the effect is settled against random directions, and what all twenty say of it."""
    rng, n = default_rng(crc32(str(settings).encode())), settings["repetitions"]
    drawn = LAWS[settings["law"]](rng, n)
    own = settings["effect"] + settings["error"] * rng.standard_normal(n)
    half, floor = settings["error"] * np.array([QUANTILE, THREE]), np.quantile(np.abs(drawn), 0.95, axis=1)
    limits = np.array([[scale_limit(row[:k], INTERIM_LEVEL) for k in DIRECTIONS[:-1]] for row in drawn])  # [n, batches]
    early = (own - half[1])[:, None] > QUANTILE * limits
    fixed = np.where(own - half[0] > floor, 1, np.where(own + half[0] < floor, -1, 0))
    stop = np.where(early.any(axis=1), early.argmax(axis=1), len(DIRECTIONS) - 1)
    settled = stop < len(DIRECTIONS) - 1
    return {
        "stops": np.bincount(stop, minlength=len(DIRECTIONS)).tolist(),
        "early, all twenty say": [int((settled & (fixed == a)).sum()) for a in (-1, 0, 1)],
        "all twenty": [int((fixed == a).sum()) for a in (-1, 0, 1)],
    }


def mean_of(values: Floats) -> Callable[[float], Interval]:
    """Interval of a mean by level."""
    return lambda level: bootstrap_mean(values, seed=0, level=level)


def documents(settings: Row) -> Row:
    """When the mean divergence is settled against its bound, `[times]` each."""
    rng, n = default_rng(crc32(f"documents {settings['spread']}".encode())), settings["repetitions"]
    spread, ends = settings["spread"], settings["looks"]
    drawn = rng.lognormal(-(spread**2) / 2, spread, (n, ends[-1]))  # mean 1
    bounds = 1 / np.array(TIMES)
    decisions, held = [], []
    for look, end in enumerate(ends, 1):
        level = LEVEL if end == ends[-1] else INTERIM_LEVEL
        levels = LEVEL, reported_level(look, len(ends)), level
        at = np.array([ends_at(mean_of(row[:end]), levels) for row in drawn])  # [n, 3, 2]
        held.append((at[:, :2, 0] <= 1) & (at[:, :2, 1] >= 1))
        low, high = at[:, 2, :1], at[:, 2, 1:]  # [n, 1]
        if end != ends[-1] and settings["tail"]:
            high = np.maximum(high, [[skewed_mean_limit(row[:end], level)] for row in drawn])
        decisions.append(np.where(high < bounds, 1, np.where(low > bounds, -1, 0)))
    at_look, holds = np.stack(decisions), np.stack(held)  # [looks, n, times], [looks, n, 2]
    stop = first_settled(at_look)
    rule, fixed = np.take_along_axis(at_look, stop[None], 0)[0], at_look[-1]
    plain, wider = (np.take_along_axis(holds[:, :, i, None], stop[None], 0)[0].sum(axis=0).tolist() for i in (0, 1))
    return {
        "used": np.array(ends)[stop].mean(axis=0).tolist(),
        "decisions": [[((rule == a) & (fixed == b)).sum(axis=0).tolist() for b in (-1, 0, 1)] for a in (-1, 0, 1)],
        "covered": plain,
        "covered, wider": wider,
        "covered, all documents": int(holds[-1, :, 0].sum()),
    }


# ---- Rows ----------------------------------------------------------------------------------------------------------

MEASURES: dict[str, Callable[[Row], Row]] = {m.__name__: m for m in (effects, directions, documents)}


def bases(times: float) -> Iterator[Row]:
    """Settings of all rows; fewer repetitions and shapes where they cost most."""
    for law, effect, error in product(LAWS, EFFECTS, ERRORS):
        yield {
            "measure": "directions", "law": law, "effect": effect, "error": error, "repetitions": int(10_000 * times)
        }  # fmt: skip
    for spread, (looks, tail) in product(LOG_SPREADS, DOCUMENT_RULES):
        yield {
            "measure": "documents", "spread": spread, "looks": looks, "tail": tail, "repetitions": int(4000 * times)
        }  # fmt: skip
    few = list(SHAPES)[::2]
    grid = [(n, data, shape) for data in DATA for n in SIZES for shape in SHAPES if n == SIZES[0] or shape in few]
    grid += [(n, f"pairs, {SMALLER}", few[0]) for n in SIZES]
    for n, data, shape in sorted(grid, key=lambda one: (SIZES.index(one[0]), one[2] not in few)):
        yield {"measure": "effects", "data": data, "shape": shape, "n": n, "repetitions": int(1000 * times)}


def measured(settings: Row) -> Row:
    """A row's counts and its seconds of one core."""
    start = process_time()
    return {**MEASURES[settings["measure"]](settings), "seconds": process_time() - start}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", required=True, help="JSON lines, kept between runs")
    parser.add_argument("--times", type=float, default=1.0, help="times as many repetitions")
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=list(MEASURES))
    args = parser.parse_args()
    with patch.object(intervals, "_counts", kept_draws(intervals._counts)):
        for settings in bases(args.times):
            if settings["measure"] in args.only:
                kept(args.json, settings, partial(measured, settings))


if __name__ == "__main__":
    main()
