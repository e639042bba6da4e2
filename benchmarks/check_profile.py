"""Where the time of a check goes: by what it measures, and by what the processor does.

    .venv/bin/python benchmarks/check_profile.py sentiment null --out docs/results/check-profile.md

Every behavior is checked with all defaults of each effort on the embedded model, one after the other in one process.
Stages are the steps of the check; operations are counted by Python's profiler, which makes Python itself look slower
than it is.
"""

import argparse
import cProfile
import os
import pstats
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does, before torch is imported

from harness import machine, table

import trimtab as tt
from trimtab.experiment.effort import EFFORTS, EffortName
from trimtab.experiment.experiment import Experiment
from trimtab.experiment.steps import Step

OPERATIONS = {  # parts of the names of built-in functions
    "products in blocks": ("torch._C._nn.linear",),
    "the head": ("mkldnn", "_linear_pointwise", "linear_dynamic_fp16"),
    "attention": ("scaled_dot_product_attention",),
    "softmax and sums over the vocabulary": ("log_softmax", "logsumexp", "vecdot", "exp_"),
    "tokenizing": ("encode_batch",),
}


def measured(model: tt.Model, name: str, effort: EffortName) -> dict[str, Any]:
    """One check, with seconds by stage and by kind of operation."""
    stages: defaultdict[str, float] = defaultdict(float)
    real = Experiment.run

    def timed(self: Experiment, step: Step) -> Any:
        start = perf_counter()
        kept = real(self, step)
        stages[step.title.split(",")[0]] += perf_counter() - start
        return kept

    profiler, start = cProfile.Profile(), perf_counter()
    Experiment.run = timed  # type: ignore[method-assign]
    try:
        report = profiler.runcall(tt.check, model, tt.Behavior.builtin(name), effort=effort)
    finally:
        Experiment.run = real  # type: ignore[method-assign]
    seconds = perf_counter() - start
    stages["choosing, statistics and the report"] = seconds - sum(stages.values())
    assert report.stopping is not None
    return {
        "name": name, "effort": effort, "seconds": seconds, "decision": report.verdict.decision,
        "looks": report.stopping.looks, "tokens": report.stopping.tokens,
        "stages": dict(stages), "operations": operations(profiler, seconds),
    }  # fmt: skip


def operations(profiler: cProfile.Profile, seconds: float) -> dict[str, float]:
    """Seconds by kind of operation, what is left to torch's other operations and Python."""
    spent = dict.fromkeys(OPERATIONS, 0.0)
    for (_, _, name), (_, _, own, *_) in pstats.Stats(profiler).stats.items():  # type: ignore[attr-defined]
        kind = next((k for k, parts in OPERATIONS.items() if any(part in name for part in parts)), None)
        if kind is not None:
            spent[kind] += own
    return {**spent, "other operations and Python": seconds - sum(spent.values())}


def page(rows: list[dict[str, Any]]) -> str:
    """docs/results/check-profile.md."""
    names = list(dict.fromkeys(row["name"] for row in rows))
    text = [
        "# Where the time of a check goes", "",
        "```", f".venv/bin/python benchmarks/check_profile.py {' '.join(names)} --out docs/results/check-profile.md",
        "```", "", f"{machine()}; the embedded model in bfloat16, all defaults, one process.", "",
    ]  # fmt: skip
    for name in names:
        own = [row for row in rows if row["name"] == name]
        whole = next(row for row in own if row["effort"] == "thorough")
        head = ("", *(f"{row['effort']}, s" for row in own))
        summary = [
            ("**all**", *(f"**{row['seconds']:.0f}**" for row in own)),
            ("thorough takes so many times as long", *(f"{whole['seconds'] / row['seconds']:.1f}" for row in own)),
            ("tokens", *(f"{row['tokens']:,}" for row in own)),
            ("decision", *(row["decision"] for row in own)),
            ("evaluation examples at its looks", *(", ".join(map(str, row["looks"])) for row in own)),
        ]
        text += [f"## {name}", "", table(head, [*summary, *_lines(own, "stages"), *_lines(own, "operations")]), ""]
    return "\n".join(text)


def _lines(rows: list[dict[str, Any]], which: str) -> list[tuple[str, ...]]:
    """A line a stage or operation, the longest of a thorough check first."""
    kinds: Mapping[str, float] = rows[-1][which]
    every = dict.fromkeys([*sorted(kinds, key=lambda k: -kinds[k]), *(k for row in rows for k in row[which])])
    lines = [(f"*{which}*", *("" for _ in rows))]
    for kind in every:
        seconds = [row[which].get(kind, 0.0) for row in rows]
        if max(seconds) >= 0.5:
            lines.append((kind, *(f"{s:.1f}" for s in seconds)))
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("behaviors", nargs="+", help="built-in behaviors")
    parser.add_argument("--out", type=Path, help="write the tables here")
    args = parser.parse_args()
    model, rows = tt.load("smollm2"), []
    for name in args.behaviors:
        for effort in EFFORTS:
            row = measured(model, name, effort)  # type: ignore[arg-type]
            rows.append(row)
            print(name, effort, row["decision"], f"{row['seconds']:.0f} s", flush=True)
    text = page(rows)
    print(text)
    if args.out:
        args.out.write_text(text)


if __name__ == "__main__":
    main()
