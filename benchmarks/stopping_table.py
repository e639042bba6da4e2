"""The tables of docs/results/stopping.md, from the rows of stopping.py.

.venv/bin/python benchmarks/stopping_table.py --rows out/bench/stopping.jsonl
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np
from harness import known, machine, table
from scipy.stats import multivariate_normal, norm
from stopping import DESIRED, DIRECTIONS, FIGURES, GRID, MAX_SHARE, MEANS, RULES, SHARES, SIZES, TIMES, Flags, Row

from trimtab.statistics import wilson
from trimtab.statistics.inputs import Floats
from trimtab.statistics.sequential import look_ends

TARGET, EXCESS, QUANTILE = (0.93, 0.97), 0.003, 1.96
MEAN, SHARE, SIDE = np.meshgrid(MEANS, SHARES, DESIRED, indexing="ij")
NOT_ALL_HOLD: Flags = (MEAN <= 0) | (SHARE >= MAX_SHARE) | (SIDE <= 0)  # a success is false
NONE_FAILS: Flags = (MEAN >= 0) & (SHARE <= MAX_SHARE) & (SIDE >= 0)  # a failure is false
CASES = {
    "all hold by far: mean 15 standard errors above its bound": (15.0, 0.05, 15.0),
    "mean 6 above": (6.0, 0.05, 15.0),
    "mean 2 above": (2.0, 0.05, 15.0),
    "mean on its bound": (0.0, 0.05, 15.0),
    "mean 2 below": (-2.0, 0.05, 15.0),
    "mean 6 below": (-6.0, 0.05, 15.0),
    "15 % pushed the wrong way": (15.0, 0.15, 15.0),
    "25 %, on the bound": (15.0, 0.25, 15.0),
    "35 %": (15.0, 0.35, 15.0),
    "nothing at all: mean 6 below, 45 %": (-6.0, 0.45, 0.0),
}


def percent(value: float, digits: int = 1) -> str:
    return f"{100 * value:.{digits}f}%"


def at(case: Sequence[float]) -> tuple[int, int, int]:
    """Place in the grid."""
    mean, share, desired = case
    return MEANS.index(mean), SHARES.index(share), DESIRED.index(desired)


def used(rows: Sequence[Row]) -> Iterator[list[object]]:
    """By rows and case, averaged over kinds of data and shapes: rows used and agreement with all rows."""
    for n, (name, case) in product(sorted(SIZES), CASES.items()):
        mine = [row for row in rows if row["settings"]["n"] == n]
        if mine:
            line: list[object] = [n, name]
            for rule in RULES:
                place = at(case)
                repetitions = [row["settings"]["repetitions"] for row in mine]
                decided = np.array([np.array(row[rule]["decisions"])[:, :, *place] for row in mine])
                share = decided.sum(axis=0) / np.sum(repetitions)  # [rule, all rows]
                stops = np.array([[look[place[0]][place[1]][place[2]] for look in row[rule]["stops"]] for row in mine])
                looks = " / ".join(percent(float(x), 0) for x in stops.sum(axis=0) / np.sum(repetitions))
                seen = np.mean([np.array(row[rule]["used"])[place] for row in mine])
                line += [looks, percent(float(seen), 0), percent(float(np.trace(share)))]
                line.append(percent(float(share[0, 2] + share[2, 0]), 2))
            yield line


def excesses(rows: Iterable[Row], rule: str, what: int) -> tuple[Floats, Floats, Floats]:
    """How much more often the rule takes a false decision than all rows do, its standard error, and theirs, `[k]`."""
    more, errors, theirs = [], [], []
    false = NOT_ALL_HOLD if what == 2 else NONE_FAILS
    for row in rows:
        n, decisions = row["settings"]["repetitions"], np.array(row[rule]["decisions"])
        gained = np.delete(decisions[what], what, axis=0).sum(axis=0)[false]
        lost = np.delete(decisions[:, what], what, axis=0).sum(axis=0)[false]
        more.append((gained - lost) / n)
        errors.append(np.sqrt(gained + lost) / n)
        theirs.append(decisions[:, what].sum(axis=0)[false] / n)
    return np.concatenate(more), np.concatenate(errors), np.concatenate(theirs)


def error_lines(rows: Sequence[Row]) -> Iterator[list[object]]:
    """By shape, rule and kind of error: the worst population and how many lie beyond what is allowed."""
    shapes = dict.fromkeys((row["settings"]["shape"], "weaker" in row["settings"]["data"]) for row in rows)
    for (shape, weaker), (what, name) in product(shapes, ((2, "success"), (0, "failure"))):
        mine = [
            row for row in rows if row["settings"]["shape"] == shape and ("weaker" in row["settings"]["data"]) == weaker
        ]
        line: list[object] = [f"{shape}, larger clusters weaker" if weaker else shape, name]
        for rule in RULES:
            more, errors, theirs = excesses(mine, rule, what)
            worst = int(more.argmax())
            beyond = int((more - QUANTILE * errors > EXCESS).sum())
            line += [
                f"{100 * more[worst]:+.2f} ± {100 * QUANTILE * errors[worst]:.2f}", percent(float(theirs[worst])),
                f"{beyond} of {len(more)}",
            ]  # fmt: skip
        yield line


def theory() -> Iterator[list[object]]:
    """For normal means of known spread on the bound: chance of a success at all rows, and what looks add to it."""
    for n in sorted(SIZES):
        ends = np.array(look_ends(n))
        alike = np.sqrt(np.minimum.outer(ends, ends) / np.maximum.outer(ends, ends))
        none = multivariate_normal(cov=alike).cdf([3.0] * (len(ends) - 1) + [QUANTILE])
        yield [n, percent(float(norm.sf(QUANTILE))), f"{100 * (norm.cdf(QUANTILE) - none):+.2f}"]


def coverage_lines(rows: Sequence[Row]) -> Iterator[list[object]]:
    """By kind of data, figure, rule and report: where all rows' intervals keep the target, do those after a stop?"""
    for data, (f, figure) in product(dict.fromkeys(row["settings"]["data"] for row in rows), enumerate(FIGURES)):
        mine = [row for row in rows if row["settings"]["data"] == data]
        for rule, report in product(RULES, ("covered", "covered, wider")):
            inside, outside, surely, lowest, drop, total = 0, 0, 0, 1.0, 0.0, 0
            for row in mine:
                n = row["settings"]["repetitions"]
                fixed, now = (np.array(row[rule][key][f]) / n for key in ("covered, all rows", report))
                kept = (fixed >= TARGET[0]) & (fixed <= TARGET[1])
                total += int(kept.sum())
                for share in now[kept]:
                    interval = wilson(float(share) * n, n)
                    inside += TARGET[0] <= share <= TARGET[1]
                    outside += share < TARGET[0]
                    surely += interval.high < TARGET[0]
                if kept.any():
                    lowest = min(lowest, float(now[kept].min()))
                    drop = max(drop, float((fixed - now)[kept].max()))
            level = "95 %" if report == "covered" else "97 %"
            yield [
                data, figure, rule, level, total, inside, outside, surely, percent(lowest), f"{100 * drop:.1f}",
            ]  # fmt: skip


def agreement_lines(rows: Sequence[Row]) -> Iterator[list[object]]:
    """By requirement: does its 95 % interval lie to the same side of the bound as that of all rows?"""
    for n, rule in product(sorted(SIZES), RULES):
        mine = [row for row in rows if row["settings"]["n"] == n]
        if mine:
            cells: list[object] = [n, rule]
            total = sum(row["settings"]["repetitions"] for row in mine) * int(np.prod(GRID))
            for f in range(len(FIGURES)):
                same, opposite = (
                    sum(np.sum(row[rule][key][f]) for row in mine) / total for key in ("same", "opposite")
                )
                cells += [percent(float(same)), percent(float(opposite), 2)]
            decisions = np.array([np.sum(row[rule]["decisions"], axis=(2, 3, 4)) for row in mine]).sum(axis=0) / total
            yield [*cells, percent(float(np.trace(decisions))), percent(float(decisions[0, 2] + decisions[2, 0]), 2)]


def direction_lines(rows: Sequence[Row]) -> Iterator[list[object]]:
    """By law and effect: when it is settled and what all twenty say then."""
    for row in rows:
        s, n = row["settings"], row["settings"]["repetitions"]
        early, every = row["early, all twenty say"], row["all twenty"]
        drawn = np.array(DIRECTIONS) @ row["stops"] / n
        yield [
            s["law"], s["effect"], s["error"], percent(sum(early) / n), percent(every[2] / n),
            percent((early[0] + early[1]) / n, 2), percent(early[0] / n, 2), f"{drawn:.1f}",
        ]  # fmt: skip


def document_lines(rows: Sequence[Row]) -> Iterator[list[object]]:
    """By spread and rule: false successes on the bound and elsewhere, coverage, documents used."""
    for row in rows:
        s, n = row["settings"], row["settings"]["repetitions"]
        decisions = np.array(row["decisions"]) / n  # [rule, all, times]
        success, all_success = decisions[2].sum(axis=0), decisions[:, 2].sum(axis=0)
        failure, all_failure = decisions[0].sum(axis=0), decisions[:, 0].sum(axis=0)
        bad, good = np.array(TIMES) >= 1, np.array(TIMES) <= 1
        looks = ", ".join(str(end) for end in s["looks"]) + (", tail" if s["tail"] else "")
        covered = [percent(min(row[key]) / n) for key in ("covered", "covered, wider")]
        some = [row["used"][TIMES.index(times)] for times in (0.25, 0.5, 0.75, 1.0, 2.0, 4.0)]
        yield [
            s["spread"], looks, percent(float(all_success[TIMES.index(1.0)])),
            f"{100 * (success - all_success)[bad].max():+.2f}", f"{100 * (failure - all_failure)[good].max():+.2f}",
            percent(row["covered, all documents"] / n), *covered, *[f"{x:.0f}" for x in some],
        ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, required=True, metavar="FILE", help="rows of stopping.py")
    every = known(parser.parse_args().rows)
    effects, directions, documents = (
        [row for row in every if row["settings"]["measure"] == name] for name in ("effects", "directions", "documents")
    )
    by_rule = [f"{rule}: {what}" for rule in RULES for what in ("stops at look 1 / 2 / 3", "rows", "same", "opposite")]
    print("## Rows used, and decisions\n\n" + table(["rows", "truth", *by_rule], used(effects)))
    sides = [f"{figure}: {what}" for figure in (*FIGURES, "decision") for what in ("same", "opposite")]
    print("\n" + table(["rows", "rule", *sides], agreement_lines(effects)))
    worst = [f"{rule}: {what}" for rule in RULES for what in ("worst, points", "all rows there", "beyond 0.3")]
    print("\n## False decisions\n\n" + table(["effects", "false", *worst], error_lines(effects)))
    print("\n" + table(["rows", "normal, known spread, on a bound: all rows", "more by looks, points"], theory()))
    head = ["data", "figure", "rule", "reported", "all rows hold", "in", "below", "surely", "lowest", "drop"]
    print("\n## Reported intervals\n\n" + table(head, coverage_lines(effects)))
    head = [
        "directions",
        "effect, σ",
        "its error",
        "settled early",
        "all twenty: beats",
        "differs",
        "opposite",
        "drawn",
    ]
    print("\n## Random directions\n\n" + table(head, direction_lines(directions)))
    head = ["SD of log KL", "looks", "60 on the bound: success", "false success more", "false failure more"]
    head += [
        "all 60 held",
        "lowest at 95 %",
        "at 97 %",
        *(f"used at {times} ×" for times in (0.25, 0.5, 0.75, 1, 2, 4)),
    ]
    print("\n## Documents\n\n" + table(head, document_lines(documents)) + "\n")
    print(f"{machine()}; {sum(row['seconds'] for row in every) / 60:.0f} minutes of one core")


if __name__ == "__main__":
    main()
