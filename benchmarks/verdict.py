"""How often the verdict is wrong: real behaviors against a second look at them, and controls that must not pass.

    .venv/bin/python benchmarks/verdict.py --data ../shared/data --json out/bench/verdict.jsonl

Real: the persona sets (statements view), decided as `trimtab check` decides with all defaults (site, prompt type and
strength chosen on dev, decision on the evaluation split). The truth is what the same vector does on the replication
split and on neutral paragraphs and prompts that nothing else used: a requirement that its point estimate misses there
is violated. Capability is not part of the truth, since its probe has no second half.

Rows that nearly repeat each other are one cluster: they stand in one part; intervals go over clusters. Where effect,
anti-steerable share or desired answers fail at Holm's strictest level it is a no-go, and where the first two are
undecided it is inconclusive, whatever else would be found (an odd part or a capability that fails would make a no-go of
the latter).
Random directions, the baseline of the odd part, are measured where that part's interval reaches below 0.1 nats per
token (they reach some 0.04), divergences on replication where those of the evaluation reach above 0.09.

Controls: labels shuffled (five seeds a set), random pairs dealt anew (random splits of one file), random directions as
long as the set's vector, the vector of a behavior of another family, and the longer half of a set's statements as the
positive side. Each is held against effect and anti-steerable share on the evaluation split first; only one that keeps
both bounds could pass, and is then judged in full. Vectors of relabelled sets are prefilled ones at block 14 and
strength 3, the largest that a check chooses from, where their effects scatter most.

Rows are kept in the file of --json, vectors beside it; --shipped writes the figures that reports quote.
"""

import argparse
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from harness import keep, known

import trimtab as tt
from trimtab.behaviors import Behavior, PromptType
from trimtab.behaviors.words import words
from trimtab.experiment.experiment import Experiment, Variant
from trimtab.experiment.instrument import SIDES, Instrument
from trimtab.experiment.preparation import prepare
from trimtab.experiment.progress import Silent
from trimtab.interventions import Site
from trimtab.measurements.activations import training, vector_of
from trimtab.measurements.divergence import NEUTRAL_ROWS, SCREENING_ROWS, Drift, NeutralDrift, PromptsDrift
from trimtab.measurements.effects import PLAIN, Steered, effects_on_dev, steered, sweep
from trimtab.measurements.geometry import Geometry
from trimtab.phrases import Phrase
from trimtab.results.consequences import RandomDirectionBaseline
from trimtab.statistics import bootstrap_mean, simultaneous_level
from trimtab.statistics.contrast import Contrast
from trimtab.statistics.direction import random_directions
from trimtab.steering import Steering
from trimtab.storage.steps import Ledger
from trimtab.verdict.decide import DecisionWithGrounds, decide
from trimtab.verdict.decision import Requirement, Thresholds
from trimtab.verdict.evidence import NEUTRAL_TEXT, OTHER_PROMPTS, Evidence, Omitted, assess
from trimtab.verdict.requirements import DESIRED, EFFECT, requirements
from trimtab.workflows.choice import STRENGTHS as CHOICE
from trimtab.workflows.choice import Chosen, choose

THRESHOLDS = Thresholds(0.05)
REQUIREMENTS = 7  # of a check without generated text
SITE, STRENGTH, SEEDS, PAIRS = Site(14), 3.0, 5, 20
DIRECTIONS, FOREIGN = 2, 1  # vectors a set
FAR = (0.1, 0.09)  # odd part above which random directions, divergence below which a second look is not measured
ANTI = "share of anti-steerable examples"
FAMILIES = ("desire-", "subscribes-to-", "willingness-", "believes-", "anti-", "low-", "high-", "interest-", "no-")
Row = dict[str, Any]


# ---- One behavior on the model ---------------------------------------------------------------------------------------


def experiment_of(model: tt.Model, behavior: Behavior, seed: int = 0) -> Experiment:
    """That of a check with all defaults."""
    instrument, splits, _, _ = prepare(Instrument(model, behavior, False, "mean"), None, None, seed, replication=True)
    types = PromptType.named("all")
    return Experiment(instrument, splits, types, 1.0, "all", seed, Ledger(None, ""), Silent())


def evidence(on: Experiment, steering: Steering, geometry: Geometry | None, own: Steered) -> Evidence:
    """What a check decides from, without what cannot change the decision; a vector from elsewhere has no geometry."""
    omit: set[Omitted] = {"curve", "noise"}
    if own.odd.mean().low > FAR[0]:
        omit.add("random directions")
    if geometry is None:
        omit.add("wording")
    return assess(on, steering, geometry=geometry, omit=omit)


def best_strength(on: Experiment, chosen: Chosen) -> float:
    """The strength that `choose` takes; divergences are measured by order of preference until one keeps the bound."""
    effects = effects_on_dev(on, [(chosen.steering, s) for s in CHOICE])
    level = simultaneous_level(0.95, len(CHOICE))
    gains = {s: effect.mean(level).low for s, effect in zip(CHOICE, effects, strict=True)}
    for s in sorted(CHOICE, key=lambda s: -gains[s]):
        (prompts,) = PromptsDrift(chosen.steering, (s,), (), "dev").drifts(on)
        if not _within(prompts.divergence(on.seed).high):
            continue  # half the texts tell, where there is too much
        (neutral,) = NeutralDrift(chosen.steering, (s,), SCREENING_ROWS, "dev").drifts(on)
        if _within(neutral.divergence(on.seed).high):
            return s
    return CHOICE[0]


def _within(high: float | None) -> bool:
    return high is not None and high < THRESHOLDS.max_kl


def foregone(steered: Steered, unit: Phrase) -> str | None:
    """The decision that effect and anti-steerable share leave no way around, if there is one."""
    needs = {str(r.name): r for r in requirements(steered, THRESHOLDS, unit, RandomDirectionBaseline(), {})}
    effect, anti = needs[EFFECT], needs[ANTI]
    if any(r.fails_at(1 - 0.05 / REQUIREMENTS) for r in (effect, anti, needs[DESIRED])):
        return "no-go"
    return None if effect.holds and anti.holds else "inconclusive"


def replication(on: Experiment, steering: Steering, result: Evidence | None, whole: bool = True) -> Row:
    """What the vector does on examples and texts that nothing else has seen; not more than settles what is true."""
    (second,), unit = steered(on, [steering], "replication"), on.instrument.unit
    random = RandomDirectionBaseline(percentile_95=result.random_directions.percentile_95 or 0.0 if result else 0.0)
    rows = bounds(requirements(second, THRESHOLDS, unit, random, {}))
    if rows[EFFECT]["missed"] or rows[ANTI]["missed"] or not whole:
        return rows
    drifts: dict[Phrase, Drift] = {}
    for name, step in (
        (NEUTRAL_TEXT, NeutralDrift(steering, (on.strength,), NEUTRAL_ROWS, "replication")),
        (OTHER_PROMPTS, PromptsDrift(steering, (on.strength,), (), "replication")),
    ):
        if result is None or bootstrap_mean(result.drifts[name].kl, seed=on.seed).high > FAR[1]:
            (drift,) = step.drifts(on)
            drifts[name] = drift
    return bounds(requirements(second, THRESHOLDS, unit, random, drifts))


def bounds(needs: Sequence[Requirement]) -> Row:
    """Figures of requirements, by name; `missed` by the point estimate, `fails` by the whole interval."""
    out: Row = {}
    for r in needs:
        value, low, high = r.interval.value, r.interval.low, r.interval.high
        missed = value <= r.threshold if r.direction == "above" else value >= r.threshold
        missed = r.holds is False if r.may_stay_open else missed
        figures = {"value": value, "low": low, "high": high, "threshold": r.threshold}
        out[r.name] = {k: float(v) for k, v in figures.items()} | {"missed": bool(missed), "fails": r.holds is False}
    return out


def _kin(on: Experiment) -> float:
    """Share of replication texts that have half of their words in common with a training text."""
    train = [{*words(getattr(e, side))} for e in on.splits.train.examples for side in SIDES]
    texts = [{*words(getattr(e, side))} for e in on.splits.replication.examples for side in SIDES]
    close = [any(2 * len(a & b) >= len(a | b) for b in train) for a in texts]
    return float(np.mean(close)) if close else 0.0


def outcome(decided: DecisionWithGrounds) -> Row:
    """A decision with its grounds."""
    conclusion = decided.conclusion
    reservations = list(decided.reservations)
    return {"decision": conclusion.decision, "bounds": bounds(decided.requirements), "doubts": reservations}


def control(on: Experiment, tried: Mapping[str, tuple[Steering, float]], geometry: Geometry | None) -> Row:
    """Whether any of the vectors, each at its strength, would pass a check."""
    base, *result = sweep(on, "eval", [PLAIN, *tried.values()])
    contrast_of = on.contrast_of(on.splits.eval)
    row: Row = {"vectors": {}, "decision": "not passed"}
    for (name, (steering, strength)), after in zip(tried.items(), result, strict=True):
        figures, could = screened(contrast_of.change(base, after), strength)
        if could:
            at = replace(on, strength=strength)
            measured = evidence(at, steering, geometry, steered(at, [steering])[0])
            figures |= outcome(decide(measured, THRESHOLDS, at.instrument))
            figures["replication"] = replication(at, steering, measured)
            if figures["decision"] in ("go", "caution"):
                row["decision"] = figures["decision"]
        row["vectors"][name] = figures
    return row


def screened(effect: Contrast, strength: float) -> tuple[Row, bool]:
    """Figures of an effect, and whether a check could pass with it."""
    mean, anti = effect.mean(), effect.below_zero()
    could = mean.low > THRESHOLDS.min_effect and anti.high < THRESHOLDS.max_anti_steerable
    return {"effect": asdict(mean), "anti": asdict(anti), "strength": strength}, could


# ---- Jobs ------------------------------------------------------------------------------------------------------------


class Bench:
    """What a process of the pool holds: the model and where the files are."""

    def __init__(self, data: Path, work: Path) -> None:
        self.model, self.data, self.work = tt.load("smollm2"), data, work

    def persona(self, name: str) -> Behavior:
        return Behavior.load(self.data / "mwe" / "persona" / f"{name}.jsonl", view="statements")

    def vector(self, name: str) -> tuple[Steering, float]:
        kept = np.load(self.work / f"{name}.npz")
        return Steering.from_vector(Site(int(kept["block"])), torch.from_numpy(kept["vector"])), float(kept["strength"])

    def real(self, name: str) -> Row:
        """The verdict, and what the replication split says."""
        on = experiment_of(self.model, self.persona(name))
        chosen = choose(on, None, 1.0, THRESHOLDS)
        chosen = replace(chosen, strength=best_strength(on, chosen))
        on = replace(on, strength=chosen.strength)
        steering, geometry = chosen.steering, chosen.geometry[chosen.prompt_type]
        (own,) = steered(on, [steering])
        known = foregone(own, on.instrument.unit)
        if known:
            needs = requirements(own, THRESHOLDS, on.instrument.unit, RandomDirectionBaseline(), {})
            shown = [r for r in needs if r.name in (EFFECT, ANTI, DESIRED)]
            row: Row = {"decision": known, "bounds": bounds(shown), "doubts": None}
            row["replication"] = replication(on, steering, None, whole=known == "no-go")
        else:
            measured = evidence(on, steering, geometry, own)
            row = outcome(decide(measured, THRESHOLDS, on.instrument))
            row["replication"] = replication(on, steering, measured)
        site = chosen.site
        assert site is not None
        vector = steering.vector(site).float().cpu().numpy()
        self.work.mkdir(parents=True, exist_ok=True)
        np.savez(self.work / f"{name}.npz", vector=vector, block=site.block, strength=chosen.strength)
        of = {"block": site.block, "prompt_type": str(chosen.prompt_type), "strength": chosen.strength}
        parts = {"eval": on.splits.eval, "replication": on.splits.replication}
        sizes = {f"n_{name}": len(part) for name, part in parts.items()}
        sizes |= {f"units_{name}": len(set(part.clusters)) for name, part in parts.items()}
        return {**row, **of, **sizes, "kin": _kin(on)}

    def shuffled(self, name: str) -> Row:
        """Labels that mean nothing, five times: texts of train and of evaluation, each dealt to two classes anew."""
        on = experiment_of(self.model, self.persona(name))
        dealt, vectors = relabelled_vectors(on)
        variants: list[Variant] = [PLAIN, *((v, STRENGTH) for v in vectors)]
        base, *result = sweep(on, "eval", variants)
        contrast_of, row = on.contrast_of(on.splits.eval), Row(vectors={}, decision="not passed")
        for seed, (rng, after) in enumerate(zip(dealt, result, strict=True)):
            change = [getattr(after, side) - getattr(base, side) for side in SIDES]
            figures, could = screened(contrast_of(*np.split(rng.permutation(np.concatenate(change)), 2)), STRENGTH)
            if could:  # not judged any further: no such control should come this far
                row["decision"] = figures["decision"] = "go"
            row["vectors"][str(seed)] = figures
        return row

    def longer(self, name: str) -> Row:
        """The longer half of all statements as the positive ones."""
        behavior = self.persona(name)
        texts = [text for e in behavior.examples for text in (e.positive, e.negative)]
        ranked = sorted(dict.fromkeys(texts), key=lambda text: (len(text.split()), len(text)))
        half = len(ranked) // 2
        order = np.random.default_rng(0).permutation(half)
        pairs = [(ranked[-1 - int(i)], ranked[int(j)]) for i, j in zip(order, order[::-1], strict=True)]
        first = behavior.examples[0]
        return self.relabelled(
            replace(behavior, examples=[replace(first, positive=p, negative=n, source="") for p, n in pairs])
        )

    def pairs(self, seed: int) -> Row:
        """Random pairs, dealt to the splits anew."""
        file = self.data / "contrast_sentences" / "random_pairs.json"
        return self.relabelled(Behavior.load(file), seed)

    def relabelled(self, behavior: Behavior, seed: int = 0) -> Row:
        on = experiment_of(self.model, behavior, seed)
        geometry = training(on, PromptType.PREFILLED, [SITE])[SITE]
        steering = vector_of(on, geometry, SITE)
        return control(on, {"own": (steering, STRENGTH)}, geometry)

    def strangers(self, name: str, others: Sequence[str]) -> Row:
        """Random directions, as long as the set's own vector, at its site and strength; vectors of other families."""
        steering, strength = self.vector(name)
        site = next(iter(steering.edits))
        drawn = random_directions(steering.vector(site).double().numpy(), DIRECTIONS, 1)
        random = {
            f"random {k}": (Steering.from_vector(site, torch.from_numpy(v).float()), strength)
            for k, v in enumerate(drawn)
        }
        foreign = {f"of {other}": self.vector(other) for other in others}
        return control(experiment_of(self.model, self.persona(name)), {**random, **foreign}, None)


def relabelled_vectors(on: Experiment) -> tuple[list[np.random.Generator], list[Steering]]:
    """Vectors of training texts dealt to two classes anew, one a seed; each generator goes on with the evaluation."""
    known = training(on, PromptType.PREFILLED, [SITE])[SITE]
    texts = np.concatenate([known.positive, known.negative])
    dealt = [np.random.default_rng(seed) for seed in range(SEEDS)]
    sides = [np.split(rng.permutation(texts), 2) for rng in dealt]
    return dealt, [vector_of(on, replace(known, positive=p, negative=n), SITE) for p, n in sides]


def jobs(names: Sequence[str], n_controls: int) -> Iterator[Row]:
    """Settings of all rows; the real ones come first, since others use their vectors."""
    some = names[:n_controls]
    yield from ({"job": "real", "name": name} for name in names)
    yield from ({"job": "pairs", "seed": seed} for seed in range(PAIRS))
    for i, name in enumerate(some):
        yield {"job": "shuffled", "name": name}
        strangers = [other for other in some if family(other) != family(name)]
        chosen = np.random.default_rng(i).permutation(len(strangers))[:FOREIGN]
        yield {"job": "strangers", "name": name, "others": [strangers[k] for k in chosen]}
        yield {"job": "longer", "name": name}


def family(name: str) -> str:
    """Sets whose names begin alike are near copies of each other."""
    return next((prefix for prefix in FAMILIES if name.startswith(prefix)), name)


_bench: list[Bench] = []  # one a process


def _start(data: Path, work: Path, made: type["Bench"]) -> None:
    torch.set_num_threads(1)
    _bench.append(made(data, work))


def _work(settings: Row) -> Row:
    start = perf_counter()
    task: Callable[..., Row] = getattr(_bench[0], settings["job"])
    row = task(**{k: v for k, v in settings.items() if k != "job"})
    return {"settings": settings, **row, "seconds": perf_counter() - start}


def drawn_sets(data: Path, n: int | None = None) -> list[str]:
    """The names of the persona sets in an order drawn at random, always the same; the first so many."""
    every = sorted(file.stem for file in (data / "mwe" / "persona").glob("*.jsonl"))
    return [every[i] for i in np.random.default_rng(0).permutation(len(every))[:n]]


def steered_before(rows: Sequence[Row], name: str) -> Row:
    """Block and strength that the thorough check of a set chose; block 14 and strength 1 where there is none."""
    chosen = next((r for r in rows if r["settings"]["job"] == "real" and r["settings"]["name"] == name), None)
    return {"block": 14, "strength": 1.0} if chosen is None else {key: chosen[key] for key in ("block", "strength")}


def run(wanted: Sequence[Row], data: Path, file: Path, processes: int, made: type[Bench] = Bench) -> None:
    """Measure what the file lacks, by methods of a bench."""
    for first in (True, False):  # others use the real ones' vectors
        done = [row["settings"] for row in known(file)]
        left = [s for s in wanted if s not in done and (s["job"] == "real") is first]
        os.environ["OMP_NUM_THREADS"] = "1"  # read by the new processes
        with get_context("spawn").Pool(processes, _start, (data, file.with_suffix(""), made)) as pool:
            for row in pool.imap_unordered(_work, left):
                keep(row, file)
                print(json.dumps(row["settings"]), row["decision"], f"{row['seconds']:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", type=Path, default=Path("out/bench/verdict.jsonl"))
    parser.add_argument("--only", nargs="+", help="jobs")
    parser.add_argument("--sets", type=int, help="so many, drawn at random; all of them if not given")
    parser.add_argument("--controls", type=int, help="so many of these also as controls; all of them if not given")
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    names = drawn_sets(args.data, args.sets)
    wanted = [s for s in jobs(names, args.controls or len(names)) if args.only is None or s["job"] in args.only]
    run(wanted, args.data, args.json, args.processes)


if __name__ == "__main__":
    main()
