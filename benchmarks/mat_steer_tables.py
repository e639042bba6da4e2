"""The tables of `mat_steer_study.py`: means over trainings with 95 % intervals that allow for shared data.

Trainings share data: the two folds of a seed exchange their halves, and seeds halve the same clusters anew. Their
spread alone would count the same texts several times, so the variance of a mean over J trainings is taken as `(1/J +
n_test/n_train) S²` with J − 1 degrees of freedom (Nadeau and Bengio 2003, for repeated folds Bouckaert and Frank 2004);
halves make n_test/n_train 1. "Over seeds" is what the spread of the seeds' means alone gives, folds of a seed averaged:
how much hangs on split and initialisation, on these texts.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
from mat_steer_rows import (
    CANDIDATES,
    CHOSEN,
    EXCLUSIVE,
    EXCLUSIVE_CHOSEN,
    FULL,
    MAIN,
    PAPER,
    PLAIN,
    PROBES,
    SAME_GATES,
    START,
)
from numpy.typing import NDArray
from scipy.stats import t as student

SHARED = 1.0  # n_test / n_train of halves
ATTRIBUTES = "truthfulness", "fairness", "harmlessness"
NAMED = (
    (CHOSEN, EXCLUSIVE_CHOSEN), (FULL, EXCLUSIVE), (FULL, START), (CHOSEN, PROBES), (CHOSEN, PLAIN),
    (EXCLUSIVE_CHOSEN, PROBES), (EXCLUSIVE_CHOSEN, PLAIN),
)  # fmt: skip

Found = Mapping[str, Any]
Figure = Callable[[Found], float]


def effect(r: Found, attribute: str) -> float:
    """Mean effect over its standard deviation."""
    mean, _, _, _, sd, *_ = r["effects"][attribute]
    return mean / sd if sd else 0.0


def each(figure: Callable[[Found, str], float], ending: str = "") -> dict[str, Figure]:
    """A figure for each attribute."""
    return {f"{a}{ending}": (lambda r, a=a: figure(r, a)) for a in ATTRIBUTES}  # type: ignore[misc]


MEAN: Figure = lambda r: float(np.mean([effect(r, a) for a in ATTRIBUTES]))  # noqa: E731
NATS = each(lambda r, a: r["effects"][a][0], ", nats")
SUMMARY: dict[str, Figure] = {
    "mean of the three": MEAN,
    **each(effect),
    **NATS,
    "desired answers, nats": lambda r: float(np.mean(list(r["desired"].values()))),
    "damage": lambda r: max(r["damage"].values()),
}
ANSWERS = {
    **each(lambda r, a: r["effects"][a][3], ", wrong way"),
    **each(lambda r, a: r["preferred"][a][1], ", preferred"),
}
COMPARED = {"mean of the three": MEAN, **each(effect), **NATS}
GATES: dict[str, Figure] = {
    "gate, own negatives": lambda g: g["negative"]["gate"],
    "own positives": lambda g: g["positive"]["gate"],
    "others": lambda g: g["others"]["gate"],
    "AUROC": lambda g: g["auroc"],
    "tokens touched, own negatives": lambda g: g["negative"]["touched"],
    "others touched": lambda g: g["others"]["touched"],
}


def left(gates: Iterable[Found]) -> float:
    """Share of all attributes' squared MMD that is left; of one alone it may be noise around 0."""
    both = [(g["mmd2_after"], g["mmd2_before"]) for g in gates]
    return float(sum(after for after, _ in both) / sum(before for _, before in both))


def table(out: Path, names: Sequence[str]) -> Iterator[str]:
    """Tables in Markdown: effects and damage, named contrasts, differences, answers, gates, what dev chose."""
    result = [json.loads(f.read_text()) for f in sorted(out.glob("*.json"))]
    by_row = {name: [r for r in result if r["row"] == name] for name in names}
    by_row = {name: rows for name, rows in by_row.items() if rows}
    done = {name: [r for r in rows if "effects" in r] for name, rows in by_row.items()}
    yield from _effects(by_row, done)
    yield from contrasts(done)
    for reference in (CHOSEN, EXCLUSIVE_CHOSEN) if set(names) <= set(MAIN) else (PAPER,):
        yield from compared(done, reference)
    yield from _answers(done)
    yield from _gates(done)
    yield from _choices(done)
    for name, rows in by_row.items():
        reasons = [r["reason"].partition(";")[0] for r in rows if "reason" in r]
        if reasons:
            yield f"- {name}, {len(reasons)} of {len(rows)} refused, the first: {reasons[0]}"


def _effects(by_row: Mapping[str, Sequence[Found]], done: Mapping[str, Sequence[Found]]) -> Iterator[str]:
    yield from _titles(["row", "trainings", *SUMMARY])
    for name, rows in by_row.items():
        own = done[name]
        cells = [interval([f(r) for r in own]) for f in SUMMARY.values()]
        lost = f" ({len(rows) - len(own)} refused)" if len(own) < len(rows) else ""
        yield f"| {name} | {len(rows)}{lost} | " + " | ".join(cells) + " |"
    yield ""
    sizes = {a: sorted({tuple(r["effects"][a][5:7]) for own in done.values() for r in own}) for a in ATTRIBUTES}
    sizes_text = [
        f"{a} {_range([n for n, _ in own])} of {_range([u for _, u in own])} units" for a, own in sizes.items() if own
    ]
    yield f"Evaluation examples of a training: {', '.join(sizes_text)}."
    yield ""


def _range(values: Sequence[int]) -> str:
    return f"{min(values)}" if min(values) == max(values) else f"{min(values)}–{max(values)}"


def contrasts(done: Mapping[str, Sequence[Found]]) -> Iterator[str]:
    """The named contrasts by the mean of the three: corrected t tests, p-values by Holm (1979); the rest beside."""
    tested = []
    for ours, other in NAMED:
        pairs = _pairs(done, ours, other)
        if len(pairs) > 1:
            tested.append((f"{ours} − {other}", pairs, p_value([MEAN(a) - MEAN(b) for a, b in pairs])))
    holm, most = {}, 0.0
    for i, (name, _, p) in enumerate(sorted(tested, key=lambda row: row[2])):
        most = max(most, min(1.0, (len(tested) - i) * p))
        holm[name] = most
    yield from _titles(["contrast", "n", "mean of the three", "p", "p, Holm", "over seeds", *[*COMPARED][1:]])
    for name, pairs, p in tested:
        cells = [interval([f(a) - f(b) for a, b in pairs]) for f in COMPARED.values()]
        alone = over_seeds([(a["seed"], MEAN(a) - MEAN(b)) for a, b in pairs])
        yield (
            f"| {name} | {len(pairs)} | {cells[0]} | {p:.3f} | {holm[name]:.3f} | {alone} | "
            + " | ".join(cells[1:])
            + " |"
        )
    yield ""


def _pairs(done: Mapping[str, Sequence[Found]], one: str, other: str) -> list[tuple[Found, Found]]:
    """Trainings of two rows on the same seed and fold."""
    whole = {(r["seed"], r["half"]): r for r in done.get(other, ())}
    return [(r, whole[r["seed"], r["half"]]) for r in done.get(one, ()) if (r["seed"], r["half"]) in whole]


def compared(done: Mapping[str, Sequence[Found]], reference: str) -> Iterator[str]:
    """Differences of every row from one, over the same seeds and folds."""
    yield from _titles([f"minus {reference}", "n", *COMPARED])
    for name in done:
        pairs = _pairs(done, name, reference)
        if name != reference and pairs:
            cells = [interval([f(a) - f(b) for a, b in pairs]) for f in COMPARED.values()]
            yield f"| {name} | {len(pairs)} | " + " | ".join(cells) + " |"
    yield ""


def _answers(done: Mapping[str, Sequence[Found]]) -> Iterator[str]:
    yield from _titles(["answers", *ANSWERS])
    first = next((own for own in done.values() if own), [])
    base = [interval([r["preferred"][a][0] for r in first]) for a in ATTRIBUTES]
    yield "| unsteered | " + " | ".join([*["–"] * 3, *base]) + " |"
    for name, own in done.items():
        if own:
            yield f"| {name} | " + " | ".join(interval([f(r) for r in own]) for f in ANSWERS.values()) + " |"
    yield ""


def _gates(done: Mapping[str, Sequence[Found]]) -> Iterator[str]:
    ends = ["least of the attributes' own negatives", "most of others", "MMD² left, all attributes"]
    yield from _titles(["gates on dev tokens, mean over attributes", *GATES, *ends])
    for name, rows in done.items():
        own = [[*r["gates"].values()] for r in rows if "gates" in r and name != SAME_GATES]  # those are of `FULL`
        if own:
            columns = [[float(np.mean([f(g) for g in gates])) for gates in own] for f in GATES.values()]
            columns.append([min(g["negative"]["gate"] for g in gates) for gates in own])
            columns.append([max(g["others"]["gate"] for g in gates) for gates in own])
            columns.append([left(gates) for gates in own])
            yield f"| {name} | " + " | ".join(map(interval, columns)) + " |"
    yield ""


def _choices(done: Mapping[str, Sequence[Found]]) -> Iterator[str]:
    """How often dev took each candidate."""
    for name, makers in CANDIDATES.items():
        taken = [r["chosen"] for r in done.get(name, ())]
        options = [asdict(maker) for maker in makers]
        varied = [key for key in options[0] if len({one[key] for one in options}) > 1]
        for maker, one in zip(makers, options, strict=True):
            which = ", ".join(f"{key} {one[key]:g}" for key in varied)
            yield f"- {name}: dev took {which} {taken.count(repr(maker))} times of {len(taken)}"
    yield ""


def _titles(names: Sequence[str]) -> Iterator[str]:
    yield "| " + " | ".join(names) + " |"
    yield "| --- " * len(names) + "|"


def _error(values: NDArray[np.float64]) -> float:
    """The corrected standard error of a mean over trainings."""
    return float(values.std(ddof=1)) * sqrt(1 / len(values) + SHARED)


def interval(values: Sequence[float]) -> str:
    """Mean over trainings with its 95 % interval, corrected for shared data."""
    some = np.array([v for v in values if v == v])
    if len(some) < 2:
        return f"{some.mean():.3f}" if len(some) else "–"
    return f"{some.mean():.3f} ± {student.ppf(0.975, len(some) - 1) * _error(some):.3f}"


def p_value(differences: Sequence[float]) -> float:
    """Two-sided, of the corrected t test against 0."""
    some = np.array(differences)
    error = _error(some)
    return float(2 * student.sf(abs(some.mean()) / error, len(some) - 1)) if error else 1.0


def over_seeds(values: Sequence[tuple[int, float]]) -> str:
    """Half the width of the 95 % interval that the seeds' means alone give."""
    means = np.array([np.mean([v for s, v in values if s == seed]) for seed in sorted({s for s, _ in values})])
    if len(means) < 2:
        return "–"
    return f"± {student.ppf(0.975, len(means) - 1) * means.std(ddof=1) / sqrt(len(means)):.3f}"
