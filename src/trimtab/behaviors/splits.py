"""Disjoint parts of a behavior: no question or template is in two of them."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from trimtab.behaviors.behavior import Behavior, Example
from trimtab.behaviors.duplicates import deduplicate, frame_of, normalise, resemblances
from trimtab.errors import InputError
from trimtab.phrases import Phrase, with_and

__all__ = ["Part", "Splits", "clusters", "deduplicate", "normalise", "split"]

# Rows wanted by default (methods §1.2); the rest goes to evaluation, up to `_MAX_EVAL`.
_SIZES: Mapping[str, Mapping[str, int]] = {
    "choice": {"train": 250, "dev": 100, "eval": 500},
    "text": {"train": 150, "dev": 60, "eval": 280},
}
_MAX_EVAL = 500
MAX_ROWS = 5_000  # drawn from a larger set: more would take hours and hardly narrow the intervals
_NEEDED = ("train", "dev", "eval")
_MAX_SHARE = 0.1  # of a part's rows that one cluster may fill, if there are enough clusters
_MIN_ROWS = 2  # rows, and clusters, in each needed part
_MIN_CLUSTERS = 8  # two to train on, two to choose by, and four to evaluate on, of fewer of which no spread is known
_BESIDES_SHOTS = 11  # clusters that solved examples must leave: else they would take a third of all, or more


@dataclass(frozen=True)
class Part:
    """Examples that serve one purpose.

    Args:
        examples: in random order, first one of each cluster, then a second of those that have one, and so on: the
            first rows of a part come from as many clusters as possible.
        clusters: the question or template of each example, parallel to `examples`; resample by these.

    Example:
        >>> from trimtab.behaviors import builtin, split
        >>> part = split(builtin("sentiment"), train=50).train
        >>> len(part), len(part.examples), len(part.clusters)
        (50, 50, 50)
    """

    examples: tuple[Example, ...] = ()
    clusters: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.examples)


@dataclass(frozen=True)
class Splits:
    """The five parts of a behavior; no cluster is in two of them.

    Args:
        shots: the solved examples shown in front, one a cluster. For bare statements each holds a pair. None where
            there are few questions.
        train: what the steering is fitted on.
        dev: what choices are made on.
        eval: what is reported.
        replication: kept for a second measurement.
        notes: sizes that were not reached and rows left unused, in plain words.

    Example:
        >>> from trimtab.behaviors import builtin, split
        >>> splits = split(builtin("sentiment"), replication=True)
        >>> [len(part) for part in splits.parts]  # shots, train, dev, eval, replication
        [5, 78, 31, 73, 73]
    """

    shots: Part
    train: Part
    dev: Part
    eval: Part
    replication: Part
    notes: tuple[Phrase, ...] = ()

    @property
    def parts(self) -> tuple[Part, ...]:
        """All five."""
        return self.shots, self.train, self.dev, self.eval, self.replication


# --- clusters ---


def clusters(behavior: Behavior) -> list[str]:
    """The question or template each example belongs to.

    Rows belong together when they share an explicit `group` or a normalised prompt (bare statements: a
    normalised statement), or say nearly the same (`resemblances`), directly or through a chain of rows. A prompt
    shared by more than half of the rows is a frame, not a question: then shared answers join rows instead. (Rows
    with a group are joined by answers only where these are texts, and are in no more than half of the rows.)

    Returns:
        one name an example: the first explicit group of the cluster; else `#k`, k being the cluster's first row,
        counted from 1. If a group begins with `#` too, `##k`, and so on, so that no two clusters share a name.

    Example:
        >>> import trimtab as tt
        >>> from trimtab.behaviors import clusters
        >>> prompts = ("Tea?", "Jam?", "tea", "Milk?")
        >>> rows = [tt.Example(prompt, f" Yes, {k}.", f" No, {k}.") for k, prompt in enumerate(prompts)]
        >>> clusters(tt.Behavior("agreement", rows))
        ['#1', '#2', '#1', '#4']
    """
    examples = behavior.examples
    prompts = [normalise(e.prompt) for e in examples]
    frame = frame_of(behavior)
    answers = [() if frame is None else (normalise(e.positive), normalise(e.negative)) for e in examples]
    stands = Counter(answer for both in answers for answer in set(both))
    telling = behavior.bare or behavior.answer_kind == "text"
    parent = list(range(len(examples)))
    first: dict[tuple[str, str], int] = {}
    for i, e in enumerate(examples):
        keys = [("group", e.group)] if e.group else []
        if prompts[i] != frame:
            keys.append(("prompt", prompts[i]))
        keys += [("answer", a) for a in answers[i] if not e.group or (telling and 2 * stands[a] <= len(examples))]
        for key in keys:
            _unite(parent, i, first.setdefault(key, i))
    for clusters in resemblances(behavior):
        for i, k in enumerate(clusters.tolist()):
            _unite(parent, i, k)
    return _names([e.group for e in examples], [_root(parent, i) for i in range(len(examples))])


def _names(groups: list[str], roots: list[int]) -> list[str]:
    """The name of each row's cluster, from the rows' groups and the first rows of their clusters."""
    mark = "#"
    while any(group.startswith(mark) for group in groups):
        mark += "#"
    named: dict[int, str] = {}
    for group, root in zip(groups, roots, strict=True):
        if group:
            named.setdefault(root, group)
    return [named.get(root, f"{mark}{root + 1}") for root in roots]


def _root(parent: list[int], i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


def _unite(parent: list[int], i: int, j: int) -> None:
    a, b = _root(parent, i), _root(parent, j)
    parent[max(a, b)] = min(a, b)


# --- parts ---


def split(
    behavior: Behavior,
    *,
    n_shots: int = 5,
    train: int | None = None,
    evaluation: int | None = None,
    replication: bool = False,
    seed: int = 0,
) -> Splits:
    """Deal the examples into shots, training, development, evaluation and replication.

    Whole clusters are dealt, so that no question or template is in two parts; where a cluster is too large
    for every part, its surplus rows stay unused. Call `deduplicate` first. Rows are kept as they are
    under random pairing too: their matching is arbitrary to begin with and analysed as such, so
    shuffling one class within a part would only exchange one arbitrary matching for another.

    Args:
        behavior: with at least 8 clusters.
        n_shots: solved examples to show in front; for bare statements, pairs of them. None are set aside where fewer
            than 11 clusters would be left, since they would be missed more elsewhere.
        train: training rows; development then gets 0.4 times as many. None: 250 for choices, with 100
            and 500; 150 for free text, with 60 and 280; fewer in proportion. What is left goes to evaluation, up to
            500 rows.
        evaluation: evaluation rows; None as above.
        replication: give half of the evaluation rows to a second measurement, unless `evaluation` is given.
        seed: of the random order; the same seed and examples give the same parts.

    Raises:
        InputError: too few clusters, or a size below 2.

    Example:
        >>> from trimtab.behaviors import builtin, split
        >>> splits = split(builtin("sentiment"), train=100, evaluation=100)
        >>> len(splits.train), len(splits.dev), len(splits.eval)
        (100, 40, 100)
    """
    for name, size in (("train", train), ("evaluation", evaluation)):
        if size is not None and size < _MIN_ROWS:
            raise InputError(f"{name}={size}: it must be at least {_MIN_ROWS}", code="too-few-examples", field=name)
    if n_shots < 0:
        raise InputError(f"n_shots={n_shots}: it cannot be negative", code="out-of-range", field="n_shots")
    members = _members(behavior, _MIN_CLUSTERS)
    if len(members) < n_shots + _BESIDES_SHOTS:
        n_shots = 0
    names = list(members)
    order = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    shots = sorted(order, key=lambda cluster: len(members[cluster]))[:n_shots]  # stable: random among the smallest
    taken = set(shots)
    rest = {cluster: members[cluster] for cluster in order if cluster not in taken}
    sizes = _sizes(behavior, sum(map(len, rest.values())), train, evaluation)
    if replication and evaluation is None:
        sizes |= {"eval": -(-sizes["eval"] // 2), "replication": sizes["eval"] // 2}
    dealt = _deal(rest, sizes)
    dealt["shots"] = [(cluster, members[cluster][0]) for cluster in shots]
    part = {
        name: Part(tuple(behavior.examples[i] for _, i in rows), tuple(cluster for cluster, _ in rows))
        for name, rows in ((name, _in_rounds(rows)) for name, rows in dealt.items())
    }
    notes = _shortfalls(part, train, evaluation, len(behavior.examples))
    return Splits(part["shots"], part["train"], part["dev"], part["eval"], part["replication"], notes)


def _shortfalls(part: Mapping[str, Part], train: int | None, evaluation: int | None, rows: int) -> tuple[Phrase, ...]:
    """Notes on sizes that were not reached and on rows that are left over."""
    notes = [
        Phrase("wanted {size} {kind} rows, the set has only {n}", size=size, kind=kind, n=len(part[name]))
        for name, kind, size in (("train", Phrase("training"), train), ("eval", Phrase("evaluation"), evaluation))
        if size is not None and len(part[name]) < size
    ]
    unused = rows - sum(map(len, part.values()))
    if unused:
        notes.append(Phrase("{unused} of {rows} rows are in no part", unused=unused, rows=rows))
    return tuple(notes)


def _members(behavior: Behavior, needed: int) -> dict[str, list[int]]:
    """The rows of each cluster, in order of first appearance."""
    members: dict[str, list[int]] = {}
    for i, cluster in enumerate(clusters(behavior)):
        members.setdefault(cluster, []).append(i)
    if len(members) < needed:
        alike = [rows for rows in members.values() if len(rows) > 1]
        first = next(({behavior.examples[i].source or f"row {i + 1}": 0 for i in rows[:2]} for rows in alike), {})
        rows: str = str(len(behavior.examples))
        if first:
            rows = Phrase(
                "{n} rows (rows that nearly repeat each other count once, such as {which})",
                n=rows, which=with_and(list(first)),
            )  # fmt: skip
        else:
            rows = Phrase("{n} rows", n=rows)
        raise InputError(
            Phrase(
                "behavior {name} has {n} different questions in {rows}; at least {needed} are needed, and some 500 for "
                "narrow intervals",
                name=repr(behavior.name),
                n=len(members),
                rows=rows,
                needed=needed,
            ),
            code="too-few-examples",
            field="behavior",
        )
    return members


def drawn(behavior: Behavior, seed: int, max_rows: int = MAX_ROWS) -> Behavior:
    """The behavior with at most `max_rows` rows, drawn at random and reported in a note; smaller sets unchanged."""
    n = len(behavior.examples)
    if n <= max_rows:
        return behavior
    kept = np.sort(np.random.default_rng(seed).choice(n, max_rows, replace=False))
    note = Phrase(
        "{max_rows} of {n} rows were drawn at random (seed {seed}); more would hardly narrow the intervals",
        max_rows=f"{max_rows:,}",
        n=f"{n:,}",
        seed=seed,
    )
    return replace(behavior, examples=tuple(behavior.examples[i] for i in kept), notes=(*behavior.notes, note))


def _sizes(behavior: Behavior, room: int, train: int | None, evaluation: int | None) -> dict[str, int]:
    """Rows wanted in each part, fitted to the `room` available; explicit sizes are shrunk last."""
    explicit: dict[str, int] = {}
    if train is not None:
        explicit |= {"train": train, "dev": max(_MIN_ROWS, round(0.4 * train))}
    if evaluation is not None:
        explicit["eval"] = evaluation
    wanted = {**_SIZES[behavior.answer_kind], **explicit}
    open_parts = [name for name in wanted if name not in explicit]
    left = room - sum(explicit.values())
    if left < _MIN_ROWS * len(open_parts):
        return _shrunk(wanted, room)
    sizes = {**explicit, **_shrunk({name: wanted[name] for name in open_parts}, left)}
    if evaluation is None:
        sizes["eval"] = max(sizes["eval"], min(_MAX_EVAL, room - sizes["train"] - sizes["dev"]))
    return sizes


def _shrunk(wanted: dict[str, int], room: int) -> dict[str, int]:
    """The wanted sizes, in proportion no larger than the room together; each part keeps two rows."""
    total = sum(wanted.values())
    scale = min(1.0, room / total) if total else 1.0
    sizes = {name: max(_MIN_ROWS, int(scale * size)) for name, size in wanted.items()}
    while sum(sizes.values()) > room:
        sizes[max(sizes, key=lambda name: sizes[name])] -= 1
    return sizes


_RowsByPart = dict[str, list[tuple[str, int]]]  # part -> (cluster, row) each


def _in_rounds(rows: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """One row of each cluster, then a second one of those that have it, and so on."""
    counts: Counter[str] = Counter()
    rank = []
    for cluster, _ in rows:
        rank.append(counts[cluster])
        counts[cluster] += 1
    return [rows[k] for k in np.argsort(rank, kind="stable").tolist()]


def _deal(members: Mapping[str, list[int]], sizes: Mapping[str, int]) -> _RowsByPart:
    """Give each cluster to the part that is furthest below its size."""
    dealt: _RowsByPart = {name: [] for name in ("train", "dev", "eval", "replication")}
    limit = _max_per_cluster(sizes, len(members))
    waiting = list(members.items())
    for name in _NEEDED:  # two clusters each, whatever their size
        for place in (1, 0):
            cluster, rows = waiting.pop(0)
            dealt[name] += [(cluster, i) for i in rows[: min(limit[name], sizes[name] - place - len(dealt[name]))]]
    for cluster, rows in waiting:
        lack = {name: size - len(dealt[name]) for name, size in sizes.items() if size > len(dealt[name])}
        if not lack:
            break
        fitting = [name for name in lack if lack[name] >= min(len(rows), limit[name])]
        part = (
            max(fitting, key=lambda name: lack[name] / sizes[name])
            if fitting
            else max(lack, key=lambda name: lack[name])
        )
        dealt[part] += [(cluster, i) for i in rows[: min(limit[part], lack[part])]]
    return dealt


def _max_per_cluster(sizes: Mapping[str, int], n_clusters: int) -> dict[str, int]:
    """The most rows of a cluster in each part: a tenth of it, or twice an even share where clusters are few."""
    even = 2 * sum(sizes.values()) / n_clusters
    return {name: math.ceil(max(_MAX_SHARE * size, even)) for name, size in sizes.items()}
