"""Site, prompt type and strength by a race on dev, by successive halving, and by all dev examples: who is chosen.

    .venv/bin/python benchmarks/choosing.py --data ../shared/data --sets 7 --out docs/results/choosing.md

For persona sets (statements view) every candidate is measured on all dev examples, as a thorough check does it; then
each rule is replayed on these figures: what it chooses, how much lower the lower bound of that one's effect is (what
the choice goes by), and what share of the examples it would have run. Rows are kept in --json, and what is there is not
measured again.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from harness import known, machine, table

from trimtab.behaviors import PromptType
from trimtab.experiment.instrument import Floats
from trimtab.measurements.activations import training, vector_of
from trimtab.measurements.effects import PLAIN, sweep
from trimtab.workflows.choice import MAP_ROWS, STRENGTHS, mapped_sites
from verdict import Bench, drawn_sets, experiment_of, run

Row = dict[str, Any]
Changes = Mapping[str, Floats]  # by candidate `[2, n]`: of the matching and of the other texts of each dev example
Rule = Callable[[Changes], tuple[str, float]]
KINDS = ("site", "prompt type", "strength")


class Choosing(Bench):
    """What a process of the pool holds."""

    def choosing(self, name: str) -> Row:
        """What each rule chooses, by kind of candidate; each choice goes on from that of all examples."""
        start, on = perf_counter(), experiment_of(self.model, self.persona(name))
        sites, rows = mapped_sites(on), len(on.splits.dev)

        def changes(candidates: Mapping[str, Any], n: int) -> Changes:
            base, *after = sweep(on, "dev", [PLAIN, *candidates.values()], n)
            sides = [np.stack([a.positive - base.positive, a.negative - base.negative]) for a in after]
            return dict(zip(candidates, sides, strict=True))

        geometry = training(on, PromptType.PREFILLED, sites)
        at = {str(site.block): site for site in sites}
        vectors = {name: (vector_of(on, geometry[site], site), 1.0) for name, site in at.items()}
        by_site = changes(vectors, min(MAP_ROWS, rows))
        site = at[whole(by_site)]
        types = {
            str(t): (vector_of(on, training(on, t, [site])[site], site), 1.0)
            for t in on.measured_types
        }  # fmt: skip
        by_type = changes(types, rows)
        steering = types[whole(by_type)][0]
        by_strength = changes({f"{s:g}": (steering, s) for s in STRENGTHS}, rows)
        found = outcomes(dict(zip(KINDS, (by_site, by_type, by_strength), strict=True)))
        return {"rules": found, "decision": f"block {site.block}", "check_seconds": perf_counter() - start}


def outcomes(measured: Mapping[str, Changes]) -> Row:
    """By rule and kind: whether it is the choice of all examples, what is lost, and the share of examples run."""
    found: Row = {}
    for name, rule in RULES.items():
        found[name] = {}
        for kind, changes in measured.items():
            chosen, share = rule(changes)
            best = whole(changes)
            lost = lower(changes[best]) - lower(changes[chosen])
            found[name][kind] = {"same": chosen == best, "lost": lost, "share": share}
    return found


# ---- The rules, replayed ---------------------------------------------------------------------------------------------


def mean(change: Floats) -> float:
    """Of the effect."""
    return float(change[0].mean() - change[1].mean())


def error(change: Floats) -> float:
    """Its standard error: matching and other texts are two samples."""
    return float(np.sqrt(change.var(axis=1, ddof=1).sum() / change.shape[1]))


def lower(change: Floats) -> float:
    """The lower end of its 95 % interval."""
    return mean(change) - 1.96 * error(change)


def whole(changes: Changes) -> str:
    """The choice of all examples."""
    return max(changes, key=lambda name: lower(changes[name]))


def halving(changes: Changes, first: int = 6, times: int = 3, kept: int = 3) -> tuple[str, float]:
    """The best third by rank goes on to three times as many examples, at least two."""

    def rest(left: list[str], end: int) -> list[str]:
        return sorted(left, key=lambda name: -mean(changes[name][:, :end]))[: max(2, -(-len(left) // kept))]

    return _rounds(changes, first, times, rest)


def race(changes: Changes, errors: float, first: int = 12, times: int = 2) -> tuple[str, float]:
    """Who is so many standard errors of the paired difference behind the best is dropped."""

    def rest(left: list[str], end: int) -> list[str]:
        order = sorted(left, key=lambda name: -mean(changes[name][:, :end]))
        ahead = {name: (changes[order[0]] - changes[name])[:, :end] for name in order[2:]}
        return [*order[:2], *(name for name, d in ahead.items() if mean(d) <= errors * error(d))]

    return _rounds(changes, first, times, rest)


def _rounds(changes: Changes, first: int, times: int, rest: Callable[[list[str], int], list[str]]) -> tuple[str, float]:
    """The chosen one, and the share of all examples that were run."""
    left, n, start, end, seen = list(changes), next(iter(changes.values())).shape[1], 0, first, 0
    while len(left) > 2 and end < n:
        seen += len(left) * (end - start)
        left, start, end = rest(left, end), end, end * times
    seen += len(left) * (n - start)
    return max(left, key=lambda name: lower(changes[name])), seen / (n * len(changes))


RULES: dict[str, Rule] = {
    "all examples": lambda changes: (whole(changes), 1.0),
    "halving: 6, 18, all; the best third": halving,
    "race from 12 on, 1 standard error": lambda changes: race(changes, 1.0),
    "race from 12 on, 1.5 standard errors": lambda changes: race(changes, 1.5),
    "race from 12 on, 2 standard errors": lambda changes: race(changes, 2.0),
}


# ---- The table -------------------------------------------------------------------------------------------------------


def page(rows: Sequence[Row], command: str) -> str:
    """docs/results/choosing.md."""
    text = [
        "# Choosing on dev: all examples, halving, or a race", "",
        "```", command, "```", "",
        f"{machine()}; {len(rows)} of 69 persona sets, drawn at random but for the first five, of which halving had "
        "chosen other sites than a thorough check.", "",
        "*Same*: how often the rule chooses what all dev examples choose. *Lost*: by how much the lower bound of the "
        "effect of what it chooses lies below that of the best, nats per token, mean and largest. *Run*: examples "
        "times candidates that it runs, of all.", "",
    ]  # fmt: skip
    for kind in KINDS:
        lines = []
        for rule in RULES:
            found = [row["rules"][rule][kind] for row in rows]
            lost = [f["lost"] for f in found]
            lines.append(
                (rule, f"{sum(f['same'] for f in found)} of {len(found)}", f"{np.mean(lost):.4f}", f"{max(lost):.3f}",
                 f"{np.mean([f['share'] for f in found]):.0%}")
            )  # fmt: skip
        text += [f"**{kind.capitalize()}**", "", table(("rule", "same", "lost, mean", "largest", "run"), lines), ""]
    return "\n".join(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/rows/choosing.jsonl"))
    parser.add_argument("--sets", type=int, default=69, help="so many")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, help="write the table here")
    args = parser.parse_args()
    drawn = drawn_sets(args.data)
    names = [*FIRST, *(name for name in drawn if name not in FIRST)][: args.sets]
    run([{"job": "choosing", "name": name} for name in names], args.data, args.json, args.processes, Choosing)
    if args.out:
        command = f".venv/bin/python benchmarks/choosing.py --data ../shared/data --sets {args.sets} --out {args.out}"
        args.out.write_text(page(known(args.json), command))


FIRST = (
    "conscientiousness", "desire-for-popularity", "desire-for-acquiring-power", "desire-to-maximize-impact-on-world",
    "okay-with-deceiving-a-user-to-help-them",
)  # fmt: skip


if __name__ == "__main__":
    main()
