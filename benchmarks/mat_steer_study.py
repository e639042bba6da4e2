"""MAT-Steer, its ablations and its rivals on three attributes together: truthfulness, fairness, harmlessness.

    .venv/bin/python benchmarks/mat_steer_study.py budget  --data ../shared/data
    .venv/bin/python benchmarks/mat_steer_study.py measure --data ../shared/data --out out/mat-steer [--seed 1 …]
    .venv/bin/python benchmarks/mat_steer_study.py table   --out out/mat-steer

Protocol: a seed halves the units of every attribute; each half is trained on once (four fifths) with the rest of it as
dev, and the other half measures. One site for all, chosen on dev of seed 100 by mean differences. Damage is the largest
mean divergence from the unsteered model on neutral text and on prompts of each attribute. Every attribute gets the
strength at which it does the target's damage on dev texts alone, by one step (divergence grows with the square of the
strength); then one factor on all strengths is searched until all attributes together do the target's damage on the
evaluation's texts: it is the axis of comparison, so it is the same for all rows where they are compared. Effects are
measured with all on, for seeds 1 and 2 also with each alone (options on one fold); an effect counts in its standard
deviations over examples, since nats of unlike answers do not add up, and nats stand beside. Main rows have the seeds 1
to 5, options 1 and 2. `measure` writes a JSON file for every seed, fold and row and passes by those that are there.

Seeds 0 and 100 were pilots and do not count. A first run of 49 trainings set the factor on dev texts alone; gates that
had been shut there opened on some texts of the evaluation and did up to twice the damage of what has no gates, so the
factor is now set where the comparison is made, and everything was run anew. The row that is chosen on dev was added
then, since a smaller λ had done better.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import sqrt
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from attributes import attributes
from equal_damage import MOST, Search
from mat_steer_tables import CHOSEN, FULL, SAME_GATES, table

import trimtab as tt
from trimtab.behaviors import Behavior, Probe, PromptType
from trimtab.behaviors.splits import Part, Splits, units
from trimtab.errors import InputError
from trimtab.models import Encoded, Site
from trimtab.models.divergence import divergences
from trimtab.models.sites import Component
from trimtab.reliability.geometry import auroc
from trimtab.steering import Steering
from trimtab.steering.edits import Gated
from trimtab.steering.mat_steer import TokenSides, gate_statistics
from trimtab.steering.methods import MATSteer, Sides, method
from trimtab.workflows.fit import alone
from trimtab.workflows.ledger import Ledger
from trimtab.workflows.making import best_blocks, token_sides
from trimtab.workflows.measure import Instrument, Propensity
from trimtab.workflows.progress import Silent
from trimtab.workflows.side_effects import whole_texts
from trimtab.workflows.stages import Stages

T = TypeVar("T")
TARGET = 0.05  # nats per token
TRIES, NEAR = 6, 0.1
N_TRAIN, N_DEV, N_EVAL = 150, 40, 100  # examples of an attribute at most
N_NEUTRAL, N_PROMPTS = 8, 16  # texts behind a damage on dev; twice as many on evaluation
PILOT = 100
CANDIDATES = [
    {"lambda_sparsity": weight, "lambda_positives": weight, "share": share}
    for weight in (0.9, 0.3, 0.1, 0.0)
    for share in (0.3, 1.0)
]
ALONE = 2  # seeds up to this one measure each attribute alone too


@dataclass(frozen=True)
class Row:
    """A way to make the steering; `options` are MAT-Steer's besides the paper's λ, None for a rival."""

    options: Mapping[str, Any] | None = None
    seeds: int = 5
    n_train: int = N_TRAIN
    component: Component = "residual"


PAPER = {"lambda_positives": 0.9, "lambda_sparsity": 0.9}  # whatever the defaults are
PUBLISHED = {"penalties": "own", "start": "random", "norm": "free", "kernel": "fixed", "unbiased": False}
ROWS: dict[str, Row] = {
    FULL: Row({}),
    "alignment only": Row({"lambda_positives": 0.0, "lambda_sparsity": 0.0, "lambda_orthogonality": 0.0}),
    "without positives": Row({"lambda_positives": 0.0}),
    "without sparsity": Row({"lambda_sparsity": 0.0}),
    "without orthogonality": Row({"lambda_orthogonality": 0.0}),
    "without norm": Row({"keep_norm": False}),
    CHOSEN: Row({}),
    "probe-gated mean difference": Row(),
    "sum of mean differences": Row(),
    "random directions": Row(),
    SAME_GATES: Row(),
    "sparsity 0.3": Row({"lambda_sparsity": 0.3, "lambda_positives": 0.3}, 2),
    "attention": Row({}, 2, component="attention"),
    "attention, sparsity 0.3": Row({"lambda_sparsity": 0.3, "lambda_positives": 0.3}, 2, component="attention"),
    "all tokens": Row({"tokens": "all"}, 2),
    "last token": Row({"tokens": "last"}, 2),
    "kernel σ = 2": Row({"kernel": "fixed"}, 2),
    "kernel median": Row({"kernel": "median"}, 2),
    "kernel fourier": Row({"kernel": "fourier"}, 2),
    "biased MMD": Row({"unbiased": False}, 2),
    "θ free": Row({"norm": "free"}, 2),
    "θ 0.1": Row({"share": 0.1}, 2),
    "θ 1": Row({"share": 1.0}, 2),
    "own penalties": Row({"penalties": "own"}, 2),
    "random start": Row({"start": "random"}, 2),
    "as published": Row(PUBLISHED, 2),
    "hard gate": Row({"gate": "hard"}, 2),
    "hard orthogonality": Row({"orthogonality": "hard"}, 2),
    "shared subspace": Row({"shared": 1}, 2),
    "30 examples": Row({}, 2, 30),
    "30 examples, shrinkage": Row({"shrinkage": 0.1}, 2, 30),
}  # fmt: skip


@dataclass
class Fold:
    """One half to train on: stages of every attribute, and tokens as they are asked for."""

    model: tt.Model
    stages: Mapping[str, Stages]
    site: Site
    seed: int
    half: int
    kept: dict[Any, TokenSides] = field(default_factory=dict)

    def tokens(self, part: Any, kind: Any, n: int, site: Site) -> dict[str, dict[Site, TokenSides]]:
        """Tokens by attribute and site; the first n examples of a part."""
        out = {}
        for name, s in self.stages.items():
            key = name, part, kind, site
            if key not in self.kept:
                self.kept[key] = token_sides(s, part, [site], kind)[site]
            whole = self.kept[key]
            some = [type(t)(t.activations[t.text < n], t.text[t.text < n]) for t in (whole.positive, whole.negative)]
            out[name] = {site: TokenSides(*some)}
        return out


def fold_of(model: tt.Model, behaviors: Mapping[str, Behavior], seed: int, half: int, site: Site | None) -> Fold:
    """Train and dev from one half of the units, evaluation from the other."""
    stages = {}
    for name, behavior in behaviors.items():
        of = units(behavior)
        names = sorted(set(of))
        order = np.random.default_rng([seed, len(names)]).permutation(len(names)).tolist()
        cut = len(names) // 2
        halves = [[names[i] for i in order[:cut]], [names[i] for i in order[cut:]]]
        own, other = halves[half], halves[1 - half]
        n_dev = max(8, len(own) // 5)
        parts = [
            _part(behavior, of, some, n) for some, n in ((own[n_dev:], N_TRAIN), (own[:n_dev], N_DEV), (other, N_EVAL))
        ]
        instrument = Instrument(model, behavior, False, "mean")
        splits = Splits(Part(), *parts, Part())
        stages[name] = Stages(instrument, splits, (PromptType.PREFILLED,), 1.0, "all", seed, Ledger(None, ""), Silent())
    return Fold(model, stages, site or Site(0), seed, half)


def _part(behavior: Behavior, of: Sequence[str], chosen: Sequence[str], n: int) -> Part:
    """The examples of some units in the order of these, at most n of them, the first of every unit first."""
    by_unit: dict[str, list[int]] = {}
    for i, unit in enumerate(of):
        by_unit.setdefault(unit, []).append(i)
    depth = max(len(rows) for rows in by_unit.values())
    rows = [by_unit[u][k] for k in range(depth) for u in chosen if k < len(by_unit[u])][:n]
    return Part(tuple(behavior.examples[i] for i in rows), tuple(of[i] for i in rows))


def make(fold: Fold, name: str) -> tuple[Steering, dict[str, Any]]:
    """The steering of a row, and what is known of its gates on dev tokens."""
    row, site = ROWS[name], Site(fold.site.block, ROWS[name].component)
    if name == SAME_GATES:
        steering, seen = make(fold, FULL)
        return steering.randomised(fold.seed), seen
    if name == CHOSEN:
        return chosen(fold)
    if row.options is not None:
        return trained(fold, MATSteer(**{**PAPER, **row.options}), site, row.n_train)
    whole = {a: by[site] for a, by in fold.tokens("train", "response", row.n_train, site).items()}
    if name == "probe-gated mean difference":
        sides = {a: {site: Sides(s.positive.activations, s.negative.activations, False)} for a, s in whole.items()}
        steering = method("probe-gated")().fit(sides, seed=fold.seed)
        edit = steering.edits[site]
        assert isinstance(edit, Gated)
        dev = {a: by[site] for a, by in fold.tokens("dev", "response", N_DEV, site).items()}
        return steering, {"gates": {a: asdict(s) for a, s in gate_statistics(edit, dev, seed=fold.seed).items()}}
    sides = {a: {site: Sides(_texts(s.positive), _texts(s.negative), False)} for a, s in whole.items()}
    steering = method("mean-difference")().fit(sides, seed=fold.seed)
    return (steering.randomised(fold.seed) if name == "random directions" else steering), {}


def trained(fold: Fold, maker: MATSteer, site: Site, n_train: int) -> tuple[Steering, dict[str, Any]]:
    """A steering of MAT-Steer, with its gates on dev tokens."""
    data = fold.tokens("train", maker.tokens, n_train, site)
    learned = maker.fit_tokens(data, fold.tokens("dev", maker.tokens, N_DEV, site), seed=fold.seed)
    told = learned.by_site[site].told
    return learned.steering, {"gates": told["gates"], "best_epoch": told["best_epoch"]}


def chosen(fold: Fold) -> tuple[Steering, dict[str, Any]]:
    """Of the candidates, the one with the largest mean effect on dev at the target's damage on dev."""
    made = {}
    for options in CANDIDATES:
        try:
            made[json.dumps(options)] = trained(fold, MATSteer(**options), fold.site, N_TRAIN)
        except InputError as error:
            print(f"left out: {error}", flush=True)
    steerings = balanced(fold, {key: steering for key, (steering, _) in made.items()})
    found = equally_damaging(fold, steerings, "dev")
    tried = {f"chosen {key}": (steerings[key], factor) for key, (factor, _) in found.items()}
    effects = {key: [] for key in made}
    for s in fold.stages.values():
        for key, contrast in zip(made, s.effects_on_dev(tried).values(), strict=True):
            effects[key].append(contrast.standardised or 0.0)
    best = max(effects, key=lambda key: float(np.mean(effects[key])))
    steering, seen = made[best]
    return steering, {**seen, "chosen": json.loads(best)}


def _texts(tokens: Any) -> torch.Tensor:
    """Mean over the tokens of each text, `[n, d]`."""
    texts = np.unique(tokens.text)
    return torch.stack([tokens.activations[torch.from_numpy(tokens.text == t)].float().mean(dim=0) for t in texts])


def groups_of(fold: Fold, part: str) -> dict[str, list[Encoded]]:
    """Texts that damage is measured on: neutral ones, and prompts of each attribute."""
    n = 1 if part == "dev" else 2
    texts = Probe.builtin("neutral").texts
    found = {"neutral": list(texts[1::2] if part == "dev" else texts[::2])[: n * N_NEUTRAL]}
    for name, s in fold.stages.items():
        examples = getattr(s.splits, part).examples
        prompts = list(dict.fromkeys(e.prompt or e.positive for e in examples))
        found[name] = prompts[: n * N_PROMPTS]
    return {name: whole_texts(fold.model, some) for name, some in found.items()}


def damages(
    fold: Fold, groups: Mapping[str, list[Encoded]], variants: Mapping[T, tuple[Steering, float]]
) -> dict[T, dict[str, float]]:
    """Mean divergence by group of texts, nats per token, of every variant."""
    rows = [row for some in groups.values() for row in some]
    steers = [(tt.models.steer(steering, steering.scaled(factor)),) for steering, factor in variants.values()]
    out: dict[T, dict[str, float]] = {}
    for name, found in zip(variants, divergences(fold.model, rows, steers), strict=True):
        kl, at, out[name] = found.kl.tolist(), 0, {}
        for group, some in groups.items():
            out[name][group] = float(np.mean(kl[at : at + len(some)]))
            at += len(some)
    return out


def balanced(fold: Fold, steerings: Mapping[str, Steering]) -> dict[str, Steering]:
    """With strengths at which each attribute alone does about the target's damage on dev."""
    each = {(name, a): (alone(s, a), 1.0) for name, s in steerings.items() for a in s.attributes}
    done = damages(fold, groups_of(fold, "dev"), each)
    strengths: dict[str, dict[str, float]] = {name: {} for name in steerings}
    for (name, a), found in done.items():
        strengths[name][a] = float(np.clip(sqrt(TARGET / max(*found.values(), 1e-9)), 1 / MOST, MOST))
    return {name: s.changed(attributes=strengths[name]) for name, s in steerings.items()}


def equally_damaging(
    fold: Fold, steerings: Mapping[str, Steering], part: str
) -> dict[str, tuple[float, dict[str, float]]]:
    """Factors at which the target's damage is done on the texts of a part, and that damage by group of texts."""
    groups, searches = groups_of(fold, part), {name: Search(TARGET, NEAR) for name in steerings}
    found: dict[str, tuple[float, dict[str, float]]] = {}
    left = list(steerings)
    for _ in range(TRIES):
        done = damages(fold, groups, {name: (steerings[name], searches[name].factor) for name in left})
        for name, by_group in done.items():
            worst = max(by_group.values())
            before = max(found[name][1].values()) if name in found else float("inf")
            if abs(worst - TARGET) < abs(before - TARGET):
                found[name] = searches[name].factor, by_group
        left = [name for name in left if not searches[name].told(max(done[name].values()))]
        if not left:
            break
    return found


def measured(fold: Fold, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Everything of some rows on one fold."""
    rows: dict[str, dict[str, Any]] = {}
    steerings = {}
    for name in names:
        try:
            steerings[name], rows[name] = make(fold, name)
        except InputError as error:
            rows[name] = {"reason": str(error)}
    steerings = balanced(fold, steerings)
    found = equally_damaging(fold, steerings, "eval")
    variants = {(name, "all"): (s, found[name][0]) for name, s in steerings.items()}
    for name, s in steerings.items():
        if fold.seed <= ALONE and (ROWS[name].seeds > ALONE or not fold.half):
            variants |= {(name, a): (alone(s, a), found[name][0]) for a in fold.stages}
    for name, (factor, damage) in found.items():
        strengths = {a: factor * value for a, value in steerings[name].attributes.items()}
        rows[name] |= {"strengths": strengths, "damage": damage, "desired": {}, "preferred": {}, "effects": {}}
    for attribute, s in fold.stages.items():
        scored = s.sweep("eval", {"base": (None, 0.0)} | {f"{name}, {on}": v for (name, on), v in variants.items()})
        contrast_of = s.contrast_of(s.splits.eval)
        for name, on in variants:
            own = scored[f"{name}, {on}"]
            change = contrast_of.change(scored["base"], own)
            mean, below = change.mean(), change.below_zero()
            effects = rows[name]["effects"].setdefault(attribute, {})
            effects[on] = [mean.value, mean.low, mean.high, below.value, change.sd, len(change.rows)]
            if on == "all":
                rows[name]["desired"][attribute] = float((own.positive - scored["base"].positive).mean())
                paired = s.behavior.pairing != "random"
                rows[name]["preferred"][attribute] = [preferred(p, paired) for p in (scored["base"], own)]
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
            for name, found in measured(fold, missing).items():
                row = {"seed": seed, "half": half, "row": name, "site": str(site), **found}
                files[name].with_suffix(".new").write_text(json.dumps(row))
                files[name].with_suffix(".new").rename(files[name])
                print(json.dumps(row)[:300], flush=True)


def chosen_site(model: tt.Model, behaviors: Mapping[str, Behavior], out: Path) -> Site:
    """The block that does best for all attributes on dev of the pilot's seed; kept in a file."""
    file = out / "site.txt"
    if not file.exists():
        notes: list[str] = []
        (site,) = best_blocks(fold_of(model, behaviors, PILOT, 0, None).stages, notes)
        file.write_text(f"{site}\n{notes[0]}\n")
    return Site.parse(file.read_text().split()[0])


def budget(data: Path) -> Iterator[str]:
    """How many trainings and tokens there will be."""
    model, behaviors = tt.load("smollm2", dtype="bfloat16"), attributes(data)
    fold = fold_of(model, behaviors, PILOT, 0, Site(14))
    runs = sum(2 * row.seeds for row in ROWS.values())
    scored = sum(s.score_cost(s.splits.eval.examples) for s in fold.stages.values())
    read = sum(s.capture_cost(s.prompt_types[0], [Site(model.n_blocks - 1)]) for s in fold.stages.values())
    texts = sum(len(row.ids) for some in groups_of(fold, "dev").values() for row in some)
    yield f"{runs} trainings in {len(ROWS)} rows"
    for name, s in fold.stages.items():
        sizes = [
            f"{len(p)} examples of {len(set(p.units))} units" for p in (s.splits.train, s.splits.dev, s.splits.eval)
        ]
        yield f"{name}: train {sizes[0]}, dev {sizes[1]}, evaluation {sizes[2]}"
    yield f"a fold reads {read:,.0f} tokens; a steering scores {scored:,.0f} with all attributes on, as many with each"
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
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.what == "measure":
        measure(given.data, given.out, given.seed or range(1, 6), given.half or (0, 1), given.row or list(ROWS))
    else:
        print("\n".join(table(given.out, list(ROWS)) if given.what == "table" else budget(given.data)))


if __name__ == "__main__":
    main()
