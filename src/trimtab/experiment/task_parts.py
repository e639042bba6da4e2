"""Tasks dealt to training, choosing, measuring and a lock-box, and the experiments of what they teach."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np

from trimtab.behaviors import Behavior, Example, Part, PromptType, Splits, clusters, deduplicate
from trimtab.errors import InputError
from trimtab.evaluation.tasks import Task, Unit
from trimtab.experiment.experiment import Experiment
from trimtab.experiment.instrument import Instrument
from trimtab.experiment.preparation import key_of
from trimtab.experiment.progress import Progress, Silent
from trimtab.models import Model
from trimtab.storage.steps import Ledger

T = TypeVar("T")
N_SHOTS: Final = 5
LOCKBOX: Final = 0.25  # share of the clusters that no seed ever uses
SHARES: Final = (0.4, 0.15)  # of the other clusters: train and dev; test has the rest
_LOCK: Final = 20_250_221  # deals the lock-box, whatever the seed
_MIN_CLUSTERS: Final = 2  # of a part
_ENOUGH: Final = 3  # units for each training example that is wanted: some teach none, some are duplicates


@dataclass(frozen=True)
class Sizes:
    """How much of each part is used, at most.

    Args:
        train: contrast examples of each task.
        dev: units of each task that choices are made on, and contrast examples.
        test: units of each task that are measured.
    """

    train: int = 150
    dev: int = 40
    test: int = 120

    def __post_init__(self) -> None:
        for name in ("train", "dev", "test"):
            if getattr(self, name) < 2 * _MIN_CLUSTERS:
                raise InputError(
                    f"{name} {getattr(self, name)}: give at least {2 * _MIN_CLUSTERS}", code="out-of-range", field=name
                )


@dataclass(frozen=True, eq=False)
class TaskParts:
    """A task's units in disjoint parts; no cluster is in two of them.

    Args:
        train: what a steering is fitted to.
        dev: what choices are made on.
        test: what is measured.
        lockbox: the same in every seed, and measured once at the end.
    """

    train: Task[Any]
    dev: Task[Any]
    test: Task[Any]
    lockbox: Task[Any]


def deal_all(tasks: Mapping[str, Task[Any]], seed: int, sizes: Sizes) -> dict[str, TaskParts]:
    """Deal several tasks; those that share questions or templates are dealt alike, so that none tells of another.

    Raises:
        InputError: as `deal`; names the task.
    """
    names = {label: {unit.cluster for unit in task.units} for label, task in tasks.items()}
    out = {}
    for label, task in tasks.items():
        together = set(names[label])
        while wider := [own for own in names.values() if own & together and not own <= together]:
            together |= set().union(*wider)
        out[label] = deal(task, seed, sizes, together)
    return out


def deal(task: Task[Any], seed: int, sizes: Sizes, among: Collection[str] | None = None) -> TaskParts:
    """Deal a task's clusters: a quarter to the lock-box, the rest 40 : 15 : 45 by seed.

    Each part takes the first unit of every cluster, then the second of those that have one, and so on, up to its size;
    training keeps all its units, since one unit may teach none or several examples.

    Args:
        task: loaded.
        seed: of all but the lock-box.
        sizes: of the parts, at most.
        among: clusters that are dealt, of which the task's are some; None for its own.

    Raises:
        InputError: too few clusters.
    """
    by_cluster: dict[str, list[Unit]] = {}
    for unit in task.units:
        by_cluster.setdefault(unit.cluster, []).append(unit)
    names = sorted(by_cluster if among is None else among)
    locked = max(_MIN_CLUSTERS, round(LOCKBOX * len(names)))
    order = [names[i] for i in np.random.default_rng(_LOCK).permutation(len(names))]
    free = [order[locked:][i] for i in np.random.default_rng(seed).permutation(max(0, len(names) - locked))]
    first, second = (max(_MIN_CLUSTERS, round(share * len(free))) for share in SHARES)
    parts = [free[:first], free[first : first + second], free[first + second :], order[:locked]]
    own = [{name: by_cluster[name] for name in part if name in by_cluster} for part in parts]
    if min(map(len, own)) < _MIN_CLUSTERS:
        raise InputError(
            f"task {task.name}: {len(by_cluster)} questions or templates are too few to fit, choose, measure and lock "
            f"away; give at least {5 * _MIN_CLUSTERS}",
            code="too-few-examples",
            field="tasks",
        )
    rng, limits = np.random.default_rng([seed, 1]), (None, sizes.dev, sizes.test)
    train, dev, test = (task.part(_spread(some, n, rng)) for some, n in zip(own, limits, strict=False))
    return TaskParts(train, dev, test, task.part(_spread(own[3], sizes.test, np.random.default_rng(_LOCK))))


def _spread(members: Mapping[str, list[T]], n: int | None, rng: np.random.Generator) -> list[T]:
    """At most n members of clusters in their order, the first of every cluster first."""
    shuffled = [[own[i] for i in rng.permutation(len(own))] for own in members.values()]
    deepest = max(map(len, shuffled))
    return [own[k] for k in range(deepest) for own in shuffled if k < len(own)][:n]


def experiment_of(
    model: Model,
    name: str,
    parts: TaskParts,
    seed: int,
    sizes: Sizes,
    *,
    home: Path | None = None,
    progress: Progress | None = None,
    chat_template: bool = False,
    swap: int | None = None,
) -> Experiment:
    """What a task teaches, as an experiment: shots and training examples of its train part, dev of its dev part.

    Args:
        model: the model.
        name: of the attribute.
        parts: the task's.
        seed: of the order of examples and of what the methods draw.
        sizes: how many examples are used.
        home: where finished steps are kept.
        progress: is told of them.
        chat_template: put examples through the tokenizer's chat template.
        swap: seed of which half of the training examples has its answers exchanged, for a vector of shuffled labels.
            Exactly half: what chance leaves over would point along the behavior's own direction.

    Raises:
        InputError: the task teaches nothing, or too few examples can be put to the model.
    """
    some = parts.train.part(parts.train.units[: _ENOUGH * sizes.train])
    taught = [usable(model, part.behavior(name), chat_template) for part in (some, parts.dev)]
    behavior, rng = taught[0], np.random.default_rng([seed, 2])
    train, dev = (_part(b, rng) for b in taught)
    shots = _shots(train)
    rest = [(e, c) for e, c in zip(train.examples, train.clusters, strict=True) if c not in shots.clusters]
    rest = rest[: sizes.train]
    if len({c for _, c in rest}) < 2 or len(dev) < 2:
        raise InputError(
            f"task {name}: {len(train)} examples to fit and {len(dev)} to choose by, after those that show the task; "
            "give more rows",
            code="too-few-examples",
            field="tasks",
        )
    examples = tuple(e for e, _ in rest) if swap is None else _swapped([e for e, _ in rest], swap)
    train = Part(examples, tuple(c for _, c in rest))
    dev = Part(dev.examples[: sizes.dev], dev.clusters[: sizes.dev])
    whole = replace(behavior, examples=[*shots.examples, *train.examples, *dev.examples])
    sizes_of = [len(shots), len(train), len(dev)]
    key = key_of(model, whole, seed, chat_template, sizes_of)
    return Experiment(
        Instrument(model, whole, chat_template, "last" if whole.answer_kind == "choice" else "mean"),
        Splits(shots, train, dev, Part(), Part()), (PromptType.PREFILLED,), 1.0, "all", seed, Ledger(home, key),
        progress or Silent(),
    )  # fmt: skip


def usable(model: Model, behavior: Behavior, chat_template: bool) -> Behavior:
    """Without duplicates and examples that cannot be scored."""
    behavior, _ = deduplicate(behavior)
    instrument = Instrument(model, behavior, chat_template, "mean")
    fits = instrument.fitting(behavior.examples)
    some = [e for e, ok in zip(behavior.examples, fits, strict=True) if ok]
    left = [e for e, ok in zip(some, instrument.scorable(some), strict=True) if ok] if some else []
    if not left:
        raise InputError(
            f"task {behavior.name}: no example can be put to the model; the texts are too short or too long",
            code="unusable-examples",
            field="tasks",
        )
    return replace(behavior, examples=left)


def _part(behavior: Behavior, rng: np.random.Generator) -> Part:
    members: dict[str, list[tuple[Example, str]]] = {}
    groups = [e.group for e in behavior.examples]
    for e, cluster in zip(behavior.examples, groups if all(groups) else clusters(behavior), strict=True):
        members.setdefault(cluster, []).append((e, cluster))
    names = list(members)
    rows = _spread({names[i]: members[names[i]] for i in rng.permutation(len(names))}, None, rng)
    return Part(tuple(e for e, _ in rows), tuple(c for _, c in rows))


def _shots(train: Part) -> Part:
    """Five examples of the last clusters: of each one, or of a quarter of the clusters where there are few."""
    rows = list(zip(train.examples, train.clusters, strict=True))
    last = list(dict.fromkeys(reversed(train.clusters)))
    chosen = last[: min(N_SHOTS, max(1, len(last) // 4))]
    some = [row for row in rows if row[1] in chosen][:N_SHOTS]
    return Part(tuple(e for e, _ in some), tuple(c for _, c in some))


def _swapped(examples: Sequence[Example], seed: int) -> tuple[Example, ...]:
    coins = np.random.default_rng(seed).permutation(np.arange(len(examples)) % 2 == 0)
    return tuple(
        replace(e, positive=e.negative, negative=e.positive) if coin else e
        for e, coin in zip(examples, coins, strict=True)
    )
