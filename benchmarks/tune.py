"""Searches of three strengths with equal budgets: TPE and Gaussian processes against Sobol and random points.

    .venv/bin/python benchmarks/tune.py budget
    .venv/bin/python benchmarks/tune.py measure --data ../shared/data [--sampler tpe …] [--seed 0 …] [--trials 300]
    .venv/bin/python benchmarks/tune.py table > docs/results/tune.md

One steering, mean differences at one block, is fitted to the training parts of TruthfulQA (choices), BBQ (its three
categories) and toxic against harmless texts (surge). A search chooses three strengths on dev. Every trial is scored:
nothing is looked up in a table; what another search has scored at the very same strengths (the first two trials) is
read from the ledger. Searches share the deal of the rows, so that hypervolumes are of one landscape; a seed is that of
the search. `measure` writes a row for each sampler and seed, goes on where it was stopped, and passes by rows that are
there; parts of it can run at different times and on different machines.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from scipy.stats import t as student

import trimtab as tt
from trimtab.experiment.progress import OnTerminal
from trimtab.experiment.task_parts import Sizes, TaskParts, deal_all, experiment_of
from trimtab.models import Model
from trimtab.storage.atomic import whole
from trimtab.storage.steps import Ledger
from trimtab.texts import Rendered
from trimtab.workflows.evaluate import TaskSpec
from trimtab.workflows.tune import SAMPLERS
from trimtab.workflows.tune.candidates import Candidate, fitted
from trimtab.workflows.tune.front import REFERENCE, hypervolume, means
from trimtab.workflows.tune.search import Search, Tried
from trimtab.workflows.tune.space import Space
from trimtab.workflows.tune.yardstick import Limits, Yardstick, examples_of

DEAL, MAX_FACTOR, LIMITS = 0, 6.0, Limits(damage=0.1, capability_loss=0.05, loss=0.0)
BUDGETS, SEEDS, EVERY = (30, 100, 300), range(5), 20
SIZES, DAMAGE_TEXTS = Sizes(train=150, dev=12, test=4), 4
TASKS = {
    "truthful": "truthfulqa:{}/truthfulqa/mc_task.json?prompt=plain&figure=mc2",
    "fair": "bbq:{}/bbq",
    "harmless": "toxicity:{}/surge_toxicity/toxicity_en.csv?figure=margin",
}


def specs(data: Path) -> dict[str, TaskSpec]:
    """The three tasks by label."""
    return {label: replace(TaskSpec.parse(text.format(data)), label=label) for label, text in TASKS.items()}


def prepared(model: Model, site: int, data: Path, out: Path) -> tuple[list[Candidate], Yardstick]:
    """The steering, fitted once, and what its trials are measured by."""
    parts = deal_all({label: spec.load() for label, spec in specs(data).items()}, DEAL, SIZES)
    candidates = _steering(model, site, parts, out)
    dev = {label: own.dev for label, own in parts.items()}
    figures = {label: spec.figure or dev[label].primary for label, spec in specs(data).items()}
    ledger = Ledger(
        out, json.dumps(["tune", model.digest, str(model.dtype), tt.__version__, candidates[0].steering.id])
    )
    return candidates, Yardstick(
        model, dev, figures, examples_of(model, dev, False), True, LIMITS, "all", False, ledger, EVERY, DAMAGE_TEXTS
    )


def _steering(model: Model, site: int, parts: dict[str, TaskParts], out: Path) -> list[Candidate]:
    experiments = {label: experiment_of(model, label, own, DEAL, SIZES, home=out) for label, own in parts.items()}
    return fitted(experiments, "mean-difference", {}, site, out, [])


def measure(model: Model, site: int, data: Path, out: Path, samplers: list[str], seeds: list[int], trials: int) -> None:
    """Rows that are not there yet."""
    candidates, yardstick = prepared(model, site, data, out)
    space = Space(1, len(TASKS), MAX_FACTOR)
    for seed in seeds:
        for sampler in samplers:
            file = out / f"{sampler}-{seed}-{trials}.json"
            if file.is_file():
                continue
            ledger = Ledger(out, json.dumps(["search", str(yardstick.ledger.home), sampler, seed]))
            search, began = Search(space, candidates, sampler, seed, yardstick, ledger), perf_counter()
            with OnTerminal.shown(f"{sampler} {seed}") as progress:
                found = search.run(trials, progress)
            with whole(file) as work:
                work.write_text(json.dumps(row(found, sampler, seed, perf_counter() - began)) + "\n")
            print(file.read_text(), end="", flush=True)


def row(found: list[Tried], sampler: str, seed: int, seconds: float) -> dict[str, Any]:
    """Hypervolume after every trial, the unsteered model counted, and what was pruned."""
    points, curve = [(0.0,) * len(TASKS)], []
    for tried in found:
        if tried.outcome.gains:
            points.append(means(tried.outcome.gains))
        curve.append(hypervolume(np.array(points)))
    states = [tried.outcome.state for tried in found]
    return {
        "sampler": sampler, "seed": seed, "trials": len(found), "hypervolume": curve,
        "pruned": {state: states.count(state) for state in sorted(set(states) - {"complete"})},
        "scoring_seconds": sum(tried.outcome.seconds for tried in found), "seconds": seconds,
    }  # fmt: skip


def budget(model: Model, site: int, data: Path, out: Path, samplers: list[str], seeds: list[int], trials: int) -> None:
    """Tokens and seconds of one trial that is pruned by nothing, and of all."""
    candidates, yardstick = prepared(model, site, data, out)
    few, every = yardstick.texts
    encode = model.encoder().encode
    groups = {
        "damage": [text for texts in (few, every) for some in texts.groups.values() for text in some],
        "tasks": [text for task in yardstick.tasks.values() for unit in task.units for text in unit.texts],
    }
    tokens = {name: sum(len(r.ids) for r in encode(texts, any_length=True)) for name, texts in groups.items()}
    pairs = [Rendered("", e.prompt, end) for e in yardstick.probe.examples for end in (e.positive, e.negative)]
    tokens["capability"] = sum(len(row.ids) for row in encode(pairs))
    steering = candidates[0].steering
    yardstick.measure(steering, dict.fromkeys(TASKS, 0.001))  # the unsteered model, once
    seconds = [yardstick.measure(steering, dict.fromkeys(TASKS, x)).seconds for x in (0.0011, 0.0012)]
    n = trials * len(samplers) * len(seeds)
    total = sum(tokens.values())
    print(f"tokens of a trial: {tokens}, {total:,} together; {n:,} trials: {n * total:,} at most")
    print(
        f"seconds of a trial that nothing prunes: {min(seconds):.2f}; all: {n * min(seconds) / 3600:.1f} hours at most"
    )


def table(out: Path) -> Iterator[str]:
    """Mean hypervolume over seeds by sampler and budget, and the paired difference to Sobol points."""
    rows = [json.loads(file.read_text()) for file in sorted(out.glob("*-*-*.json"))]
    curves = {(r["sampler"], r["seed"]): r for r in sorted(rows, key=lambda r: r["trials"])}
    samplers = [s for s in SAMPLERS if any(s == one for one, _ in curves)]
    base = (0.0 - REFERENCE) ** len(TASKS)
    yield "# Searches with equal budgets"
    yield ""
    yield "\n".join(str(__doc__).strip().split("\n\n")[2:])
    yield ""
    yield f"Hypervolume of the best trade-offs, times 1,000, from {REFERENCE:g} on each task; the unsteered model alone"
    yield f"has {1000 * base:.3g}. Mean over seeds with Student's 95 % interval; in brackets behind it the difference"
    yield "to Sobol points of the same seed."
    yield ""
    yield "| trials | " + " | ".join(samplers) + " |"
    yield "| --- " * (len(samplers) + 1) + "|"
    for n in BUDGETS:
        cells = []
        for sampler in samplers:
            own, sobol = (
                {seed: r["hypervolume"][n - 1] for (name, seed), r in curves.items() if name == s and r["trials"] >= n}
                for s in (sampler, "sobol")
            )
            both = [own[seed] - sobol[seed] for seed in own if seed in sobol]
            more = f" ({interval(both, '+.3f')})" if sampler != "sobol" and len(both) > 1 else ""
            cells.append(interval(list(own.values()), ".3f") + more)
        yield f"| {n} | " + " | ".join(cells) + " |"
    yield ""
    for (sampler, seed), r in curves.items():
        own_share = (r["seconds"] - r["scoring_seconds"]) / r["trials"]
        yield (
            f"- {sampler}, seed {seed}: {r['trials']} trials, {sum(r['pruned'].values())} pruned, "
            f"{r['scoring_seconds'] / r['trials']:.1f} s of scoring a trial, {max(0.0, own_share):.2f} s of proposing"
        )


def interval(values: list[float], form: str) -> str:
    """Mean with Student's interval, in thousandths."""
    x = 1000 * np.array(values)
    if len(x) < 2:
        return f"{format(float(x[0]), form)} (one seed)" if len(x) else "not run"
    half = float(student.ppf(0.975, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x)))
    mean = float(x.mean())
    return f"{format(mean, form)} [{format(mean - half, form)}, {format(mean + half, form)}]"


def main() -> None:
    """Count, measure, or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["budget", "measure", "table"])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("out/tune-benchmark"))
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--site", type=int, default=14)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--sampler", action="append", choices=SAMPLERS)
    parser.add_argument("--seed", action="append", type=int)
    parser.add_argument("--trials", type=int, default=max(BUDGETS))
    args = parser.parse_args()
    if args.what == "table":
        print("\n".join(table(args.out)))
        return
    args.out.mkdir(parents=True, exist_ok=True)
    model = tt.load(args.model, dtype=args.dtype)
    do = measure if args.what == "measure" else budget
    do(model, args.site, args.data, args.out, args.sampler or list(SAMPLERS), args.seed or list(SEEDS), args.trials)


if __name__ == "__main__":
    main()
