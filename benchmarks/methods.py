"""All methods on the built-in behaviors of the embedded model, each at the strength that does as much damage.

    .venv/bin/python benchmarks/methods.py measure --out out/methods [--behavior NAME …] [--method NAME …]
    .venv/bin/python benchmarks/methods.py table --out out/methods

`measure` writes a JSON file for every behavior and method, and passes by those that are there. Damage is the larger of
two divergences from the unsteered model in nats per token, on neutral text and on other prompts: dev texts set the
strength, others measure it. Methods that look at one block get the one whose mean difference does best on dev; CAST
acts on the behavior's own prompts and leaves those of the other built-in behaviors alone.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import trimtab as tt
from trimtab.behaviors import Behavior, Example, builtin
from trimtab.errors import InputError
from trimtab.experiment.experiment import Experiment, Split
from trimtab.experiment.preparation import ready
from trimtab.experiment.progress import Silent
from trimtab.measurements.divergence import SCREENING_ROWS, NeutralDrift, PromptsDrift
from trimtab.measurements.effects import PLAIN, sweep
from trimtab.steering import Steering
from trimtab.steering.methods import method, method_names
from trimtab.storage.steps import Ledger
from trimtab.workflows.evaluate.equal_damage import Search
from trimtab.workflows.fit.conditions import conditioned
from trimtab.workflows.fit.materials import FitMaterials, best_blocks

BEHAVIORS = ("sentiment", "politeness", "formality", "refusal", "honesty", "brevity", "certainty", "null")
TARGET = 0.05  # nats per token
RANDOM = "random direction"
STEPS, NEAR, N_DEV_DOCUMENTS = 6, 0.15, 8  # of the search: tries, relative error, documents


def damage(on: Experiment, steering: Steering, strength: float, part: Split) -> tuple[float, float]:
    """Divergence on neutral text and on other prompts."""
    n = N_DEV_DOCUMENTS if part == "dev" else SCREENING_ROWS
    (neutral,) = NeutralDrift(steering, (strength,), n, part).drifts(on)
    (prompts,) = PromptsDrift(steering, (strength,), (), part).drifts(on)
    return float(neutral.kl.mean()), float(prompts.kl.mean())


def strength_at(on: Experiment, steering: Steering, target: float) -> float:
    """The strength whose damage on dev is the target, or the largest tried if no strength does as much."""
    if not steering.edits:
        return 1.0
    search = Search(target, NEAR)
    for _ in range(STEPS):
        if search.report(max(damage(on, steering, search.factor, "dev"))):
            break
    return search.factor


def measured(on: Experiment, name: str) -> dict[str, Any]:
    """Strength, effect and damage of one method."""
    label = on.behavior.name
    kind = "mean-difference" if name == RANDOM else name
    sites = None if method(kind).all_blocks or kind in ("instruction", "in-context-examples") else [best(on)]
    steering = method(kind)().learn(FitMaterials({label: on}, sites))[0].steering
    if method(kind).needs_condition:
        steering, _ = conditioned(on.model, steering, {label: own_prompts(on.behavior)}, on.seed)
    if name == RANDOM:
        steering = steering.randomised(0)
    strength = strength_at(on, steering, TARGET)
    change = on.contrast_of(on.splits.eval).change(*sweep(on, "eval", [PLAIN, (steering, strength)]))
    effect, shares = change.mean(), change.below_zero()
    neutral, prompts = damage(on, steering, strength, "eval")
    return {
        "behavior": label, "method": name, "sites": [str(s) for s in steering.edits], "strength": strength,
        "effect": [effect.value, effect.low, effect.high], "anti_steerable": [shares.value, shares.low, shares.high],
        "n": len(change.rows), "kl_neutral": neutral, "kl_prompts": prompts,
    }  # fmt: skip


def best(on: Experiment) -> tt.Site:
    """The block whose mean difference does best on dev."""
    return best_blocks({on.behavior.name: on}, [])[0]


def own_prompts(behavior: Behavior) -> Behavior:
    """The behavior's prompts to be acted on, those of the other behaviors to be left alone."""
    own = list(dict.fromkeys(e.prompt for e in behavior.examples if e.prompt))
    others = [e.prompt for name in BEHAVIORS[:-1] if name != behavior.name for e in builtin(name).examples[:40]]
    others = [text for text in dict.fromkeys(others) if text and text not in own]
    if not own:
        raise InputError("its examples have no prompts to act on")
    n = min(len(own), len(others))
    return Behavior(
        f"prompts of {behavior.name}", [Example("", own[i], others[i * len(others) // n]) for i in range(n)]
    )


def measure(out: Path, behaviors: list[str], methods: list[str]) -> None:
    """Measure what is not there yet."""
    model = tt.load("smollm2", dtype="bfloat16")
    for name in behaviors:
        on = None
        for kind in methods:
            file = out / f"{name}.{kind}.json"
            if file.exists():
                continue
            if on is None:
                ledger = Ledger(out, f"methods {name} {model.digest} {tt.__version__}")
                on, _ = ready(
                    model, builtin(name), ["prefilled"], train=None, evaluation=None, seed=0, ledger=ledger,
                    progress=Silent(),
                )  # fmt: skip
            try:
                row = measured(on, kind)
            except InputError as error:
                row = {"behavior": name, "method": kind, "reason": str(error)}
            file.with_suffix(".new").write_text(json.dumps(row))
            file.with_suffix(".new").rename(file)
            print(json.dumps(row), flush=True)


def table(out: Path) -> Iterator[str]:
    """Effects by method and behavior, and the damage that was done."""
    rows = {
        (r["behavior"], r["method"]): r for r in map(json.loads, (f.read_text() for f in sorted(out.glob("*.json"))))
    }
    behaviors = [b for b in BEHAVIORS if any(key[0] == b for key in rows)]
    methods = sorted({key[1] for key in rows}, key=lambda m: -mean_share(rows, behaviors, m))
    yield "| method | " + " | ".join(f"`{b}`" for b in behaviors) + " | share of the best |"
    yield "| --- " * (len(behaviors) + 2) + "|"
    for m in methods:
        cells = [effect(rows.get((b, m))) for b in behaviors]
        yield f"| {m} | " + " | ".join(cells) + f" | {mean_share(rows, behaviors, m):.2f} |"
    yield ""
    yield "| method | strength | divergence on neutral text | on other prompts | pushed the wrong way |"
    yield "| --- | --- | --- | --- | --- |"
    for m in methods:
        own = [r for b in behaviors if (r := rows.get((b, m))) and "effect" in r and b != "null"]
        if own:
            shares = spread([100 * r["anti_steerable"][0] for r in own], "%.0f")
            figures = [
                spread([r[k] for r in own], f)
                for k, f in (("strength", "%.2g"), ("kl_neutral", "%.3f"), ("kl_prompts", "%.3f"))
            ]
            yield f"| {m} | " + " | ".join([*figures, f"{shares} %"]) + " |"
    yield ""
    for (b, m), r in sorted(rows.items()):
        if "reason" in r:
            yield f"- {m}, `{b}`: {r['reason']}"


def mean_share(rows: Mapping[tuple[str, str], Mapping[str, Any]], behaviors: list[str], name: str) -> float:
    """Effect over that of the best method, the mean over behaviors that are no control."""
    shares = []
    for b in (b for b in behaviors if b != "null"):
        result = {m: r["effect"][0] for (own, m), r in rows.items() if own == b and "effect" in r}
        shares.append(result.get(name, 0.0) / max(result.values()))
    return float(np.mean(shares)) if shares else 0.0


def effect(row: Mapping[str, Any] | None) -> str:
    """Effect with its interval, and the damage where that is not the target's."""
    if row is None:
        return ""
    if "effect" not in row:
        return "not measured"
    value, low, high = row["effect"]
    done = max(row["kl_neutral"], row["kl_prompts"])
    mark = "" if TARGET / 1.5 < done < 1.5 * TARGET else f" at {done:.2g}"
    return f"{value:.2f} [{low:.2f}, {high:.2f}]{mark}"


def spread(values: list[float], form: str) -> str:
    """Median with the least and the most."""
    return f"{form % np.median(values)} ({form % min(values)}–{form % max(values)})"


def main() -> None:
    """Measure, or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["measure", "table"])
    parser.add_argument("--out", type=Path, default=Path("out/methods"))
    parser.add_argument("--behavior", action="append")
    parser.add_argument("--method", action="append")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.what == "table":
        print("\n".join(table(args.out)))
    else:
        alike = [name for name in method_names() if not method(name).routes]  # the others choose on dev what they are
        measure(args.out, args.behavior or list(BEHAVIORS), args.method or [*alike, RANDOM])


if __name__ == "__main__":
    main()
