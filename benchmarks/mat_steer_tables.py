"""The tables of `mat_steer_study.py`: means over seeds with 95 % intervals, folds of a seed averaged first."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student
from scipy.stats import ttest_1samp

FULL, SAME_GATES = "mat-steer", "mat-steer, random directions behind its gates"
CHOSEN = "mat-steer, λ and θ chosen on dev"
RIVALS = "probe-gated mean difference", "sum of mean differences"
ATTRIBUTES = "truthfulness", "fairness", "harmlessness"


def effect(r: Mapping[str, Any], attribute: str, on: str = "all") -> float:
    """Mean effect over its standard deviation."""
    mean, _, _, _, sd, _ = r["effects"][attribute][on]
    return mean / sd if sd else 0.0


def elsewhere(r: Mapping[str, Any]) -> float:
    """Mean absolute effect of an attribute alone on the others; NaN where none was measured alone."""
    found = [abs(effect(r, a, on)) for a, own in r["effects"].items() for on in own if on not in (a, "all")]
    return float(np.mean(found)) if found else float("nan")


SUMMARY: dict[str, Callable[[Mapping[str, Any]], float]] = {
    "mean of the three": lambda r: float(np.mean([effect(r, a) for a in r["effects"]])),
    "least of the three": lambda r: min(effect(r, a) for a in r["effects"]),
    **{a: (lambda r, a=a: effect(r, a)) for a in ATTRIBUTES},  # type: ignore[misc]
    "alone, on others": elsewhere,
    "desired answers, nats": lambda r: float(np.mean(list(r["desired"].values()))),
    "damage": lambda r: max(r["damage"].values()),
}
NATS: dict[str, Callable[[Mapping[str, Any]], float]] = {
    **{f"{a}, nats": (lambda r, a=a: r["effects"][a]["all"][0]) for a in ATTRIBUTES},  # type: ignore[misc]
    **{f"{a}, wrong way": (lambda r, a=a: r["effects"][a]["all"][3]) for a in ATTRIBUTES},  # type: ignore[misc]
    **{f"{a}, preferred": (lambda r, a=a: r["preferred"][a][1]) for a in ATTRIBUTES},  # type: ignore[misc]
}
COMPARED = {
    **{name: SUMMARY[name] for name in ("mean of the three", "least of the three")},
    **{f"{a}, nats": NATS[f"{a}, nats"] for a in ATTRIBUTES},
    "preferred, mean": lambda r: float(np.mean([r["preferred"][a][1] for a in ATTRIBUTES])),
}
GATES: dict[str, Callable[[Mapping[str, Any]], float]] = {
    "gate, own negatives": lambda g: g["negative"]["gate"],
    "own positives": lambda g: g["positive"]["gate"],
    "others": lambda g: g["others"]["gate"],
    "AUROC": lambda g: g["auroc"],
    "tokens touched, own negatives": lambda g: g["negative"]["touched"],
    "others touched": lambda g: g["others"]["touched"],
}


def left(gates: Iterable[Mapping[str, Any]]) -> float:
    """Share of all attributes' squared MMD that is left; of one alone it may be noise around 0."""
    both = [(g["mmd2_after"], g["mmd2_before"]) for g in gates]
    return float(sum(after for after, _ in both) / sum(before for _, before in both))


def table(out: Path, names: Sequence[str]) -> Iterator[str]:
    """Tables in Markdown of the rows of these names: effects and damage, differences, nats, gates."""
    found = [json.loads(f.read_text()) for f in sorted(out.glob("*.json"))]
    by_row = {name: [r for r in found if r["row"] == name] for name in names}
    by_row = {name: rows for name, rows in by_row.items() if rows}
    yield from _titles(["row", "trainings", *SUMMARY])
    for name, rows in by_row.items():
        done = [r for r in rows if "effects" in r]
        cells = (
            [interval([(r["seed"], f(r)) for r in done]) for f in SUMMARY.values()] if done else ["–"] * len(SUMMARY)
        )
        lost = f" ({len(rows) - len(done)} refused)" if len(done) < len(rows) else ""
        yield f"| {name} | {len(rows)}{lost} | " + " | ".join(cells) + " |"
    yield ""
    yield from contrasts(by_row)
    for reference in (FULL, CHOSEN):
        yield from compared(by_row, reference)
    yield from _titles(["in nats per token", *NATS])
    base = {a: [(r["seed"], r["preferred"][a][0]) for r in by_row[FULL] if "preferred" in r] for a in ATTRIBUTES}
    yield "| unsteered | " + " | ".join(["–"] * 6 + [interval(own) for own in base.values()]) + " |"
    for name, rows in by_row.items():
        done = [r for r in rows if "effects" in r]
        if done:
            yield f"| {name} | " + " | ".join(interval([(r["seed"], f(r)) for r in done]) for f in NATS.values()) + " |"
    yield ""
    ends = ["least of the attributes' own negatives", "most of others", "MMD² left, all attributes"]
    yield from _titles(["gates on dev tokens, mean over attributes", *GATES, *ends])
    for name, rows in by_row.items():
        done = [r for r in rows if "gates" in r and name != SAME_GATES]  # which has the gates of the full method
        if done:
            told = [
                [(r["seed"], float(np.mean([f(g) for g in r["gates"].values()]))) for r in done] for f in GATES.values()
            ]
            told.append([(r["seed"], min(g["negative"]["gate"] for g in r["gates"].values())) for r in done])
            told.append([(r["seed"], max(g["others"]["gate"] for g in r["gates"].values())) for r in done])
            told.append([(r["seed"], left(r["gates"].values())) for r in done])
            yield f"| {name} | " + " | ".join(map(interval, told)) + " |"
    yield ""
    for name, rows in by_row.items():
        reasons = [r["reason"].partition(";")[0] for r in rows if "reason" in r]
        if reasons:
            yield f"- {name}, {len(reasons)} of {len(rows)} refused, the first: {reasons[0]}"


def contrasts(by_row: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[str]:
    """MAT-Steer against its two rivals by the mean of the three: paired t tests over seeds, p-values by Holm (1979)."""
    tested = {}
    for ours in (FULL, CHOSEN):
        own = {(r["seed"], r["half"]): r for r in by_row.get(ours, ())}
        for rival in RIVALS:
            other = {(r["seed"], r["half"]): r for r in by_row.get(rival, ())}
            mean = SUMMARY["mean of the three"]
            found = [(k[0], mean(own[k]) - mean(other[k])) for k in own if k in other]
            if len({seed for seed, _ in found}) > 1:
                tested[f"{ours} − {rival}"] = found, float(ttest_1samp(by_seed(found), 0).pvalue)
    yield from _titles(["contrast", "mean of the three", "p", "p, Holm"])
    adjusted = 0.0
    for i, (name, (found, p)) in enumerate(sorted(tested.items(), key=lambda item: item[1][1])):
        adjusted = max(adjusted, min(1.0, (len(tested) - i) * p))
        yield f"| {name} | {interval(found)} | {p:.4f} | {adjusted:.4f} |"
    yield ""


def compared(by_row: Mapping[str, Sequence[Mapping[str, Any]]], reference: str) -> Iterator[str]:
    """Differences of every row from one, over the same seeds and folds."""
    whole = {(r["seed"], r["half"]): r for r in by_row.get(reference, ()) if "effects" in r}
    yield from _titles([f"minus {reference}", *COMPARED, "detectable, mean"])
    for name, rows in by_row.items():
        pairs = [(r, whole[r["seed"], r["half"]]) for r in rows if "effects" in r and (r["seed"], r["half"]) in whole]
        if name != reference and pairs:
            found = [[(r["seed"], f(r) - f(other)) for r, other in pairs] for f in COMPARED.values()]
            yield f"| {name} | " + " | ".join([*map(interval, found), detectable(found[0])]) + " |"
    yield ""


def _titles(names: Sequence[str]) -> Iterator[str]:
    yield "| " + " | ".join(names) + " |"
    yield "| --- " * len(names) + "|"


def by_seed(values: Sequence[tuple[int, float]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Means over the folds of each seed."""
    return np.array([np.mean([v for s, v in values if s == seed]) for seed in sorted({s for s, _ in values})])


def interval(values: Sequence[tuple[int, float]]) -> str:
    """Mean over seeds with its 95 % interval over seeds (Student's t); folds of a seed are averaged first."""
    means = by_seed([(seed, value) for seed, value in values if value == value])
    if not len(means):
        return "–"
    if len(means) < 2:
        return f"{means.mean():.3f}"
    half = student.ppf(0.975, len(means) - 1) * means.std(ddof=1) / sqrt(len(means))
    return f"{means.mean():.3f} ± {half:.3f}"


def detectable(values: Sequence[tuple[int, float]]) -> str:
    """The difference that so many seeds would find with 80 % probability at the 5 % level."""
    means = by_seed(values)
    if len(means) < 2:
        return "–"
    k = len(means) - 1
    return f"{(student.ppf(0.975, k) + student.ppf(0.8, k)) * means.std(ddof=1) / sqrt(len(means)):.3f}"
