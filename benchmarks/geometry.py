"""Geometry alone, on given activations: trimtab's figures against the screen of hidden-directions.

    .venv/bin/python benchmarks/geometry.py --repeats 5 --json out/bench/geometry.jsonl

Target: faster than hidden-directions at every size, like for like.

Activations `[n, d]` of both sides are random, with a difference between the means. hidden-directions gives the mean
cosine of 200 pairs of differences, and the length of the mean difference over its spread. Like for like, we give the
cosine over all pairs (by directional agreement of unit vectors) and the same spread; on the first rows, where all
pairs are few enough for it, both must agree to the four digits that it rounds to. In two further columns we do what a
check does: directional agreement, plain and leave-one-out, d′ and AUROC, plain and held out; and jackknife intervals
for them besides. Runs alternate; the table gives ratios of medians. With --json, rows are kept in a file and not
measured again; delete it after changes.
"""

import argparse
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import environments
import numpy as np
from harness import CONTENDERS, Contender, Ratio, alternate, kept, machine, ratio, table

PEER = "hidden-directions"
OURS = ("like for like", "figures", "with intervals")
CHECKED = 40  # rows, 780 pairs
ROUNDED = 1e-4
Row = dict[str, Any]


def write_sides(file: Path, n: int, d: int) -> None:
    """Noise of unit variance around two means whose distance is the length of a typical noise vector."""
    rng = np.random.default_rng(0)
    shift = rng.standard_normal(d) / 2
    sides = {name: rng.standard_normal((n, d)) + sign * shift for name, sign in (("positive", 1), ("negative", -1))}
    np.savez(file, positive=sides["positive"], negative=sides["negative"])


def measured(settings: Row, root: Path) -> Row:
    """Ratios at one size."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        file = Path(folder) / "sides.npz"
        write_sides(file, settings["n"], settings["d"])
        job = {"file": str(file), "checked": CHECKED}

        def start(python: str, script: str, name: str) -> Contender:
            return stack.enter_context(Contender(python, CONTENDERS / script, {"name": name, **job}))

        contenders = {name: start(sys.executable, "geometry_ours.py", name) for name in OURS}
        contenders[PEER] = start(environments.python_of(PEER, root), "geometry_peers.py", PEER)
        results = {name: c.result for name, c in contenders.items()}
        for figure, theirs in results[PEER].items():
            assert abs(results[OURS[0]][figure] - theirs) < ROUNDED, f"{figure} differs: {results}"
        runs = alternate(contenders, settings["repeats"])
    return {
        "ratios": {name: asdict(ratio(runs[PEER], runs[name])) for name in OURS},
        "seconds": {name: median(taken) for name, taken in runs.items()},
        "found": results,
    }


def line(row: Row) -> list[object]:
    """The table's line for one size."""
    ratios = [Ratio(**row["ratios"][name]) for name in OURS]
    seconds = [f"{1000 * row['seconds'][name]:.1f} ms" for name in (*OURS, PEER)]
    return [row["settings"]["n"], row["settings"]["d"], *ratios, *seconds]


def parsed() -> argparse.Namespace:
    parser = environments.options(__doc__)
    parser.add_argument("--n", type=int, nargs="+", default=[200, 1000], help="pairs, at least as many as are checked")
    parser.add_argument("--d", type=int, nargs="+", default=[576, 4096], help="width")
    parser.add_argument("--repeats", type=int, default=5)
    return parser.parse_args()


def main() -> None:
    args = parsed()
    print(machine())
    rows = []
    for n in args.n:
        for d in args.d:
            settings = {"n": n, "d": d, "repeats": args.repeats}
            rows.append(kept(args.json, settings, lambda s=settings: measured(s, args.environments)))  # type: ignore[misc]
    header = ["n", "d", *(f"trimtab, {name}, over it" for name in OURS), *OURS, PEER]
    print(table(header, map(line, rows)))


if __name__ == "__main__":
    main()
