"""MAT-Steer, its contenders and its options on three attributes together: truthfulness, fairness, harmlessness.

    .venv/bin/python benchmarks/mat_steer_study.py budget  --data ../shared/data
    .venv/bin/python benchmarks/mat_steer_study.py measure --data ../shared/data --out out/mat-steer [--seed 1 …]
    .venv/bin/python benchmarks/mat_steer_study.py table   --out out/mat-steer

Protocol: a seed halves the clusters of every attribute; each half is trained on once (four fifths) with the rest of it
as dev, and the other half measures. One site for all, chosen on dev of seed 100 by mean differences. Damage is the
largest mean divergence from the unsteered model on neutral text and on prompts of each attribute. Every attribute gets
the strength at which it does the target's damage on dev texts alone, by one step (divergence grows with the square of
the strength); then one factor on all strengths is searched until all attributes together do the target's damage on the
evaluation's texts: it is the axis of comparison, so it is the same for all rows. Effects are measured with all on; an
effect counts in its standard deviations over examples, since nats of unlike answers do not add up, and nats stand
beside. Rows that are chosen on dev have as many candidates each and are chosen by the same figure: the mean of the
three effects on dev, in standard deviations, at the target's damage on dev. Main rows have the seeds 1 to 5, options
(`--options`) 1 and 2. `measure` writes a JSON file for every seed, fold and row and passes by those that are there.

Seeds 0 and 100 were pilots and do not count; the contenders' candidates were set on dev of seed 100, MAT-Steer's after
a first run over all folds had shown which λ do better.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from attributes import attributes
from mat_steer_folds import N_DEV, Fold, balanced, equally_damaging, fold_of, groups_of
from mat_steer_rows import CANDIDATES, FULL, MAIN, N_TRAIN, OPTIONS, PROBES, RANDOM, ROWS, SAME_GATES
from mat_steer_tables import table

import trimtab as tt
from trimtab.behaviors import Behavior
from trimtab.errors import InputError
from trimtab.experiment.instrument import Propensity
from trimtab.interventions import Site
from trimtab.measurements.activations import TrainingActivations
from trimtab.measurements.effects import PLAIN, effects_on_dev, sweep
from trimtab.phrases import Phrase
from trimtab.statistics.geometry import auroc
from trimtab.steering import Steering
from trimtab.steering.edits import Gated
from trimtab.steering.mat_steer import gate_statistics
from trimtab.steering.methods import MeanDifference, Sides, TokenMethod
from trimtab.steering.methods.probe import ProbeGated
from trimtab.workflows.fit.materials import best_blocks

PILOT = 100
SEEDS = range(1, 6)


def make(fold: Fold, name: str) -> tuple[Steering, dict[str, Any]]:
    """The steering of a row, and what is known of its gates on dev tokens."""
    row = ROWS[name]
    if name == SAME_GATES:
        steering, details = make(fold, FULL)
        return steering.randomised(fold.seed), details
    if name in CANDIDATES:
        return chosen(fold, CANDIDATES[name])
    site = Site(fold.site.block, row.component)
    if row.maker is not None:
        return trained(fold, row.maker, site, row.n_train)
    whole = {a: by[site] for a, by in fold.tokens("train", "response", row.n_train, site).items()}
    if name == PROBES:
        sides = {a: {site: Sides(s.positive.activations, s.negative.activations, False)} for a, s in whole.items()}
        steering = ProbeGated().fit(sides, seed=fold.seed)
        edit = steering.edits[site]
        assert isinstance(edit, Gated)
        dev = {a: by[site] for a, by in fold.tokens("dev", "response", N_DEV, site).items()}
        return steering, {"gates": {a: asdict(s) for a, s in gate_statistics(edit, dev, seed=fold.seed).items()}}
    sides = {a: {site: Sides(_texts(s.positive), _texts(s.negative), False)} for a, s in whole.items()}
    steering = MeanDifference().fit(sides, seed=fold.seed)
    return (steering.randomised(fold.seed) if name == RANDOM else steering), {}


def trained(fold: Fold, maker: TokenMethod, site: Site, n_train: int = N_TRAIN) -> tuple[Steering, dict[str, Any]]:
    """What a method makes of tokens, with its gates on dev tokens."""
    key = repr((maker, site, n_train))
    if key not in fold.learned:
        data = fold.tokens("train", maker.tokens, n_train, site)
        learned = maker.fit_tokens(data, fold.tokens("dev", maker.tokens, N_DEV, site), seed=fold.seed)
        record = learned.by_site[site].as_record
        fold.learned[key] = learned.steering, {"gates": record["gates"], "best_epoch": record["best_epoch"]}
    return fold.learned[key]


def chosen(fold: Fold, candidates: Sequence[TokenMethod]) -> tuple[Steering, dict[str, Any]]:
    """Of the candidates, the one with the largest mean effect on dev at the target's damage on dev."""
    learned = {}
    for maker in candidates:
        try:
            learned[repr(maker)] = trained(fold, maker, fold.site)
        except InputError as error:
            print(f"left out: {error}", flush=True)
    steerings = balanced(fold, {key: steering for key, (steering, _) in learned.items()})
    result = equally_damaging(fold, steerings, "dev")
    tried = {key: (steerings[key], factor) for key, (factor, _) in result.items()}
    effects: dict[str, list[float]] = {key: [] for key in tried}
    for s in fold.experiments.values():
        for key, effect in zip(tried, effects_on_dev(s, list(tried.values())), strict=True):
            effects[key].append(effect.standardised or 0.0)
    best = max(effects, key=lambda key: float(np.mean(effects[key])))
    steering, details = learned[best]
    return steering, {**details, "chosen": best, "on dev": {key: float(np.mean(own)) for key, own in effects.items()}}


def _texts(tokens: Any) -> torch.Tensor:
    """Mean over the tokens of each text, `[n, d]`."""
    texts = np.unique(tokens.text)
    return torch.stack([tokens.activations[torch.from_numpy(tokens.text == t)].float().mean(dim=0) for t in texts])


def measured(fold: Fold, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Everything of some rows on one fold; rows with the same steering are measured once."""
    rows: dict[str, dict[str, Any]] = {}
    of: dict[str, str] = {}  # row to steering
    steerings = {}
    for name in names:
        try:
            steering, details = make(fold, name)
        except InputError as error:
            rows[name] = {"reason": str(error)}
        else:
            of[name], steerings[steering.id], rows[name] = steering.id, steering, dict(details)
    steerings = balanced(fold, steerings)
    result = equally_damaging(fold, steerings, "eval")
    effects: dict[str, dict[str, Any]] = {key: {"desired": {}, "preferred": {}, "effects": {}} for key in steerings}
    for attribute, s in fold.experiments.items():
        base, *scores = sweep(s, "eval", [PLAIN, *((steerings[key], result[key][0]) for key in effects)])
        contrast_of, paired = s.contrast_of(s.splits.eval), s.behavior.pairing != "random"
        for own, steered in zip(effects.values(), scores, strict=True):
            change = contrast_of.change(base, steered)
            mean, below = change.mean(), change.below_zero()
            own["effects"][attribute] = [
                mean.value,
                mean.low,
                mean.high,
                below.value,
                change.sd,
                len(change.rows),
                change.n_clusters,
            ]
            own["desired"][attribute] = float((steered.positive - base.positive).mean())
            own["preferred"][attribute] = [preferred(p, paired) for p in (base, steered)]
    for name, key in of.items():
        factor, damage = result[key]
        strengths = {a: factor * value for a, value in steerings[key].attributes.items()}
        rows[name] |= {"strengths": strengths, "damage": damage, **effects[key]}
    return rows


def preferred(p: Propensity, paired: bool) -> float:
    """Share of the pairs whose desired answer is the likelier by token; of all pairs where none belong together."""
    if paired:
        return float((p.m > 0).mean())
    return auroc(p.positive, p.negative)


def measure(data: Path, out: Path, seeds: Sequence[int], halves: Sequence[int], names: Sequence[str]) -> None:
    """Measure what is not there yet."""
    model, behaviors = tt.load("smollm2", dtype="bfloat16"), attributes(data)
    site = chosen_site(model, behaviors, out)
    for seed in seeds:
        for half in halves:
            files = {name: out / f"{seed}.{half}.{name}.json" for name in names if seed <= ROWS[name].seeds}
            missing = [name for name, file in files.items() if not file.exists()]
            if not missing:
                continue
            fold = fold_of(model, behaviors, seed, half, site)
            for name, result in measured(fold, missing).items():
                row = {"seed": seed, "half": half, "row": name, "site": str(site), **result}
                files[name].with_suffix(".new").write_text(json.dumps(row))
                files[name].with_suffix(".new").rename(files[name])
                print(json.dumps(row)[:300], flush=True)


def chosen_site(model: tt.Model, behaviors: Mapping[str, Behavior], out: Path) -> Site:
    """The block that does best for all attributes on dev of the pilot's seed; kept in a file."""
    file = out / "site.txt"
    if not file.exists():
        notes: list[Phrase] = []
        (site,) = best_blocks(fold_of(model, behaviors, PILOT, 0, None).experiments, notes)
        file.write_text(f"{site}\n{notes[0]}\n")
    return Site.parse(file.read_text().split()[0])


def budget(data: Path) -> Iterator[str]:
    """How many trainings and tokens there will be."""
    model, behaviors = tt.load("smollm2", dtype="bfloat16"), attributes(data)
    fold = fold_of(model, behaviors, PILOT, 0, Site(14))
    scored = sum(s.score_cost(s.splits.eval.examples) for s in fold.experiments.values())
    last = (Site(model.n_blocks - 1),)
    read = sum(s.cost([TrainingActivations(s.prompt_types[0], last)]) for s in fold.experiments.values())
    texts = sum(len(row.ids) for some in groups_of(fold, "dev").values() for row in some)
    for what, rows in (("main rows", MAIN), ("options", OPTIONS)):
        makers = [{repr(row.maker) for row in rows.values() if row.maker and seed <= row.seeds} for seed in SEEDS]
        if rows is MAIN:
            makers = [own | {repr(m) for some in CANDIDATES.values() for m in some} for own in makers]
        yield f"{len(rows)} {what}: {2 * sum(map(len, makers))} steerings that are learned from tokens"
    for name, s in fold.experiments.items():
        sizes = [
            f"{len(p)} examples of {len(set(p.clusters))} clusters"
            for p in (s.splits.train, s.splits.dev, s.splits.eval)
        ]
        yield f"{name}: train {sizes[0]}, dev {sizes[1]}, evaluation {sizes[2]}"
    yield f"a fold reads {read:,.0f} tokens; a steering scores {scored:,.0f}"
    yield f"its damage takes {texts:,} tokens on dev for each attribute, twice as many some three times on evaluation"


def main() -> None:
    """Measure, or write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["budget", "measure", "table"])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("out/mat-steer"))
    parser.add_argument("--seed", type=int, action="append")
    parser.add_argument("--half", type=int, action="append", choices=[0, 1])
    parser.add_argument("--row", action="append", choices=list(ROWS))
    parser.add_argument("--options", action="store_true", help="the rows of one option each, not the main rows")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    names = args.row or list(OPTIONS if args.options else MAIN)
    if args.what == "measure":
        measure(args.data, args.out, args.seed or SEEDS, args.half or (0, 1), names)
    else:
        print("\n".join(table(args.out, names) if args.what == "table" else budget(args.data)))


if __name__ == "__main__":
    main()
