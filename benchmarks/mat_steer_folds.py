"""A fold of `mat_steer_study.py`: what one half of the clusters trains, and strengths that do the same damage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Any, TypeVar

import numpy as np
from mat_steer_rows import N_TRAIN

import trimtab as tt
from trimtab.behaviors import Behavior, Probe, PromptType
from trimtab.behaviors.splits import Part, Splits, clusters
from trimtab.experiment.experiment import Experiment
from trimtab.experiment.instrument import Instrument
from trimtab.experiment.progress import Silent
from trimtab.interventions import Site
from trimtab.measurements.divergence import whole_texts
from trimtab.models import Encoded
from trimtab.models.divergence import divergences
from trimtab.steering import Steering
from trimtab.steering.mat_steer import TokenSides
from trimtab.storage.steps import Ledger
from trimtab.workflows.evaluate.equal_damage import MAX_FACTOR, Search
from trimtab.workflows.fit.fit import alone
from trimtab.workflows.fit.materials import token_sides

T = TypeVar("T")
TARGET = 0.05  # nats per token
TRIES, NEAR, FIRST = 6, 0.1, 0.8
N_DEV, N_EVAL = 40, 100  # examples of an attribute at most
N_NEUTRAL, N_PROMPTS = 8, 16  # texts behind a damage on dev; twice as many on evaluation


@dataclass
class Fold:
    """One half to train on: experiments of every attribute, and tokens as they are asked for."""

    model: tt.Model
    experiments: Mapping[str, Experiment]
    site: Site
    seed: int
    half: int
    kept: dict[Any, TokenSides] = field(default_factory=dict)
    learned: dict[str, tuple[Steering, dict[str, Any]]] = field(
        default_factory=dict
    )  # steerings that were trained, since several rows ask for the same
    strengths: dict[str, dict[str, float]] = field(default_factory=dict)  # by a steering's id
    factors: dict[str, float] = field(default_factory=dict)  # that were found last, where a search begins

    def tokens(self, part: Any, kind: Any, n: int, site: Site) -> dict[str, dict[Site, TokenSides]]:
        """Tokens by attribute and site; the first n examples of a part."""
        out = {}
        for name, s in self.experiments.items():
            key = name, part, kind, site
            if key not in self.kept:
                self.kept[key] = token_sides(s, part, [site], kind)[site]
            whole = self.kept[key]
            some = [type(t)(t.activations[t.text < n], t.text[t.text < n]) for t in (whole.positive, whole.negative)]
            out[name] = {site: TokenSides(*some)}
        return out


def fold_of(model: tt.Model, behaviors: Mapping[str, Behavior], seed: int, half: int, site: Site | None) -> Fold:
    """Train and dev from one half of the clusters, evaluation from the other."""
    experiments = {}
    for name, behavior in behaviors.items():
        of = clusters(behavior)
        names = sorted(set(of))
        order = np.random.default_rng([seed, len(names)]).permutation(len(names)).tolist()
        cut = len(names) // 2
        halves = [[names[i] for i in order[:cut]], [names[i] for i in order[cut:]]]
        own, other = halves[half], halves[1 - half]
        n_dev = max(8, len(own) // 5)
        train, dev, evaluation = (
            _part(behavior, of, some, n) for some, n in ((own[n_dev:], N_TRAIN), (own[:n_dev], N_DEV), (other, N_EVAL))
        )
        instrument = Instrument(model, behavior, False, "mean")
        splits = Splits(Part(), train, dev, evaluation, Part())
        experiments[name] = Experiment(
            instrument, splits, (PromptType.PREFILLED,), 1.0, "all", seed, Ledger(None, ""), Silent()
        )
    return Fold(model, experiments, site or Site(0), seed, half)


def _part(behavior: Behavior, of: Sequence[str], chosen: Sequence[str], n: int) -> Part:
    """The examples of some clusters in the order of these, at most n of them, the first of every cluster first."""
    by_cluster: dict[str, list[int]] = {}
    for i, cluster in enumerate(of):
        by_cluster.setdefault(cluster, []).append(i)
    depth = max(len(rows) for rows in by_cluster.values())
    rows = [by_cluster[u][k] for k in range(depth) for u in chosen if k < len(by_cluster[u])][:n]
    return Part(tuple(behavior.examples[i] for i in rows), tuple(of[i] for i in rows))


def groups_of(fold: Fold, part: str) -> dict[str, list[Encoded]]:
    """Texts that damage is measured on: neutral ones, and prompts of each attribute."""
    n = 1 if part == "dev" else 2
    texts = Probe.builtin("neutral").texts
    result = {"neutral": list(texts[1::2] if part == "dev" else texts[::2])[: n * N_NEUTRAL]}
    for name, s in fold.experiments.items():
        examples = getattr(s.splits, part).examples
        prompts = list(dict.fromkeys(e.prompt or e.positive for e in examples))
        result[name] = prompts[: n * N_PROMPTS]
    return {name: whole_texts(fold.model, some) for name, some in result.items()}


def damages(
    fold: Fold, groups: Mapping[str, list[Encoded]], variants: Mapping[T, tuple[Steering, float]]
) -> dict[T, dict[str, float]]:
    """Mean divergence by group of texts, nats per token, of every variant."""
    if not variants:
        return {}
    rows = [row for some in groups.values() for row in some]
    steers = [(tt.models.steer(steering, steering.scaled(factor)),) for steering, factor in variants.values()]
    out: dict[T, dict[str, float]] = {}
    for name, result in zip(variants, divergences(fold.model, rows, steers), strict=True):
        kl, at, out[name] = result.kl.tolist(), 0, {}
        for group, some in groups.items():
            out[name][group] = float(np.mean(kl[at : at + len(some)]))
            at += len(some)
    return out


def balanced(fold: Fold, steerings: Mapping[str, Steering]) -> dict[str, Steering]:
    """With strengths at which each attribute alone does about the target's damage on every second text of dev."""
    new = {s.id: s for s in steerings.values() if s.id not in fold.strengths}
    each = {(of, a): (alone(s, a), 1.0) for of, s in new.items() for a in s.attributes}
    some = {name: rows[::2] for name, rows in groups_of(fold, "dev").items()}  # a rough step, refined by one factor
    for (of, a), result in damages(fold, some, each).items():
        strength = float(np.clip(sqrt(TARGET / max(*result.values(), 1e-9)), 1 / MAX_FACTOR, MAX_FACTOR))
        fold.strengths.setdefault(of, {})[a] = strength
    return {name: s.changed(attributes=fold.strengths[s.id]) for name, s in steerings.items()}


def equally_damaging(
    fold: Fold, steerings: Mapping[str, Steering], part: str
) -> dict[str, tuple[float, dict[str, float]]]:
    """Factors at which the target's damage is done on the texts of a part, and that damage by group of texts."""
    groups = groups_of(fold, part)
    searches = {name: Search(TARGET, NEAR, fold.factors.get(s.id, FIRST)) for name, s in steerings.items()}
    result: dict[str, tuple[float, dict[str, float]]] = {}
    left = list(steerings)
    for _ in range(TRIES):
        done = damages(fold, groups, {name: (steerings[name], searches[name].factor) for name in left})
        for name, by_group in done.items():
            worst = max(by_group.values())
            before = max(result[name][1].values()) if name in result else float("inf")
            if abs(worst - TARGET) < abs(before - TARGET):
                result[name] = searches[name].factor, by_group
        left = [name for name in left if not searches[name].report(max(done[name].values()))]
        if not left:
            break
    fold.factors |= {steerings[name].id: factor for name, (factor, _) in result.items()}
    return result
